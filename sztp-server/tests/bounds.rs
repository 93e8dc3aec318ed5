//! One device, broken or taken over, that reports without end: it fills neither the disk nor the
//! time of the server, and what it says of its state is heard all the same.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, report, small_device};
use raw::{Client, Reply};
use serde_json::{Value, json};

const SERIAL: &str = "NOISY-1";

fn tell(client: &mut Client, progress_type: &str, message: &str) -> Reply {
    let head = format!(
        "POST /restconf/operations/{REPORT} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: {JSON}\r\nContent-Length: {{length}}\r\n\r\n"
    );
    let input = json!({"ietf-sztp-bootstrap-server:input":
        {"progress-type": progress_type, "message": message}});
    client.send(&head, &input.to_string())
}

fn begun(rig: &Rig, serial: &str) -> Client {
    rig.add(&small_device(serial));
    assert_eq!(rig.device(serial).rpc(GET_DATA, JSON, TRUSTING).status, 200);
    Client::new(rig, &format!("CN=device,serialNumber={serial}"))
}

/// The whole history, page by page.
fn history(rig: &Rig, serial: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/devices/{serial}/history?limit=1000{after}");
        let page = rig.admin().send(&path).json();
        all.extend(page["items"].as_array().expect("items").clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// Shortening happens beside what is under way.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "the history is as long as ever");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_history_keeps_its_newest_lines() {
    let rig = Rig::start_with(|config| {
        config.limits.history_entries = 100;
        config.limits.reports_per_minute = 0;
    });
    rig.add(&small_device("QUIET"));
    let mut client = begun(&rig, SERIAL);
    for n in 0..1000 {
        let reply = tell(&mut client, "informational", &format!("report {n}"));
        assert_eq!(reply.status, 204, "{}", reply.head);
    }
    eventually(|| history(&rig, SERIAL).len() <= 100 + 256);
    let kept = history(&rig, SERIAL);
    assert!(kept.len() >= 100, "{}", kept.len());
    let newest: Vec<String> = kept[kept.len() - 100..]
        .iter()
        .map(|entry| entry["message"].as_str().expect("text").to_owned())
        .collect();
    let expected: Vec<String> = (900..1000).map(|n| format!("report {n}")).collect();
    assert_eq!(newest, expected, "in order, and the last is the last");
    assert_eq!(rig.history("QUIET").len(), 1, "others keep theirs");
    assert_eq!(rig.state(SERIAL), "InProgress");
}

#[test]
fn a_history_of_long_lines_is_shorter() {
    let rig = Rig::start_with(|config| {
        config.limits.history_bytes = 256 * 1024;
        config.limits.reports_per_minute = 0;
    });
    let mut client = begun(&rig, SERIAL);
    let long = "x".repeat(16 * 1024);
    for _ in 0..600 {
        assert_eq!(tell(&mut client, "informational", &long).status, 204);
    }
    // 16 of 16 KiB, and what came since.
    eventually(|| history(&rig, SERIAL).len() <= 16 + 256);
}

#[test]
fn who_reports_too_often_is_to_come_again_and_its_state_is_heard() {
    let rig = Rig::start_with(|config| config.limits.reports_per_minute = 5);
    let mut client = begun(&rig, SERIAL);
    for n in 0..5 {
        assert_eq!(
            tell(&mut client, "informational", &n.to_string()).status,
            204
        );
    }
    let lines = history(&rig, SERIAL).len();
    for progress_type in ["informational", "config-initiated", "informational"] {
        let input = report(progress_type);
        let refused = rig.device(SERIAL).rpc(REPORT, JSON, &input);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.error_tag(), "resource-denied");
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((1..=12).contains(&wait), "{wait}");
    }
    assert_eq!(
        history(&rig, SERIAL).len(),
        lines,
        "what is refused fills nothing"
    );

    let mut other = begun(&rig, "OTHER");
    assert_eq!(tell(&mut other, "informational", "hello").status, 204);

    assert_eq!(tell(&mut client, "bootstrap-complete", "done").status, 204);
    assert_eq!(rig.state(SERIAL), "Provisioned");
    assert_eq!(tell(&mut client, "bootstrap-complete", "again").status, 503);
    let metrics = rig.admin().send("/metrics").text();
    assert!(
        metrics.contains("sztp_reports_refused_total 4\n"),
        "{metrics}"
    );
}
