//! What a device believes: signed data from anyone, unsigned data from servers that it
//! authenticated, and nothing else. Each refusal by its exact error.

mod pair;

use pair::{
    NONCE, NOW, Pair, Reply, Server, at, bootstrapped, key, not_trusting, onboarding, root,
    trusting, unsigned, world,
};
use sztp_cms::{CmsError, PathError, WallClock};
use sztp_core::artifacts::ArtifactError;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{Device, DeviceConfig, FailureKind, Outcome};
use sztp_core::rpc::ProgressType::*;
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};
use sztp_voucher::{Assertion, Voucher, VoucherError};

const HOST: &str = "boot.example";

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

fn run(data: &GetBootstrappingDataOutput, config: DeviceConfig) -> (Pair, Outcome) {
    let mut pair = Pair::new([Server::giving(HOST, data.clone())]);
    let outcome = pair.run(config);
    (pair, outcome)
}

fn kinds(outcome: &Outcome) -> Vec<FailureKind> {
    match outcome {
        Outcome::Failed(failures) => failures.iter().map(|one| one.kind.clone()).collect(),
        other => panic!("did not fail: {other:?}"),
    }
}

/// Refused from servers of both kinds, without any effect; the trusted one is told why.
fn refused(data: &GetBootstrappingDataOutput, expected: &ArtifactError) {
    let (pair, outcome) = run(data, not_trusting(HOST));
    let expected_kind = FailureKind::Artifacts(expected.clone());
    assert_eq!(kinds(&outcome), std::slice::from_ref(&expected_kind));
    assert!(pair.effects().is_empty(), "{:?}", pair.effects());
    assert_eq!(pair.server(HOST).told(), []);

    // LEDGER: 8572-5.3-10, 8572-5.4-01, 8572-5.6-15, 8572-7.3-15
    let (pair, outcome) = run(data, trusting(HOST));
    assert_eq!(kinds(&outcome), [expected_kind]);
    assert!(pair.effects().is_empty(), "{:?}", pair.effects());
    let told = pair.server(HOST).told();
    assert_eq!(told, [BootstrapInitiated, ParsingInitiated, ParsingError]);
    let last = pair.server(HOST).reports.last().expect("three");
    assert_eq!(last.message, Some(expected.to_string()));
}

fn voucher(error: VoucherError) -> ArtifactError {
    ArtifactError::Voucher(error)
}

fn signed_with(edit: impl FnOnce(&mut Voucher)) -> GetBootstrappingDataOutput {
    world().signed_with(&info(), edit)
}

#[test]
fn signed_data_is_believed_from_anyone() {
    // LEDGER: 8572-5.3-03, 8572-5.3-09
    for config in [trusting(HOST), not_trusting(HOST)] {
        let (_, outcome) = run(&world().signed(&info()), config);
        assert!(bootstrapped(&outcome).1);
    }
}

