//! A device's bootstrap driven by hand, without network, files or clock: what the machine asks for
//! is done here in a few lines each (RFC 8572 §5).
//!
//! `cargo run -p sztp-examples --bin drive_device`

use std::error::Error;

use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, Signer as _, SigningKey, TrustAnchors, UnixTime,
    WallClock,
};
use sztp_core::artifacts::{content_type, owner_certificate_artifact, sign_artifact};
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo, OnboardingInformation};
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Input, Outcome, Output,
};
use sztp_core::restconf::media_type;
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

const SERIAL_NUMBER: &str = "AX7-00042";

fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixTime::from_system_time(std::time::SystemTime::now());
    let (vendor_root, answer) = what_vendor_and_owner_made(now)?;

    // A factory-fresh device knows its serial number, its vendor's anchor, and a server to ask. It
    // cannot judge the server's certificate, so what the server says has to be signed.
    let mut config = DeviceConfig::new(SERIAL_NUMBER, TrustAnchors::new([vendor_root]));
    config.servers = vec![Endpoint {
        address: "bootstrap.example.com".to_owned(),
        port: 443,
        trust: EndpointTrust::Provisional,
    }];
    let mut device = Device::new(config);

    // Ask the machine what to do, do it, tell it what came of it, until it has ended.
    while let Some(output) = device.poll_output() {
        let input = match output {
            Output::Post {
                server,
                operation,
                body,
                ..
            } => {
                println!(
                    "POST {operation} to {server}: {}",
                    String::from_utf8_lossy(&body)
                );
                Input::Response {
                    status: 200,
                    content_type: Some(media_type(Encoding::Json).to_owned()),
                    retry_after: None,
                    body: answer.clone(),
                }
            }
            Output::RunScript { stage, script } => {
                println!("run {stage:?} script: {}", String::from_utf8_lossy(&script));
                Input::Ended(Ended::Well)
            }
            Output::CommitConfiguration {
                handling,
                configuration,
            } => {
                println!(
                    "{handling:?} configuration: {}",
                    String::from_utf8_lossy(&configuration)
                );
                Input::Ended(Ended::Well)
            }
            Output::CheckEnabled => Input::Enabled(true),
            // This device has nothing but the server that it knows.
            Output::ListRemovableStorage
            | Output::LookUpDhcp
            | Output::FindDomains
            | Output::Resolve(_) => Input::Nothing,
            Output::CheckReady | Output::Rollback => Input::Ended(Ended::Well),
            Output::Done(Outcome::Bootstrapped { origin, signed }) => {
                println!("bootstrapped by {origin}, signed by the owner: {signed}");
                return Ok(());
            }
            Output::Done(outcome) => return Err(format!("not bootstrapped: {outcome:?}").into()),
            // This owner wants no other boot image.
            other => Input::Failed {
                reason: format!("cannot do {other:?}"),
            },
        };
        device.handle_input(WallClock::Trusted(now), input);
    }
    Err("the machine stopped before it ended".into())
}

/// The vendor's root, and the answer of a bootstrap server with all three artifacts: the vendor's
/// voucher, the owner certificate below what the voucher pins, and what the owner signed.
fn what_vendor_and_owner_made(now: UnixTime) -> Result<(Certificate, Vec<u8>), Box<dyn Error>> {
    let key = || SigningKey::generate(KeyType::EcP256);
    let (vendor_key, masa_key, domain_key, owner_key) = (key()?, key()?, key()?, key()?);
    let vendor = CertificateBuilder::new("CN=Vendor Root")
        .ca(None)
        .self_signed(&vendor_key)?;
    let masa = CertificateBuilder::new("CN=Vendor MASA").issued_by(
        masa_key.spki_der(),
        &vendor,
        &vendor_key,
    )?;
    let domain = CertificateBuilder::new("CN=Owner Domain CA")
        .ca(None)
        .self_signed(&domain_key)?;
    let owner = CertificateBuilder::new("CN=Owner").issued_by(
        owner_key.spki_der(),
        &domain,
        &domain_key,
    )?;

    let voucher = Voucher::new(SERIAL_NUMBER, Assertion::Verified, domain.as_der(), now);
    let voucher = issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default())?;
    let info = ConveyedInfo::Onboarding(OnboardingInformation {
        pre_configuration_script: Some(b"#!/bin/sh\necho hello\n".to_vec()),
        configuration: Some(b"hostname edge-42\n".to_vec()),
        configuration_handling: Some(ConfigurationHandling::Replace),
        ..OnboardingInformation::default()
    });
    let json = content_type(Encoding::Json);
    let output = GetBootstrappingDataOutput {
        reporting_level: None,
        conveyed_information: sign_artifact(&info, Encoding::Json, json, &owner_key, &owner)?,
        owner_certificate: Some(owner_certificate_artifact(&owner, &[domain])?),
        ownership_voucher: Some(voucher),
    };
    Ok((vendor, output.encode(Encoding::Json)))
}
