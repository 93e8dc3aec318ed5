//! Vouchers before, after and without devices; several serial numbers of one device.

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{GET_DATA, JSON, Rig, UNTRUSTING, now, small_device};
use serde_json::{Value, json};
use sztp_cms::UnixTime;
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_server::lab::{LabOptions, LabPki};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

fn voucher(lab: &LabPki, serial_number: &str, expires_on: Option<UnixTime>) -> Vec<u8> {
    let mut voucher = Voucher::new(
        serial_number,
        Assertion::Verified,
        lab.pinned_domain_ca.certificate.as_der(),
        now().plus_secs(-7200),
    );
    voucher.expires_on = expires_on;
    issue(
        &voucher,
        &lab.masa.key,
        &lab.masa.certificate,
        &[],
        &IssueOptions::default(),
    )
    .expect("a voucher")
}

fn upload(rig: &Rig, octets: impl Into<Vec<u8>>) -> Value {
    let answer = rig
        .admin()
        .header("Content-Type: application/octet-stream")
        .data(octets)
        .send("/api/v1/vouchers?name=v.vcj");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn lines(document: &Value) -> Vec<String> {
    let files = document["files"].as_array().expect("files").iter();
    files
        .map(|file| {
            let text = |name: &str| file[name].as_str().unwrap_or("-").to_owned();
            let names = ["file", "result", "serial_number", "device", "code"];
            names.map(text).join(" ")
        })
        .collect()
}

/// The voucher that an untrusting device is given.
fn given(rig: &Rig, serial_number: &str) -> Vec<u8> {
    let answer = rig.device(serial_number).rpc(GET_DATA, JSON, UNTRUSTING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let output = GetBootstrappingDataOutput::decode(&answer.body, Encoding::Json).expect("output");
    output.ownership_voucher.expect("a voucher")
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, octets) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(octets.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, *octets)
            .expect("written");
    }
    archive.into_inner().expect("written")
}

#[test]
fn a_voucher_before_its_device_and_after_it() {
    let rig = Rig::start();
    let first = voucher(&rig.lab, "A", None);
    assert_eq!(lines(&upload(&rig, first.clone())), ["v.vcj stored A - -"]);
    assert_eq!(
        lines(&upload(&rig, first.clone())),
        ["v.vcj unchanged A - -"]
    );
    rig.add(&small_device("A"));
    let listed = rig.admin().send("/api/v1/devices").json();
    assert_eq!(listed["items"][0]["has_voucher"], true);
    assert_eq!(given(&rig, "A"), first);

    rig.add(&small_device("B"));
    let answer = rig.device("B").rpc(GET_DATA, JSON, UNTRUSTING);
    assert_eq!(answer.status, 404, "{}", answer.text());
    let late = voucher(&rig.lab, "B", None);
    // As text, too.
    assert_eq!(
        lines(&upload(&rig, STANDARD.encode(&late))),
        ["v.vcj stored B B -"]
    );
    assert_eq!(given(&rig, "B"), late);
    let newer = voucher(&rig.lab, "B", Some(now().plus_secs(3600)));
    assert_eq!(
        lines(&upload(&rig, newer.clone())),
        ["v.vcj replaced B B -"]
    );
    let listed = rig.admin().send("/api/v1/vouchers").json();
    assert_eq!(listed["items"][1]["device"], "B");
    assert_eq!(listed["items"][1]["verified"], true);
    assert_ne!(listed["items"][1]["expires_on"], Value::Null);
    assert_eq!(rig.admin().send("/api/v1/vouchers/B").body, newer);
    let delete = || {
        rig.admin()
            .method("DELETE")
            .send("/api/v1/vouchers/B")
            .status
    };
    assert_eq!((delete(), delete()), (204, 404));
    let listed = rig.admin().send("/api/v1/devices?has_voucher=false").json();
    assert_eq!(listed["items"][0]["serial_number"], "B");
}

