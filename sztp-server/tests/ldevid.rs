//! LDevIDs (RFC 9646) of the built-in CA: a device machine enrols while it bootstraps, and OpenSSL
//! judges its certificate; then requests that are refused.

mod enrolment;
mod harness;

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enrolment::{
    SERIAL, asked, asked_with, authority, boot, configuration, csr, enrol, judged_by_openssl,
    metric, new_key, support, trusted,
};
use harness::program::Program;
use harness::{GET_DATA, JSON, Rig, UNTRUSTING, XML, now};
use serde_json::{Value, json};
use sztp_cms::{CertificationRequestBuilder, KeyType, Signer as _};
use sztp_core::csr::{CMC_CSR, CMP_CSR, P10_CSR, algorithm_of};
use sztp_core::device::{EndpointTrust, Outcome};
use sztp_core::restconf::Errors;
use sztp_voucher::yang::Encoding;

const SUBJECT: &str = "CN=edge-42,serialNumber=AX7-00042";

/// A server with a CA of its own.
fn start() -> Rig {
    Rig::start_with(|config| {
        let directory = config.data_dir.parent().expect("a parent").to_owned();
        authority(&directory);
        let database = config.database.url.as_ref().map(|url| url.0.clone());
        fs::write(directory.join("database"), database.unwrap_or_default()).expect("written");
        config.ldevid.ca.certificate = Some(directory.join("ca.crt"));
        config.ldevid.ca.key = Some(directory.join("ca.key"));
    })
}

// LEDGER: 9646-2.3-02, 9646-2.3-03
#[test]
fn a_device_gets_its_certificate_within_its_configuration() {
    let rig = start();
    let names = json!({"enabled": true, "dns_names": ["{{ hostname }}.example.net"],
        "validity_days": 90, "server_auth": true});
    enrol(&rig, "hostname {{ hostname }}\n{{ ldevid.chain }}", &names);
    let (outcome, device) = boot(&rig, trusted(&rig), &[KeyType::EcP384, KeyType::EcP256]);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    // The first kind that the owner prefers.
    assert_eq!(device.asked.len(), 1);
    assert_eq!(
        device.asked[0].algorithm_identifier.as_deref(),
        algorithm_of(KeyType::EcP256)
    );
    let text = device.committed[0].strip_prefix("hostname edge-42\n");
    let (leaf, text) = judged_by_openssl(&rig, text.expect("the template"));
    assert_eq!(leaf.spki_der(), device.keys[0].spki_der());
    assert_eq!(leaf.subject_der(), device.idevid.chain[0].subject_der());
    for said in [
        "TLS Web Client Authentication, TLS Web Server Authentication",
        "DNS:edge-42.example.net",
        "Issuer: CN=Owner Device CA,O=Birch",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("CA:TRUE"), "{text}");
    let days = (leaf.not_after().secs() - now().secs()).div_euclid(24 * 60 * 60);
    assert!((89..=90).contains(&days), "{days}");
    // Remembered, and shown.
    let told: Vec<String> = rig
        .history(SERIAL)
        .iter()
        .map(|entry| entry["event"].as_str().expect("an event").to_owned())
        .collect();
    let place = |event: &str| told.iter().position(|one| one == event);
    let places = ["csr-requested", "ldevid-issued", "served"].map(place);
    assert!(places.is_sorted() && !places.contains(&None), "{told:?}");
    let listed = rig
        .admin()
        .send("/api/v1/ldevids?serial_number=AX7-00042")
        .json();
    let item = &listed["items"][0];
    assert_eq!(item["certificate_serial"], leaf.serial_hex());
    assert_eq!(
        (&item["issuer"], &item["profile"]),
        (&json!("built-in"), &json!("edge"))
    );
    assert_eq!(
        rig.admin().send("/api/v1/ldevids?serial_number=x").json()["items"],
        json!([])
    );
    assert_eq!(
        metric(&rig, "sztp_ldevids_issued_total{issuer=\"built-in\"}"),
        1
    );
    assert_eq!(metric(&rig, "sztp_csr_requests_total"), 1);
    assert_eq!(rig.state(SERIAL), "Provisioned");
}

