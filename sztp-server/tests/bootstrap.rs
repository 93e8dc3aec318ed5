//! The device machine against this server, over TLS: redirect, promotion, image, reports.

mod harness;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Rig, now};
use serde_json::json;
use sztp_cms::{KeyType, TrustAnchors, WallClock};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, RunningImage, ScriptStage,
};
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

const SERIAL: &str = "AX7-00042";

/// Remembers what it was told to do.
#[derive(Default)]
struct Recorder(Vec<String>);

impl Platform for Recorder {
    async fn install_image(&mut self, image: &Path) -> Result<(), String> {
        let octets = std::fs::read(image).map_err(|error| error.to_string())?;
        self.0
            .push(format!("install {}", String::from_utf8_lossy(&octets)));
        Ok(())
    }

    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        self.0.push("reboot".to_owned());
        Ok(Reboot::Done(RunningImage {
            os_name: Some("os".to_owned()),
            os_version: Some("2".to_owned()),
            ..RunningImage::default()
        }))
    }

    async fn run_script(&mut self, stage: ScriptStage, script: &[u8]) -> Ended {
        self.0
            .push(format!("{stage:?} {}", String::from_utf8_lossy(script)));
        Ended::Well
    }

    async fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> Ended {
        let configuration = String::from_utf8_lossy(configuration);
        self.0
            .push(format!("{} {configuration}", handling.as_str()));
        Ended::Well
    }

    async fn roll_back(&mut self) -> Ended {
        self.0.push("roll back".to_owned());
        Ended::Well
    }
}

/// A device that trusts no server and asks `rig`'s.
fn boot(rig: &Rig, trust: EndpointTrust) -> (Outcome, Vec<String>) {
    let idevid = rig
        .lab
        .issue_idevid(SERIAL, KeyType::EcP256, now())
        .expect("an IDevID");
    let anchors = TrustAnchors::new([rig.lab.vendor_root.certificate.clone()]);
    let mut config = DeviceConfig::new(SERIAL, anchors);
    config.idevid = Some(idevid.certificate.clone());
    config.running = RunningImage {
        os_name: Some("os".to_owned()),
        os_version: Some("1".to_owned()),
        ..RunningImage::default()
    };
    config.servers = vec![Endpoint {
        address: "localhost".to_owned(),
        port: rig.server().device_addr().port(),
        trust,
    }];
    let identity = Identity {
        chain: vec![
            idevid.certificate.clone(),
            rig.lab.idevid_ca.certificate.clone(),
        ],
        key: idevid.key.clone().into(),
    };
    let settings = Settings {
        download_directory: rig.directory.path().to_owned(),
        ..Settings::default()
    };
    let client = Client::new(Some(identity), settings, || WallClock::Trusted(now()));
    let mut device = Device::new(config);
    let mut recorder = Recorder::default();
    let outcome = rig
        .runtime
        .block_on(client.run(&mut device, &mut recorder, |_| {}));
    (outcome, recorder.0)
}

fn voucher(rig: &Rig) -> String {
    let pinned = rig.lab.pinned_domain_ca.certificate.as_der();
    let voucher = Voucher::new(SERIAL, Assertion::Verified, pinned, now().plus_secs(-3600));
    let masa = &rig.lab.masa;
    let options = IssueOptions::default();
    STANDARD.encode(issue(&voucher, &masa.key, &masa.certificate, &[], &options).expect("signed"))
}

fn onboarding() -> serde_json::Value {
    json!({
        "kind": "onboarding",
        "boot_image": {"image": "os-2.bin", "os_name": "os", "os_version": "2"},
        "configuration": {"text": "hostname edge"},
        "configuration_handling": "replace",
        "pre_configuration_script": {"text": "before"},
        "post_configuration_script": {"text": "after"},
    })
}