#[test]
fn one_bad_file_never_stops_the_rest() {
    let rig = Rig::start();
    let other = LabPki::generate(&LabOptions::new(now())).expect("another lab");
    let files: [(&str, &[u8]); 5] = [
        ("a.vcj", &voucher(&rig.lab, "A", None)),
        ("readme.txt", b"These are your vouchers."),
        (
            "late.vcj",
            &voucher(&rig.lab, "L", Some(now().plus_secs(-60))),
        ),
        ("foreign.vcj", &voucher(&other, "F", None)),
        ("deep/er/b.vcj", &voucher(&rig.lab, "B", None)),
    ];
    let document = upload(&rig, tar_of(&files));
    let lines_of = lines(&document);
    assert_eq!(lines_of[0], "a.vcj stored A - -");
    assert!(
        lines_of[1].starts_with("readme.txt refused - - "),
        "{lines_of:?}"
    );
    assert_eq!(lines_of[2], "late.vcj refused L - voucher.expired");
    assert!(
        lines_of[3].starts_with("foreign.vcj refused F - "),
        "{lines_of:?}"
    );
    assert_eq!(lines_of[4], "deep/er/b.vcj stored B - -");
    assert_eq!(
        (&document["accepted"], &document["refused"]),
        (&json!(2), &json!(3))
    );

    // Several files and archives in one form.
    let (one, two) = (
        rig.write("c.vcj", voucher(&rig.lab, "C", None)),
        rig.write("more.tar", tar_of(&files[..2])),
    );
    let answer = rig
        .admin()
        .argument("--form")
        .argument(&format!("file=@{}", one.display()))
        .argument("--form")
        .argument(&format!("file=@{}", two.display()))
        .send("/api/v1/vouchers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines_of = lines(&answer.json());
    assert_eq!(
        lines_of[..2],
        ["c.vcj stored C - -", "a.vcj unchanged A - -"]
    );
    assert_eq!(lines_of.len(), 3);
    // An archive that breaks off in its last file.
    let tar = tar_of(&files);
    let document = upload(&rig, tar[..tar.len() - 1024 - 1000].to_vec());
    let lines_of = lines(&document);
    assert_eq!(lines_of[0], "a.vcj unchanged A - -");
    assert_eq!(
        lines_of.last().map(String::as_str),
        Some("(archive) refused - - upload.archive")
    );
}

#[test]
fn the_list_that_the_vendor_is_sent() {
    let rig = Rig::start();
    for serial_number in ["A", "B", "C"] {
        rig.add(&json!({"serial_number": serial_number}));
    }
    upload(&rig, voucher(&rig.lab, "B", None));
    let list = |query: &str| {
        rig.admin()
            .send(&format!("/api/v1/vouchers/request-list{query}"))
            .json()
    };
    assert_eq!(list("")["serial_numbers"], json!(["A", "C"]));
    assert_eq!(list("?all=true")["serial_numbers"], json!(["A", "B", "C"]));
    let pinned = STANDARD.encode(rig.lab.pinned_domain_ca.certificate.as_der());
    assert_eq!(list("")["pinned_domain_cert"], json!(pinned));
}

#[test]
fn every_serial_number_of_a_device_leads_to_it() {
    let rig = Rig::start();
    let mut device = small_device("CHASSIS");
    device["serial_numbers"] = json!(["RP0", "RP1"]);
    rig.add(&device);
    let of_processor = voucher(&rig.lab, "RP1", None);
    assert_eq!(
        lines(&upload(&rig, of_processor.clone())),
        ["v.vcj stored RP1 CHASSIS -"]
    );
    let of_chassis = voucher(&rig.lab, "CHASSIS", None);
    upload(&rig, of_chassis.clone());
    // Each is given the voucher for the serial number in its own certificate.
    assert_eq!(given(&rig, "RP1"), of_processor);
    assert!(rig.last_event("CHASSIS").contains("as serial number RP1"));
    assert_eq!(rig.state("CHASSIS"), "InProgress");
    assert_eq!(given(&rig, "CHASSIS"), of_chassis);
    let report = rig.device("RP0").rpc(
        harness::REPORT,
        JSON,
        &harness::report("bootstrap-complete"),
    );
    assert_eq!(report.status, 204, "{}", report.text());
    assert_eq!(rig.state("CHASSIS"), "Provisioned");
    assert_eq!(
        rig.state("RP0"),
        "Provisioned",
        "by any of its serial numbers"
    );

    for (document, code) in [
        (
            json!({"serial_number": "RP0"}),
            "device.serial-number-taken",
        ),
        (
            json!({"serial_number": "X", "serial_numbers": ["RP1"]}),
            "device.serial-number-taken",
        ),
        (
            json!({"serial_number": "X", "serial_numbers": ["CHASSIS"]}),
            "device.serial-number-taken",
        ),
        (
            json!({"serial_number": "X", "serial_numbers": ["X"]}),
            "device.value",
        ),
    ] {
        let answer = rig
            .admin()
            .data(document.to_string())
            .send("/api/v1/devices");
        assert_eq!(answer.json()["code"], code, "{document}");
    }
    let found = rig.admin().send("/api/v1/devices?search=RP").json();
    assert_eq!(found["items"][0]["serial_number"], "CHASSIS");
}
