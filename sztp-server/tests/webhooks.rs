//! What webhooks hear: signed, in order, again until it arrives, whatever happens to the server,
//! and nothing that is none of their business.

#[path = "harness/counterpart.rs"]
mod counterpart;
mod harness;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use counterpart::{Asked, Counterpart, Told};
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, report, small_device};
use serde_json::{Value, json};
use sztp_server::config::WebhookConfig;

const SERIAL: &str = "HOOK-1";
const SECRET: &str = "a webhook's secret, 32 octets or more";

/// A directory with the anchor of a counterpart and a secret, and what is configured of them.
fn webhook(directory: &Path, name: &str, counterpart: &Counterpart, path: &str) -> WebhookConfig {
    let secret_file = directory.join("webhook.secret");
    fs::write(&secret_file, format!("{SECRET}\n")).expect("written");
    WebhookConfig {
        name: name.to_owned(),
        url: format!("{}{path}", counterpart.url()),
        anchors: vec![counterpart.anchor(directory)],
        secret_file,
        events: vec!["state".to_owned()],
        states: Vec::new(),
        details: false,
    }
}

fn bootstrap(rig: &Rig, serial: &str) {
    assert_eq!(rig.device(serial).rpc(GET_DATA, JSON, TRUSTING).status, 200);
    let done = report("bootstrap-complete");
    assert_eq!(rig.device(serial).rpc(REPORT, JSON, &done).status, 204);
}

fn deliveries(rig: &Rig, query: &str) -> Vec<Value> {
    let answer = rig.admin().send(&format!("/api/v1/deliveries{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn changes_of_state_are_told_in_order_and_signed() {
    let made = tempfile::tempdir().expect("a directory");
    let hook = Counterpart::start(|_| Told::status(204));
    let rig = Rig::start_with(|config| {
        config.webhooks = vec![webhook(made.path(), "operations", &hook, "/sztp?team=net")];
    });
    rig.add(&small_device(SERIAL));
    bootstrap(&rig, SERIAL);
    let reset = format!("/api/v1/devices/{SERIAL}/reset");
    assert_eq!(rig.admin().method("POST").send(&reset).status, 200);

    let asked = hook.wait_for(3);
    let told: Vec<(String, String)> = asked
        .iter()
        .map(|asked| {
            let data = &asked.json()["data"];
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            (text("previous_state"), text("state"))
        })
        .collect();
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        told,
        [
            pair("Unprovisioned", "InProgress"),
            pair("InProgress", "Provisioned"),
            pair("Provisioned", "Unprovisioned"),
        ]
    );
    for asked in &asked {
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str()),
            ("POST", "/sztp?team=net")
        );
        assert_eq!(asked.header("content-type"), "application/json");
        assert_eq!(asked.header("idempotency-key"), asked.header("webhook-id"));
        assert_signed(made.path(), asked);
        let document = asked.json();
        assert_eq!(document["type"], "device.state");
        assert_eq!(document["data"]["serial_number"], SERIAL);
        for private in ["message", "peer", "reason"] {
            assert!(document["data"].get(private).is_none(), "{document}");
        }
    }
    let ids: HashSet<&str> = asked
        .iter()
        .map(|asked| asked.header("webhook-id"))
        .collect();
    assert_eq!(ids.len(), 3, "each has its own id");
    eventually("what has arrived is forgotten", || {
        deliveries(&rig, "").is_empty()
    });
}

/// By OpenSSL, as docs/ONBOARDING.md says.
fn assert_signed(directory: &Path, asked: &Asked) {
    let script = r#"printf '%s.%s.%s' "$ID" "$TIMESTAMP" "$BODY" |
        openssl dgst -sha256 -mac HMAC -macopt "key:$SECRET" -binary | base64"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .env("ID", asked.header("webhook-id"))
        .env("TIMESTAMP", asked.header("webhook-timestamp"))
        .env("BODY", &asked.body)
        .env("SECRET", SECRET)
        .current_dir(directory)
        .output()
        .expect("these tests need the program openssl");
    let expected = String::from_utf8_lossy(&output.stdout);
    let signature = asked.header("webhook-signature");
    assert_eq!(signature, format!("v1,{}", expected.trim()), "{output:?}");
    let sent: i64 = asked.header("webhook-timestamp").parse().expect("seconds");
    assert!((harness::now().secs() - sent).abs() < 60);
}

