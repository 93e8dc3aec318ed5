//! SQLite and PostgreSQL behave alike, where they are least alike: order, absence, failure in the
//! middle, many at once.

mod harness;

use std::sync::Arc;

use harness::now;
use harness::postgres::Postgres;
use serde_json::{Map, Value, json};
use sztp_core::lifecycle::{Event, Policy};
use sztp_core::rpc::ProgressType;
use sztp_server::StoreError;
use sztp_server::config::DatabaseConfig;
use sztp_server::model::{
    DeviceFilter, DeviceSpec, EventFilter, Existing, Image, ImportOptions, Page, Reported,
    UnknownDevice,
};
use sztp_server::store::{
    AccessStore as _, Database, DeletedImage, DeviceStore as _, Effect, ImportDevice,
    ImportOutcome, Occurrence, PutDevice, PutMode, PutOutcome, Store as _, TrustStore as _,
};

/// Runs on a file and, where there is one, on a server.
fn on_both<F: Future<Output = ()>>(test: impl Fn(Arc<Database>) -> F) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let file = Database::sqlite(&directory.path().join("db")).expect("it opens");
    runtime.block_on(test(Arc::new(file)));
    if let Some(postgres) = Postgres::shared() {
        let server = open(&postgres.database()).expect("it opens");
        runtime.block_on(test(Arc::new(server)));
    }
}

fn open(url: &str) -> Result<Database, StoreError> {
    Database::postgres(url, &DatabaseConfig::default())
}

fn put(serial_number: &str, spec: DeviceSpec) -> PutDevice {
    PutDevice {
        serial_number: serial_number.to_owned(),
        spec,
        time: now(),
        message: None,
        write: PutMode::Add,
    }
}

fn noted(serial_number: &str, message: &str) -> Occurrence {
    Occurrence {
        serial_number: serial_number.to_owned(),
        time: now(),
        peer: None,
        event: "progress",
        progress_type: None,
        message: Some(message.to_owned()),
        effect: Effect::Noted,
        served: None,
        outgoing: sztp_server::store::outbox::Outgoing::default(),
    }
}

async fn listed(store: &Database, filter: DeviceFilter) -> Vec<String> {
    let mut found = Vec::new();
    let mut page = Page {
        limit: 2,
        ..Page::default()
    };
    loop {
        let listed = store
            .devices(filter.clone(), page.clone())
            .await
            .expect("a list");
        found.extend(listed.items.into_iter().map(|device| device.serial_number));
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return found,
        }
    }
}

#[test]
fn names_are_in_the_order_of_their_octets() {
    on_both(|store| async move {
        let names = [
            "a-1",
            "A-2",
            "a1",
            "B",
            "Z",
            "_",
            "a b",
            "\u{e4}",
            "\u{1F600}",
            "z",
            "-x",
        ];
        for name in names {
            let spec = DeviceSpec {
                host_name: Some(format!("host {name}")),
                ..DeviceSpec::default()
            };
            let outcome = store.put_device(put(name, spec)).await.expect("written");
            assert!(matches!(outcome, PutOutcome::Put(_)), "{name}");
        }
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(listed(&store, DeviceFilter::default()).await, sorted);
        let with = |prefix: &str| DeviceFilter {
            serial_number_prefix: Some(prefix.to_owned()),
            ..DeviceFilter::default()
        };
        assert_eq!(listed(&store, with("a")).await, ["a b", "a-1", "a1"]);
        assert_eq!(listed(&store, with("\u{e4}")).await, ["\u{e4}"]);
        assert_eq!(listed(&store, with("%")).await, [""; 0]);
        let search = DeviceFilter {
            search: Some("host A".to_owned()),
            ..DeviceFilter::default()
        };
        assert_eq!(listed(&store, search).await, ["A-2"]);
    });
}

