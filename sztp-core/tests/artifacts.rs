//! The three artifacts as one unit (RFC 8572 §5.4): each way to fail, by its exact error.

mod pair;

use pair::{NOW, SERIAL, at, key, onboarding, redirect, root, world};
use std::io::Write as _;
use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, ContentInfo, KeyUsage, PathError, Signer as _,
    SigningKey, WallClock, certs_only, oids,
};
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, SourceTrust, Trust, content_type,
    owner_certificate_artifact, sign_artifact, unsigned_artifact,
};
use sztp_core::conveyed_info::{ConveyedInfo, ConveyedInfoError, OnboardingInformation};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{
    Assertion, IssueOptions, NonceExpectation, Voucher, VoucherContext, VoucherError, issue,
};

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

fn good() -> BootstrappingData {
    world().signed(&info()).into()
}

fn judge_at(
    data: &BootstrappingData,
    source: SourceTrust,
    clock: WallClock,
) -> Result<Authenticated, ArtifactError> {
    let anchors = world().voucher_anchors();
    let context = VoucherContext {
        serial_number: Some(SERIAL),
        idevid: Some(&world().idevid),
        nonce: NonceExpectation::None,
        ..VoucherContext::new(&anchors, clock)
    };
    data.authenticate(source, &context, Encoding::Json)
}

fn judge(data: &BootstrappingData, source: SourceTrust) -> Result<Authenticated, ArtifactError> {
    judge_at(data, source, WallClock::Trusted(NOW))
}

/// The error of data that is refused, whatever its source.
fn error(data: &BootstrappingData) -> ArtifactError {
    let from = |source| judge(data, source).expect_err("it is refused");
    let error = from(SourceTrust::Unauthenticated);
    // LEDGER: 8572-5.3-10, 8572-5.4-01
    assert_eq!(from(SourceTrust::Authenticated), error);
    error
}

fn trusted(data: &BootstrappingData) -> (ConveyedInfo, Trust) {
    match judge(data, SourceTrust::Unauthenticated) {
        Ok(Authenticated::Trusted(trusted)) => (trusted.info().clone(), trusted.how().clone()),
        other => panic!("not trusted: {other:?}"),
    }
}

/// The owner's side with another owner certificate and what leads to the pin.
fn owned(
    owner: &Certificate,
    owner_key: &SigningKey,
    bag: &[Certificate],
    pin: &Certificate,
) -> BootstrappingData {
    let encoding = Encoding::Json;
    BootstrappingData {
        conveyed_information: sign_artifact(
            &info(),
            encoding,
            content_type(encoding),
            owner_key,
            owner,
        )
        .expect("signed"),
        owner_certificate: Some(certs_only(bag, &[]).expect("a CMS")),
        ownership_voucher: Some(
            world().voucher(|voucher| voucher.pinned_domain_cert = pin.as_der().to_vec()),
        ),
    }
}

#[test]
fn all_three_in_order_are_trusted() {
    // LEDGER: 8572-3.2-04, 8572-3.2-05, 8572-5.4-09
    let (found, how) = trusted(&good());
    assert_eq!(found, info());
    let Trust::Signed { voucher, owner } = how else {
        panic!("{how:?}");
    };
    assert_eq!(owner, world().owner);
    assert_eq!(voucher.pinned_domain_cert(), &world().owner_ca);
    let mut data = good();
    let without_pin = owner_certificate_artifact(&world().owner, &[]).expect("a CMS");
    data.owner_certificate = Some(without_pin);
    trusted(&data);
}

#[test]
fn the_content_says_how_it_is_encoded() {
    // LEDGER: 8572-3.1-03, 8572-3.1-05, 8572-3.1-08, 8572-3.1-10
    for encoding in [Encoding::Json, Encoding::Xml] {
        for oid in [content_type(encoding), oids::ID_DATA] {
            let mut data = good();
            data.conveyed_information =
                sign_artifact(&info(), encoding, oid, &world().owner_key, &world().owner)
                    .expect("signed");
            assert_eq!(trusted(&data).0, info(), "{encoding} {oid}");
            data.conveyed_information = ContentInfo::unsigned(oid, &info().encode(encoding));
            let authenticated = judge(&data, SourceTrust::Authenticated);
            assert!(
                matches!(authenticated, Ok(Authenticated::Trusted(_))),
                "{encoding} {oid}"
            );
        }
    }
    // LEDGER: 8572-3.1-09
    let mut data = good();
    data.conveyed_information =
        ContentInfo::unsigned(content_type(Encoding::Xml), &info().encode(Encoding::Json));
    assert_eq!(error(&data).code(), "yang.malformed");
}