// LEDGER: 9646-3.2-02
#[test]
fn a_device_that_makes_no_keys_gets_a_certificate_for_the_one_it_has() {
    let rig = start();
    enrol(&rig, "{{ ldevid.certificate }}", &json!({"enabled": true}));
    let (outcome, device) = boot(&rig, trusted(&rig), &[]);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!(device.asked[0].algorithm_identifier, None);
    let list = sztp_cms::Certificate::list_from_pem_or_der(device.committed[0].as_bytes());
    let leaf = &list.expect("a certificate")[0];
    assert_eq!(leaf.spki_der(), device.idevid.key.signer().spki_der());
}

// LEDGER: 9646-4.2.3-01
#[test]
fn a_device_that_trusts_nobody_is_promoted_before_it_is_asked() {
    let rig = start();
    enrol(&rig, "{{ ldevid.chain }}", &json!({"enabled": true}));
    let pinned = rig.lab.pinned_domain_ca.certificate.as_der();
    let created_on = now().plus_secs(-60);
    let assertion = sztp_voucher::Assertion::Verified;
    let voucher = sztp_voucher::Voucher::new(SERIAL, assertion, pinned, created_on);
    let (masa, options) = (&rig.lab.masa, sztp_voucher::IssueOptions::default());
    let voucher = sztp_voucher::issue(&voucher, &masa.key, &masa.certificate, &[], &options);
    let upload = rig.admin().data(voucher.expect("signed"));
    assert_eq!(upload.send("/api/v1/vouchers?name=v").status, 200);
    let answer = rig.device(SERIAL).rpc(GET_DATA, JSON, UNTRUSTING);
    assert_eq!(
        answer.status,
        200,
        "redirected, not asked: {}",
        answer.text()
    );
    let path = format!("/api/v1/devices/{SERIAL}/reset");
    assert_eq!(rig.admin().method("POST").send(&path).status, 200);
    let (outcome, device) = boot(&rig, EndpointTrust::Provisional, &[KeyType::EcP256]);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!((device.asked.len(), device.committed.len()), (1, 1));
}

// LEDGER: 9646-2.3-02, 9646-3.2-04, 9646-3.2-05, 9646-3.2-06
#[test]
fn the_question_is_a_400_with_csr_request_in_error_info() {
    let rig = start();
    enrol(&rig, "{{ ldevid.chain }}", &json!({"enabled": true}));
    let answer = asked(&rig, &support(&[KeyType::EcP256, KeyType::EcP384], P10_CSR));
    assert_eq!((answer.status, answer.header("content-type")), (400, JSON));
    let error = &answer.json()["ietf-restconf:errors"]["error"][0];
    assert_eq!(error["error-type"], "application");
    assert_eq!(error["error-tag"], "missing-attribute");
    assert_eq!(
        error["error-info"],
        json!({"ietf-sztp-csr:csr-request": {
            "key-generation": {"selected-algorithm": {
                "algorithm-identifier": "MBMGByqGSM49AgEGCCqGSM49AwEH"}},
            "csr-generation": {"selected-format": {"format-identifier": P10_CSR}},
        }})
    );
    assert_eq!(rig.state(SERIAL), "Unprovisioned", "nothing was given yet");
    // In XML too, as the device asks.
    let body = r#"<input xmlns="urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server"><csr-support
        xmlns="urn:ietf:params:xml:ns:yang:ietf-sztp-csr"><csr-generation><supported-formats>
        <format-identifier xmlns:i="urn:ietf:params:xml:ns:yang:ietf-ztp-types">i:p10-csr</format-identifier>
        </supported-formats></csr-generation></csr-support></input>"#;
    let answer = rig.device(SERIAL).rpc(GET_DATA, XML, body);
    assert_eq!((answer.status, answer.header("content-type")), (400, XML));
    let errors = Errors::decode(&answer.body, Encoding::Xml).expect("errors");
    let request = errors.errors[0]
        .requested_csr()
        .expect("one")
        .expect("good");
    assert_eq!(
        (request.algorithm_identifier, request.format.as_str()),
        (None, P10_CSR)
    );
}

