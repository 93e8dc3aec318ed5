//! Whether a voucher holds for a device (RFC 8366 §5.3): each rule, with the error that says which
//! one was broken.

use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, PathError, Signer as _, TrustAnchors, UnixTime,
    WallClock,
};
use sztp_voucher::{
    Assertion, NonceExpectation, Profile, SignedVoucher, Voucher, VoucherContext, VoucherError,
    issue,
};

use crate::lab::{CREATED, DAY, Lab, SERIAL_NUMBER};

#[test]
fn what_was_issued_is_what_is_verified() {
    let lab = Lab::new();
    let voucher = Voucher {
        expires_on: Some(CREATED.plus_secs(14 * DAY)),
        idevid_issuer: lab.idevid.authority_key_identifier().map(<[u8]>::to_vec),
        domain_cert_revocation_checks: Some(false),
        last_renewal_date: Some(CREATED.plus_secs(300 * DAY)),
        ..lab.voucher()
    };
    let verified = lab
        .judge(&voucher, CREATED, |lab, context| VoucherContext {
            serial_number: Some(SERIAL_NUMBER),
            idevid: Some(&lab.idevid),
            nonce: NonceExpectation::None,
            assertions: &[Assertion::Verified],
            ..context
        })
        .expect("verifies");
    assert_eq!(verified.voucher(), &voucher);
    assert_eq!(verified.pinned_domain_cert(), &lab.domain);
    assert_eq!(verified.signer(), &lab.masa);
    assert_eq!(
        verified.signer_chain(),
        [lab.masa.clone(), lab.root.clone()]
    );
    assert_eq!(verified.notes(), [""; 0]);
}

/// LEDGER: 8366-5.3-06, 8366-5.3-16
#[test]
fn serial_number() {
    let lab = Lab::new();
    let judge = |device| {
        lab.judge(&lab.voucher(), CREATED, |_, context| VoucherContext {
            serial_number: Some(device),
            ..context
        })
        .map(|_| ())
    };
    assert_eq!(judge(SERIAL_NUMBER), Ok(()));
    // Another device; and serial numbers are neither patterns nor without case.
    for device in ["AX7-00043", "ax7-00042", "AX7-00042 ", "AX7-*", ""] {
        assert_eq!(
            judge(device),
            Err(VoucherError::SerialNumberMismatch {
                device: device.to_owned(),
                voucher: SERIAL_NUMBER.to_owned()
            })
        );
    }
    let nobody = Voucher {
        serial_number: String::new(),
        ..lab.voucher()
    };
    assert_eq!(lab.try_issue(&nobody), Err(VoucherError::EmptySerialNumber));
    let signed = lab.sign(&nobody.encode(sztp_voucher::yang::Encoding::Json));
    let refused = SignedVoucher::parse(&signed, Profile::Rfc8366).map(|_| ());
    assert_eq!(refused, Err(VoucherError::EmptySerialNumber));
}

/// LEDGER: 8366-5.3-03
#[test]
fn expires_on() {
    let lab = Lab::new();
    let expires_on = CREATED.plus_secs(DAY);
    let voucher = Voucher {
        expires_on: Some(expires_on),
        ..lab.voucher()
    };
    let at = |time| lab.judge(&voucher, time, |_, context| context).map(|_| ());
    assert_eq!(at(CREATED), Ok(()));
    assert_eq!(at(expires_on), Ok(()));
    let late = expires_on.plus_secs(1);
    assert_eq!(
        at(late),
        Err(VoucherError::Expired {
            at: late,
            expires_on
        })
    );
}

/// LEDGER: 8366-5.3-01
#[test]
fn created_on() {
    let lab = Lab::new();
    let at = |time| {
        lab.judge(&lab.voucher(), time, |_, context| context)
            .map(|_| ())
    };
    let early = CREATED.plus_secs(-1);
    assert_eq!(
        at(early),
        Err(VoucherError::NotYetValid {
            at: early,
            created_on: CREATED
        })
    );
    assert_eq!(at(CREATED), Ok(()));
    // Without an expiry it holds as long as its signer.
    assert_eq!(at(UnixTime::from_secs(33_000_000_000)), Ok(()));
}

