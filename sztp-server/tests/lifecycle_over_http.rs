//! The lifecycle of a device as its reports and its operator move it, over HTTP.

mod harness;

use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, XML, report, small_device};
use serde_json::json;

const SERIAL: &str = "AX7-00042";

fn tell(rig: &Rig, progress_type: &str) -> u16 {
    rig.device(SERIAL)
        .rpc(REPORT, JSON, &report(progress_type))
        .status
}

fn ask(rig: &Rig) -> u16 {
    rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING).status
}

// LEDGER: 8572-7.3-11, 8572-7.3-12
#[test]
fn a_bootstrap_from_first_to_last_report() {
    let rig = Rig::start();
    rig.add(&small_device(SERIAL));
    assert_eq!(
        tell(&rig, "bootstrap-initiated"),
        412,
        "nothing was served yet"
    );
    assert_eq!(rig.state(SERIAL), "Unprovisioned");
    assert_eq!(ask(&rig), 200);
    for name in [
        "bootstrap-initiated",
        "parsing-initiated",
        "parsing-warning",
        "parsing-complete",
        "boot-image-initiated",
        "boot-image-complete",
        "pre-script-initiated",
        "pre-script-complete",
        "config-initiated",
        "config-warning",
        "config-complete",
        "informational",
    ] {
        let answer = rig.device(SERIAL).rpc(REPORT, JSON, &report(name));
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{name}");
        assert_eq!(rig.state(SERIAL), "InProgress", "{name}");
    }
    let in_xml = rig.device(SERIAL).rpc(
        REPORT,
        XML,
        "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
         <progress-type>bootstrap-complete</progress-type><message>ready</message>\
         <ssh-host-keys><ssh-host-key><algorithm>ssh-ed25519</algorithm>\
         <key-data>AAAA</key-data></ssh-host-key></ssh-host-keys></input>",
    );
    assert_eq!(in_xml.status, 204, "{}", in_xml.text());
    assert_eq!(rig.state(SERIAL), "Provisioned");
    let history = rig.history(SERIAL);
    let last = history.last().expect("an entry");
    assert_eq!(last["progress_type"], "bootstrap-complete");
    assert_eq!(last["message"], "ready\nssh-host-key ssh-ed25519 AAAA");
    assert_eq!(last["peer"], "127.0.0.1");
    assert_eq!(
        history.len(),
        1 + 1 + 1 + 12 + 1,
        "everything is in it: {history:?}"
    );

    // Done is done, until the operator says otherwise.
    let again = rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(
        (again.status, again.error_tag().as_str()),
        (412, "operation-failed")
    );
    assert!(
        rig.last_event(SERIAL)
            .starts_with("refused: served is not possible")
    );
    let reset = rig
        .admin()
        .method("POST")
        .send(&format!("/api/v1/devices/{SERIAL}/reset"));
    assert_eq!(
        (reset.status, reset.json()["state"].clone()),
        (200, json!("Unprovisioned"))
    );
    assert_eq!(ask(&rig), 200);
}

#[test]
fn failures_say_why_and_end_with_the_next_attempt() {
    let rig = Rig::start();
    rig.add(&small_device(SERIAL));
    for (reports, state, reason) in [
        (
            &["parsing-initiated", "parsing-error"][..],
            "ProvisioningError",
            "parsing-error",
        ),
        (
            &["parsing-complete", "bootstrap-error"][..],
            "ZtpError",
            "bootstrap-error",
        ),
        (
            &["config-initiated", "config-error"][..],
            "ZtpError",
            "config-error",
        ),
        (
            &["boot-image-mismatch", "config-initiated"][..],
            "ZtpError",
            "boot-image-mismatch",
        ),
    ] {
        assert_eq!(ask(&rig), 200);
        assert_eq!(rig.state(SERIAL), "InProgress");
        for name in reports {
            assert_eq!(tell(&rig, name), 204, "{name}");
        }
        let device = rig
            .admin()
            .send(&format!("/api/v1/devices/{SERIAL}"))
            .json();
        assert_eq!(device["state"], state, "{reports:?}");
        assert!(
            device["reason"]
                .as_str()
                .expect("a reason")
                .starts_with(reason),
            "{device}"
        );
        assert_eq!(tell(&rig, "bootstrap-complete"), 412, "{reports:?}");
    }
    let failed = rig.admin().send("/api/v1/devices?state=ZtpError").json();
    assert_eq!(failed["items"][0]["serial_number"], SERIAL);
}

#[test]
fn a_device_that_falls_silent_is_given_up() {
    let rig = Rig::start();
    let mut device = small_device(SERIAL);
    device["progress_timeout_secs"] = json!(2);
    rig.add(&device);
    rig.add(&small_device("PATIENT"));
    assert_eq!(ask(&rig), 200);
    assert_eq!(
        rig.device("PATIENT").rpc(GET_DATA, JSON, TRUSTING).status,
        200
    );
    assert_eq!(tell(&rig, "config-initiated"), 204);
    let deadline = Instant::now() + Duration::from_secs(10);
    while rig.state(SERIAL) == "InProgress" {
        assert!(Instant::now() < deadline, "it is still waited for");
        std::thread::sleep(Duration::from_millis(200));
    }
    let device = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}"))
        .json();
    assert_eq!(device["state"], "ZtpError");
    assert_eq!(device["reason"], "timed out in config-initiated");
    let history = rig.history(SERIAL);
    assert_eq!(history.last().expect("an entry")["event"], "timed-out");
    assert_eq!(rig.state("PATIENT"), "InProgress");
    assert_eq!(ask(&rig), 200, "it may try again");
    assert_eq!(rig.state(SERIAL), "InProgress");
}

#[test]
fn devices_come_back_in_pages() {
    let rig = Rig::start();
    for n in 0..7 {
        rig.add(&small_device(&format!("P-{n}")));
    }
    rig.add(&small_device("Q-0"));
    let mut serials = Vec::new();
    let mut after = String::new();
    loop {
        let page = rig
            .admin()
            .send(&format!("/api/v1/devices?prefix=P-&limit=3{after}"))
            .json();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3);
        serials.extend(
            items
                .iter()
                .map(|d| d["serial_number"].as_str().expect("text").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(serials, ["P-0", "P-1", "P-2", "P-3", "P-4", "P-5", "P-6"]);
}
