//! Platforms of the field, each replayed octet for octet on a TLS connection, and what each gets.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Rig, now};
use raw::{Client, Reply};
use serde_json::{Value, json};
use sztp_cms::{ContentInfo, Limits, SignedData, TlsVersions, oids};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::restconf::encoding_of;
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};
use sztp_server::lab::LabPki;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

fn voucher(lab: &LabPki, serial_number: &str) -> String {
    let voucher = Voucher::new(
        serial_number,
        Assertion::Verified,
        lab.pinned_domain_ca.certificate.as_der(),
        now().plus_secs(-3600),
    );
    let (key, certificate) = (&lab.masa.key, &lab.masa.certificate);
    let octets = issue(&voucher, key, certificate, &[], &IssueOptions::default());
    STANDARD.encode(octets.expect("a voucher"))
}

/// A device with a voucher, an image in two places, and a configuration.
fn add(rig: &Rig, serial_number: &str, more: &Value) {
    let mut document = json!({
        "serial_number": serial_number,
        "voucher": voucher(&rig.lab, serial_number),
        "answer": {
            "kind": "onboarding",
            "boot_image": {
                "download_uris": ["https://mirror.example/os.bin", "file:///disk2:/os.bin"],
                "sha256": "5A".repeat(32),
            },
            "configuration": {"text": "hostname edge\n"},
            "configuration_handling": "merge",
        },
    });
    let members = document.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    rig.add(&document);
}

fn output(reply: &Reply) -> GetBootstrappingDataOutput {
    assert_eq!(reply.status, 200, "{reply:?}");
    let encoding = encoding_of(reply.header("content-type")).expect("yang-data");
    GetBootstrappingDataOutput::decode(&reply.body, encoding).expect("an output")
}

/// Content type and content of signed data.
fn signed(output: &GetBootstrappingDataOutput) -> (sztp_cms::SignedData, String) {
    assert!(output.owner_certificate.is_some() && output.ownership_voucher.is_some());
    let signed = SignedData::parse(&output.conveyed_information, &Limits::default());
    let signed = signed.expect("signed data");
    let content = signed.unverified_content().expect("content").to_vec();
    (signed, String::from_utf8(content).expect("text"))
}

const CATALYST: &str = "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data \
HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cisco-IOS\r\nAccept: application/yang-data+xml\r\n\
Content-Type: application/yang-data+xml\r\nContent-Length: {length}\r\n\r\n";

/// Catalyst 9300: discovery, XML outside and JSON inside, signed-data-preferred for ever.
#[test]
fn ios_xe() {
    let rig = Rig::start();
    add(&rig, "FCW2126G05V", &json!({}));
    let mut client = Client::new(&rig, "CN=C9300,serialNumber=PID:C9300-24T SN:FCW2126G05V")
        .speaking(TlsVersions::UpTo12);
    let found = client.send(
        "GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cisco-IOS\r\n\
         Accept: */*\r\n\r\n",
        "",
    );
    assert_eq!(found.status, 200);
    assert!(
        found.text().contains("href=\"/restconf\"") || found.text().contains("href='/restconf'")
    );

    let untrusting = "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\n  \
                      <signed-data-preferred/>\n</input>\n";
    let first = output(&client.send(CATALYST, untrusting));
    let (message, content) = signed(&first);
    assert_eq!(message.content_type(), oids::SZTP_CONVEYED_INFO_JSON);
    let info = ConveyedInfo::decode(content.as_bytes(), Encoding::Json).expect("JSON");
    assert!(matches!(info, ConveyedInfo::Redirect(_)), "it is promoted");

    // Back, trusting, and it says the same: its reports are wanted.
    let reply = client.send(CATALYST, untrusting);
    assert_eq!(reply.header("content-type"), "application/yang-data+xml");
    let second = output(&reply);
    assert_eq!(second.reporting_level, Some(ReportingLevel::Verbose));
    let (message, content) = signed(&second);
    assert_eq!(message.content_type(), oids::SZTP_CONVEYED_INFO_JSON);
    let info = ConveyedInfo::decode(content.as_bytes(), Encoding::Json).expect("JSON");
    assert!(matches!(info, ConveyedInfo::Onboarding(_)));
    let last = rig.last_event("FCW2126G05V");
    assert!(last.contains("dialect ios-xe"), "{last}");
    assert!(last.contains("PID:.. SN:.."), "{last}");
}

