//! What is wrong gets the right status and says why, the server goes on, and the device's history
//! has it.

mod harness;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, UNTRUSTING, XML, now, report, small_device};
use serde_json::json;
use sztp_cms::KeyType;
use sztp_server::Peer;
use sztp_server::lab::{LabOptions, LabPki};

const SERIAL: &str = "AX7-00042";

fn rig_with_device() -> Rig {
    let rig = Rig::start();
    rig.add(&small_device(SERIAL));
    rig
}

fn goes_on(rig: &Rig) {
    let answer = rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "the server goes on: {}", answer.text());
}

// LEDGER: 8040-3.6-03, 8040-7.1-01, 8040-7.1-02, 7950-xml-02, 7951-3-01, 8572-7.3-04, 8572-7.3-12,
// 8572-7.3-18, 8040-5.5-01
#[test]
fn bodies_that_are_no_input_of_the_operation() {
    let rig = rig_with_device();
    let input = |members: &str| format!("{{\"ietf-sztp-bootstrap-server:input\":{{{members}}}}}");
    let xml = |inner: &str| {
        format!(
            "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">{inner}</input>"
        )
    };
    let key = r#""ssh-host-keys":{"ssh-host-key":[{"algorithm":"ssh-ed25519","key-data":"AA=="}]}"#;
    for (rpc, media_type, body, tag, code) in [
        // Malformed JSON.
        (
            GET_DATA,
            JSON,
            "{".to_owned(),
            "malformed-message",
            "yang.malformed",
        ),
        (
            GET_DATA,
            JSON,
            "\u{1}".to_owned(),
            "malformed-message",
            "yang.malformed",
        ),
        (GET_DATA, JSON, "[]".to_owned(), "invalid-value", "yang."),
        (
            GET_DATA,
            JSON,
            "{\"a\":".repeat(5000),
            "malformed-message",
            "yang.",
        ),
        // Malformed XML.
        (
            GET_DATA,
            XML,
            "<input".to_owned(),
            "malformed-message",
            "yang.malformed",
        ),
        (
            GET_DATA,
            XML,
            xml("<nonce>"),
            "malformed-message",
            "yang.malformed",
        ),
        (
            GET_DATA,
            XML,
            "<input/>".to_owned(),
            "unknown-namespace",
            "yang.",
        ),
        // DTDs and entities.
        (
            GET_DATA,
            XML,
            format!(
                "<!DOCTYPE input [<!ENTITY a \"b\">]>{}",
                xml("<hw-model>&a;</hw-model>")
            ),
            "malformed-message",
            "yang.forbidden-xml",
        ),
        (
            GET_DATA,
            XML,
            format!("<!DOCTYPE input SYSTEM \"file:///etc/passwd\">{}", xml("")),
            "malformed-message",
            "yang.forbidden-xml",
        ),
        (
            GET_DATA,
            XML,
            xml("<hw-model>&a;</hw-model>"),
            "malformed-message",
            "yang.",
        ),
        // Malformed base64.
        (
            GET_DATA,
            JSON,
            input(r#""nonce":"!!!!""#),
            "invalid-value",
            "yang.",
        ),
        (
            GET_DATA,
            XML,
            xml("<nonce>AAA=A</nonce>"),
            "invalid-value",
            "yang.",
        ),
        // Well-formed, and against the schema.
        (
            GET_DATA,
            JSON,
            input(r#""nonce":"AAAA""#),
            "invalid-value",
            "message.nonce-length",
        ),
        (
            GET_DATA,
            JSON,
            input(r#""signed-data-preferred":null"#),
            "invalid-value",
            "yang.",
        ),
        (
            GET_DATA,
            JSON,
            input(r#""colour":"red""#),
            "unknown-element",
            "yang.unknown-node",
        ),
        (
            GET_DATA,
            JSON,
            input(r#""hw-model":"a","hw-model":"b""#),
            "bad-element",
            "yang.duplicate",
        ),
        (
            REPORT,
            JSON,
            input(""),
            "missing-element",
            "yang.missing-node",
        ),
        (
            REPORT,
            JSON,
            report("bootstrap-finished"),
            "invalid-value",
            "yang.invalid-value",
        ),
        (
            REPORT,
            JSON,
            input(&format!(r#""progress-type":"config-complete",{key}"#)),
            "unknown-element",
            "message.only-when-complete",
        ),
        // The other operation's input.
        (
            REPORT,
            JSON,
            UNTRUSTING.to_owned(),
            "unknown-element",
            "yang.unknown-node",
        ),
    ] {
        let answer = rig.device(SERIAL).rpc(rpc, media_type, &body);
        let what = format!("{} {}", &body[..body.len().min(90)], answer.text());
        assert_eq!(answer.status, 400, "{what}");
        assert_eq!(answer.error_tag(), tag, "{what}");
        assert!(
            answer.header("content-type").starts_with(media_type),
            "{what}"
        );
        assert_eq!(answer.header("cache-control"), "no-cache", "{what}");
        let event = rig.last_event(SERIAL);
        assert!(event.starts_with("refused: 400"), "{what}: {event}");
        assert!(event.contains(code), "{what}: {event}");
    }
    assert_eq!(
        rig.state(SERIAL),
        "Unprovisioned",
        "nothing of it changed the state"
    );
    goes_on(&rig);
}

// LEDGER: 8572-4.4-01, 8572-7.2-01, 8040-5.2-01, 8040-5.2-02, 8040-7-01
#[test]
fn requests_that_are_no_call_of_an_operation() {
    let rig = rig_with_device();
    let path = format!("/restconf/operations/{GET_DATA}");
    let json = "Content-Type: application/yang-data+json";
    let with_body = || rig.device(SERIAL).data(TRUSTING);
    for (request, path, status, tag) in [
        // Wrong RPC.
        (
            with_body().header(json),
            "/restconf/operations/get-bootstrapping-data",
            404,
            "invalid-value",
        ),
        (
            with_body().header(json),
            "/restconf/operations/ietf-netconf:lock",
            404,
            "invalid-value",
        ),
        (
            with_body().header(json),
            "/restconf/data/ietf-sztp-bootstrap-server:x",
            404,
            "invalid-value",
        ),
        (
            with_body().header(json),
            "/restconf/operations/../../etc/passwd",
            404,
            "invalid-value",
        ),
        // Wrong media type.
        (
            with_body().header("Content-Type: text/plain"),
            &path,
            415,
            "invalid-value",
        ),
        (
            with_body().header("Content-Type: application/json"),
            &path,
            415,
            "invalid-value",
        ),
        (
            with_body().header("Content-Type:"),
            &path,
            415,
            "invalid-value",
        ),
        (
            with_body().header("Content-Type: application/yang-data+json; charset=utf-16"),
            &path,
            415,
            "invalid-value",
        ),
        (
            with_body().header(json).header("Accept: text/html"),
            &path,
            406,
            "invalid-value",
        ),
        // Wrong method.
        (rig.device(SERIAL), &path, 405, "operation-not-supported"),
        (
            with_body().header(json).method("PUT"),
            &path,
            405,
            "operation-not-supported",
        ),
        (
            rig.device(SERIAL).method("DELETE"),
            "/restconf",
            405,
            "operation-not-supported",
        ),
    ] {
        let answer = request.send(path);
        let what = format!("{path} {}", answer.text());
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.error_tag(), tag, "{what}");
        assert_eq!(status == 405, !answer.header("allow").is_empty(), "{what}");
        let event = rig.last_event(SERIAL);
        assert!(
            event.starts_with(&format!("refused: {status}")),
            "{what}: {event}"
        );
    }
    goes_on(&rig);
}

// LEDGER: 8040-7-01 (too-big)
#[test]
fn bodies_over_the_limit() {
    let rig = rig_with_device();
    let big = format!(
        "{{\"ietf-sztp-bootstrap-server:input\":{{\"hw-model\":\"{}\"}}}}",
        "x".repeat(100_000)
    );
    let huge = "x".repeat(5_000_000);
    for (body, header) in [
        (&big, "Expect:"),
        (&big, "Transfer-Encoding: chunked"),
        (&huge, "Expect:"),
        (&huge, "Expect: 100-continue"),
        (&huge, "Transfer-Encoding: chunked"),
    ] {
        let answer = rig.device(SERIAL).header(header).rpc(GET_DATA, JSON, body);
        assert_eq!(
            (answer.status, answer.error_tag().as_str()),
            (413, "too-big"),
            "{header}"
        );
        let event = rig.last_event(SERIAL);
        assert!(event.starts_with("refused: 413 too-big"), "{event}");
    }
    goes_on(&rig);
}

// LEDGER: 8572-7.3-21, 8040-2.5-01, 8040-4.4.2-01
#[test]
fn who_is_not_known_learns_nothing() {
    let rig = rig_with_device();
    // A device of the right vendor that nobody entered.
    let unknown = rig.device("ZZ-1").rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(
        (unknown.status, unknown.error_tag().as_str()),
        (403, "access-denied")
    );
    let also_unknown = rig
        .device("ZZ-2")
        .rpc(REPORT, JSON, &report("bootstrap-complete"));
    assert_eq!(also_unknown.status, 403);
    assert_eq!(unknown.body, also_unknown.body);
    assert!(!unknown.text().contains("ZZ-1"));

    // No certificate.
    let nobody = rig.anonymous().rpc(GET_DATA, XML, "");
    assert_eq!(
        (nobody.status, nobody.error_tag().as_str()),
        (401, "access-denied")
    );
    assert!(
        !nobody
            .header("www-authenticate")
            .to_lowercase()
            .contains("basic")
    );

    // Of an unknown CA, under the name of a known and of an unknown device: the same answer.
    let ask = |serial: &str| {
        let (certificate, key) = rig.foreign_idevid(serial);
        rig.anonymous()
            .with_certificate(&certificate, &key)
            .rpc(GET_DATA, JSON, TRUSTING)
    };
    let (known, stranger) = (ask(SERIAL), ask("ZZ-1"));
    assert_eq!(
        (known.status, known.error_tag().as_str()),
        (401, "access-denied")
    );
    // Only their own names differ, which they know.
    let of_x = |answer: &harness::Answer, serial: &str| answer.text().replace(serial, "X");
    assert_eq!(of_x(&known, SERIAL), of_x(&stranger, "ZZ-1"));
    assert_eq!(
        known.headers.keys().count(),
        stranger.headers.keys().count()
    );
    let event = rig.last_event(SERIAL);
    assert!(event.starts_with("refused: path."), "{event}");
    assert_eq!(rig.state(SERIAL), "ProvisioningError");
    assert_eq!(rig.admin().send("/api/v1/devices/ZZ-1/history").status, 404);

    // A bootstrap under way is not disturbed by who cannot prove who he is.
    goes_on(&rig);
    assert_eq!(rig.state(SERIAL), "InProgress");
    assert_eq!(ask(SERIAL).status, 401);
    assert_eq!(rig.state(SERIAL), "InProgress");
    let event = rig.last_event(SERIAL);
    assert!(event.starts_with("refused: path."), "{event}");
}

// LEDGER: 8040-4.4.2-01
#[test]
fn the_time_of_an_answer_does_not_tell_which_devices_there_are() {
    let rig = rig_with_device();
    for serial_number in [SERIAL, "ZZ-1"] {
        let foreign = LabPki::generate(&LabOptions::new(now())).expect("another lab");
        let identity = foreign
            .issue_idevid(serial_number, KeyType::EcP256, now())
            .expect("an IDevID");
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            certificates: vec![identity.certificate],
        };
        let asked = Instant::now();
        let refused = rig.runtime.block_on(rig.server().service().identify(&peer));
        assert!(
            asked.elapsed() >= Duration::from_millis(100),
            "longer than a line in a history takes: {:?}",
            asked.elapsed()
        );
        let error = refused.expect_err("a stranger");
        assert!(error.code().starts_with("path."), "{error}");
    }
    assert!(rig.last_event(SERIAL).starts_with("refused: path."));
}

// LEDGER: 8572-4.4-02, 8572-5.3-06
#[test]
fn a_certificate_opens_only_its_own_devices_data() {
    let rig = rig_with_device();
    let mut other = small_device("AX7-00043");
    other["answer"]["configuration"] = json!({"text": "hostname secret\n"});
    rig.add(&other);
    let json = "Content-Type: application/yang-data+json";
    let path = format!("/restconf/operations/{GET_DATA}");

    let answer = rig
        .device(SERIAL)
        .argument("--user")
        .argument("AX7-00043:password")
        .header(json)
        .data(TRUSTING)
        .send(&path);
    assert_eq!(
        (answer.status, answer.error_tag().as_str()),
        (401, "access-denied")
    );
    let event = rig.last_event(SERIAL);
    assert!(
        event.starts_with("refused: 401 access-denied: device.other-device"),
        "{event}"
    );

    let named = r#"{"ietf-sztp-bootstrap-server:input":{"serial-number":"AX7-00043"}}"#;
    let answer = rig.device(SERIAL).rpc(GET_DATA, JSON, named);
    assert_eq!(
        (answer.status, answer.error_tag().as_str()),
        (400, "unknown-element")
    );

    for (request, path) in [
        (
            rig.device(SERIAL),
            format!("{path}?serial-number=AX7-00043"),
        ),
        (
            rig.device(SERIAL).header("X-Serial-Number: AX7-00043"),
            path.clone(),
        ),
        (
            rig.device(SERIAL)
                .argument("--user")
                .argument(&format!("{SERIAL}:x")),
            path.clone(),
        ),
    ] {
        let answer = request.header(json).data(TRUSTING).send(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let output = answer.json();
        let conveyed = &output["ietf-sztp-bootstrap-server:output"]["conveyed-information"];
        let conveyed = STANDARD
            .decode(conveyed.as_str().expect("a string"))
            .expect("base64");
        let conveyed = String::from_utf8_lossy(&conveyed).into_owned();
        assert!(
            conveyed.contains(&STANDARD.encode("hostname edge\n")),
            "{conveyed}"
        );
        assert!(
            !conveyed.contains(&STANDARD.encode("hostname secret\n")),
            "{conveyed}"
        );
    }
    assert_eq!(rig.state("AX7-00043"), "Unprovisioned");
    assert_eq!(rig.history("AX7-00043").len(), 1, "nothing but `added`");
}

#[test]
fn malformed_der() {
    let rig = rig_with_device();
    // In artifacts that an operator uploads.
    for (member, document, code) in [
        ("voucher", json!({"voucher": "MAA="}), "cms."),
        ("voucher", json!({"voucher": {"text": "not DER"}}), "cms."),
        (
            "conveyed information",
            json!({"answer": {"kind": "presigned", "conveyed_information": "MAA="}}),
            "cms.",
        ),
        (
            "trust anchor",
            json!({"answer": {"kind": "redirect",
                "servers": [{"address": "a.example", "trust_anchor": "MAA="}]}}),
            "answer.value",
        ),
        ("base64", json!({"voucher": "!!"}), "request.malformed"),
    ] {
        let answer = rig
            .admin()
            .method("PUT")
            .data(document.to_string())
            .send(&format!("/api/v1/devices/{SERIAL}"));
        assert!(
            [400, 422].contains(&answer.status),
            "{member}: {}",
            answer.text()
        );
        let found = answer.json()["code"].as_str().expect("a code").to_owned();
        assert!(found.starts_with(code), "{member}: {found}");
    }
    goes_on(&rig);

    // In a report: seen in the field, told to the operator.
    let body = r#"{"ietf-sztp-bootstrap-server:input":{"progress-type":"bootstrap-complete",
        "trust-anchor-certs":{"trust-anchor-cert":["MAA="]}}}"#;
    assert_eq!(rig.device(SERIAL).rpc(REPORT, JSON, body).status, 204);
    let event = rig.last_event(SERIAL);
    assert!(
        event.contains("trust-anchor-cert that is no certs-only CMS"),
        "{event}"
    );
}