#[test]
fn one_that_fails_takes_nothing_along_and_the_order_is_kept() {
    on_both(|store| async move {
        store
            .put_device(put("D", DeviceSpec::default()))
            .await
            .expect("written");
        // So many at once that they share transactions.
        let all = (0..500).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                if number % 10 == 0 {
                    // A message of a kind that no column takes, in the midst of the others.
                    let image = Image {
                        name: format!("image-{number}"),
                        sha256: "00".to_owned(),
                        size: 1,
                        created_at: now(),
                    };
                    let fails = Box::new(|| Err(std::io::Error::other("no disk")));
                    let error = store.add_image(image, fails).await.expect_err("no disk");
                    assert_eq!(error.code(), "store.file");
                    return None;
                }
                let recorded = store.record(noted("D", &number.to_string())).await;
                Some(
                    recorded
                        .expect("written")
                        .expect("there")
                        .entry
                        .expect("a line")
                        .id,
                )
            })
        });
        let mut ids = Vec::new();
        for one in all.collect::<Vec<_>>() {
            ids.extend(one.await.expect("no panic"));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 450);
        assert!(
            store
                .images(Page::default())
                .await
                .expect("a list")
                .items
                .is_empty()
        );
        let newest = store.last_event().await.expect("a number");
        assert_eq!(ids.last(), Some(&newest));
        let mut seen = Vec::new();
        let mut after = 0;
        while after < newest {
            let (events, upto) = store
                .events_after(after, newest, EventFilter::default())
                .await
                .expect("events");
            seen.extend(events.into_iter().map(|event| event.entry.id));
            after = upto;
        }
        assert_eq!(seen[1..], ids);
        let of_another = EventFilter {
            serial_number: Some("E".to_owned()),
            state: None,
        };
        let (events, _) = store
            .events_after(0, newest, of_another)
            .await
            .expect("events");
        assert!(events.is_empty());
    });
}

#[test]
fn what_is_read_is_what_was_written() {
    on_both(|store| async move {
        let text = "\u{1F600} 'quoted' \\ \"?1\" $1 -- \n\t".to_owned() + &"long ".repeat(1000);
        let spec: DeviceSpec = serde_json::from_value(json!({
            "location": text, "tags": ["x", "X"], "serial_numbers": ["ALIAS"],
            "variables": {"n": 9_007_199_254_740_993_u64, "deep": {"a": [null, 1.5]}},
            "voucher": "AAEC/w==", "progress_timeout_secs": 5,
        }))
        .expect("a spec");
        store
            .put_device(put("D", spec.clone()))
            .await
            .expect("written");
        let outcome = store.put_device(put("ALIAS", DeviceSpec::default())).await;
        assert!(
            matches!(outcome, Ok(PutOutcome::SerialNumberTaken { .. })),
            "{outcome:?}"
        );
        let stored = store.device("ALIAS").await.expect("read").expect("there");
        assert_eq!(stored.device.serial_number, "D");
        assert_eq!(stored.device.spec, spec);
        assert_eq!(stored.voucher, spec.voucher);
        // PostgreSQL cannot keep NUL; nothing is lost but that.
        let told = format!("{text}\0end");
        store.record(noted("ALIAS", &told)).await.expect("written");
        let history = store
            .history("D", Page::default())
            .await
            .expect("read")
            .items;
        let message = history[1].message.as_deref().expect("a message");
        assert!(message.starts_with(&text), "{message}");
        assert!(message.contains("end; as serial number ALIAS"), "{message}");

        let event = Event::Progress {
            progress_type: ProgressType::BootstrapInitiated,
            message: None,
        };
        let begun = Occurrence {
            effect: Effect::Lifecycle {
                event: Event::Served,
                policy: Policy::default(),
                default_timeout_secs: 0,
                expects_word: true,
                promoted_at: None,
            },
            ..noted("D", "")
        };
        let recorded = store
            .record(begun.clone())
            .await
            .expect("written")
            .expect("there");
        assert_eq!(recorded.status.state.as_str(), "InProgress");
        assert_eq!(recorded.bootstrap, recorded.entry.map(|entry| entry.id));
        let told = Occurrence {
            effect: Effect::Lifecycle {
                event,
                policy: Policy::default(),
                default_timeout_secs: 0,
                expects_word: true,
                promoted_at: None,
            },
            ..begun
        };
        let bootstrap = store
            .record(told)
            .await
            .expect("written")
            .expect("there")
            .bootstrap;
        assert_eq!(bootstrap, recorded.bootstrap);
        assert_eq!(
            store.overdue(now().plus_secs(60)).await.expect("read"),
            ["D"]
        );
        assert!(store.overdue(now()).await.expect("read").is_empty());
        assert_eq!(
            store.states().await.expect("read"),
            [("InProgress".to_owned(), 1)]
        );
        assert!(
            store
                .delete_device("ALIAS", now())
                .await
                .expect("written")
                .is_some()
        );
        assert!(store.device("D").await.expect("read").is_none());
        // Its labels and other names went along, its history did not.
        let outcome = store.put_device(put("ALIAS", DeviceSpec::default())).await;
        assert!(matches!(outcome, Ok(PutOutcome::Put(_))), "{outcome:?}");
        assert_eq!(
            store
                .history("D", Page::default())
                .await
                .expect("read")
                .items
                .len(),
            5
        );
    });
}

