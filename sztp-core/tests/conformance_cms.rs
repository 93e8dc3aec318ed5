//! The example artifacts, which OpenSSL made: each verifies, decodes or is refused as its name
//! says. OpenSSL's own verdict on them is asked for where it can give one.

use std::path::{Path, PathBuf};
use std::process::Command;

use sztp_cms::{
    Certificate, CmsError, ContentInfo, Limits, SignedData, TrustAnchors, UnixTime, WallClock,
    oids, parse_certs_only,
};
use sztp_core::artifacts::{ArtifactError, Authenticated, BootstrappingData, SourceTrust, Trust};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher, Voucher, VoucherContext, VoucherError};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/examples")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(examples().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_pem_or_der(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The certificates of the examples hold from 2026-11-23, their voucher until 2026-03-16: only a
/// device without a clock takes all of it together.
fn in_december() -> WallClock {
    WallClock::Trusted(UnixTime::parse_rfc3339("2026-12-01T00:00:00Z").expect("a date"))
}

fn trio(conveyed_information: &str) -> BootstrappingData {
    BootstrappingData {
        conveyed_information: read(conveyed_information),
        owner_certificate: Some(read("pki/owner-certificate.cms")),
        ownership_voucher: Some(read("ownership-voucher.vcj")),
    }
}

fn authenticate(
    data: &BootstrappingData,
    source: SourceTrust,
    clock: WallClock,
) -> Result<Authenticated, ArtifactError> {
    let anchors = TrustAnchors::new([certificate("pki/masa-root.pem")]);
    let idevid = certificate("pki/idevid.der");
    let context = VoucherContext {
        serial_number: Some("AX7-00042"),
        idevid: Some(&idevid),
        ..VoucherContext::new(&anchors, clock)
    };
    data.authenticate(source, &context, Encoding::Json)
}

fn document(name: &str) -> ConveyedInfo {
    ConveyedInfo::decode(&read(name), Encoding::Json).expect("decodes")
}

#[test]
fn the_ownership_voucher() {
    let signed = SignedVoucher::parse(&read("ownership-voucher.vcj"), Profile::Rfc8366);
    let signed = signed.expect("parses");
    let (expected, _) =
        Voucher::decode(&read("voucher.json"), Encoding::Json, Profile::Rfc8366).expect("decodes");
    assert_eq!(signed.unverified(), &expected);
    assert_eq!(signed.cms().content_type(), oids::ANIMA_JSON_VOUCHER);
    let idevid = certificate("pki/idevid.pem");
    for anchor in ["pki/masa-root.pem", "pki/masa.der"] {
        let anchors = TrustAnchors::new([certificate(anchor)]);
        let verify = |clock| {
            signed.verify(&VoucherContext {
                serial_number: Some("AX7-00042"),
                idevid: Some(&idevid),
                ..VoucherContext::new(&anchors, clock)
            })
        };
        let verified = verify(WallClock::Unknown).expect("verifies");
        assert_eq!(
            verified.pinned_domain_cert(),
            &certificate("pki/owner-ca.pem")
        );
        // The only thing to note is the date that could not be judged.
        assert!(verified.notes().iter().all(|note| note.contains("clock")));
        assert!(matches!(
            verify(in_december()),
            Err(VoucherError::Expired { .. })
        ));
    }
    let others = TrustAnchors::new([
        certificate("pki/owner-ca.pem"),
        certificate("pki/tls-ca.pem"),
    ]);
    assert!(matches!(
        signed.verify(&VoucherContext::new(&others, WallClock::Unknown)),
        Err(VoucherError::UntrustedSigner(_))
    ));
}

