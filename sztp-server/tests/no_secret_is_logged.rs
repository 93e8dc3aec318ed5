//! Not even at the most talkative level: no configuration, no key, no token, no password.

mod harness;
#[path = "harness/log.rs"]
mod log;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, XML};
use log::Log;
use serde_json::json;

#[test]
fn at_the_most_talkative_level() {
    let log = Log::start();
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

    let log = log.text();
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
