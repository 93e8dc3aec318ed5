//! Revoked certificates: a MASA's, an owner's to be pinned, a device's, a registrar's. OpenSSL
//! publishes the lists.

use std::process::Command;

use sztp_cms::{
    Certificate, CertificateBuilder, CertificateRevocationList, DecryptOptions, EnvelopedData,
    EnvelopedDataBuilder, Limits, PathError, RevocationPolicy, Signer as _, SigningKey,
    TrustAnchors, WallClock,
};
use sztp_voucher::request::{
    ExtendedKeyUsage, PledgeContext, RegistrarContext, SignedVoucherRequest, VoucherRequest,
    VoucherRequestError, sign,
};
use sztp_voucher::{
    IssueOptions, PinCheck, Profile, SignedVoucher, Voucher, VoucherContext, VoucherError, issue,
};

use crate::lab::{CREATED, DAY, Lab, SERIAL_NUMBER, key};

/// The list of an authority, current in the whole of 2026.
fn list(authority: &Certificate, key: &SigningKey, revoked: &[&Certificate]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
    };
    write("ca.crt", &authority.to_pem());
    write("ca.key", &key.to_pkcs8_pem().expect("writes"));
    let entry = |one: &&Certificate| {
        let serial = one.serial_hex().replace(':', "");
        format!("R\t491231235959Z\t260101000000Z\t{serial}\tunknown\t/CN=x\n")
    };
    let index: Vec<String> = revoked.iter().map(entry).collect();
    write("index", &index.concat());
    write("crlnumber", "01\n");
    write(
        "openssl.cnf",
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index\ncrlnumber = crlnumber\n\
         certificate = ca.crt\nprivate_key = ca.key\ndefault_md = sha256\n",
    );
    let arguments = "ca -gencrl -config openssl.cnf -crl_lastupdate 20260101000000Z \
                     -crl_nextupdate 20270101000000Z -out list.pem";
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder.path())
        .output()
        .expect("openssl is installed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let pem = std::fs::read(folder.path().join("list.pem")).expect("reads");
    let list = CertificateRevocationList::from_pem_or_der(&pem).expect("a list");
    assert_eq!(list.len(), revoked.len());
    list.as_der().to_vec()
}

fn parsed(list: &[u8]) -> [CertificateRevocationList; 1] {
    [CertificateRevocationList::from_der(list).expect("reads")]
}

fn is_revoked(error: &PathError) -> bool {
    matches!(error, PathError::Revoked { .. })
}

/// Lists for the MASA's path, in the message or with the caller; looked at only where asked for.
/// LEDGER: 8366-5.4-07
#[test]
fn the_masa_is_revoked() {
    let lab = Lab::new();
    let good = list(&lab.root, &lab.root_key, &[]);
    let bad = list(&lab.root, &lab.root_key, &[&lab.masa]);
    let issued = |crls: &[Vec<u8>]| {
        let options = IssueOptions {
            crls,
            ..IssueOptions::default()
        };
        issue(&lab.voucher(), &lab.masa_key, &lab.masa, &[], &options).expect("issues")
    };
    let anchors = lab.anchors();
    let judge = |message: &[u8], revocation, crls: &[CertificateRevocationList]| {
        let context = VoucherContext {
            revocation,
            crls,
            ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
        };
        let signed = SignedVoucher::parse(message, Profile::Rfc8366).expect("parses");
        signed.verify(&context).map(|_| ())
    };
    use RevocationPolicy::{NotChecked, WhereAvailable, WholePath};
    let refused = |outcome: Result<(), VoucherError>| match outcome {
        Err(VoucherError::UntrustedSigner(path)) => path,
        other => panic!("{other:?}"),
    };
    let (alone, with_good, with_bad) = (
        issued(&[]),
        issued(std::slice::from_ref(&good)),
        issued(std::slice::from_ref(&bad)),
    );
    let inside = SignedVoucher::parse(&with_good, Profile::Rfc8366).expect("parses");
    assert_eq!(inside.cms().crls(), std::slice::from_ref(&good));
    // In the message.
    assert_eq!(judge(&with_good, WholePath, &[]), Ok(()));
    assert!(is_revoked(&refused(judge(&with_bad, WholePath, &[]))));
    assert!(is_revoked(&refused(judge(&with_bad, WhereAvailable, &[]))));
    assert_eq!(judge(&with_bad, NotChecked, &[]), Ok(()));
    // With the caller.
    assert_eq!(judge(&alone, WholePath, &parsed(&good)), Ok(()));
    let outcome = judge(&alone, WhereAvailable, &parsed(&bad));
    assert!(is_revoked(&refused(outcome)));
    assert_eq!(judge(&alone, WhereAvailable, &[]), Ok(()));
    assert!(matches!(
        refused(judge(&alone, WholePath, &[])),
        PathError::RevocationUnknown { .. }
    ));
    // What the voucher says about revocation is about the owner certificate.
    let voucher = Voucher {
        domain_cert_revocation_checks: Some(false),
        ..lab.voucher()
    };
    let outcome = judge(&lab.issue(&voucher), WholePath, &parsed(&bad));
    assert!(is_revoked(&refused(outcome)));
}