#[test]
fn the_owner_certificate_may_be_the_pin_itself() {
    // LEDGER: 8572-3.2-10, 8572-3.3-04
    let owner_key = key();
    let owner = CertificateBuilder::new("CN=Owner and pin")
        .self_signed(&owner_key)
        .expect("a certificate");
    let bag = std::slice::from_ref(&owner);
    trusted(&owned(&owner, &owner_key, bag, &owner));
    // So may an authority that issued it and is itself issued by another.
    let w = world();
    let intermediate_key = key();
    let intermediate = CertificateBuilder::new("CN=Owner intermediate")
        .ca(None)
        .issued_by(intermediate_key.spki_der(), &w.owner_ca, &w.owner_ca_key)
        .expect("a certificate");
    let owner = CertificateBuilder::new("CN=Owner below")
        .issued_by(owner_key.spki_der(), &intermediate, &intermediate_key)
        .expect("a certificate");
    let bag = [owner.clone(), intermediate.clone()];
    trusted(&owned(&owner, &owner_key, &bag, &intermediate));
    // LEDGER: 8572-3.2-09: in any order.
    let bag = [intermediate.clone(), owner.clone()];
    trusted(&owned(&owner, &owner_key, &bag, &w.owner_ca));
    // LEDGER: 8572-3.2-04
    let incomplete = owned(&owner, &owner_key, &bag[1..], &w.owner_ca);
    let issuer = owner.issuer();
    assert_eq!(
        error(&incomplete),
        ArtifactError::NotUnderPinnedDomainCert(PathError::UnknownIssuer { issuer })
    );
}

#[test]
fn the_key_usage_of_the_owner_certificate() {
    // LEDGER: 8572-3.2-01, 8572-3.2-02
    let w = world();
    let owner_key = key();
    let with_usage = |usage: Option<KeyUsage>| {
        let builder = CertificateBuilder::new("CN=x");
        let builder = match usage {
            Some(usage) => builder.key_usage(usage),
            None => builder,
        };
        let owner = builder
            .issued_by(owner_key.spki_der(), &w.owner_ca, &w.owner_ca_key)
            .expect("a certificate");
        owned(
            &owner,
            &owner_key,
            std::slice::from_ref(&owner),
            &w.owner_ca,
        )
    };
    trusted(&with_usage(None));
    trusted(&with_usage(Some(
        KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_ENCIPHERMENT,
    )));
    let encipherment = with_usage(Some(KeyUsage::KEY_ENCIPHERMENT));
    assert_eq!(
        error(&encipherment).code(),
        "owner-certificate.not-under-pinned-domain-cert"
    );
}

#[test]
fn an_authority_of_the_chain_does_not_sign_in_the_owners_place() {
    // LEDGER: 8572-5.4-12
    let w = world();
    let authority_key = key();
    let authority = CertificateBuilder::new("CN=Authority")
        .ca(None)
        .key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::DIGITAL_SIGNATURE)
        .issued_by(authority_key.spki_der(), &w.owner_ca, &w.owner_ca_key)
        .expect("a certificate");
    let owner = CertificateBuilder::new("CN=Owner below")
        .issued_by(w.owner_key.spki_der(), &authority, &authority_key)
        .expect("a certificate");
    let bag = [owner, authority.clone()];
    let data = owned(&authority, &authority_key, &bag, &w.owner_ca);
    assert_eq!(error(&data), ArtifactError::NotEndEntity);
}

#[test]
fn signed_by_a_certificate_that_is_not_in_the_artifact() {
    let w = world();
    let other_key = key();
    let other = root("CN=Somebody", &other_key);
    let bag = [w.owner.clone(), w.owner_ca.clone()];
    let data = owned(&other, &other_key, &bag, &w.owner_ca);
    assert_eq!(error(&data), ArtifactError::OwnerCertificateMissing);
}

#[test]
fn a_signature_of_which_a_bit_is_another() {
    // LEDGER: 8572-5.4-12
    let mut data = good();
    let last = data.conveyed_information.len() - 1;
    data.conveyed_information[last] ^= 1;
    assert_eq!(
        error(&data),
        ArtifactError::NotSignedByOwner(CmsError::BadSignature)
    );
}