#[test]
fn an_import_is_tried_or_done_as_a_whole() {
    on_both(|store| async move {
        let row = |serial_number: &str, members: Value| ImportDevice {
            serial_number: serial_number.to_owned(),
            members: members.as_object().cloned().unwrap_or_else(Map::new),
            message: None,
        };
        let rows = vec![
            row("A", json!({"location": "x"})),
            row("B", json!({"serial_numbers": ["A"]})),
            row("C", json!({"profile": "none"})),
            row("A", json!({"location": "y"})),
        ];
        let options = |dry_run, all_or_nothing| ImportOptions {
            existing: Existing::Update,
            dry_run,
            all_or_nothing,
            ..ImportOptions::default()
        };
        for (dry_run, all_or_nothing, count) in
            [(true, false, 0), (false, true, 0), (false, false, 1)]
        {
            let options = options(dry_run, all_or_nothing);
            let outcomes = store
                .import(rows.clone(), options, now())
                .await
                .expect("done");
            assert!(
                matches!(outcomes[0], ImportOutcome::Added(_)),
                "{outcomes:?}"
            );
            assert!(
                outcomes[1].is_refusal() && outcomes[2].is_refusal(),
                "{outcomes:?}"
            );
            assert!(
                matches!(outcomes[3], ImportOutcome::Updated(_)),
                "{outcomes:?}"
            );
            assert_eq!(listed(&store, DeviceFilter::default()).await.len(), count);
        }
        let device = store
            .device("A")
            .await
            .expect("read")
            .expect("there")
            .device;
        assert_eq!(device.spec.location.as_deref(), Some("y"));
    });
}

#[test]
fn strangers_are_counted_and_images_shared() {
    on_both(|store| async move {
        for (vendor, time) in [(Some("Acme"), 1), (None, 2)] {
            let device = UnknownDevice {
                serial_number: "S".to_owned(),
                serial_number_from: "subject".to_owned(),
                subject: "CN=S".to_owned(),
                anchor: None,
                peer: "192.0.2.1:1".to_owned(),
                times: 0,
                first_seen: now(),
                last_seen: now().plus_secs(time),
                reported: Reported {
                    vendor: vendor.map(str::to_owned),
                    ..Reported::default()
                },
            };
            store.record_unknown(device).await.expect("written");
        }
        let unknown = store
            .unknown_devices(Page::default())
            .await
            .expect("read")
            .items;
        assert_eq!((unknown.len(), unknown[0].times), (1, 2));
        assert_eq!(unknown[0].reported.vendor.as_deref(), Some("Acme"));
        assert!(unknown[0].first_seen < unknown[0].last_seen);

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("content");
        let place = || {
            let path = path.clone();
            Box::new(move || std::fs::write(&path, "content"))
        };
        let image = |name: &str| Image {
            name: name.to_owned(),
            sha256: "ab".to_owned(),
            size: 7,
            created_at: now(),
        };
        for name in ["one", "two"] {
            let added = store.add_image(image(name), place()).await.expect("added");
            assert_eq!(added.name, name);
        }
        for (name, is_there) in [("one", true), ("two", false)] {
            let deleted = store.delete_image(name).await.expect("deleted");
            assert!(matches!(deleted, DeletedImage::Deleted { .. }));
            let path = path.clone();
            let remove = Box::new(move || std::fs::remove_file(&path));
            store.drop_content("ab", remove).await.expect("looked at");
            assert_eq!(directory.path().join("content").exists(), is_there);
        }
    });
}

#[test]
fn a_later_schema_and_a_foreign_encoding_are_refused() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let name = url.rsplit('/').next().expect("a name");
    drop(open(&url).expect("it opens"));
    drop(open(&url).expect("it opens again"));
    postgres.sql(name, "INSERT INTO schema_version VALUES (999)");
    let error = open(&url).expect_err("it is of a later version");
    assert!(
        matches!(error, StoreError::NewerSchema { found: 999, .. }),
        "{error}"
    );
    postgres.sql(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    );
    let error = open(&postgres.url("latin")).expect_err("it cannot keep all text");
    assert!(error.to_string().contains("UTF8"), "{error}");
}
