//! A bootstrap server inside another program, and one device that is bootstrapped by it over
//! mutual TLS on loopback.
//!
//! `cargo run -p sztp-examples --bin embed_server`

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use sztp_cms::{KeyType, TrustAnchors, UnixTime, WallClock};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, ScriptStage,
};
use sztp_server::lab::LabPki;
use sztp_server::model::{Answer, Blob, DeviceSpec, Handling, OnboardingSpec};
use sztp_server::{Config, Server};

const SERIAL_NUMBER: &str = "AX7-00042";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(Config::loopback(directory.path())).await?;
    println!("devices connect to {}", server.public_url());

    // What the device is to become. `service()` is all of the server without HTTP.
    let spec = DeviceSpec {
        answer: Answer::Onboarding(OnboardingSpec {
            configuration: Some(Blob(b"hostname edge-42\n".to_vec())),
            configuration_handling: Some(Handling::Replace),
            ..OnboardingSpec::default()
        }),
        ..DeviceSpec::default()
    };
    server.service().add_device(SERIAL_NUMBER, spec).await?;

    // With no configuration the server has made a lab PKI: its vendor makes our device.
    let lab = LabPki::load(&directory.path().join("lab"))?;
    let idevid = lab.issue_idevid(SERIAL_NUMBER, KeyType::EcP256, now())?;
    let outcome = bootstrap(&lab, &server, idevid).await;
    let Outcome::Bootstrapped { .. } = outcome else {
        return Err(format!("not bootstrapped: {outcome:?}").into());
    };

    // The server has heard of all of it.
    let device = server.service().device(SERIAL_NUMBER).await?;
    println!("{} is {}", device.serial_number, device.state);
    server.shutdown().await;
    Ok(())
}

/// Boots the device against the server, whose TLS certificate it can judge.
async fn bootstrap(lab: &LabPki, server: &Server, idevid: sztp_server::lab::Identity) -> Outcome {
    let voucher_anchors = TrustAnchors::new([lab.vendor_root.certificate.clone()]);
    let mut config = DeviceConfig::new(SERIAL_NUMBER, voucher_anchors);
    config.servers = vec![Endpoint {
        address: "localhost".to_owned(),
        port: server.device_addr().port(),
        trust: EndpointTrust::Anchors(TrustAnchors::new([lab.tls_ca.certificate.clone()])),
    }];
    config.idevid = Some(idevid.certificate.clone());
    let identity = Identity {
        chain: vec![idevid.certificate, lab.idevid_ca.certificate.clone()],
        key: idevid.key.into(),
    };
    let clock = || WallClock::Trusted(now());
    let client = Client::new(Some(identity), Settings::default(), clock);
    client
        .run(&mut Device::new(config), &mut Console, |_| {})
        .await
}

fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

/// A device that only says what it is asked to do.
struct Console;

impl Platform for Console {
    async fn install_image(&mut self, _: &Path) -> Result<(), String> {
        Err("this device has one image".to_owned())
    }

    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        Ok(Reboot::Pending)
    }

    async fn run_script(&mut self, stage: ScriptStage, _: &[u8]) -> Ended {
        println!("would run the {stage:?} script");
        Ended::Well
    }

    async fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> Ended {
        println!(
            "{handling:?} configuration: {}",
            String::from_utf8_lossy(configuration).trim()
        );
        Ended::Well
    }

    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}