/// A device without a clock judges no dates (RFC 8572 §9.1), and everything else.
#[test]
fn without_a_clock() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let voucher = Voucher {
        expires_on: Some(CREATED.plus_secs(1)),
        ..lab.voucher()
    };
    let signed = SignedVoucher::parse(&lab.issue(&voucher), Profile::Rfc8366).expect("parses");
    let context = VoucherContext {
        serial_number: Some(SERIAL_NUMBER),
        ..VoucherContext::new(&anchors, WallClock::Unknown)
    };
    assert!(signed.verify(&context).is_ok());
    let other = VoucherContext {
        serial_number: Some("other"),
        ..context
    };
    assert!(matches!(
        signed.verify(&other),
        Err(VoucherError::SerialNumberMismatch { .. })
    ));
}

/// LEDGER: 8366-5.3-04
#[test]
fn a_voucher_does_not_outlive_what_it_pins() {
    let lab = Lab::new();
    let not_after = lab.domain.not_after();
    let until = |expires_on| {
        let voucher = Voucher {
            expires_on: Some(expires_on),
            ..lab.voucher()
        };
        lab.try_issue(&voucher).map(|_| ())
    };
    assert_eq!(until(not_after), Ok(()));
    let expires_on = not_after.plus_secs(1);
    assert_eq!(
        until(expires_on),
        Err(VoucherError::OutlivesPinnedDomainCert {
            expires_on,
            not_after
        })
    );
}

/// LEDGER: 8366-5.3-05
#[test]
fn assertion() {
    let lab = Lab::new();
    for found in Assertion::ALL {
        let voucher = Voucher {
            assertion: found,
            ..lab.voucher()
        };
        assert!(lab.judge_next_day(&voucher).is_ok(), "{found}");
        let policy: Vec<Assertion> = Assertion::ALL
            .into_iter()
            .filter(|one| *one != found)
            .collect();
        let refused = lab.judge(&voucher, CREATED, |_, context| {
            // Policies live as long as the program.
            let assertions: &'static [Assertion] = policy.clone().leak();
            VoucherContext {
                assertions,
                ..context
            }
        });
        assert_eq!(
            refused.map(|_| ()),
            Err(VoucherError::AssertionRefused { found })
        );
    }
}

/// LEDGER: 8366-5.3-12, 8572-5.4-14
#[test]
fn nonce() {
    let lab = Lab::new();
    let sent = [7; 16];
    let with = Voucher {
        nonce: Some(sent.to_vec()),
        ..lab.voucher()
    };
    let without = lab.voucher();
    let judge = |voucher: &Voucher, nonce: NonceExpectation<'static>| {
        lab.judge(voucher, CREATED, |_, context| VoucherContext {
            nonce,
            ..context
        })
        .map(|_| ())
    };
    use NonceExpectation::{Exact, ExactOrNone, None, Unchecked};
    const SENT: &[u8] = &[7; 16];
    const OLD: &[u8] = &[8; 16];
    assert_eq!(judge(&with, Exact(SENT)), Ok(()));
    assert_eq!(judge(&with, ExactOrNone(SENT)), Ok(()));
    assert_eq!(judge(&without, ExactOrNone(SENT)), Ok(()));
    assert_eq!(judge(&without, None), Ok(()));
    assert_eq!(judge(&with, Unchecked), Ok(()));
    assert_eq!(judge(&with, Exact(OLD)), Err(VoucherError::NonceMismatch));
    assert_eq!(
        judge(&with, ExactOrNone(OLD)),
        Err(VoucherError::NonceMismatch)
    );
    assert_eq!(
        judge(&with, Exact(&SENT[..15])),
        Err(VoucherError::NonceMismatch)
    );
    assert_eq!(
        judge(&without, Exact(SENT)),
        Err(VoucherError::NonceMissing)
    );
    assert_eq!(judge(&with, None), Err(VoucherError::NonceUnexpected));
}

