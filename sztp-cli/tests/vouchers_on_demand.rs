//! Vouchers on demand: a MASA process, a bootstrap server, and the device machine between them;
//! then MASAs that are down, that refuse, and that answer wrongly.

#[path = "../../sztp-server/tests/harness/mod.rs"]
mod harness;
mod vendor;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Answer, GET_DATA, JSON, Rig, now};
use serde_json::{Value, json};
use sztp_cms::{KeyType, TrustAnchors, WallClock};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, ScriptStage,
};
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_server::Config;
use sztp_server::model::VouchersOnDemand;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Profile, SignedVoucher, Voucher, issue};
use vendor::{Masa, lab};

const SERIAL: &str = "AX7-00042";

/// Commits configurations and does nothing else.
#[derive(Default)]
struct Quiet(Vec<String>);

impl Platform for Quiet {
    async fn install_image(&mut self, _: &Path) -> Result<(), String> {
        Err("no image is expected".to_owned())
    }
    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        Err("no reboot is expected".to_owned())
    }
    async fn run_script(&mut self, _: ScriptStage, _: &[u8]) -> Ended {
        Ended::Well
    }
    async fn commit_configuration(&mut self, _: ConfigurationHandling, octets: &[u8]) -> Ended {
        self.0.push(String::from_utf8_lossy(octets).into_owned());
        Ended::Well
    }
    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}

/// A server that is configured for a MASA, which knows one device.
fn world(when: VouchersOnDemand, policy: &str) -> (Rig, Masa) {
    let mut masa = None;
    let rig = Rig::start_with(|config| {
        let data = config.data_dir.clone();
        lab(&data, now());
        let started = Masa::start(&data, &[SERIAL], policy);
        let section = &mut config.vouchers_on_demand;
        section.when = when;
        section.url = Some(started.url());
        section.anchors = vec![data.join("lab/server/tls-ca.crt")];
        section.certificate = Some(data.join("lab/owner/registrar.crt"));
        section.key = Some(data.join("lab/owner/registrar.key"));
        section.timeout_secs = 5;
        masa = Some(started);
    });
    rig.add(
        &json!({"serial_number": SERIAL, "answer": {"kind": "onboarding",
        "configuration": {"text": "hostname edge"}, "configuration_handling": "merge"}}),
    );
    (rig, masa.expect("started"))
}

/// A server with a program instead; the script has the voucher's path as `$1`.
fn with_program(script: &str, timeout_secs: u64) -> Rig {
    let rig = Rig::start_with(|config: &mut Config| {
        let data = config.data_dir.clone();
        lab(&data, now());
        let program = data.join("program");
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("allowed");
        let section = &mut config.vouchers_on_demand;
        section.when = VouchersOnDemand::IfNonce;
        let voucher: PathBuf = data.join("voucher");
        section.program = [program, voucher]
            .map(|path| path.display().to_string())
            .to_vec();
        section.timeout_secs = timeout_secs;
        section.retry_after_secs = 7;
    });
    rig.add(
        &json!({"serial_number": SERIAL, "answer": {"kind": "onboarding",
        "configuration": {"text": "hostname edge"}, "configuration_handling": "merge"}}),
    );
    rig
}

fn boot(rig: &Rig, nonce: Option<Vec<u8>>) -> (Outcome, Vec<String>) {
    let idevid = rig.lab.issue_idevid(SERIAL, KeyType::EcP256, now());
    let idevid = idevid.expect("an IDevID");
    let anchors = TrustAnchors::new([rig.lab.vendor_root.certificate.clone()]);
    let mut config = DeviceConfig::new(SERIAL, anchors);
    config.idevid = Some(idevid.certificate.clone());
    config.nonce = nonce;
    config.servers = vec![Endpoint {
        address: "localhost".to_owned(),
        port: rig.server().device_addr().port(),
        trust: EndpointTrust::Provisional,
    }];
    let identity = Identity {
        chain: vec![idevid.certificate, rig.lab.idevid_ca.certificate.clone()],
        key: idevid.key.into(),
    };
    let settings = Settings {
        download_directory: rig.directory.path().to_owned(),
        ..Settings::default()
    };
    let client = Client::new(Some(identity), settings, || WallClock::Trusted(now()));
    let (mut device, mut platform) = (Device::new(config), Quiet::default());
    let outcome = rig
        .runtime
        .block_on(client.run(&mut device, &mut platform, |_| {}));
    (outcome, platform.0)
}

fn reset(rig: &Rig) {
    let path = format!("/api/v1/devices/{SERIAL}/reset");
    assert_eq!(rig.admin().method("POST").send(&path).status, 200);
}

/// What a device with a nonce, or without, is given.
fn asked(rig: &Rig, nonce: Option<&[u8]>) -> Answer {
    // It says what it is, so that it is not sent back here first.
    let mut input = json!({"signed-data-preferred": [null], "os-name": "AxOS"});
    if let Some(nonce) = nonce {
        input["nonce"] = STANDARD.encode(nonce).into();
    }
    let body = json!({"ietf-sztp-bootstrap-server:input": input}).to_string();
    rig.device(SERIAL).rpc(GET_DATA, JSON, &body)
}