/// A domain certificate that was revoked, or has ended, is not pinned again.
/// LEDGER: 8366-7.3-01
#[test]
fn what_is_pinned_must_still_be_good() {
    let lab = Lab::new();
    let owner_key = key();
    let owner = CertificateBuilder::new("CN=owner")
        .validity(CREATED.plus_secs(-DAY), Some(CREATED.plus_secs(30 * DAY)))
        .issued_by(owner_key.spki_der(), &lab.domain, &lab.domain_key)
        .expect("issues");
    let voucher = Voucher {
        pinned_domain_cert: owner.as_der().to_vec(),
        expires_on: Some(CREATED.plus_secs(7 * DAY)),
        ..lab.voucher()
    };
    let anchors = TrustAnchors::new([lab.domain.clone()]);
    let issue_at = |voucher: &Voucher, at, revoked: &[&Certificate]| {
        let crls = parsed(&list(&lab.domain, &lab.domain_key, revoked));
        let options = IssueOptions {
            pin: Some(PinCheck {
                anchors: &anchors,
                intermediates: &[],
                clock: WallClock::Trusted(at),
                revocation: RevocationPolicy::WholePath,
                crls: &crls,
            }),
            ..IssueOptions::default()
        };
        issue(voucher, &lab.masa_key, &lab.masa, &[], &options).map(|_| ())
    };
    assert_eq!(issue_at(&voucher, CREATED, &[]), Ok(()));
    let refused = issue_at(&voucher, CREATED, &[&owner]);
    assert!(
        matches!(&refused, Err(VoucherError::PinnedDomainCertRefused(path)) if is_revoked(path)),
        "{refused:?}"
    );
    // Renewals are what this is for: they end with the revocation.
    let later = CREATED.plus_secs(6 * DAY);
    let renewed = voucher
        .renewed(later, later.plus_secs(7 * DAY))
        .expect("renews");
    assert_eq!(issue_at(&renewed, later, &[]), Ok(()));
    assert_eq!(
        issue_at(&renewed, later, &[&owner])
            .expect_err("refused")
            .code(),
        "voucher.pinned-domain-cert-refused"
    );
    let ended = issue_at(&voucher, CREATED.plus_secs(31 * DAY), &[]);
    assert!(matches!(
        ended,
        Err(VoucherError::PinnedDomainCertRefused(
            PathError::Expired { .. }
        ))
    ));
    // Of another domain.
    let foreign = issue_at(&lab.voucher(), CREATED, &[]);
    assert_eq!(foreign, Ok(()), "the anchor itself");
    let stranger = Voucher {
        pinned_domain_cert: lab.masa.as_der().to_vec(),
        ..lab.voucher()
    };
    assert!(matches!(
        issue_at(&stranger, CREATED, &[]),
        Err(VoucherError::PinnedDomainCertRefused(_))
    ));
}