// LEDGER: 8572-9.6-05, 8572-B-01
#[test]
fn a_device_that_trusts_nobody_is_promoted_and_bootstrapped_to_the_end() {
    let rig = Rig::start();
    let uploaded = rig
        .admin()
        .data("image 2")
        .send("/api/v1/images?name=os-2.bin");
    assert_eq!(uploaded.status, 201);
    rig.add(&json!({"serial_number": SERIAL, "voucher": voucher(&rig), "answer": onboarding()}));
    let (outcome, done) = boot(&rig, EndpointTrust::Provisional);
    let told: Vec<String> = rig
        .history(SERIAL)
        .iter()
        .map(|entry| {
            let kind = entry["progress_type"].as_str().or(entry["event"].as_str());
            kind.expect("text").to_owned()
        })
        .collect();
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?} {told:?}"
    );
    let steps = [
        "install image 2",
        "reboot",
        "Pre before",
        "replace hostname edge",
        "Post after",
    ];
    assert_eq!(done, steps);
    assert_eq!(rig.state(SERIAL), "Provisioned");
    assert_eq!(told[..3], ["added", "promoted", "served"], "{told:?}");
    for name in [
        "boot-image-installed-rebooting",
        "config-complete",
        "bootstrap-complete",
    ] {
        assert!(told.iter().any(|told| told == name), "{name}: {told:?}");
    }
}

#[test]
fn a_device_is_sent_to_its_server_by_another() {
    let first = Rig::start();
    let lab = |name: &str| Some(first.path("data/lab").join(name));
    // Of the same vendor and the same owner.
    let second = Rig::start_with_lab(&first.lab, |config| {
        config.idevid_anchors.extend(lab("vendor/root.crt"));
        config.voucher_anchors.extend(lab("vendor/root.crt"));
        config.owner.certificate = lab("owner/owner.crt");
        config.owner.key = lab("owner/owner.key");
        config.tls.certificate = lab("server/tls.crt");
        config.tls.key = lab("server/tls.key");
        config.tls.trust_anchor = lab("server/tls-ca.crt");
    });
    let anchor = first.lab.tls_ca.certificate.to_pem();
    first.add(&json!({"serial_number": SERIAL, "voucher": voucher(&first),
    "answer": {"kind": "redirect", "servers": [{
        "address": "localhost",
        "port": second.server().device_addr().port(),
        "trust_anchor": {"text": anchor},
    }]}}));
    let device = json!({"answer": {"kind": "onboarding", "configuration": {"text": "here"},
        "configuration_handling": "merge"}});
    let spec = serde_json::from_value(device).expect("a device");
    let added = second.server().service().add_device(SERIAL, spec);
    second.runtime.block_on(added).expect("added");
    let (outcome, done) = boot(&first, EndpointTrust::Provisional);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { signed: false, .. }),
        "{outcome:?}"
    );
    assert_eq!(done, ["merge here"]);
    assert_eq!(
        first.state(SERIAL),
        "InProgress",
        "it reports to the other one"
    );
    let device = second
        .runtime
        .block_on(second.server().service().device(SERIAL));
    assert_eq!(device.expect("a device").state, "Provisioned");
}

#[test]
fn the_reports_of_a_device_that_fails_say_where() {
    let rig = Rig::start();
    let uploaded = rig
        .admin()
        .data("image 2")
        .send("/api/v1/images?name=os-2.bin");
    assert_eq!(uploaded.status, 201);
    let mut answer = onboarding();
    answer["boot_image"]["sha256"] = "00".repeat(32).into();
    rig.add(&json!({"serial_number": SERIAL, "voucher": voucher(&rig), "answer": answer}));
    let anchors = TrustAnchors::new([rig.lab.tls_ca.certificate.clone()]);
    let (outcome, done) = boot(&rig, EndpointTrust::Anchors(anchors));
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(
        !done.iter().any(|step| step.starts_with("install")),
        "{done:?}"
    );
    let device = rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}"))
        .json();
    assert_eq!(device["state"], "ZtpError", "{device}");
    assert!(
        device["reason"]
            .as_str()
            .expect("a reason")
            .starts_with("boot-image-error"),
        "{device}"
    );
}