/// One that says what it is trusts this server: it is not sent where it is already.
#[test]
fn ios_xe_that_trusts_the_server() {
    let rig = Rig::start();
    add(&rig, "FCW2126G05V", &json!({}));
    let mut client = Client::new(&rig, "serialNumber=PID:C9300-24T SN:FCW2126G05V");
    let trusting = "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
                    <signed-data-preferred/><hw-model>C9300-24T</hw-model>\
                    <os-name>Cisco IOS-XE</os-name><os-version>17.18.1</os-version></input>";
    let only = output(&client.send(CATALYST, trusting));
    assert_eq!(only.reporting_level, Some(ReportingLevel::Verbose));
    let (_, content) = signed(&only);
    assert!(content.contains("onboarding-information"), "{content}");
    let report = "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
                  <progress-type>bootstrap-complete</progress-type></input>";
    let head = CATALYST.replace("get-bootstrapping-data", "report-progress");
    assert_eq!(client.send(&head, report).status, 204);
    assert_eq!(rig.state("FCW2126G05V"), "Provisioned");
}

/// A URL with a path, to which the device appends what it finds in host-meta.
#[test]
fn a_doubled_path() {
    let rig = Rig::start();
    add(&rig, "FCW2126G05V", &json!({"promote": false}));
    let mut client = Client::new(&rig, "serialNumber=PID:C9300-24T SN:FCW2126G05V");
    let head = CATALYST.replace(
        "POST ",
        "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrap-data",
    );
    output(&client.send(&head, ""));
    let last = rig.last_event("FCW2126G05V");
    assert!(last.contains("after another path"), "{last}");
}

/// IOS-XR: the operation as Crosswork's guide spells it, id-data with JSON, one verification for
/// each place.
#[test]
fn ios_xr() {
    let rig = Rig::start();
    add(&rig, "FOC2303R4QZ", &json!({}));
    let mut client = Client::new(&rig, "CN=ncs540,serialNumber=FOC2303R4QZ");
    let body = r#"{"ietf-sztp-bootstrap-server:input":{"hw-model":"N540-28Z4C-SYS-A","os-name":"Cisco IOSXR","os-version":"7.3.1"}}"#;
    let head = "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrap-data HTTP/1.1\r\n\
                Host: localhost:8443\r\nUser-Agent: curl/7.29.0\r\nAccept: */*\r\n\
                Content-Type: application/yang-data+json\r\nContent-Length: {length}\r\n\r\n";
    let given = output(&client.send(head, body));
    let (message, content) = signed(&given);
    assert_eq!(message.content_type(), oids::ID_DATA);
    let document: Value = serde_json::from_str(&content).expect("JSON");
    let image = &document["ietf-sztp-conveyed-info:onboarding-information"]["boot-image"];
    let verifications = image["image-verification"].as_array().expect("a list");
    assert_eq!(verifications.len(), 2, "{image}");
    assert_eq!(verifications[0], verifications[1]);
    assert_eq!(verifications[0]["hash-value"], ["5a"; 32].join(":"));
    let last = rig.last_event("FOC2303R4QZ");
    assert!(last.contains("get-bootstrap-data"), "{last}");
    assert!(last.contains("dialect ios-xr"), "{last}");
}

const DOTTED: &str = "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data \
HTTP/1.1\r\nHost: localhost\r\nAccept: application/yang.data+xml\r\n\
Content-Type: application/yang.data+xml\r\nContent-Length: {length}\r\n\r\n";

/// Huawei: a wrapper, hashes without colons, a verification for each file.
#[test]
fn huawei() {
    let rig = Rig::start();
    add(&rig, "2102353GEK", &json!({"sign": false}));
    let mut client = Client::new(&rig, "C=CN,O=Huawei,serialNumber=2102353GEK");
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                <input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\n\
                <hw-model>NE40E</hw-model><os-name>VRP</os-name></input>\n";
    let reply = client.send(DOTTED, body);
    assert_eq!(reply.header("content-type"), "application/yang.data+xml");
    let given = output(&reply);
    let Ok(ContentInfo::Octets { content, .. }) =
        ContentInfo::parse(&given.conveyed_information, &Limits::default())
    else {
        panic!("not unsigned")
    };
    let content = String::from_utf8(content).expect("text");
    assert!(content.starts_with("<conveyed-information "), "{content}");
    assert_eq!(content.matches(&"5a".repeat(32)).count(), 2, "{content}");
    assert!(rig.last_event("2102353GEK").contains("dialect huawei"));
}