// LEDGER: 9646-2.3-06
#[test]
fn who_wants_no_certificate_is_answered_as_ever() {
    let rig = start();
    enrol(
        &rig,
        "plain{% if ldevid is defined %} enrolled{% endif %}",
        &json!({}),
    );
    let support = support(&[KeyType::EcP256], P10_CSR);
    assert_eq!(configuration(&asked(&rig, &support)), "plain");
    let request = csr(SUBJECT, &[], &new_key(KeyType::EcP256));
    assert_eq!(configuration(&asked_with(&rig, &request)), "plain");
    // Wanted, but the device says nothing of requests: it gets what there is without one.
    let json = "Content-Type: application/json";
    let profile = |ldevid: &Value| {
        let profile = json!({"configuration": "edge", "configuration_handling": "merge",
            "ldevid": ldevid});
        let path = format!("/api/v1/devices/{SERIAL}/reset");
        assert_eq!(rig.admin().method("POST").send(&path).status, 200);
        let put = rig
            .admin()
            .method("PUT")
            .header(json)
            .data(profile.to_string());
        assert_eq!(put.send("/api/v1/profiles/edge").status, 200);
    };
    profile(&json!({"enabled": true}));
    assert_eq!(configuration(&asked(&rig, &json!({}))), "plain");
    assert_eq!(configuration(&asked_with(&rig, &request)), "plain enrolled");
    profile(&json!({"enabled": true, "required": true}));
    let answer = asked(&rig, &json!({}));
    assert_eq!(
        (answer.status, answer.error_tag().as_str()),
        (400, "invalid-value")
    );
    assert!(
        answer.text().contains("ldevid.not-supported"),
        "{}",
        answer.text()
    );
}

// LEDGER: 9646-4.2.1-01, 9646-4.2.2-01
#[test]
fn requests_that_prove_nothing_or_ask_for_too_much_are_refused() {
    let rig = start();
    let names = json!({"enabled": true, "dns_names": ["{{ hostname }}.example.net"]});
    enrol(&rig, "{{ ldevid.chain }}", &names);
    let key = new_key(KeyType::EcP256);
    let refused = |request: &[u8], code: &str| {
        let answer = asked_with(&rig, request);
        assert_eq!(
            (answer.status, answer.error_tag().as_str()),
            (400, "invalid-value"),
            "{code}"
        );
        let error = &answer.json()["ietf-restconf:errors"]["error"][0];
        assert_eq!(error["error-app-tag"], code);
        assert_eq!(rig.state(SERIAL), "ProvisioningError", "{code}");
        assert!(
            rig.last_event(SERIAL)
                .starts_with(&format!("refused: {code}: "))
        );
    };
    let mut tampered = csr(SUBJECT, &[], &key);
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    refused(&tampered, "certification-request.not-proven");
    refused(b"nonsense", "certification-request.malformed");
    refused(
        &csr("serialNumber=AX7-00043", &[], &key),
        "ldevid.other-device",
    );
    refused(&csr("CN=x", &[], &key), "ldevid.other-device");
    refused(
        &csr(SUBJECT, &["core.example.net"], &key),
        "ldevid.name-not-allowed",
    );
    let oid = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.19");
    let authority = CertificationRequestBuilder::new(SUBJECT).expect("a name");
    let authority = authority
        .extension(oid, true, &[0x30, 3, 1, 1, 0xff])
        .expect("DER");
    refused(
        &authority.sign(&key).expect("a request"),
        "ldevid.authority",
    );
    for (format, node) in [(CMC_CSR, "cmc-csr"), (CMP_CSR, "cmp-csr")] {
        let answer = asked(&rig, &json!({format!("ietf-sztp-csr:{node}"): "MAA="}));
        assert_eq!(
            (answer.status, answer.error_tag().as_str()),
            (400, "invalid-value")
        );
        assert!(
            answer.text().contains("ldevid.format-unsupported"),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(format), "{}", answer.text());
    }
    assert_eq!(metric(&rig, "sztp_ldevids_refused_total"), 8);
    assert_eq!(
        rig.admin().send("/api/v1/ldevids").json()["items"],
        json!([])
    );
    // None of it is held against a request that is good.
    let good = csr(SUBJECT, &["edge-42.example.net"], &key);
    let (_, text) = judged_by_openssl(&rig, &configuration(&asked_with(&rig, &good)));
    assert_eq!(text.matches("DNS:edge-42.example.net").count(), 1, "{text}");
}