/// LEDGER: 8366-5.3-02, 8366-5.3-12, 8366-5.3-13
#[test]
fn rules_between_leaves_hold_for_issuers_and_for_readers() {
    let lab = Lab::new();
    let both = Voucher {
        nonce: Some(vec![7; 16]),
        expires_on: Some(CREATED.plus_secs(DAY)),
        ..lab.voucher()
    };
    let renewal = Voucher {
        last_renewal_date: Some(CREATED),
        ..lab.voucher()
    };
    let nonce = |length| Voucher {
        nonce: Some(vec![7; length]),
        ..lab.voucher()
    };
    for (voucher, error) in [
        (both, VoucherError::NonceAndExpiry),
        (renewal, VoucherError::RenewalWithoutExpiry),
        (nonce(7), VoucherError::NonceLength { length: 7 }),
        (nonce(33), VoucherError::NonceLength { length: 33 }),
        (nonce(0), VoucherError::NonceLength { length: 0 }),
    ] {
        assert_eq!(lab.try_issue(&voucher).map(|_| ()), Err(error.clone()));
        let signed = lab.sign(&voucher.encode(sztp_voucher::yang::Encoding::Json));
        let strict = SignedVoucher::parse(&signed, Profile::Rfc8366).map(|_| ());
        assert_eq!(strict, Err(error.clone()));
        let lenient = SignedVoucher::parse(&signed, Profile::Rfc8366bis);
        match lenient {
            // The successor's draft has dropped this one rule: both are then checked.
            Ok(read) if error == VoucherError::NonceAndExpiry => {
                assert!(read.notes().iter().any(|note| note.contains("together")));
                let late = CREATED.plus_secs(2 * DAY);
                let anchors = lab.anchors();
                let context = VoucherContext::new(&anchors, WallClock::Trusted(late));
                assert_eq!(
                    read.verify(&context).expect_err("refused").code(),
                    "voucher.expired"
                );
            }
            other => assert_eq!(other.map(|_| ()), Err(error)),
        }
    }
    for length in [8, 32] {
        assert!(lab.judge_next_day(&nonce(length)).is_ok());
    }
}

/// The date until which the MASA renews is for people: a device ignores it.
/// LEDGER: 8366-5.3-13
#[test]
fn last_renewal_date_is_informative() {
    let lab = Lab::new();
    let voucher = Voucher {
        expires_on: Some(CREATED.plus_secs(14 * DAY)),
        last_renewal_date: Some(CREATED.plus_secs(-DAY)),
        ..lab.voucher()
    };
    assert!(lab.judge_next_day(&voucher).is_ok());
}