#[test]
fn a_revoked_device_and_a_revoked_registrar_ask_in_vain() {
    let lab = Lab::new();
    let registrar_key = key();
    let registrar = CertificateBuilder::new("CN=registrar")
        .extension(
            ExtendedKeyUsage::EXTENSION,
            false,
            ExtendedKeyUsage::CMC_RA.to_vec(),
        )
        .issued_by(registrar_key.spki_der(), &lab.domain, &lab.domain_key)
        .expect("issues");
    let options = IssueOptions::default();
    let asked = VoucherRequest {
        nonce: Some(vec![7; 16]),
        proximity_registrar_cert: Some(registrar.as_der().to_vec()),
        ..VoucherRequest::new(SERIAL_NUMBER)
    };
    let asked = sign(&asked, &lab.idevid_key, &lab.idevid, &[], &options).expect("signs");
    let passed_on = VoucherRequest {
        nonce: Some(vec![7; 16]),
        prior_signed_voucher_request: Some(asked),
        ..VoucherRequest::new(SERIAL_NUMBER)
    };
    let chain = [lab.domain.clone()];
    let message = sign(&passed_on, &registrar_key, &registrar, &chain, &options).expect("signs");
    let anchors = lab.anchors();
    let judge = |devices: &[&Certificate], registrars: &[&Certificate]| {
        let crls = [
            list(&lab.root, &lab.root_key, devices),
            list(&lab.domain, &lab.domain_key, registrars),
        ]
        .map(|list| CertificateRevocationList::from_der(&list).expect("reads"));
        let pledge = PledgeContext {
            revocation: RevocationPolicy::WholePath,
            crls: &crls,
            ..PledgeContext::new(&anchors, WallClock::Trusted(CREATED))
        };
        let context = RegistrarContext {
            registrar_revocation: RevocationPolicy::WholePath,
            ..RegistrarContext::new(pledge)
        };
        SignedVoucherRequest::parse(&message, Profile::Rfc8366)
            .expect("parses")
            .verify_as_registrar(&context)
            .map(|_| ())
    };
    assert_eq!(judge(&[], &[]), Ok(()));
    let device = judge(&[&lab.idevid], &[]).expect_err("refused");
    let VoucherRequestError::Prior(device) = device else {
        panic!("{device:?}")
    };
    for error in [*device, judge(&[], &[&registrar]).expect_err("refused")] {
        assert!(
            matches!(
                &error,
                VoucherRequestError::Voucher(VoucherError::UntrustedSigner(path))
                    if is_revoked(path)
            ),
            "{error:?}"
        );
    }
}

/// Encrypted for one device on the way; the other cannot read it, and it is a voucher only after.
/// LEDGER: 8366-7.4-01
#[test]
fn a_voucher_in_confidence() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let limits = Limits::default();
    let encrypted = EnvelopedDataBuilder::around(&message, &limits)
        .expect("wraps")
        .recipient(lab.idevid.clone())
        .encrypt()
        .expect("encrypts");
    assert_eq!(
        SignedVoucher::parse(&encrypted, Profile::Rfc8366bis)
            .expect_err("refused")
            .code(),
        "cms.not-signed-data"
    );
    let serial_number = SERIAL_NUMBER.as_bytes();
    let readable = |octets: &[u8]| {
        octets
            .windows(serial_number.len())
            .any(|window| window == serial_number)
    };
    assert!(readable(&message));
    let envelope = EnvelopedData::parse(&encrypted, &limits).expect("parses");
    let options = DecryptOptions::default();
    assert!(envelope.decrypt(&key(), &lab.idevid, &options).is_err());
    let opened = envelope
        .decrypt(&lab.idevid_key, &lab.idevid, &options)
        .expect("opens")
        .to_message();
    let anchors = lab.anchors();
    let verified = SignedVoucher::parse(&opened, Profile::Rfc8366)
        .expect("parses")
        .verify(&VoucherContext::new(&anchors, WallClock::Trusted(CREATED)))
        .expect("verifies");
    assert_eq!(verified.voucher(), &lab.voucher());
}
