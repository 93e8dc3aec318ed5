//! Not even at the most talkative level: no configuration, no key, no token, no password.

mod harness;

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, XML};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn at_the_most_talkative_level() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .init();
    let mut rig = Rig::start();
    let secrets = [
        "enable-secret-4711",
        "script-secret-4711",
        "spoken-secret-4711",
        "basic-secret-4711",
    ];
    rig.add(
        &json!({"serial_number": "A", "answer": {"kind": "onboarding",
        "configuration": {"text": secrets[0]}, "configuration_handling": "merge",
        "pre_configuration_script": {"text": secrets[1]}}}),
    );
    let answer = rig
        .device("A")
        .argument("--user")
        .argument(&format!("A:{}", secrets[3]))
        .rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let report = format!(
        "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
         <progress-type>pre-script-error</progress-type><message>{}</message></input>",
        secrets[2]
    );
    assert_eq!(rig.device("A").rpc(REPORT, XML, &report).status, 204);
    assert_eq!(rig.device("A").rpc(REPORT, XML, "<broken").status, 400);
    let token = std::fs::read_to_string(rig.path("data/admin-token")).expect("the token");
    let key = std::fs::read_to_string(rig.path("data/lab/owner/owner.key")).expect("the key");
    rig.stop();

    let log = String::from_utf8_lossy(&log.0.lock().expect("a lock")).into_owned();
    assert!(log.contains("served") && log.contains("progress"), "{log}");
    let mut secrets: Vec<String> = secrets.map(str::to_owned).to_vec();
    secrets.push(token.trim().to_owned());
    secrets.push(key.lines().nth(1).expect("base64").to_owned());
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
        let encoded = STANDARD.encode(&secret);
        assert!(
            !log.contains(encoded.trim_end_matches('=')),
            "{secret} is in the log"
        );
    }
}