/// LEDGER: 8366-5.3-08, 8572-5.4-08
#[test]
fn idevid_issuer() {
    let lab = Lab::new();
    let judge_as = |profile, issuer: &[u8], idevid: Option<Certificate>| {
        let voucher = Voucher {
            idevid_issuer: Some(issuer.to_vec()),
            ..lab.voucher()
        };
        let anchors = lab.anchors();
        let context = VoucherContext {
            idevid: idevid.as_ref(),
            ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
        };
        SignedVoucher::parse(&lab.issue(&voucher), profile)?
            .verify(&context)
            .map(|verified| verified.notes().to_vec())
    };
    let judge = |issuer: &[u8], idevid| judge_as(Profile::Rfc8366bis, issuer, idevid);
    let device = || Some(lab.idevid.clone());
    let full = lab.idevid.authority_key_identifier().expect("has one");
    let bare = lab.idevid.authority_key_id().expect("has one");
    assert_eq!(full[..4], [0x30, 0x16, 0x80, 0x14]);
    assert_eq!(judge(full, device()), Ok(Vec::new()));
    let strict = |issuer| judge_as(Profile::Rfc8366, issuer, device());
    assert_eq!(strict(full), Ok(Vec::new()));
    // Older issuers put the bare key identifier: let pass by leniency alone, and said.
    assert_eq!(strict(bare), Err(VoucherError::IdevidIssuerMismatch));
    let notes = judge(bare, device()).expect("holds");
    assert!(
        notes
            .iter()
            .any(|note| note.contains("bare key identifier")),
        "{notes:?}"
    );
    let mut other = full.to_vec();
    other[10] ^= 1;
    for wrong in [
        &other[..],
        &bare[1..],
        &[],
        lab.domain.subject_key_id().expect("has one"),
    ] {
        assert_eq!(
            judge(wrong, device()),
            Err(VoucherError::IdevidIssuerMismatch)
        );
    }
    // The namesake of another IDevID authority, as serial numbers are not unique.
    let other_key = sztp_cms::SigningKey::generate(sztp_cms::KeyType::EcP256).expect("a key");
    let other_root = CertificateBuilder::new("CN=vendor")
        .ca(None)
        .self_signed(&other_key);
    let namesake = CertificateBuilder::new(format!("serialNumber={SERIAL_NUMBER}"))
        .issued_by(
            other_key.spki_der(),
            &other_root.expect("issues"),
            &other_key,
        )
        .expect("issues");
    assert_eq!(
        judge(full, Some(namesake)),
        Err(VoucherError::IdevidIssuerMismatch)
    );
    // Nobody said what to compare it with: not a reason to refuse for a tool, but to be told.
    let notes = judge(full, None).expect("holds");
    assert!(
        notes.iter().any(|note| note.contains("not compared")),
        "{notes:?}"
    );
}

/// LEDGER: 8366-5.3-09
#[test]
fn pinned_domain_cert() {
    let lab = Lab::new();
    let pinning = |octets: &[u8]| Voucher {
        pinned_domain_cert: octets.to_vec(),
        ..lab.voucher()
    };
    let end_entity = CertificateBuilder::new("CN=owner").self_signed(&lab.domain_key);
    let end_entity = end_entity.expect("issues");
    let verified = lab
        .judge_next_day(&pinning(end_entity.as_der()))
        .expect("verifies");
    assert_eq!(verified.pinned_domain_cert(), &end_entity);
    let der = lab.domain.as_der();
    for wrong in [
        &[][..],
        lab.domain.to_pem().as_bytes(),
        &der[..der.len() - 1],
        &[der, &[0]].concat(),
        b"not a certificate",
    ] {
        let voucher = pinning(wrong);
        assert!(matches!(
            lab.try_issue(&voucher),
            Err(VoucherError::PinnedDomainCert(_))
        ));
        // Signed by a MASA that did not look.
        let signed = lab.sign(&voucher.encode(sztp_voucher::yang::Encoding::Json));
        let anchors = lab.anchors();
        let outcome = SignedVoucher::parse(&signed, Profile::Rfc8366)
            .and_then(|it| it.verify(&VoucherContext::new(&anchors, WallClock::Unknown)));
        assert!(
            matches!(outcome, Err(VoucherError::PinnedDomainCert(_))),
            "{outcome:?}"
        );
    }
}

/// Several things are wrong at once: the order is that of RFC 8572 §5.4, signature first.
#[test]
fn the_first_rule_broken_is_told() {
    let lab = Lab::new();
    let stranger = Lab::new();
    let voucher = Voucher {
        expires_on: Some(CREATED.plus_secs(1)),
        idevid_issuer: Some(vec![1; 20]),
        assertion: Assertion::Logged,
        ..lab.voucher()
    };
    let judge = |anchors: TrustAnchors, at: UnixTime, policy: &'static [Assertion], device| {
        let signed = SignedVoucher::parse(&lab.issue(&voucher), Profile::Rfc8366);
        signed
            .expect("parses")
            .verify(&VoucherContext {
                serial_number: Some(device),
                idevid: Some(&lab.idevid),
                nonce: NonceExpectation::Exact(&[1; 16]),
                assertions: policy,
                ..VoucherContext::new(&anchors, WallClock::Trusted(at))
            })
            .expect_err("refused")
            .code()
    };
    let late = CREATED.plus_secs(DAY);
    let none: &'static [Assertion] = &[];
    let all: &'static [Assertion] = &Assertion::ALL;
    assert_eq!(
        judge(stranger.anchors(), late, none, "x"),
        "voucher.untrusted-signer"
    );
    assert_eq!(judge(lab.anchors(), late, none, "x"), "voucher.expired");
    assert_eq!(
        judge(lab.anchors(), CREATED, none, "x"),
        "voucher.assertion-refused"
    );
    assert_eq!(
        judge(lab.anchors(), CREATED, all, "x"),
        "voucher.serial-mismatch"
    );
    assert_eq!(
        judge(lab.anchors(), CREATED, all, SERIAL_NUMBER),
        "voucher.idevid-issuer-mismatch"
    );
}

