//! Vouchers and voucher-requests that other people's software made, with the verdicts that OpenSSL
//! gives at the same time.
//!
//! They are in `vectors` of `$SZTP_SHARED` (default: `../shared` beside the workspace). Where they
//! are absent nothing is judged: that is said loudly, and under `CI` it is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use sztp_cms::{
    Certificate, CmsError, Leniency, Limits, PathError, SignedData, TrustAnchors, UnixTime,
    VerifyOptions, WallClock, oids,
};
use sztp_voucher::request::{
    AssertionBasis, Pin, PledgeContext, RegistrarContext, SignedVoucherRequest,
    VerifiedPledgeRequest, VoucherRequestError, VoucherTerms,
};
use sztp_voucher::{
    Assertion, Profile, SignedVoucher, VoucherContext, VoucherError, VoucherReport,
};

/// The folder of the vectors, or `None` after saying so.
fn vectors() -> Option<PathBuf> {
    let shared = std::env::var_os("SZTP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("vectors");
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = format!("{} does not exist", folder.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    // Past the test harness, which keeps what a passing test prints.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: no foreign voucher judged: {missing}"
    );
    None
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn certificate(path: &Path) -> Certificate {
    Certificate::from_pem_or_der(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn at(text: &str) -> WallClock {
    WallClock::Trusted(UnixTime::parse_rfc3339(text).expect("a date"))
}

fn parsed(path: &Path) -> SignedVoucher {
    SignedVoucher::parse(&read(path), Profile::Rfc8366bis)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the CMS of a message holds, whatever it says.
fn cms_holds(path: &Path, anchors: &TrustAnchors, clock: WallClock) -> Result<(), CmsError> {
    let signed = SignedData::parse(&read(path), &Limits::default())?;
    signed
        .verify(&VerifyOptions::new(anchors, clock, &[oids::ID_DATA]))
        .map(|_| ())
}

#[test]
fn the_voucher_of_rfc_8995() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("rfc8995");
    let voucher = parsed(&folder.join("voucher.der"));
    assert!(
        voucher.notes().iter().any(|note| note.contains("nonce")),
        "base64url without padding is noted: {:?}",
        voucher.notes()
    );
    let vendor = TrustAnchors::new([certificate(&folder.join("vendor.crt"))]);
    let masa = TrustAnchors::new([certificate(&folder.join("masa.crt"))]);
    for anchors in [&vendor, &masa] {
        let verified = voucher
            .verify(&VoucherContext {
                serial_number: Some("00-D0-E5-F2-00-02"),
                ..VoucherContext::new(anchors, at("2021-06-01T00:00:00Z"))
            })
            .expect("verifies");
        assert_eq!(verified.voucher().assertion, Assertion::Logged);
        assert_eq!(verified.voucher().expires_on, None);
        assert_eq!(verified.voucher().nonce.as_ref().map(Vec::len), Some(16));
        let created_on = UnixTime::parse_rfc3339("2021-04-13T21:43:24Z").expect("a date");
        assert_eq!(verified.voucher().created_on, created_on);
        assert_eq!(
            verified.pinned_domain_cert().common_name().as_deref(),
            Some("fountain-test.example.com")
        );
    }
    let expired = voucher.verify(&VoucherContext::new(&vendor, at("2023-04-14T00:00:00Z")));
    assert!(
        matches!(
            expired,
            Err(VoucherError::UntrustedSigner(PathError::Expired { .. }))
        ),
        "{expired:?}"
    );
    let strict = SignedVoucher::parse(&read(&folder.join("voucher.der")), Profile::Rfc8366);
    assert!(matches!(strict, Err(VoucherError::Yang(_))), "{strict:?}");
}

/// Its vendor's certificate is the one of RFC 8995. The file of that name beside it holds another
/// key under the same name, and OpenSSL does not accept it either.
#[test]
fn the_voucher_of_the_successor_draft() {
    let Some(folder) = vectors() else { return };
    let vendor = certificate(&folder.join("rfc8995/vendor.crt"));
    let folder = folder.join("anima-voucher");
    let namesake = certificate(&folder.join("vendor-00-D0-E5-F2-00-02.crt"));
    assert_eq!(vendor.subject_der(), namesake.subject_der());
    let clock = at("2022-07-10T22:00:00Z");
    let voucher = parsed(&folder.join("voucher_00-D0-E5-F2-00-02.pkcs"));
    let verify = |anchors: Vec<Certificate>| {
        let anchors = TrustAnchors::new(anchors);
        voucher.verify(&VoucherContext {
            serial_number: Some("00-D0-E5-F2-00-02"),
            ..VoucherContext::new(&anchors, clock)
        })
    };
    for anchors in [
        vec![vendor.clone()],
        vec![namesake.clone(), vendor.clone()],
        vec![certificate(&folder.join("masa-00-D0-E5-F2-00-02.crt"))],
    ] {
        let verified = verify(anchors).expect("verifies");
        assert_eq!(verified.voucher().assertion, Assertion::Logged);
    }
    let refused = verify(vec![namesake]);
    assert!(
        matches!(
            refused,
            Err(VoucherError::UntrustedSigner(
                PathError::BadSignature { .. }
            ))
        ),
        "{refused:?}"
    );
    let request = folder.join("vr_00-D0-E5-F2-00-02.pkcs");
    let anchors = TrustAnchors::new([vendor]);
    assert_eq!(cms_holds(&request, &anchors, clock), Ok(()));
    refused_as_a_request(&request);
}

#[test]
fn vouchers_of_2019_hold_at_their_time_and_not_today() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("brski");
    for (name, anchor, serial_number, clock) in [
        (
            "01_voucher-00-D0-E5-F2-00-02.pkcs.der",
            "01_voucher-00-D0-E5-F2-00-02.pkcs.anchor0.pem",
            "00-D0-E5-F2-00-02",
            "2019-04-05T00:00:00Z",
        ),
        (
            "02_voucher-00-D0-E5-F2-00-03.vch.der",
            "02_voucher-00-D0-E5-F2-00-03.vch.anchor0.pem",
            "00-D0-E5-F2-00-03",
            "2019-02-15T00:00:00Z",
        ),
        (
            "10_voucher_00-D0-E5-03-00-03.pkcs.der",
            "10_voucher_00-D0-E5-03-00-03.pkcs.anchor0.pem",
            "00-D0-E5-03-00-03",
            "2019-07-03T00:00:00Z",
        ),
    ] {
        let anchors = TrustAnchors::new([certificate(&folder.join(anchor))]);
        let voucher = parsed(&folder.join(name));
        let verify = |clock, serial_number| {
            voucher.verify(&VoucherContext {
                serial_number: Some(serial_number),
                ..VoucherContext::new(&anchors, clock)
            })
        };
        if let Err(error) = verify(at(clock), serial_number) {
            panic!("{name}: {error}");
        }
        assert_eq!(
            verify(at(clock), "another").expect_err("refused").code(),
            "voucher.serial-mismatch",
            "{name}"
        );
        assert_eq!(
            verify(at("2026-01-01T00:00:00Z"), serial_number)
                .expect_err("refused")
                .code(),
            "voucher.untrusted-signer",
            "{name}"
        );
        // Before it was made: the signer's certificate already held.
        assert_eq!(
            verify(at("2019-02-14T00:00:00Z"), serial_number)
                .expect_err("refused")
                .code(),
            "voucher.not-yet-valid",
            "{name}"
        );
        assert!(verify(WallClock::Unknown, serial_number).is_ok(), "{name}");
    }
}

/// The signer's certificate and its issuer's have the same issuer and serial number: the signer
/// identifier fits both, and only one of them made the signature.
#[test]
fn every_certificate_that_the_signer_id_fits_is_tried() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("brski");
    let [ca, masa] = [0, 1]
        .map(|n| certificate(&folder.join(format!("04_voucher_00123456789A.pkcs.anchor{n}.pem"))));
    assert_eq!(ca.issuer_der(), masa.issuer_der());
    assert_eq!(ca.serial_bytes(), masa.serial_bytes());
    assert_ne!(ca.spki_der(), masa.spki_der());
    let voucher = parsed(&folder.join("04_voucher_00123456789A.pkcs.der"));
    let cms = voucher.cms();
    assert_eq!(cms.signer_certificates(std::slice::from_ref(&ca)).len(), 2);
    let by = |certificate: &Certificate| {
        cms.verify_with(certificate, &[oids::ID_DATA], Leniency::default())
            .map(|_| ())
    };
    assert_eq!(by(&ca), Err(CmsError::BadSignature));
    assert_eq!(by(&masa), Ok(()));
    let clock = at("2017-11-01T00:00:00Z");
    for anchors in [
        vec![ca.clone()],
        vec![masa.clone()],
        vec![ca.clone(), masa.clone()],
        vec![masa.clone(), ca.clone()],
    ] {
        let anchors = TrustAnchors::new(anchors);
        let verified = voucher.verify(&VoucherContext::new(&anchors, clock));
        assert_eq!(verified.expect("verifies").signer(), &masa);
    }
}

#[test]
fn voucher_requests_are_good_cms_and_no_vouchers() {
    let Some(folder) = vectors() else { return };
    for (name, anchor, clock) in [
        (
            "rfc8995/vr.der",
            "rfc8995/vendor.crt",
            "2021-06-01T00:00:00Z",
        ),
        (
            "rfc8995/parboiled_vr.der",
            "rfc8995/ownerca_secp384r1.crt",
            "2021-06-01T00:00:00Z",
        ),
        (
            "brski/09_vr_00-D0-E5-03-00-03.pkcs.der",
            "brski/09_vr_00-D0-E5-03-00-03.pkcs.anchor0.pem",
            "2019-08-21T00:00:00Z",
        ),
        (
            "brski/14_vr_00-D0-E5-F2-00-02.pkcs.der",
            "brski/14_vr_00-D0-E5-F2-00-02.pkcs.anchor0.pem",
            "2022-07-30T00:00:00Z",
        ),
        (
            "brski/22_vr_JADA123456789.pkcs.der",
            "brski/22_vr_JADA123456789.pkcs.anchor0.pem",
            "2017-09-06T00:00:00Z",
        ),
    ] {
        let path = folder.join(name);
        let anchors = TrustAnchors::new([certificate(&folder.join(anchor))]);
        assert_eq!(cms_holds(&path, &anchors, at(clock)), Ok(()), "{name}");
        refused_as_a_request(&path);
    }
}

fn refused_as_a_request(path: &Path) {
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        let refused = SignedVoucher::parse(&read(path), profile);
        assert!(
            matches!(refused, Err(VoucherError::VoucherRequest)),
            "{}: {refused:?}",
            path.display()
        );
    }
}

/// id-ecPublicKey names a key and no signature algorithm: only leniency lets it pass, and says so.
#[test]
fn id_ec_public_key_as_signature_algorithm() {
    let Some(folder) = vectors() else { return };
    let message = read(&folder.join("brski/18_mranga-1-vr.vrq.der"));
    let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
    let signer = signed.certificates().first().expect("in the message");
    let strict = signed.verify_with(signer, &[oids::ID_DATA], Leniency::default());
    assert!(
        matches!(strict, Err(CmsError::UnsupportedAlgorithm(_))),
        "{strict:?}"
    );
    let lenient = Leniency {
        ec_public_key_as_signature_algorithm: true,
    };
    let verified = signed
        .verify_with(signer, &[oids::ID_DATA], lenient)
        .expect("verifies");
    assert!(
        verified
            .notes()
            .iter()
            .any(|note| note.contains("id-ecPublicKey")),
        "{:?}",
        verified.notes()
    );
}

/// The files as they lie there, text and binary: the same voucher or request, and what was lenient.
#[test]
fn text_forms_of_the_same_messages() {
    let Some(folder) = vectors() else { return };
    let masa = TrustAnchors::new([certificate(&folder.join("rfc8995/masa.crt"))]);
    let context = VoucherContext::new(&masa, at("2021-06-01T00:00:00Z"));
    for (name, form, refused) in [
        (
            "rfc8995/voucher_00-D0-E5-F2-00-02.b64",
            "base64 text",
            VoucherError::Base64Text,
        ),
        (
            "rfc8995/voucher_00-D0-E5-F2-00-02.pkcs",
            "PEM text (CMS)",
            VoucherError::Cms(CmsError::Pem),
        ),
    ] {
        let text = read(&folder.join(name));
        let report = VoucherReport::of(&text, Profile::Rfc8366bis, &context);
        assert!(report.verdict().is_ok(), "{name}: {:?}", report.verdict());
        for part in [form, "nonce is base64url"] {
            let noted = report.notes().iter().any(|note| note.contains(part));
            assert!(noted, "{name}: {:?}", report.notes());
        }
        let strict = VoucherReport::of(&text, Profile::Rfc8366, &context);
        assert_eq!(strict.verdict().err(), Some(&refused));
        let binary = parsed(&folder.join("rfc8995/voucher.der"));
        assert_eq!(report.unverified(), Some(binary.unverified()));
    }
    for (text, binary) in [
        ("rfc8995/vr_00-D0-E5-F2-00-02.b64", "rfc8995/vr.der"),
        (
            "rfc8995/parboiled_vr_00-D0-E5-F2-00-02.pkcs",
            "rfc8995/parboiled_vr.der",
        ),
        (
            "anima-voucher/vr_00-D0-E5-F2-00-02.b64",
            "anima-voucher/vr_00-D0-E5-F2-00-02.pkcs",
        ),
    ] {
        let request = |name: &str| {
            SignedVoucherRequest::read(&read(&folder.join(name)), Profile::Rfc8366bis)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        assert_eq!(request(text).unverified(), request(binary).unverified());
    }
}

/// The pledges' requests, by the devices' own certificates.
#[test]
fn requests_of_pledges() {
    let Some(folder) = vectors() else { return };
    for (name, anchor, clock, serial_number) in [
        (
            "rfc8995/vr.der",
            "rfc8995/vendor.crt",
            "2021-06-01T00:00:00Z",
            "00-D0-E5-F2-00-02",
        ),
        (
            "anima-voucher/vr_00-D0-E5-F2-00-02.pkcs",
            "rfc8995/vendor.crt",
            "2022-07-10T22:00:00Z",
            "00-D0-E5-F2-00-02",
        ),
        (
            "brski/09_vr_00-D0-E5-03-00-03.pkcs.der",
            "brski/09_vr_00-D0-E5-03-00-03.pkcs.anchor0.pem",
            "2019-08-21T00:00:00Z",
            "00-D0-E5-03-00-03",
        ),
        (
            "brski/14_vr_00-D0-E5-F2-00-02.pkcs.der",
            "brski/14_vr_00-D0-E5-F2-00-02.pkcs.anchor0.pem",
            "2022-07-30T00:00:00Z",
            "00-D0-E5-F2-00-02",
        ),
    ] {
        let verified = as_pledge(&folder.join(name), &folder.join(anchor), at(clock))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let request = verified.request();
        assert_eq!(request.serial_number, serial_number, "{name}");
        assert_eq!(request.assertion, Some(Assertion::Proximity), "{name}");
        assert_eq!(request.nonce.as_ref().map(Vec::len), Some(16), "{name}");
        let notes = verified.notes();
        assert!(notes.iter().any(|note| note.starts_with("nonce")), "{name}");
        let strict = SignedVoucherRequest::parse(&read(&folder.join(name)), Profile::Rfc8366);
        assert_eq!(
            strict.expect_err("refused").code(),
            "yang.invalid-value",
            "{name}"
        );
    }
    // A nonce of six octets, where RFC 8366 §5.3 wants eight.
    let short = SignedVoucherRequest::parse(
        &read(&folder.join("brski/22_vr_JADA123456789.pkcs.der")),
        Profile::Rfc8366bis,
    );
    assert_eq!(
        short.expect_err("refused"),
        VoucherRequestError::Voucher(VoucherError::NonceLength { length: 6 })
    );
    // To the letter in its content, if not in its signature.
    let mranga = read(&folder.join("brski/18_mranga-1-vr.vrq.der"));
    let request = SignedVoucherRequest::parse(&mranga, Profile::Rfc8366).expect("parses");
    assert_eq!(request.unverified().serial_number, "50");
    let signer = TrustAnchors::new([request.cms().certificates()[0].clone()]);
    let context = PledgeContext::new(&signer, at("2020-05-05T00:00:00Z"));
    assert_eq!(
        request
            .verify_as_pledge(&context)
            .expect_err("refused")
            .code(),
        "cms.unsupported-algorithm"
    );
    let lenient = PledgeContext {
        leniency: Leniency {
            ec_public_key_as_signature_algorithm: true,
        },
        ..context
    };
    // The signature is let pass; that device asks for another's voucher.
    assert_eq!(
        request.verify_as_pledge(&lenient).map(|_| ()),
        Err(VoucherRequestError::SerialNumberMismatch {
            idevid: Some("5000".to_owned()),
            request: "50".to_owned()
        })
    );
}

fn as_pledge(
    message: &Path,
    anchor: &Path,
    clock: WallClock,
) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
    let anchors = TrustAnchors::new([certificate(anchor)]);
    SignedVoucherRequest::parse(&read(message), Profile::Rfc8366bis)?
        .verify_as_pledge(&PledgeContext::new(&anchors, clock))
}

/// The registrar's request of RFC 8995 and the voucher that its MASA made for it.
#[test]
fn the_voucher_that_answers_the_request_of_rfc_8995() {
    let Some(folder) = vectors() else { return };
    let folder = folder.join("rfc8995");
    let vendor = TrustAnchors::new([certificate(&folder.join("vendor.crt"))]);
    let domain = TrustAnchors::new([certificate(&folder.join("ownerca_secp384r1.crt"))]);
    let request =
        SignedVoucherRequest::parse(&read(&folder.join("parboiled_vr.der")), Profile::Rfc8366bis)
            .expect("parses");
    let clock = at("2021-06-01T00:00:00Z");
    let pledge = PledgeContext::new(&vendor, clock);
    let context = RegistrarContext {
        registrar_anchors: Some(&domain),
        ..RegistrarContext::new(pledge)
    };
    let verified = request.verify_as_registrar(&context).expect("holds");
    // Its authority is in the message, too.
    let own_word = request.verify_as_registrar(&RegistrarContext::new(pledge));
    assert_eq!(own_word.expect("holds").domain_ca(), verified.domain_ca());
    let theirs = parsed(&folder.join("voucher.der")).unverified().clone();
    let terms = VoucherTerms {
        assertion: AssertionBasis::Nothing,
        pin: Pin::Registrar,
        name_idevid_issuer: false,
        ..VoucherTerms::new(theirs.created_on)
    };
    assert_eq!(verified.grant(&terms), Ok(theirs));
    // What the request proves is more than what that MASA made of it.
    let evidence = VoucherTerms::new(terms.created_on);
    let granted = verified.grant(&evidence).expect("granted");
    assert_eq!(granted.assertion, Assertion::Proximity);
    // Another vendor's MASA has no such device.
    let other = RegistrarContext {
        pledge: PledgeContext::new(&domain, clock),
        ..context
    };
    assert_eq!(
        request
            .verify_as_registrar(&other)
            .expect_err("refused")
            .code(),
        "voucher-request.prior"
    );
}