#[test]
fn filters_say_what_is_told_and_details_only_where_wanted() {
    let made = tempfile::tempdir().expect("a directory");
    let hook = Counterpart::start(|_| Told::status(200));
    let rig = Rig::start_with(|config| {
        let errors = WebhookConfig {
            states: vec!["ZtpError".to_owned()],
            ..webhook(made.path(), "errors", &hook, "/errors")
        };
        let everything = WebhookConfig {
            events: vec!["progress".to_owned()],
            details: true,
            ..webhook(made.path(), "progress", &hook, "/progress")
        };
        config.webhooks = vec![errors, everything];
    });
    rig.add(&small_device(SERIAL));
    assert_eq!(rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING).status, 200);
    for (name, message) in [("config-initiated", "now"), ("config-error", "line 3")] {
        let input = json!({"ietf-sztp-bootstrap-server:input":
            {"progress-type": name, "message": message}});
        let answer = rig.device(SERIAL).rpc(REPORT, JSON, &input.to_string());
        assert_eq!(answer.status, 204);
    }
    let asked = hook.wait_for(3);
    std::thread::sleep(Duration::from_millis(300));
    let to = |path: &str| -> Vec<Value> {
        let asked = hook.asked().into_iter().filter(|asked| asked.path == path);
        asked.map(|asked| asked.json()["data"].clone()).collect()
    };
    assert_eq!(hook.asked().len(), asked.len());
    let errors = to("/errors");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["state"], "ZtpError");
    assert_eq!(errors[0]["progress_type"], "config-error");
    assert!(errors[0].get("reason").is_none());
    let progress = to("/progress");
    assert_eq!(progress[0]["message"], "now");
    assert_eq!(progress[1]["reason"], "config-error: line 3");
    assert_eq!(progress[1]["peer"], "127.0.0.1");
}

#[test]
fn what_fails_is_told_again_under_the_same_id_and_holds_back_what_follows() {
    let made = tempfile::tempdir().expect("a directory");
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let hook = Counterpart::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Told::status(503).header("Retry-After", "2"),
        1 => Told::status(302).header("Location", "https://localhost:1/elsewhere"),
        2 => Told::status(404),
        _ => Told::status(200),
    });
    let rig = Rig::start_with(|config| {
        config.webhooks = vec![webhook(made.path(), "operations", &hook, "/")];
        config.delivery.first_retry_secs = 1;
        config.delivery.max_retry_secs = 2;
    });
    rig.add(&small_device(SERIAL));
    bootstrap(&rig, SERIAL);
    let asked = hook.wait_for(5);
    let ids: Vec<&str> = asked
        .iter()
        .map(|asked| asked.header("webhook-id"))
        .collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[4], ids[0], "the second change waits for the first");
    let waited = asked[1].at - asked[0].at;
    assert!(
        waited >= Duration::from_millis(1500),
        "Retry-After: {waited:?}"
    );
    assert_eq!(asked[4].json()["data"]["state"], "Provisioned");
    let metrics = rig.admin().send("/metrics").text();
    eventually("counted", || {
        let metrics = rig.admin().send("/metrics").text();
        metrics
            .contains("sztp_delivery_attempts_total{target=\"operations\",result=\"retried\"} 3\n")
            && metrics.contains(
                "sztp_delivery_attempts_total{target=\"operations\",result=\"delivered\"} 2\n",
            )
    });
    assert!(!metrics.contains(SERIAL));
}

#[test]
fn a_slow_target_holds_up_no_other() {
    let made = tempfile::tempdir().expect("a directory");
    let slow = Counterpart::start(|_| Told::status(200).after(Duration::from_mins(1)));
    let fast = Counterpart::start(|_| Told::status(200));
    let begun = Instant::now();
    let mut rig = Rig::start_with(|config| {
        config.webhooks = vec![
            webhook(made.path(), "slow", &slow, "/"),
            webhook(made.path(), "fast", &fast, "/"),
        ];
        config.delivery.parallel = 2;
        config.limits.drain_secs = 1;
    });
    for n in 0..10 {
        let serial = format!("S-{n}");
        rig.add(&small_device(&serial));
        assert_eq!(
            rig.device(&serial).rpc(GET_DATA, JSON, TRUSTING).status,
            200
        );
    }
    fast.wait_for(10);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(slow.asked().len() <= 2, "no more than two at a time");
    let waiting = deliveries(&rig, "?target=slow&state=pending");
    assert_eq!(waiting.len(), 10);
    let leased = waiting.iter().filter(|one| !one["leased_until"].is_null());
    assert_eq!(leased.count(), 2);
    let stopping = Instant::now();
    rig.stop();
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "it does not wait for the slow one"
    );
}