/// The signer's path: to an intermediate, to the signer itself, to nobody known, after its end.
#[test]
fn signer() {
    let lab = Lab::new();
    let signed = SignedVoucher::parse(&lab.issue(&lab.voucher()), Profile::Rfc8366);
    let signed = signed.expect("parses");
    let verify = |anchors: &[&Certificate]| {
        let anchors: TrustAnchors = anchors.iter().copied().cloned().collect();
        let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
        signed
            .verify(&context)
            .map(|verified| verified.signer_chain().len())
    };
    assert_eq!(verify(&[&lab.root]), Ok(2));
    assert_eq!(verify(&[&lab.masa]), Ok(1));
    assert_eq!(verify(&[&lab.domain, &lab.root]), Ok(2));
    assert_eq!(
        verify(&[&lab.domain]),
        Err(VoucherError::UntrustedSigner(PathError::UnknownIssuer {
            issuer: "CN=vendor".to_owned()
        }))
    );
    assert_eq!(
        verify(&[]),
        Err(VoucherError::UntrustedSigner(PathError::NoTrustAnchor))
    );
    // A MASA signs as the holder of its certificate.
    let options = sztp_voucher::IssueOptions::default();
    let foreign = issue(&lab.voucher(), &lab.domain_key, &lab.masa, &[], &options);
    assert_eq!(foreign, Err(VoucherError::Cms(CmsError::KeyMismatch)));
}

/// LEDGER: 8366-5.4-06
#[test]
fn the_chain_up_to_the_anchor_is_inside() {
    let lab = Lab::new();
    let chain = [lab.root.clone(), lab.masa.clone()];
    let options = sztp_voucher::IssueOptions::default();
    let message = issue(&lab.voucher(), &lab.masa_key, &lab.masa, &chain, &options);
    let signed = SignedVoucher::parse(&message.expect("issues"), Profile::Rfc8366);
    let signed = signed.expect("parses");
    let inside = signed.cms().certificates();
    assert!(inside.contains(&lab.masa) && inside.contains(&lab.root));
    assert_eq!(inside.len(), 2, "each once");
}

/// Every single-bit change of a voucher is refused: the whole message, octet by octet.
#[test]
fn no_bit_of_a_voucher_may_change() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let voucher = Voucher {
        nonce: Some(vec![7; 16]),
        ..lab.voucher()
    };
    let message = lab.issue(&voucher);
    let judge = |message: &[u8]| {
        SignedVoucher::parse(message, Profile::Rfc8366bis)?
            .verify(&VoucherContext::new(&anchors, WallClock::Trusted(CREATED)))
            .map(|verified| verified.voucher().clone())
    };
    assert_eq!(judge(&message).as_ref(), Ok(&voucher));
    for at in 0..message.len() {
        // One bit of each octet; the messages of `sztp-cms` are changed in every bit.
        let mut changed = message.clone();
        changed[at] ^= 1 << (at % 8);
        // What is outside the signature (versions, the list of digests) changes no meaning.
        if let Ok(said) = judge(&changed) {
            assert_eq!(said, voucher, "octet {at}");
        }
    }
}