#[test]
fn the_signed_redirect() {
    let data = trio("ci-signed-redirect.cms");
    let outcome = authenticate(&data, SourceTrust::Unauthenticated, WallClock::Unknown);
    let Ok(Authenticated::Trusted(trusted)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(trusted.info(), &document("redirect.json"));
    let Trust::Signed { owner, .. } = trusted.how() else {
        panic!("not signed")
    };
    assert_eq!(owner, &certificate("pki/owner.pem"));
    // Where the date is known the voucher has expired: the redirect may be followed, untrusted.
    let outcome = authenticate(&data, SourceTrust::Unauthenticated, in_december());
    let Ok(Authenticated::UntrustedRedirect { redirect, refused }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        redirect
            .bootstrap_servers
            .iter()
            .all(|server| server.trust_anchor.is_none())
    );
    assert!(
        matches!(
            refused,
            Some(ArtifactError::Voucher(VoucherError::Expired { .. }))
        ),
        "{refused:?}"
    );
}

#[test]
fn unsigned_conveyed_information() {
    for (name, content_type) in [
        ("ci-unsigned-onboarding.cms", oids::SZTP_CONVEYED_INFO_JSON),
        (
            "ci-unsigned-onboarding-xml.cms",
            oids::SZTP_CONVEYED_INFO_XML,
        ),
    ] {
        // A bare ContentInfo with an OCTET STRING (RFC 8572 §3.1).
        let message = ContentInfo::parse(&read(name), &Limits::default());
        let Ok(ContentInfo::Octets {
            content_type: found,
            ..
        }) = message
        else {
            panic!("{name}: {message:?}")
        };
        assert_eq!(found, content_type, "{name}");
        let data = BootstrappingData {
            owner_certificate: None,
            ownership_voucher: None,
            ..trio(name)
        };
        let outcome = authenticate(&data, SourceTrust::Authenticated, in_december());
        let Ok(Authenticated::Trusted(trusted)) = outcome else {
            panic!("{name}: {outcome:?}")
        };
        assert_eq!(trusted.info(), &document("onboarding.json"), "{name}");
        let outcome = authenticate(&data, SourceTrust::Unauthenticated, in_december());
        assert_eq!(
            outcome.expect_err("refused"),
            ArtifactError::UntrustedOnboarding
        );
    }
}

#[test]
fn encrypted_forms() {
    let enveloped = authenticate(
        &trio("ci-enveloped-signed.cms"),
        SourceTrust::Authenticated,
        WallClock::Unknown,
    );
    assert_eq!(enveloped.expect_err("refused"), ArtifactError::Encrypted);
    // AuthEnvelopedData is not a form of RFC 8572 §3.
    let gcm = authenticate(
        &trio("neg-ci-authenveloped-gcm.cms"),
        SourceTrust::Authenticated,
        WallClock::Unknown,
    );
    assert_eq!(
        gcm.expect_err("refused"),
        ArtifactError::ConveyedInformation(CmsError::NotSignedData(oids::ID_AUTH_ENVELOPED_DATA))
    );
}

#[test]
fn bags_of_certificates() {
    for (name, inside) in [
        (
            "pki/owner-certificate.cms",
            &["pki/owner.der", "pki/owner-ca.der"][..],
        ),
        ("pki/tls-anchor.cms", &["pki/tls-ca.der"]),
    ] {
        let bag = parse_certs_only(&read(name), &Limits::default());
        let bag = bag.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(bag.signers(), [], "{name}");
        for expected in inside {
            assert!(
                bag.certificates().contains(&certificate(expected)),
                "{name} lacks {expected}"
            );
        }
    }
}

/// No artifact of the examples is left out above.
#[test]
fn every_artifact_is_judged_here() {
    let source = include_str!("conformance_cms.rs");
    let mut met = 0;
    for (folder, prefix) in [(examples(), ""), (examples().join("pki"), "pki/")] {
        for entry in std::fs::read_dir(folder).expect("examples") {
            let name = entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned();
            let extension = name.rsplit('.').next();
            if matches!(extension, Some("cms" | "vcj")) {
                assert!(
                    source.contains(&format!("\"{prefix}{name}\"")),
                    "{prefix}{name}"
                );
                met += 1;
            }
        }
    }
    assert!(met >= 8, "only {met} artifacts");
}

#[test]
fn openssl_agrees() {
    let at = in_december().time().expect("known").secs().to_string();
    for (name, anchor) in [
        ("ownership-voucher.vcj", "pki/masa-root.pem"),
        ("ci-signed-redirect.cms", "pki/owner-ca.pem"),
    ] {
        let verify = |anchor: &str| {
            let mut command = Command::new("openssl");
            command
                .args([
                    "cms", "-verify", "-binary", "-inform", "der", "-purpose", "any",
                ])
                .args(["-attime", &at, "-in", name, "-CAfile", anchor])
                .args(["-certfile", "pki/owner.pem"])
                .current_dir(examples());
            command.output().expect("openssl is installed")
        };
        let output = verify(anchor);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let ours = SignedData::parse(&read(name), &Limits::default()).expect("parses");
        assert_eq!(
            ours.unverified_content(),
            Some(&output.stdout[..]),
            "{name}"
        );
        assert!(
            !verify("pki/tls-ca.pem").status.success(),
            "OpenSSL accepts everything"
        );
    }
}