#[test]
fn the_voucher_comes_first() {
    // LEDGER: 8572-5.4-13: with all three broken, the voucher is what is named.
    let w = world();
    let other_key = key();
    let other = root("CN=Somebody", &other_key);
    let mut data = owned(
        &other,
        &other_key,
        std::slice::from_ref(&other),
        &w.owner_ca,
    );
    data.ownership_voucher = Some(w.voucher(|voucher| voucher.expires_on = Some(at(-1))));
    assert_eq!(error(&data).code(), "voucher.expired");
    // Then the owner certificate, before the signature.
    let mut data = owned(
        &other,
        &other_key,
        std::slice::from_ref(&other),
        &w.owner_ca,
    );
    let last = data.conveyed_information.len() - 1;
    data.conveyed_information[last] ^= 1;
    assert_eq!(
        error(&data).code(),
        "owner-certificate.not-under-pinned-domain-cert"
    );
}

#[test]
fn a_voucher_of_another_masa() {
    // LEDGER: 8572-5.4-03
    let w = world();
    let masa_key = key();
    let masa = root("CN=Another MASA", &masa_key);
    let voucher = Voucher::new(SERIAL, Assertion::Verified, w.owner_ca.as_der(), at(-3600));
    let voucher = issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default());
    let mut data = good();
    data.ownership_voucher = Some(voucher.expect("a voucher"));
    let issuer = masa.issuer();
    assert_eq!(
        error(&data),
        ArtifactError::Voucher(VoucherError::UntrustedSigner(PathError::UnknownIssuer {
            issuer
        }))
    );
}

#[test]
fn revocation_that_must_be_checked_and_cannot_be() {
    // LEDGER: 8572-5.4-11, 8366-5.3-11
    let demand = |demand: bool| -> BootstrappingData {
        world()
            .signed_with(&info(), |voucher| {
                voucher.domain_cert_revocation_checks = Some(demand);
            })
            .into()
    };
    assert_eq!(error(&demand(true)), ArtifactError::RevocationUnknown);
    trusted(&demand(false));
}

#[test]
fn a_part_is_missing() {
    // LEDGER: 8572-5.4-02
    let mut data = good();
    data.ownership_voucher = None;
    assert_eq!(error(&data), ArtifactError::VoucherAbsent);
    let mut data = good();
    data.owner_certificate = None;
    assert_eq!(error(&data), ArtifactError::OwnerCertificateAbsent);
}

#[test]
fn an_owner_certificate_artifact_that_is_something_else() {
    // LEDGER: 8572-3.2-07
    let mut data = good();
    data.owner_certificate = Some(world().owner.as_der().to_vec());
    assert!(matches!(
        error(&data),
        ArtifactError::OwnerCertificate(CmsError::Malformed { .. })
    ));
    data.owner_certificate = Some(world().sign(&info()));
    assert_eq!(
        error(&data),
        ArtifactError::OwnerCertificate(CmsError::NotCertsOnly)
    );
}

#[test]
fn conveyed_information_of_another_kind() {
    // LEDGER: 8572-3.1-02, 8572-3.1-06
    let mut data = good();
    data.conveyed_information = vec![0x30, 0x03, 0x02, 0x01, 0x01];
    assert!(matches!(
        error(&data),
        ArtifactError::ConveyedInformation(CmsError::Malformed { .. })
    ));
    data.conveyed_information =
        ContentInfo::unsigned(oids::ANIMA_JSON_VOUCHER, &info().encode(Encoding::Json));
    assert!(matches!(
        error(&data),
        ArtifactError::ConveyedInformation(CmsError::WrongContentType { .. })
    ));
    // The voucher in the conveyed information's place: rightly signed by the wrong party.
    data.conveyed_information = world().voucher(|_| {});
    assert_eq!(error(&data), ArtifactError::OwnerCertificateMissing);
    // A message that only carries certificates has no signer.
    data.conveyed_information = world().owner_certificate_artifact();
    assert_eq!(error(&data), ArtifactError::OwnerCertificateMissing);
    data.conveyed_information = ContentInfo::unsigned(content_type(Encoding::Json), b"{}");
    assert_eq!(
        error(&data),
        ArtifactError::Content(ConveyedInfoError::NeitherKind)
    );
}