fn voucher_in(answer: &Answer) -> Voucher {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let output = GetBootstrappingDataOutput::decode(&answer.body, Encoding::Json);
    let voucher = output.expect("data").ownership_voucher.expect("a voucher");
    let signed = SignedVoucher::parse(&voucher, Profile::Rfc8366).expect("a voucher");
    signed.unverified().clone()
}

fn kept(rig: &Rig) -> usize {
    let listed = rig.admin().send("/api/v1/vouchers").json();
    listed["items"].as_array().expect("items").len()
}

fn metric(rig: &Rig, result: &str) -> u64 {
    let text = rig.admin().send("/metrics").text();
    let name = format!("sztp_voucher_requests_total{{result=\"{result}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.expect("the metric").parse().expect("a number")
}

/// A voucher of the lab's MASA, made by hand.
fn voucher_for(rig: &Rig, serial_number: &str, nonce: Option<&[u8]>) -> Vec<u8> {
    let pinned = rig.lab.pinned_domain_ca.certificate.as_der();
    let created_on = now().plus_secs(-60);
    let mut voucher = Voucher::new(serial_number, Assertion::Logged, pinned, created_on);
    voucher.nonce = nonce.map(<[u8]>::to_vec);
    let masa = &rig.lab.masa;
    let options = IssueOptions::default();
    issue(&voucher, &masa.key, &masa.certificate, &[], &options).expect("signed")
}

#[test]
fn a_device_without_a_voucher_is_bootstrapped_with_a_fetched_one_that_is_kept() {
    let (rig, mut masa) = world(VouchersOnDemand::IfMissing, "validity_days = 9");
    let (outcome, done) = boot(&rig, None);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!(done, ["hostname edge"]);
    assert_eq!(rig.state(SERIAL), "Provisioned");
    assert_eq!(
        (kept(&rig), masa.outcomes()),
        (1, vec!["granted".to_owned()])
    );
    assert_eq!(metric(&rig, "got"), 1);
    let history = rig.history(SERIAL);
    let told = |text: &str| {
        history.iter().any(|entry| {
            let message = entry["message"].as_str().unwrap_or_default();
            message.contains(text)
        })
    };
    assert!(told("voucher (verified, until "), "{history:?}");
    // The next time nobody is asked.
    masa.kill();
    reset(&rig);
    let (outcome, _) = boot(&rig, None);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!(masa.outcomes().len(), 1);
}

#[test]
fn a_nonce_gets_a_voucher_of_its_own_each_time() {
    let (rig, masa) = world(VouchersOnDemand::NonceRequired, "");
    let (outcome, done) = boot(&rig, Some(vec![3; 16]));
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    assert_eq!(done, ["hostname edge"]);
    reset(&rig);
    for octet in [1, 2] {
        let nonce = [octet; 16];
        let voucher = voucher_in(&asked(&rig, Some(&nonce)));
        assert_eq!(voucher.nonce.as_deref(), Some(&nonce[..]));
        assert_eq!(voucher.expires_on, None);
    }
    assert_eq!(kept(&rig), 0, "of no use to anybody else");
    assert!(masa.outcomes().len() >= 3);
    assert!(rig.last_event(SERIAL).contains("for this exchange only"));
}

#[test]
fn a_masa_that_is_down_is_told_as_what_it_is() {
    let (rig, mut masa) = world(VouchersOnDemand::NonceRequired, "");
    masa.kill();
    let answer = asked(&rig, Some(&[1; 16]));
    assert_eq!((answer.status, answer.header("retry-after")), (503, "60"));
    assert_eq!(answer.error_tag(), "resource-denied");
    assert!(!answer.text().contains("localhost"), "{}", answer.text());
    let told = rig.last_event(SERIAL);
    assert!(told.starts_with("refused: outside.unreachable: "), "{told}");
    assert_eq!(
        rig.state(SERIAL),
        "Unprovisioned",
        "it is not the device's fault"
    );
    assert_eq!(metric(&rig, "failed"), 1);
    // With a voucher that is there, devices without a nonce are served, and only they.
    let upload = rig.admin().data(voucher_for(&rig, SERIAL, None));
    assert_eq!(upload.send("/api/v1/vouchers?name=v").status, 200);
    assert_eq!(voucher_in(&asked(&rig, None)).nonce, None);
    assert_eq!(asked(&rig, Some(&[2; 16])).status, 503);
}

#[test]
fn the_voucher_that_is_there_stands_in_where_no_nonce_is_required() {
    let (rig, mut masa) = world(VouchersOnDemand::IfNonce, "");
    masa.kill();
    let upload = rig.admin().data(voucher_for(&rig, SERIAL, None));
    assert_eq!(upload.send("/api/v1/vouchers?name=v").status, 200);
    assert_eq!(voucher_in(&asked(&rig, Some(&[2; 16]))).nonce, None);
    let told = rig.last_event(SERIAL);
    assert!(
        told.contains("the voucher that was there, as none was fetched: outside."),
        "{told}"
    );
}

#[test]
fn a_profile_says_when() {
    let (rig, _masa) = world(VouchersOnDemand::Never, "");
    assert_eq!(
        asked(&rig, None).status,
        404,
        "nothing signed, and nobody is asked"
    );
    let content_type = "Content-Type: application/json";
    let configuration = rig.admin().method("PUT").data("hostname profile\n");
    let put = configuration.send("/api/v1/configurations/base?kind=configuration");
    assert_eq!(put.status, 201, "{}", put.text());
    let profile = json!({"configuration": "base", "configuration_handling": "merge",
        "vouchers_on_demand": "if-missing"});
    let put = rig.admin().method("PUT").header(content_type);
    let put = put.data(profile.to_string()).send("/api/v1/profiles/edge");
    assert!([200, 201].contains(&put.status), "{}", put.text());
    let device = json!({"profile": "edge"});
    let put = rig.admin().method("PUT").header(content_type);
    let path = format!("/api/v1/devices/{SERIAL}");
    assert_eq!(put.data(device.to_string()).send(&path).status, 200);
    assert_eq!(voucher_in(&asked(&rig, None)).serial_number, SERIAL);
}

#[test]
fn who_is_refused_a_voucher_need_not_come_again_at_once() {
    let (rig, masa) = world(VouchersOnDemand::IfMissing, "nonce_required = true");
    let answer = asked(&rig, None);
    assert_eq!((answer.status, answer.header("retry-after")), (404, ""));
    let told = rig.last_event(SERIAL);
    assert!(
        told.contains("outside.status") && told.contains("masa.nonce-missing"),
        "{told}"
    );
    assert_eq!(metric(&rig, "refused"), 1);
    assert_eq!(masa.outcomes(), ["masa.nonce-missing"]);
}

#[test]
fn wrong_answers_reach_no_device() {
    let rig = with_program("#!/bin/sh\ncat \"$1\"\n", 5);
    let put = |octets: &[u8]| {
        fs::write(rig.path("data/voucher"), octets).expect("written");
    };
    let nonce = [9; 16];
    let wrong = |octets: &[u8], code: &str| {
        put(octets);
        let answer = asked(&rig, Some(&nonce));
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, "7"),
            "{code}"
        );
        let told = rig.last_event(SERIAL);
        assert!(
            told.starts_with(&format!("refused: {code}: ")),
            "{code}: {told}"
        );
    };
    // A voucher of another exchange, and one that anybody could replay.
    wrong(
        &voucher_for(&rig, SERIAL, Some(&[8; 16])),
        "voucher.nonce-mismatch",
    );
    wrong(&voucher_for(&rig, SERIAL, None), "voucher.nonce-missing");
    wrong(
        &voucher_for(&rig, "AX7-00043", Some(&nonce)),
        "voucher.serial-mismatch",
    );
    let stranger = sztp_server::lab::LabPki::generate(&sztp_server::lab::LabOptions::new(now()));
    let stranger = stranger.expect("another vendor");
    let pinned = rig.lab.pinned_domain_ca.certificate.as_der();
    let mut voucher = Voucher::new(SERIAL, Assertion::Logged, pinned, now().plus_secs(-60));
    voucher.nonce = Some(nonce.to_vec());
    let (key, certificate) = (&stranger.masa.key, &stranger.masa.certificate);
    let options = IssueOptions::default();
    let forged = issue(&voucher, key, certificate, &[], &options).expect("signed");
    wrong(&forged, "voucher.untrusted-signer");
    voucher.pinned_domain_cert = stranger.pinned_domain_ca.certificate.as_der().to_vec();
    let masa = &rig.lab.masa;
    let elsewhere = issue(&voucher, &masa.key, &masa.certificate, &[], &options).expect("signed");
    wrong(&elsewhere, "owner-certificate.not-under-pinned-domain-cert");
    wrong(&vec![b'x'; 1_000_000], "outside.program");
    assert!(metric(&rig, "bad") >= 5);
    // The right one, as text.
    put(STANDARD
        .encode(voucher_for(&rig, SERIAL, Some(&nonce)))
        .as_bytes());
    let voucher = voucher_in(&asked(&rig, Some(&nonce)));
    assert_eq!(voucher.nonce.as_deref(), Some(&nonce[..]));
}

#[test]
fn a_program_gets_to_know_the_device_and_is_not_waited_for_too_long() {
    let rig = with_program("#!/bin/sh\ncat > \"$1\"\nsleep 60\n", 1);
    let begun = std::time::Instant::now();
    assert_eq!(asked(&rig, Some(&[4; 16])).status, 503);
    assert!(begun.elapsed().as_secs() < 20);
    assert!(rig.last_event(SERIAL).contains("outside.timed-out"));
    let document = fs::read(rig.path("data/voucher")).expect("what it was given");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(document["serial-number"], SERIAL);
    assert_eq!(document["nonce"], STANDARD.encode([4; 16]));
    let pinned = rig.lab.pinned_domain_ca.certificate.as_der();
    assert_eq!(document["pinned-domain-cert"], STANDARD.encode(pinned));
    assert!(document["idevid-certificate"].is_string() && document["idevid-issuer"].is_string());
}
