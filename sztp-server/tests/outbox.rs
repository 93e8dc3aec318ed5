//! The outbox as such: nothing that was written with a change is lost when the process is killed,
//! and two owners never have the same delivery at a time.

#[path = "harness/counterpart.rs"]
mod counterpart;
mod harness;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use counterpart::{Counterpart, Told};
use harness::now;
use harness::postgres::Postgres;
use harness::program::Program;
use serde_json::json;
use sztp_cms::KeyType;
use sztp_core::lifecycle::{Event, Policy};
use sztp_server::config::DatabaseConfig;
use sztp_server::lab::LabPki;
use sztp_server::model::{DeliveryFilter, DeviceSpec, Page};
use sztp_server::store::outbox::{Claim, Finish, Outcome, Outgoing, Subscription};
use sztp_server::store::{
    Database, Effect, Occurrence, OutboxStore as _, PutDevice, PutMode, Store as _,
};
use tokio::runtime::Runtime;

const DEVICES: usize = 12;

#[test]
fn what_was_to_be_told_is_told_after_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    // Until the first server is gone, nobody answers.
    let is_gone = Arc::new(AtomicBool::new(false));
    let seen = is_gone.clone();
    let hook = Counterpart::start(move |_| {
        if seen.load(Ordering::SeqCst) {
            Told::status(200)
        } else {
            Told::status(200).after(Duration::from_mins(10))
        }
    });
    hook.anchor(directory.path());
    fs::write(directory.path().join("secret"), "a secret of the hook").expect("written");
    let extra = format!(
        "[delivery]\nlease_secs = 3\ntimeout_secs = 600\n\
         [[webhooks]]\nname = \"operations\"\nurl = \"{}\"\nanchors = [\"counterpart-{}.crt\"]\n\
         secret_file = \"secret\"\n",
        hook.url(),
        hook.address().port()
    );
    let program = Program::start_with(directory.path(), &extra);
    let lab = LabPki::load(&directory.path().join("data/lab")).expect("the lab");
    for n in 0..DEVICES {
        let serial = format!("KILL-{n}");
        let device = harness::small_device(&serial).to_string();
        program.admin(directory.path(), &["--data-binary", &device], "devices");
        let idevid = lab
            .issue_idevid(&serial, KeyType::EcP256, now())
            .expect("an IDevID");
        ask(&program, directory.path(), &serial, &idevid);
    }
    let first = hook.wait_for(4);
    assert!(first.len() <= 4, "{first:?}");
    program.kill_9();
    is_gone.store(true, Ordering::SeqCst);

    let _program = Program::start_with(directory.path(), &extra);
    let told = |asked: &[counterpart::Asked]| -> HashSet<String> {
        let serial = |asked: &counterpart::Asked| {
            asked.json()["data"]["serial_number"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        asked[first.len()..].iter().map(serial).collect()
    };
    let deadline = Instant::now() + Duration::from_secs(40);
    while told(&hook.asked()).len() < DEVICES {
        assert!(Instant::now() < deadline, "only {:?}", told(&hook.asked()));
        std::thread::sleep(Duration::from_millis(100));
    }
    let again = hook.asked();
    for begun in &first {
        let same = again[first.len()..].iter().any(|asked| {
            asked.header("webhook-id") == begun.header("webhook-id") && asked.body == begun.body
        });
        assert!(same, "what was under way is told again under its id");
    }
}

#[test]
fn a_delivery_has_one_owner_until_its_lease_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let file = Database::sqlite(&directory.path().join("db")).expect("a database");
    let file = Arc::new(file);
    runtime.block_on(one_owner([file.clone(), file]));
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    // Two instances on one database.
    let url = postgres.database();
    let open = || Database::postgres(&url, &DatabaseConfig::default()).expect("it opens");
    runtime.block_on(one_owner([Arc::new(open()), Arc::new(open())]));
}

