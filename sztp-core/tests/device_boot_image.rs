//! The boot image: verified before it is installed, from the URIs given, in their order; and no
//! reboot without end.

mod pair;

use pair::{Pair, Server, bootstrapped, codes, running, trusting, unsigned};
use sha2::{Digest, Sha256};
use sztp_core::conveyed_info::{BootImage, ConveyedInfo, ImageVerification, OnboardingInformation};
use sztp_core::device::{Device, DeviceConfig, FailureKind, Outcome, RunningImage};
use sztp_core::rpc::ProgressType::{self, *};
use sztp_core::rpc::ReportingLevel;

const HOST: &str = "boot.example";
const IMAGE: &[u8] = b"AxOS 2.0";
const FIRST: &str = "https://one.example/axos-2.0.bin";
const SECOND: &str = "https://two.example/axos-2.0.bin";

fn image() -> BootImage {
    BootImage {
        os_name: Some("AxOS".to_owned()),
        os_version: Some("2.0".to_owned()),
        download_uris: vec![FIRST.to_owned(), SECOND.to_owned()],
        image_verification: vec![ImageVerification::sha256(Sha256::digest(IMAGE).into())],
    }
}

fn pair(image: BootImage, level: ReportingLevel) -> Pair {
    let info = OnboardingInformation {
        boot_image: Some(image),
        ..pair::onboarding()
    };
    let data = unsigned(&ConveyedInfo::Onboarding(info), level);
    Pair::new([Server::giving(HOST, data)])
}

fn fails(mut pair: Pair, reason: &str, effects: &[&str]) -> Vec<ProgressType> {
    let outcome = pair.run(trusting(HOST));
    let Outcome::Failed(failures) = outcome else {
        panic!("{outcome:?}");
    };
    let stage = BootImageError;
    let reason = reason.to_owned();
    assert_eq!(failures[0].kind, FailureKind::Onboarding { stage, reason });
    assert_eq!(failures.len(), 1);
    assert_eq!(pair.effects(), effects);
    let told = pair.server(HOST).told();
    // LEDGER: 8572-5.6-27
    assert_eq!(told.last(), Some(&BootImageError));
    told
}

#[test]
fn download_verify_install_reboot_and_from_scratch() {
    // LEDGER: 8572-5.6-18, 8572-5.6-19, 8572-5.6-25, 8572-5.6-26
    let mut pair = pair(image(), ReportingLevel::Verbose);
    pair.images.insert(FIRST, IMAGE.to_vec());
    pair.after_reboot = Some(running("2.0"));
    let outcome = pair.run(trusting(HOST));
    bootstrapped(&outcome);
    assert_eq!(
        pair.effects(),
        [
            format!("fetch {FIRST}").as_str(),
            "install",
            "reboot",
            "pre-script before",
            "merge hostname x",
            "post-script after",
            "check",
        ]
    );
    assert_eq!(
        pair.server(HOST).told()[..7],
        [
            BootstrapInitiated,
            ParsingInitiated,
            ParsingComplete,
            BootImageInitiated,
            BootImageMismatch,
            BootImageInstalledRebooting,
            BootstrapInitiated,
        ]
    );
    assert_eq!(pair.contacted(), [HOST, HOST]);
    // What runs is told anew.
    let asked = &pair.server(HOST).asked;
    assert_eq!(asked[0].os_version.as_deref(), Some("1.0"));
    assert_eq!(asked[1].os_version.as_deref(), Some("2.0"));
}

#[test]
fn the_second_uri_is_tried_when_the_first_has_nothing() {
    // LEDGER: 8572-5.6-20, 8572-5.6-21
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(SECOND, IMAGE.to_vec());
    pair.after_reboot = Some(running("2.0"));
    bootstrapped(&pair.run(trusting(HOST)));
    assert_eq!(
        pair.effects()[..3],
        [
            &format!("fetch {FIRST}"),
            &format!("fetch {SECOND}"),
            "install"
        ]
    );
    let warning = &pair.server(HOST).reports[2];
    assert_eq!(warning.progress_type, BootImageWarning);
    let message = warning.message.as_deref();
    assert_eq!(message, Some(format!("{FIRST}: status 404").as_str()));
}

#[test]
fn the_second_uri_is_tried_when_the_first_has_something_else() {
    // LEDGER: 8572-5.6-21, 8572-5.6-22
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(FIRST, b"AxOS 2.0, improved".to_vec());
    pair.images.insert(SECOND, IMAGE.to_vec());
    pair.after_reboot = Some(running("2.0"));
    bootstrapped(&pair.run(trusting(HOST)));
    assert_eq!(pair.effects()[2], "install");
}

#[test]
fn an_image_with_another_hash_is_never_installed() {
    // LEDGER: 8572-5.6-18, 8572-5.6-22
    let mut pair = pair(image(), ReportingLevel::Minimal);
    for uri in [FIRST, SECOND] {
        pair.images.insert(uri, b"AxOS 2.0, improved".to_vec());
    }
    let told = fails(
        pair,
        &format!("{SECOND}: its SHA-256 is not the one that was announced"),
        &[&format!("fetch {FIRST}"), &format!("fetch {SECOND}")],
    );
    assert_eq!(
        told,
        [
            BootstrapInitiated,
            BootImageMismatch,
            BootImageWarning,
            BootImageError
        ]
    );
}

