//! Artifacts that are encrypted for the device, as the machine meets them (RFC 8572 §3.4, §5.3).

mod pair;

use std::sync::Arc;

use pair::{
    Pair, SERIAL, Server, bootstrapped, codes, not_trusting, onboarding, trusting, unsigned, world,
};
use sztp_core::artifacts::encrypt_artifact;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{DeviceConfig, DeviceKey, Outcome};
use sztp_core::rpc::ProgressType::*;
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};

const HOST: &str = "boot.example";

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

fn able(config: DeviceConfig) -> DeviceConfig {
    let key = Arc::new(world().idevid_key.clone());
    DeviceConfig {
        decryption: vec![DeviceKey::new(key, world().idevid.clone())],
        ..config
    }
}

fn encrypted(artifact: &[u8]) -> Vec<u8> {
    encrypt_artifact(artifact, &world().idevid).expect("an encrypted artifact")
}

/// The artifacts, of which some are encrypted: conveyed information, owner certificate, voucher.
fn partly_encrypted(which: [bool; 3]) -> GetBootstrappingDataOutput {
    let mut output = world().signed(&info());
    let encrypt = |artifact: &mut Vec<u8>, yes: bool| {
        if yes {
            *artifact = encrypted(artifact);
        }
    };
    encrypt(&mut output.conveyed_information, which[0]);
    if let Some(artifact) = &mut output.owner_certificate {
        encrypt(artifact, which[1]);
    }
    if let Some(artifact) = &mut output.ownership_voucher {
        encrypt(artifact, which[2]);
    }
    output
}

#[test]
fn each_artifact_may_be_encrypted() {
    // LEDGER: 8572-5.3-08, 8572-3.1-06, 8572-3.2-08, 8572-3.3-03, 8572-9.2-01
    for combination in 0..8 {
        let which = [1, 2, 4].map(|bit| combination & bit != 0);
        let mut pair = Pair::new([Server::giving(HOST, partly_encrypted(which))]);
        let outcome = pair.run(able(not_trusting(HOST)));
        assert!(bootstrapped(&outcome).1, "{which:?}");
        assert_eq!(pair.server(HOST).told(), []);
    }
}

#[test]
fn encryption_makes_nothing_trusted() {
    // LEDGER: 8572-3.1-04, 8572-5.3-03, 8572-2.2-01
    let mut output = unsigned(&info(), ReportingLevel::Minimal);
    output.conveyed_information = encrypted(&output.conveyed_information);
    let mut pair = Pair::new([Server::giving(HOST, output.clone())]);
    let outcome = pair.run(able(not_trusting(HOST)));
    assert_eq!(codes(&outcome), ["artifacts.untrusted-onboarding"]);
    assert!(pair.effects().is_empty());
    let mut pair = Pair::new([Server::giving(HOST, output)]);
    assert!(!bootstrapped(&pair.run(able(trusting(HOST)))).1);
}

#[test]
fn without_the_key_an_encrypted_artifact_is_an_error() {
    // LEDGER: 8572-5.1-13
    for which in [
        [true, false, false],
        [false, true, false],
        [false, false, true],
    ] {
        let mut pair = Pair::new([Server::giving(HOST, partly_encrypted(which))]);
        assert_eq!(
            codes(&pair.run(not_trusting(HOST))),
            ["artifacts.encrypted"]
        );
        assert!(pair.effects().is_empty());
    }
}

#[test]
fn every_failure_to_decrypt_is_the_same() {
    // LEDGER: 8572-3.4-10
    let message = |output: &GetBootstrappingDataOutput| {
        let mut pair = Pair::new([Server::giving(HOST, output.clone())]);
        let outcome = pair.run(able(trusting(HOST)));
        let Outcome::Failed(failures) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            pair.server(HOST).told(),
            [BootstrapInitiated, ParsingInitiated, ParsingError]
        );
        failures[0].kind.to_string()
    };
    let good = partly_encrypted([true, false, false]);
    // The last octets are of the encrypted content; those before are of the encrypted key or content.
    let length = good.conveyed_information.len();
    let mut messages: Vec<String> = Vec::new();
    for position in [length - 1, length - 17, length - 40] {
        let mut output = good.clone();
        output.conveyed_information[position] ^= 1;
        messages.push(message(&output));
    }
    messages.dedup();
    // Content that was changed decrypts to something else or to nothing, and says no more than that.
    assert!(
        messages.iter().all(|text| !text.contains("padding")),
        "{messages:?}"
    );
}

#[test]
fn the_configuration_shows_no_key() {
    let config = able(DeviceConfig::new(SERIAL, world().voucher_anchors()));
    let shown = format!("{:?}", config.decryption);
    assert!(
        shown.contains(SERIAL) && !shown.to_lowercase().contains("private"),
        "{shown}"
    );
    assert!(shown.len() < 200, "{shown}");
}