/// Arista: the namespace in other letters, base64 in lines.
#[test]
fn arista() {
    let rig = Rig::start();
    add(&rig, "JPE19181517", &json!({"promote": false}));
    let mut client = Client::new(&rig, "O=Arista Networks,serialNumber=JPE19181517");
    let body = "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-SZTP-bootstrap-server\">\
                <signed-data-preferred/><nonce>AAECAwQFBgcI\nCQoLDA0ODxAR</nonce></input>";
    let reply = client.send(DOTTED, body);
    assert_eq!(reply.header("content-type"), "application/yang.data+xml");
    let (message, _) = signed(&output(&reply));
    assert_eq!(message.content_type(), oids::SZTP_CONVEYED_INFO_XML);
    let last = rig.last_event("JPE19181517");
    assert!(last.contains("written with SZTP"), "{last}");
    assert!(last.contains("dialect arista"), "{last}");
}

const AGENT: &str = "POST /restconf/operations/ietf-sztp-bootstrap-server:{operation} HTTP/1.1\r\n\
Host: localhost\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\n\
Authorization: Basic c2VyaWFsOnBhc3N3b3Jk\r\nContent-Type: application/yang-data+json\r\n\
Accept-Encoding: gzip\r\n\r\n";

/// OPI's agent: one leaf, unsigned, and 200 for its reports, with empty containers and an anchor
/// that is none.
#[test]
fn opi() {
    let rig = Rig::start();
    add(&rig, "serial", &json!({}));
    let mut client = Client::new(&rig, "CN=dpu,serialNumber=serial");
    let ask = AGENT.replace("{operation}", "get-bootstrapping-data");
    let given = output(&client.send(
        &ask,
        "{\"ietf-sztp-bootstrap-server:input\":{\"nonce\":\"\"}}",
    ));
    assert_eq!(given.reporting_level, None);
    assert_eq!(given.owner_certificate, None);
    assert_eq!(given.ownership_voucher, None);
    let message = ContentInfo::parse(&given.conveyed_information, &Limits::default());
    let Ok(ContentInfo::Octets { content_type, .. }) = message else {
        panic!("{message:?}")
    };
    assert_eq!(content_type, oids::SZTP_CONVEYED_INFO_JSON);
    assert!(rig.last_event("serial").contains("empty nonce"));

    let told = AGENT.replace("{operation}", "report-progress");
    let report = |progress_type: &str, anchors: &str| {
        format!(
            "{{\"ietf-sztp-bootstrap-server:input\":{{\"progress-type\":\"{progress_type}\",\
             \"message\":\"message sent via JSON\",\"ssh-host-keys\":{{}},\
             \"trust-anchor-certs\":{{{anchors}}}}}}}"
        )
    };
    let reply = client.send(&told, &report("bootstrap-initiated", ""));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.text(), "");
    let anchors = "\"trust-anchor-cert\":[\"YW5jaG9y\"]";
    let reply = client.send(&told, &report("bootstrap-complete", anchors));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(rig.state("serial"), "Provisioned");
}

/// A dialect by name, for a device that shows nothing of it, and what is set for the device first.
#[test]
fn a_dialect_that_is_set() {
    let rig = Rig::start();
    let more = json!({"dialect": "opi", "conveyed_encoding": "xml"});
    add(&rig, "QUIET-1", &more);
    let mut client = Client::new(&rig, "serialNumber=QUIET-1");
    let head = "POST /restconf/operations/ietf-sztp-bootstrap-server:{operation} HTTP/1.1\r\n\
                Host: localhost\r\nAccept: application/yang-data+json\r\n\
                Content-Type: application/yang-data+json\r\nContent-Length: {length}\r\n\r\n";
    let ask = head.replace("{operation}", "get-bootstrapping-data");
    let given = output(&client.send(&ask, "{\"ietf-sztp-bootstrap-server:input\":{}}"));
    let message = ContentInfo::parse(&given.conveyed_information, &Limits::default());
    let Ok(ContentInfo::Octets { content_type, .. }) = message else {
        panic!("{message:?}")
    };
    assert_eq!(content_type, oids::SZTP_CONVEYED_INFO_XML);
    let told = head.replace("{operation}", "report-progress");
    let reply = client.send(&told, &harness::report("bootstrap-complete"));
    assert_eq!(reply.status, 200);

    let document = json!({"serial_number": "QUIET-2", "dialect": "klingon"});
    let refused = rig
        .admin()
        .data(document.to_string())
        .header("Content-Type: application/json")
        .send("/api/v1/devices");
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("ios-xe"), "{}", refused.text());
}