#[test]
fn an_image_without_a_hash_is_not_even_fetched() {
    // LEDGER: 8572-5.6-22
    let mut image = image();
    image.image_verification.clear();
    fails(
        pair(image, ReportingLevel::Minimal),
        "the image has no SHA-256 to verify it by",
        &[],
    );
}

#[test]
fn an_image_that_is_named_and_not_offered() {
    let mut image = image();
    image.image_verification.clear();
    image.download_uris.clear();
    fails(
        pair(image, ReportingLevel::Minimal),
        "another image is required and none can be downloaded",
        &[],
    );
}

#[test]
fn only_what_is_named_is_compared() {
    // LEDGER: 8572-6.3-09
    for (name, version, fits) in [
        (Some("AxOS"), None, true),
        (None, Some("1.0"), true),
        (Some("AxOS"), Some("2.0"), false),
        (Some("axos"), Some("1.0"), false),
        (None, None, false),
    ] {
        let image = BootImage {
            os_name: name.map(str::to_owned),
            os_version: version.map(str::to_owned),
            ..image()
        };
        let mut pair = pair(image, ReportingLevel::Minimal);
        let outcome = pair.run(trusting(HOST));
        let bootstrapped = matches!(outcome, Outcome::Bootstrapped { .. });
        assert_eq!(bootstrapped, fits, "{name:?} {version:?}");
    }
}

#[test]
fn an_installation_that_fails() {
    // LEDGER: 8572-5.6-27
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(FIRST, IMAGE.to_vec());
    pair.install = Err("no space");
    let fetch = format!("fetch {FIRST}");
    let told = fails(pair, "no space", &[&fetch, "install"]);
    assert!(!told.contains(&BootImageInstalledRebooting));
}

#[test]
fn an_image_that_does_not_come_up_is_not_installed_without_end() {
    // LEDGER: 8572-5.6-26
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(FIRST, IMAGE.to_vec());
    pair.after_reboot = Some(running("1.0"));
    let fetch = format!("fetch {FIRST}");
    fails(
        pair,
        "this image was installed before, and it is not what runs",
        &[&fetch, "install", "reboot"],
    );
}

#[test]
fn nor_when_the_reboot_ends_the_process() {
    // LEDGER: 8572-5.6-26
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(FIRST, IMAGE.to_vec());
    let mut device = Device::new(trusting(HOST));
    let outcome = pair.drive(&mut device);
    assert!(matches!(outcome, Outcome::Rebooting { .. }), "{outcome:?}");
    let told = pair.server(HOST).told();
    assert_eq!(told.last(), Some(&BootImageInstalledRebooting));
    assert!(!told.contains(&BootstrapComplete));
    let installed: [u8; 32] = Sha256::digest(IMAGE).into();
    assert_eq!(device.installed_images(), [installed]);

    let again = DeviceConfig {
        installed_images: device.installed_images().to_vec(),
        ..trusting(HOST)
    };
    assert_eq!(codes(&pair.run(again.clone())), ["device.onboarding"]);
    // Had it come up, all would be well.
    let up = DeviceConfig {
        running: RunningImage {
            sha256: Some(installed),
            ..RunningImage::default()
        },
        ..again
    };
    bootstrapped(&pair.run(up));
}

#[test]
fn nor_one_image_after_the_other_without_end() {
    // LEDGER: 8572-5.6-26
    let mut pair = pair(image(), ReportingLevel::Minimal);
    pair.images.insert(FIRST, IMAGE.to_vec());
    pair.after_reboot = Some(running("2.0"));
    let with = |count: u8| DeviceConfig {
        installed_images: (0..count).map(|n| [n; 32]).collect(),
        ..trusting(HOST)
    };
    bootstrapped(&pair.run(with(7)));
    assert_eq!(codes(&pair.run(with(8))), ["device.onboarding"]);
}

#[test]
fn a_hash_algorithm_that_nobody_knows_is_an_error() {
    // LEDGER: 8572-5.6-23: even beside one that is known, as no identity but sha-256 is defined.
    let unknown = ImageVerification {
        hash_algorithm: "example-hashes:sha-1024".to_owned(),
        hash_value: vec![7; 128],
    };
    let known = image().image_verification.remove(0);
    for verifications in [vec![unknown.clone()], vec![unknown, known]] {
        let image = BootImage {
            image_verification: verifications,
            ..image()
        };
        let mut pair = pair(image, ReportingLevel::Minimal);
        assert_eq!(codes(&pair.run(trusting(HOST))), ["yang.invalid-value"]);
        assert!(pair.effects().is_empty());
        let told = [BootstrapInitiated, ParsingError];
        assert_eq!(pair.server(HOST).told(), told);
    }
}