async fn one_owner([store, other]: [Arc<Database>; 2]) {
    for n in 0..20 {
        put(&store, &format!("D-{n}")).await;
        // Twice each, so that there is an order.
        happens(&store, &format!("D-{n}"), Event::Served).await;
        happens(&store, &format!("D-{n}"), Event::Reset).await;
    }
    let listed = store
        .deliveries(DeliveryFilter::default(), Page::default())
        .await
        .expect("a list");
    assert_eq!(listed.items.len(), 40);

    let claims = (0..8).map(|n| {
        let store = [&store, &other][n % 2].clone();
        tokio::spawn(async move { store.claim(claim(&format!("owner-{n}"), 0, 10)).await })
    });
    let mut owned = Vec::new();
    for task in claims.collect::<Vec<_>>() {
        for claimed in task.await.expect("no panic").expect("claimed") {
            owned.push(claimed.delivery);
        }
    }
    let ids: HashSet<i64> = owned.iter().map(|delivery| delivery.id).collect();
    assert_eq!(
        (ids.len(), owned.len()),
        (20, 20),
        "each once, and of each device one"
    );
    let serials: HashSet<&String> = owned
        .iter()
        .map(|delivery| &delivery.serial_number)
        .collect();
    assert_eq!(serials.len(), 20);
    assert!(
        store
            .claim(claim("late", 0, 100))
            .await
            .expect("none")
            .is_empty()
    );

    // Whoever was lost loses what was theirs; what they say of it later counts for nothing.
    let over = store.claim(claim("heir", 60, 100)).await.expect("claimed");
    assert_eq!(over.len(), 20);
    let finish = |id: i64, owner: &str| Finish {
        id,
        owner: owner.to_owned(),
        outcome: Outcome::Delivered,
        occurrence: None,
        last: None,
    };
    let id = over[0].delivery.id;
    assert!(
        store
            .finish(finish(id, "owner-0"))
            .await
            .expect("asked")
            .is_none()
    );
    assert!(
        !store
            .extend_lease(id, "owner-0", now())
            .await
            .expect("asked")
    );
    assert!(
        store
            .extend_lease(id, "heir", now().plus_secs(300))
            .await
            .expect("asked")
    );
    assert!(
        store
            .finish(finish(id, "heir"))
            .await
            .expect("asked")
            .is_some()
    );
    assert!(store.delivery(id).await.expect("asked").is_none());
    // Then, and only then, the next one of that device.
    let next = store.claim(claim("next", 0, 100)).await.expect("claimed");
    let next: Vec<&String> = next
        .iter()
        .map(|claimed| &claimed.delivery.serial_number)
        .collect();
    assert_eq!(next, [&over[0].delivery.serial_number]);
    store.release("heir").await.expect("released");
    let left = store.claim(claim("last", 0, 100)).await.expect("claimed");
    assert_eq!(left.len(), 19);
    store.close().await.expect("closed");
    // The same one, on SQLite.
    let _ = other.close().await;
}

fn claim(owner: &str, later_secs: i64, limit: u32) -> Claim {
    let now = now().plus_secs(later_secs);
    Claim {
        target: "hook".to_owned(),
        owner: owner.to_owned(),
        now,
        until: now.plus_secs(30),
        limit,
    }
}

async fn put(store: &Database, serial_number: &str) {
    let put = PutDevice {
        serial_number: serial_number.to_owned(),
        spec: DeviceSpec::default(),
        time: now(),
        message: None,
        write: PutMode::Add,
    };
    store.put_device(put).await.expect("put");
}

async fn happens(store: &Database, serial_number: &str, event: Event) {
    let subscription = Subscription {
        target: "hook".to_owned(),
        events: vec!["state".to_owned()],
        states: Vec::new(),
        details: false,
    };
    let occurrence = Occurrence {
        serial_number: serial_number.to_owned(),
        time: now(),
        peer: None,
        event: event.name(),
        progress_type: None,
        message: None,
        effect: Effect::Lifecycle {
            event,
            policy: Policy::default(),
            default_timeout_secs: 0,
            expects_word: false,
            promoted_at: None,
        },
        served: None,
        outgoing: Outgoing {
            subscriptions: [subscription].into(),
            ..Outgoing::default()
        },
    };
    let recorded = store.record(occurrence).await.expect("recorded");
    assert!(recorded.expect("known").is_outgoing);
}

/// Lets a device ask for its data.
fn ask(program: &Program, directory: &Path, serial: &str, idevid: &sztp_server::lab::Identity) {
    let (crt, key) = (format!("{serial}.crt"), format!("{serial}.key"));
    fs::write(directory.join(&crt), idevid.certificate.to_pem()).expect("written");
    let pem = idevid.key.to_pkcs8_pem().expect("PEM");
    fs::write(directory.join(&key), pem.as_bytes()).expect("written");
    let url = format!(
        "https://localhost:{}/restconf/operations/{}",
        program.device_port,
        harness::GET_DATA
    );
    let kind = format!("Content-Type: {}", harness::JSON);
    let input = json!({"ietf-sztp-bootstrap-server:input": {}}).to_string();
    let arguments = [
        "--cert",
        &crt,
        "--key",
        &key,
        "--header",
        &kind,
        "--data-binary",
        &input,
        &url,
    ];
    curl(directory, &arguments);
}

fn curl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "20",
        ])
        .args(["--cacert", "data/lab/server/tls-ca.crt"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("this test needs the program curl");
    let body = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {body}");
}