#[test]
fn validation_alone_applies_nothing_and_tells_nobody() {
    let only_validating = |config| DeviceConfig {
        validate_only: true,
        ..config
    };
    for config in [trusting(HOST), not_trusting(HOST)] {
        let (pair, outcome) = run(&world().signed(&info()), only_validating(config));
        let Outcome::Validated {
            signed, info: got, ..
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(signed && *got == onboarding());
        assert!(pair.effects().is_empty(), "{:?}", pair.effects());
        assert_eq!(pair.server(HOST).told(), []);
    }
    let data = unsigned(&info(), ReportingLevel::Verbose);
    let (_, outcome) = run(&data, only_validating(not_trusting(HOST)));
    let expected = FailureKind::Artifacts(ArtifactError::UntrustedOnboarding);
    assert_eq!(kinds(&outcome), [expected]);
}

#[test]
fn unsigned_onboarding_information_is_believed_from_trusted_servers_alone() {
    // LEDGER: 8572-2.2-01, 8572-5.3-15, 8572-9.5-01
    let data = unsigned(&info(), ReportingLevel::Verbose);
    let (_, outcome) = run(&data, trusting(HOST));
    assert!(!bootstrapped(&outcome).1);
    let (pair, outcome) = run(&data, not_trusting(HOST));
    let expected = FailureKind::Artifacts(ArtifactError::UntrustedOnboarding);
    assert_eq!(kinds(&outcome), [expected]);
    assert!(pair.effects().is_empty());
    assert_eq!(pair.server(HOST).told(), []);
}

#[test]
fn a_server_that_must_authenticate_is_not_fallen_back_upon() {
    // LEDGER: 8572-5.3-02, 8572-5.3-05, 8572-5.1-07
    let stranger_key = key();
    let stranger = root("CN=Stranger", &stranger_key);
    let wrong_name = world().server_chain("other.example");
    for chain in [vec![stranger], wrong_name] {
        let server = Server::giving(HOST, world().signed(&info())).with_chain(chain);
        let mut pair = Pair::new([server]);
        let outcome = pair.run(trusting(HOST));
        assert!(matches!(kinds(&outcome)[..], [FailureKind::Unreachable(_)]));
        assert_eq!(pair.server(HOST).asked, [], "no data was sent");
    }
}

#[test]
fn a_voucher_for_another_device() {
    // LEDGER: 8572-5.4-07, 8366-5.3-06
    for other in ["AX7-00043", "ax7-00042", "AX7-00042 "] {
        refused(
            &signed_with(|voucher| other.clone_into(&mut voucher.serial_number)),
            &voucher(VoucherError::SerialNumberMismatch {
                device: "AX7-00042".to_owned(),
                voucher: other.to_owned(),
            }),
        );
    }
}

#[test]
fn an_expired_voucher() {
    // LEDGER: 8572-5.4-05, 8366-5.3-03
    let data = signed_with(|voucher| voucher.expires_on = Some(at(-1)));
    refused(
        &data,
        &voucher(VoucherError::Expired {
            at: NOW,
            expires_on: at(-1),
        }),
    );
}

#[test]
fn a_voucher_from_the_future() {
    // LEDGER: 8572-5.4-04
    let data = signed_with(|voucher| voucher.created_on = at(3600));
    refused(
        &data,
        &voucher(VoucherError::NotYetValid {
            at: NOW,
            created_on: at(3600),
        }),
    );
}

#[test]
fn a_device_without_a_clock_judges_no_dates_but_those_that_are_past_for_certain() {
    // LEDGER: 8572-9.1-02, 8572-9.1-05
    let data = signed_with(|voucher| voucher.expires_on = Some(at(-1)));
    let mut pair = Pair::new([Server::giving(HOST, data)]);
    pair.clock = WallClock::Unknown;
    let mut device = Device::new(not_trusting(HOST));
    bootstrapped(&pair.drive(&mut device));
    assert_eq!(device.clock_floor(), Some(at(-3600)));

    let outcome = pair.run(DeviceConfig {
        clock_floor: Some(NOW),
        ..not_trusting(HOST)
    });
    let expired = voucher(VoucherError::Expired {
        at: NOW,
        expires_on: at(-1),
    });
    assert_eq!(kinds(&outcome), [FailureKind::Artifacts(expired)]);
    assert!(pair.effects().len() == 4, "only the first run's");
}

#[test]
fn an_assertion_that_policy_does_not_accept() {
    // LEDGER: 8572-5.4-06
    let data = signed_with(|voucher| voucher.assertion = Assertion::Logged);
    let (_, outcome) = run(&data, not_trusting(HOST));
    bootstrapped(&outcome);
    let strict = DeviceConfig {
        assertions: vec![Assertion::Verified],
        ..not_trusting(HOST)
    };
    let (_, outcome) = run(&data, strict);
    let found = Assertion::Logged;
    let expected = voucher(VoucherError::AssertionRefused { found });
    assert_eq!(kinds(&outcome), [FailureKind::Artifacts(expected)]);
}

#[test]
fn the_idevid_issuer() {
    // LEDGER: 8572-5.4-08, 8366-5.3-08
    let authority = world()
        .idevid
        .authority_key_identifier()
        .map(<[u8]>::to_vec);
    assert!(authority.is_some());
    let good = signed_with(|voucher| voucher.idevid_issuer = authority);
    let (_, outcome) = run(&good, not_trusting(HOST));
    bootstrapped(&outcome);
    refused(
        &signed_with(|voucher| voucher.idevid_issuer = Some(vec![0x30, 0])),
        &voucher(VoucherError::IdevidIssuerMismatch),
    );
    // Without an IDevID nothing can be compared, and the voucher does not hold.
    let nameless = DeviceConfig {
        idevid: None,
        ..not_trusting(HOST)
    };
    let (_, outcome) = run(&good, nameless);
    let expected = voucher(VoucherError::IdevidIssuerMismatch);
    assert_eq!(kinds(&outcome), [FailureKind::Artifacts(expected)]);
}

#[test]
fn a_nonce_is_sent_and_may_come_back() {
    // LEDGER: 8366-5.3-12, 8572-5.4-14, 8572-5.4-15, 8572-7.3-05
    let config = || DeviceConfig {
        nonce: Some(NONCE.to_vec()),
        ..not_trusting(HOST)
    };
    let with_nonce = |nonce: &[u8]| {
        let nonce = nonce.to_vec();
        signed_with(|voucher| voucher.nonce = Some(nonce))
    };
    let (pair, outcome) = run(&with_nonce(&NONCE), config());
    bootstrapped(&outcome);
    let sent = pair.server(HOST).asked[0].nonce.as_deref();
    assert_eq!(sent, Some(&NONCE[..]));
    // A voucher from stock has none.
    let (_, outcome) = run(&world().signed(&info()), config());
    bootstrapped(&outcome);

    let (_, outcome) = run(&with_nonce(&[8; 16]), config());
    let expected = voucher(VoucherError::NonceMismatch);
    assert_eq!(kinds(&outcome), [FailureKind::Artifacts(expected)]);
    refused(&with_nonce(&NONCE), &voucher(VoucherError::NonceUnexpected));
}

#[test]
fn an_owner_certificate_of_another_owner() {
    // LEDGER: 8572-5.4-10, 8366-5.3-10
    let key = key();
    let other = root("CN=Somebody", &key);
    let unknown = ArtifactError::NotUnderPinnedDomainCert(PathError::UnknownIssuer {
        issuer: world().owner.issuer(),
    });
    let data = signed_with(|voucher| voucher.pinned_domain_cert = other.as_der().to_vec());
    refused(&data, &unknown);
}

#[test]
fn conveyed_information_of_which_a_bit_is_another() {
    // LEDGER: 8572-5.4-12
    let mut data = world().signed(&info());
    let position = data
        .conveyed_information
        .windows(5)
        .position(|five| five == b"merge")
        .expect("its configuration-handling");
    data.conveyed_information[position] ^= 0x20;
    refused(
        &data,
        &ArtifactError::NotSignedByOwner(CmsError::DigestMismatch),
    );
}

#[test]
fn signed_data_with_a_part_missing() {
    // LEDGER: 8572-5.4-02
    let mut data = world().signed(&info());
    (data.owner_certificate, data.ownership_voucher) = (None, None);
    refused(&data, &ArtifactError::VoucherAbsent);
    // LEDGER: 8572-7.3-08
    for edit in [
        |data: &mut GetBootstrappingDataOutput| data.owner_certificate = None,
        |data: &mut GetBootstrappingDataOutput| data.ownership_voucher = None,
    ] {
        let mut data = world().signed(&info());
        edit(&mut data);
        let (pair, outcome) = run(&data, not_trusting(HOST));
        assert!(matches!(kinds(&outcome)[..], [FailureKind::Message(_)]));
        assert!(pair.effects().is_empty());
    }
}

fn raw(status: u16, content_type: Option<&'static str>, body: &'static [u8]) -> FailureKind {
    let mut pair = Pair::new([Server::new(HOST, move |_| Reply::Raw {
        status,
        content_type,
        body: body.to_vec(),
    })]);
    let outcome = pair.run(not_trusting(HOST));
    assert!(pair.effects().is_empty());
    kinds(&outcome).remove(0)
}

#[test]
fn an_answer_that_is_none() {
    // LEDGER: 8572-5.6-14, 8572-7.3-22
    let html = raw(
        200,
        Some("text/html; charset=utf-8"),
        b"<html>Log in</html>",
    );
    assert_eq!(html.code(), "device.not-restconf");
    let broken = raw(200, Some("application/yang-data+json"), b"{");
    assert_eq!(broken.code(), "yang.malformed");
    let moved = raw(307, None, b"");
    // LEDGER: 8040-ops-01
    assert!(matches!(moved, FailureKind::Refused { status: 307, .. }));
    let body = br#"{"ietf-restconf:errors":{"error":[{"error-type":"protocol","error-tag":"access-denied","error-message":"who?"}]}}"#;
    let denied = raw(403, Some("application/yang-data+json"), body);
    assert_eq!(denied.to_string(), "status 403 (access-denied: who?)");
    // LEDGER: 8572-9.6-02
    let login = raw(401, None, b"");
    assert!(matches!(login, FailureKind::Refused { status: 401, .. }));
}

#[test]
fn a_trusted_server_is_told_that_its_answer_cannot_be_read() {
    // LEDGER: 8572-5.6-15
    let mut pair = Pair::new([Server::new(HOST, |_| Reply::Raw {
        status: 200,
        content_type: Some("application/yang-data+json"),
        body: b"{\"ietf-sztp-bootstrap-server:output\":{}}".to_vec(),
    })]);
    pair.run(trusting(HOST));
    assert_eq!(pair.server(HOST).told(), [BootstrapInitiated, ParsingError]);
}
