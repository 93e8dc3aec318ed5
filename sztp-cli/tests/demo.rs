//! `sztp demo` ends as it says, and what it suggests to try works.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn every_device_ends_in_the_state_that_it_has_to() {
    let output = sztp(&["demo", "--devices", "8", "--output", "json"])
        .output()
        .expect("sztp starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let devices: Vec<(&str, &str)> = report["devices"]
        .as_array()
        .expect("devices")
        .iter()
        .map(|device| {
            let text = |name: &str| device[name].as_str().expect("text");
            (text("source"), text("state"))
        })
        .collect();
    assert_eq!(
        devices,
        [
            ("owner", "Provisioned"),
            ("owner", "Provisioned"),
            ("vendor > owner (untrusted) > owner", "Provisioned"),
            ("owner", "ProvisioningError"),
            ("owner", "ZtpError"),
            ("owner", "Provisioned"),
            ("owner", "Provisioned"),
            ("owner", "Provisioned"),
        ]
    );
    let reason = |index: usize| {
        report["devices"][index]["reason"]
            .as_str()
            .unwrap_or_default()
    };
    assert!(reason(3).contains("DEMO-00004-OTHER"), "{}", reason(3));
    assert!(reason(4).contains("SHA-256"), "{}", reason(4));
}

#[test]
fn what_keep_suggests_works_until_the_demo_is_interrupted() {
    let mut demo = sztp(&["demo", "--keep"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sztp starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("stdout")).lines();
    let mut script = String::new();
    let mut suggested = false;
    for line in &mut lines {
        let line = line.expect("text");
        if suggested {
            script.push_str(line.trim_start());
            script.push('\n');
        }
        suggested |= line.contains("Ctrl-C");
        if line.contains(":get-bootstrapping-data") {
            break;
        }
    }
    let tried = Command::new("bash")
        .args(["-euc", &script])
        .output()
        .expect("this test needs bash and curl");
    let answers = String::from_utf8_lossy(&tried.stdout).into_owned();
    for part in [
        "DEMO-00005",
        "bootstrap-complete",
        "ietf-sztp-bootstrap-server:output",
    ] {
        assert!(answers.contains(part), "no {part} in\n{answers}\n{script}");
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &demo.id().to_string()])
        .status()
        .expect("kill starts");
    assert!(interrupted.success());
    assert_eq!(demo.wait().expect("it ends").code(), Some(0));
}

#[test]
fn fewer_devices_than_the_demo_is_about_are_a_usage_error() {
    let output = sztp(&["demo", "--devices", "4"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(2));
}

fn sztp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sztp"));
    command.args(arguments).stdin(Stdio::null());
    command
}