#[test]
fn a_profile_that_cannot_work_is_refused() {
    let rig = Rig::start();
    let json = "Content-Type: application/json";
    for (ldevid, problem) in [
        (json!({"enabled": true}), "none of ldevid.ca"),
        (json!({"dns_names": ["{{ hostname"]}), "ldevid.dns_names"),
        (json!({"validity_days": 0}), "validity_days"),
        (json!({"colour": 1}), "colour"),
    ] {
        let profile = json!({"ldevid": ldevid});
        let put = rig
            .admin()
            .method("PUT")
            .header(json)
            .data(profile.to_string());
        let put = put.send("/api/v1/profiles/edge");
        assert!((400..500).contains(&put.status), "{}", put.text());
        assert!(put.text().contains(problem), "{}", put.text());
    }
}

/// The server as a process, on the database of the one in this process.
fn process(directory: &std::path::Path) -> Program {
    let database = match fs::read_to_string(directory.join("database")).as_deref() {
        Ok("") | Err(_) => String::new(),
        Ok(url) => format!("[database]\nurl = \"{url}\"\n"),
    };
    let tables = format!(
        "{database}[ldevid]\nenabled = true\n\
         [ldevid.ca]\ncertificate = \"ca.crt\"\nkey = \"ca.key\"\n"
    );
    Program::start_with(directory, &tables)
}

#[test]
fn the_same_request_gets_the_same_certificate_also_after_kill_9() {
    // What the operator sets is put into the database by a server in this process.
    let mut rig = start();
    enrol(&rig, "{{ ldevid.chain }}", &json!({"enabled": true}));
    let key = new_key(KeyType::EcP256);
    let request = csr(SUBJECT, &[], &key);
    let first = configuration(&asked_with(&rig, &request));
    assert_eq!(configuration(&asked_with(&rig, &request)), first);
    assert_eq!(metric(&rig, "sztp_ldevids_repeated_total"), 1);
    let other = csr(SUBJECT, &[], &new_key(KeyType::EcP256));
    assert_ne!(configuration(&asked_with(&rig, &other)), first);
    let (certificate, key) = rig.idevid(SERIAL);
    rig.stop();
    let body = json!({"ietf-sztp-bootstrap-server:input":
        {"ietf-sztp-csr:p10-csr": STANDARD.encode(csr(SUBJECT, &[], &new_key(KeyType::EcP256)))}});
    rig.write("body.json", body.to_string());
    let mut answers = Vec::new();
    for _ in 0..3 {
        let program = process(rig.directory.path());
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "30", "--cacert"])
            .arg(rig.path("data/lab/server/tls-ca.crt"))
            .arg("--cert")
            .arg(&certificate)
            .arg("--key")
            .arg(&key)
            .args([
                "--header",
                "Content-Type: application/yang-data+json",
                "--data-binary",
            ])
            .arg(format!("@{}", rig.path("body.json").display()))
            .arg(format!(
                "https://localhost:{}/restconf/operations/{GET_DATA}",
                program.device_port
            ))
            .output()
            .expect("these tests need the program curl");
        assert!(output.status.success(), "{output:?}");
        program.kill_9();
        answers.push(configuration(&harness::Answer {
            status: 200,
            headers: <_>::default(),
            body: output.stdout,
        }));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    judged_by_openssl(&rig, &answers[0]);
}