#[test]
fn what_is_given_up_is_listed_retried_and_discarded() {
    let made = tempfile::tempdir().expect("a directory");
    let healed = Arc::new(Mutex::new(false));
    let is_healed = healed.clone();
    let hook = Counterpart::start(move |_| {
        if *is_healed.lock().expect("no panic") {
            Told::status(200)
        } else {
            Told::json(500, &json!({"error": format!("bad key {SECRET}")}))
        }
    });
    let rig = Rig::start_with(|config| {
        config.webhooks = vec![webhook(made.path(), "operations", &hook, "/")];
        config.delivery.max_attempts = 2;
        config.delivery.first_retry_secs = 1;
    });
    rig.add(&small_device(SERIAL));
    bootstrap(&rig, SERIAL);
    eventually("both are given up", || {
        deliveries(&rig, "?state=failed").len() == 2
    });
    let failed = deliveries(&rig, &format!("?state=failed&serial={SERIAL}"));
    let error = failed[0]["error"].as_str().expect("a reason");
    assert!(error.contains("given up after 2 attempts"), "{error}");
    assert!(error.contains("answered 500"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    let list = rig.admin().send("/api/v1/deliveries?limit=1").json();
    assert_eq!(list["items"].as_array().expect("items").len(), 1);
    assert_eq!(list["next"], failed[0]["id"].to_string());

    *healed.lock().expect("no panic") = true;
    let path = |n: usize, what: &str| format!("/api/v1/deliveries/{}{what}", failed[n]["id"]);
    let before = hook.asked().len();
    let retried = rig.admin().method("POST").send(&path(0, "/retry"));
    assert_eq!(retried.status, 202, "{}", retried.text());
    let asked = hook.wait_for(before + 1);
    assert_eq!(
        asked.last().expect("one").header("webhook-id"),
        failed[0]["idempotency_key"].as_str().expect("a key")
    );
    assert_eq!(rig.admin().method("DELETE").send(&path(1, "")).status, 204);
    eventually("nothing is left", || deliveries(&rig, "").is_empty());
    let gone = rig.admin().send(&path(1, ""));
    assert_eq!(
        (gone.status, gone.json()["code"].clone()),
        (404, json!("delivery.missing"))
    );
    let targets = rig.admin().send("/api/v1/delivery-targets").json();
    assert_eq!(targets["items"][0]["name"], "operations");
    assert_eq!(targets["items"][0]["host"], hook.url());
    let audit = rig
        .admin()
        .send("/api/v1/audit?object=/api/v1/deliveries")
        .text();
    assert!(audit.contains("DELETE /api/v1/deliveries/{id}"), "{audit}");
}

#[test]
fn answers_without_end_and_servers_that_are_not_known_are_not_believed() {
    let made = tempfile::tempdir().expect("a directory");
    let endless = Counterpart::start(|_| Told {
        body: "x".repeat(1_000_000),
        ..Told::status(200)
    });
    let unknown = Counterpart::start(|_| Told::status(200));
    let rig = Rig::start_with(|config| {
        config.webhooks = vec![
            webhook(made.path(), "endless", &endless, "/"),
            WebhookConfig {
                anchors: vec![endless.anchor(made.path())],
                ..webhook(made.path(), "unknown", &unknown, "/s3cret")
            },
        ];
        config.delivery.max_attempts = 1;
    });
    rig.add(&small_device(SERIAL));
    assert_eq!(rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING).status, 200);
    eventually("both fail", || deliveries(&rig, "?state=failed").len() == 2);
    let error = |target: &str| {
        let failed = deliveries(&rig, &format!("?target={target}"));
        failed[0]["error"].as_str().expect("a reason").to_owned()
    };
    assert!(
        error("endless").contains("more than 262144 octets"),
        "{}",
        error("endless")
    );
    let refused = error("unknown");
    assert!(refused.contains(&unknown.url()), "{refused}");
    assert!(!refused.contains("s3cret"), "{refused}");
    assert!(unknown.asked().is_empty(), "nothing was said to it");
}