/// What the configuration says of a platform that nobody knows.
#[test]
fn a_dialect_of_the_configuration() {
    let rig = Rig::start_with(|config| {
        let more = "[[dialects]]\nname = \"acme\"\nlike = \"huawei\"\n\
                    recognised_by = [{ vendor = \"acme\", xml = true }]\n\
                    quirks = { sign = false, hash_colons = true, report_status = 200 }\n";
        let with = sztp_server::Config::from_toml(more).expect("a configuration");
        config.dialects = with.dialects;
    });
    add(&rig, "ACME-1", &json!({}));
    let mut client = Client::new(&rig, "O=Acme,serialNumber=ACME-1");
    let head = DOTTED.replace("yang.data", "yang-data");
    let reply = client.send(&head, "");
    assert_eq!(reply.header("content-type"), "application/yang.data+xml");
    let given = output(&reply);
    let Ok(ContentInfo::Octets { content, .. }) =
        ContentInfo::parse(&given.conveyed_information, &Limits::default())
    else {
        panic!("not unsigned")
    };
    let content = String::from_utf8(content).expect("text");
    assert!(content.starts_with("<conveyed-information "), "{content}");
    assert!(content.contains("5a:5a"), "{content}");
    assert!(rig.last_event("ACME-1").contains("dialect acme"));
}

/// Conveyed information that was made for one platform and signed elsewhere is given as it is,
/// and what is unusual in it is noted.
#[test]
fn artifacts_of_a_platform_that_were_signed_elsewhere() {
    let rig = Rig::start();
    let lab = &rig.lab;
    let verification = json!({"hash-algorithm": "ietf-sztp-conveyed-info:sha-256",
        "hash-value": "5A".repeat(32)});
    let content = json!({"ietf-sztp-conveyed-info:onboarding-information": {"boot-image": {
        "os-name": "Cisco IOSXR",
        "download-uri": ["file:///disk2:/images/a.iso", "file:///disk2:/images/b.iso"],
        "image-verification": [verification, verification]}}});
    let made = sztp_cms::SignedDataBuilder::new(oids::ID_DATA, content.to_string().into_bytes())
        .sign(&lab.owner.key, &lab.owner.certificate)
        .expect("signed");
    let bag = [
        lab.owner.certificate.clone(),
        lab.pinned_domain_ca.certificate.clone(),
    ];
    let owner = sztp_cms::certs_only(&bag, &[]).expect("a bag");
    let document = json!({"serial_number": "FOC2303R4QZ", "answer": {"kind": "presigned",
        "conveyed_information": STANDARD.encode(&made),
        "owner_certificate": STANDARD.encode(owner),
        "ownership_voucher": voucher(lab, "FOC2303R4QZ")}});
    rig.add(&document);
    let noted = rig.last_event("FOC2303R4QZ");
    assert!(noted.contains("as one platform reads it"), "{noted}");
    let mut client = Client::new(&rig, "serialNumber=FOC2303R4QZ");
    let head = CATALYST.replace("+xml", "+json");
    let body = "{\"ietf-sztp-bootstrap-server:input\":{\"os-name\":\"Cisco IOSXR\"}}";
    assert_eq!(output(&client.send(&head, body)).conveyed_information, made);
}

/// What a profile says holds where its device says nothing.
#[test]
fn a_dialect_of_a_profile() {
    let rig = Rig::start();
    let put = |name: &str, document: Value| {
        let answer = rig
            .admin()
            .method("PUT")
            .header("Content-Type: application/json")
            .data(document.to_string())
            .send(&format!("/api/v1/profiles/{name}"));
        answer.status
    };
    assert_eq!(
        put("chassis", json!({"dialect": "huawei", "promote": false})),
        201
    );
    assert_eq!(put("other", json!({"dialect": "klingon"})), 422);
    add(&rig, "BOX-1", &json!({"profile": "chassis"}));
    add(
        &rig,
        "BOX-2",
        &json!({"profile": "chassis", "dialect": "generic"}),
    );
    let untrusting = "{\"ietf-sztp-bootstrap-server:input\":{\"signed-data-preferred\":[null]}}";
    let head = CATALYST.replace("+xml", "+json");
    for (serial_number, media_type, wrapped) in [
        ("BOX-1", "application/yang.data+json", true),
        ("BOX-2", "application/yang-data+json", false),
    ] {
        let mut client = Client::new(&rig, &format!("serialNumber={serial_number}"));
        let reply = client.send(&head, untrusting);
        assert_eq!(reply.header("content-type"), media_type);
        // Not promoted, as the profile has it.
        let (_, content) = signed(&output(&reply));
        assert_eq!(
            content.contains("conveyed-information"),
            wrapped,
            "{content}"
        );
        assert!(content.contains("onboarding-information"), "{content}");
    }
}