#[test]
fn encrypted_artifacts_are_named_as_what_they_are() {
    let Some(enveloped) = shared("ci-enveloped-signed.cms") else {
        return;
    };
    let mut data = good();
    data.conveyed_information.clone_from(&enveloped);
    assert_eq!(error(&data), ArtifactError::Encrypted);
    let mut data = good();
    data.ownership_voucher = Some(enveloped.clone());
    assert_eq!(error(&data), ArtifactError::Encrypted);
    let mut data = good();
    data.owner_certificate = Some(enveloped);
    assert_eq!(error(&data), ArtifactError::Encrypted);
    if let Some(gcm) = shared("neg-ci-authenveloped-gcm.cms") {
        let mut data = good();
        data.conveyed_information = gcm;
        assert!(matches!(
            error(&data),
            ArtifactError::ConveyedInformation(CmsError::NotSignedData(_))
        ));
    }
}

/// A conformance example, from `$SZTP_SHARED` or beside the workspace.
fn shared(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("SZTP_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        std::path::PathBuf::from,
    );
    let path = folder.join("conformance/examples").join(name);
    let octets = std::fs::read(&path).ok();
    if octets.is_none() {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: {} is absent",
            path.display()
        );
    }
    octets
}

#[test]
fn unsigned_data_counts_for_what_its_source_does() {
    // LEDGER: 8572-2.1-01, 8572-2.1-02, 8572-2.2-01, 8572-5.3-03
    let anchor = Some(world().server_anchor_artifact());
    let to = redirect(&[("a.example", anchor.clone())]);
    let unsigned = |info: &ConveyedInfo| BootstrappingData {
        conveyed_information: unsigned_artifact(info, Encoding::Json),
        owner_certificate: None,
        ownership_voucher: None,
    };
    match judge(&unsigned(&to), SourceTrust::Authenticated) {
        Ok(Authenticated::Trusted(trusted)) => {
            assert_eq!(trusted.info(), &to);
            assert!(matches!(trusted.how(), Trust::AuthenticatedServer));
        }
        other => panic!("{other:?}"),
    }
    match judge(&unsigned(&to), SourceTrust::Unauthenticated) {
        Ok(Authenticated::UntrustedRedirect { redirect, refused }) => {
            assert_eq!(redirect.bootstrap_servers[0].trust_anchor, None);
            assert_eq!(redirect.bootstrap_servers[0].address, "a.example");
            assert_eq!(refused, None);
        }
        other => panic!("{other:?}"),
    }
    let empty = ConveyedInfo::Onboarding(OnboardingInformation::default());
    assert_eq!(
        judge(&unsigned(&empty), SourceTrust::Unauthenticated).err(),
        Some(ArtifactError::UntrustedOnboarding)
    );
}

#[test]
fn a_signed_redirect_that_does_not_hold_is_an_untrusted_one() {
    // LEDGER: 8572-5.3-10, 8572-2.1-02
    let to = redirect(&[("a.example", Some(world().server_anchor_artifact()))]);
    let data: BootstrappingData = world()
        .signed_with(&to, |voucher| voucher.serial_number.push('x'))
        .into();
    for source in [SourceTrust::Authenticated, SourceTrust::Unauthenticated] {
        match judge(&data, source) {
            Ok(Authenticated::UntrustedRedirect { redirect, refused }) => {
                assert_eq!(redirect.bootstrap_servers[0].trust_anchor, None);
                assert_eq!(
                    refused.map(|error| error.code()),
                    Some("voucher.serial-mismatch")
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_a_clock_dates_are_not_judged() {
    // LEDGER: 8572-9.1-02
    let w = world();
    let owner = CertificateBuilder::new("CN=Short")
        .validity(at(-7200), Some(at(-60)))
        .issued_by(w.owner_key.spki_der(), &w.owner_ca, &w.owner_ca_key)
        .expect("a certificate");
    let bag = std::slice::from_ref(&owner);
    let data = owned(&owner, &w.owner_key, bag, &w.owner_ca);
    // LEDGER: 8572-9.11-01
    assert!(matches!(
        error(&data),
        ArtifactError::NotUnderPinnedDomainCert(PathError::Expired { .. })
    ));
    let unknown = judge_at(&data, SourceTrust::Unauthenticated, WallClock::Unknown);
    assert!(matches!(unknown, Ok(Authenticated::Trusted(_))));
}

#[test]
fn each_error_has_a_code_and_a_rule() {
    for error in [
        ArtifactError::NotEndEntity,
        ArtifactError::OwnerCertificateMissing,
        ArtifactError::RevocationUnknown,
        ArtifactError::VoucherAbsent,
        ArtifactError::OwnerCertificateAbsent,
        ArtifactError::UntrustedOnboarding,
        ArtifactError::Encrypted,
    ] {
        assert!(error.code().contains('.'), "{error}");
        assert!(!error.rule().to_string().is_empty());
    }
}
