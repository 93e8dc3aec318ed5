//! What holds for every voucher and voucher-request: reading undoes writing, member order means
//! nothing, no signed bit may change, and the report says what verification does.

use serde_json::{Map, Value};
use sztp_cms::{SignedDataBuilder, WallClock, oids};
use sztp_voucher::request::{PledgeContext, SignedVoucherRequest, VoucherRequest, sign};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{
    Assertion, Check, IssueOptions, NonceExpectation, Outcome, Profile, SignedVoucher, Voucher,
    VoucherContext, issue,
};

use crate::generator::Generator;
use crate::lab::{CREATED, DAY, Lab, SERIAL_NUMBER};

const PROFILES: [Profile; 2] = [Profile::Rfc8366, Profile::Rfc8366bis];

#[test]
fn reading_undoes_writing() {
    for seed in 0..2000 {
        let mut generator = Generator::new(seed);
        let (voucher, request) = (generator.voucher(), generator.request());
        for encoding in [Encoding::Json, Encoding::Xml] {
            for profile in PROFILES {
                let again = Voucher::decode(&voucher.encode(encoding), encoding, profile);
                assert_eq!(
                    again,
                    Ok((voucher.clone(), Vec::new())),
                    "{encoding} {seed}"
                );
                let again = VoucherRequest::decode(&request.encode(encoding), encoding, profile);
                assert_eq!(
                    again,
                    Ok((request.clone(), Vec::new())),
                    "{encoding} {seed}"
                );
            }
        }
    }
}

/// Leaves of a later revision survive as they are, each with a note, and are refused to the letter.
#[test]
fn unknown_leaves_are_kept_or_refused() {
    for seed in 0..500 {
        let mut generator = Generator::new(seed);
        let extra = generator.extra();
        let voucher = Voucher {
            extra: extra.clone(),
            ..generator.voucher()
        };
        let document = voucher.encode(Encoding::Json);
        let (again, notes) = Voucher::decode(&document, Encoding::Json, Profile::Rfc8366bis)
            .unwrap_or_else(|error| panic!("{seed}: {error}"));
        assert_eq!(again, voucher);
        assert_eq!(notes.len(), extra.len());
        let strict = Voucher::decode(&document, Encoding::Json, Profile::Rfc8366);
        assert_eq!(strict.is_ok(), extra.is_empty());
        let request = VoucherRequest {
            extra,
            ..generator.request()
        };
        let document = request.encode(Encoding::Json);
        let again = VoucherRequest::decode(&document, Encoding::Json, Profile::Rfc8366bis);
        assert_eq!(again.map(|(again, _)| again), Ok(request));
    }
}

/// An unknown leaf cannot take a known one's place.
#[test]
fn known_leaves_are_written_once() {
    let mut generator = Generator::new(1);
    let mut voucher = generator.voucher();
    let known = "serial-number".to_owned();
    voucher.extra.insert(known, Value::from("another device"));
    voucher.nonce = None;
    voucher
        .extra
        .insert("nonce".to_owned(), Value::from("AAAA"));
    let document = voucher.encode(Encoding::Json);
    let (again, _) = Voucher::decode(&document, Encoding::Json, Profile::Rfc8366).expect("reads");
    assert_eq!(
        again,
        Voucher {
            extra: Map::new(),
            ..voucher
        }
    );
}

#[test]
fn member_order_means_nothing() {
    for seed in 0..200 {
        let mut generator = Generator::new(seed);
        let voucher = generator.voucher();
        let document: Value =
            serde_json::from_slice(&voucher.encode(Encoding::Json)).expect("JSON");
        let leaves = document["ietf-voucher:voucher"]
            .as_object()
            .expect("leaves");
        let mut members: Vec<String> = leaves
            .iter()
            .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
            .collect();
        for at in (1..members.len()).rev() {
            members.swap(at, generator.below(at + 1));
        }
        let text = format!("{{\"ietf-voucher:voucher\":{{{}}}}}", members.join(" ,\n"));
        let again = Voucher::decode(text.as_bytes(), Encoding::Json, Profile::Rfc8366);
        assert_eq!(again, Ok((voucher, Vec::new())), "{text}");
    }
}

/// What was issued is what is verified, whatever the voucher says; and what was asked for is what
/// was proven.
#[test]
fn verifying_undoes_issuing() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Unknown);
    let pledges = PledgeContext::new(&anchors, WallClock::Unknown);
    for seed in 0..300 {
        let mut generator = Generator::new(seed);
        let mut voucher = Voucher {
            pinned_domain_cert: lab.domain.as_der().to_vec(),
            ..generator.voucher()
        };
        if let Some(expires_on) = &mut voucher.expires_on {
            *expires_on = (*expires_on).min(lab.domain.not_after());
        }
        let options = IssueOptions {
            content_type: [oids::ANIMA_JSON_VOUCHER, oids::ID_DATA][generator.below(2)],
            signing_time: generator.coin().then_some(CREATED),
            ..IssueOptions::default()
        };
        let message = issue(&voucher, &lab.masa_key, &lab.masa, &[], &options).expect("issues");
        for profile in PROFILES {
            let signed = SignedVoucher::parse(&message, profile).expect("parses");
            let verified = signed.verify(&context).expect("holds");
            assert_eq!(verified.voucher(), &voucher, "{seed}");
            assert_eq!(verified.pinned_domain_cert(), &lab.domain);
            assert_eq!(signed.notes(), [""; 0], "{seed}");
        }
        let mut request = VoucherRequest {
            serial_number: SERIAL_NUMBER.to_owned(),
            idevid_issuer: None,
            proximity_registrar_cert: Some(lab.domain.as_der().to_vec()),
            ..generator.request()
        };
        if generator.coin() {
            let issuer = lab.idevid.authority_key_identifier();
            request.idevid_issuer = issuer.map(<[u8]>::to_vec);
        }
        let (key, idevid) = (&lab.idevid_key, &lab.idevid);
        let message = sign(&request, key, idevid, &[], &options).expect("signs");
        for profile in PROFILES {
            let signed = SignedVoucherRequest::parse(&message, profile).expect("parses");
            let verified = signed.verify_as_pledge(&pledges).expect("holds");
            assert_eq!(verified.request(), &request, "{seed}");
        }
    }
}

/// Where the signed octets are in a message: the content, and the attributes beside it.
fn signed_octets(message: &[u8], content: &[u8]) -> Vec<usize> {
    let start = |part: &[u8]| {
        let mut found = message.windows(part.len()).enumerate();
        found
            .find(|(_, window)| *window == part)
            .map(|(at, _)| at)
            .expect("is there")
    };
    let content = start(content)..start(content) + content.len();
    // The signed attributes begin with content-type or message-digest (RFC 5652 §11).
    let attribute = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09];
    let first = start(attribute);
    content.chain(first..first + 80).collect()
}

/// Each bit of the signed octets of vouchers in both content types.
#[test]
fn no_signed_bit_of_a_voucher_may_change() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    for content_type in [oids::ANIMA_JSON_VOUCHER, oids::ID_DATA] {
        let content = lab.voucher().encode(Encoding::Json);
        let message = lab.sign_as(content_type, &content);
        let good = SignedVoucher::parse(&message, Profile::Rfc8366bis).expect("parses");
        assert!(good.verify(&context).is_ok());
        for at in signed_octets(&message, &content) {
            for bit in 0..8 {
                let mut changed = message.clone();
                changed[at] ^= 1 << bit;
                let outcome = SignedVoucher::read(&changed, Profile::Rfc8366bis)
                    .and_then(|signed| signed.verify(&context));
                assert!(outcome.is_err(), "octet {at} bit {bit}");
            }
        }
    }
}

#[test]
fn no_signed_bit_of_a_request_may_change() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let context = PledgeContext::new(&anchors, WallClock::Trusted(CREATED));
    let request = VoucherRequest {
        nonce: Some(vec![7; 16]),
        ..VoucherRequest::new(SERIAL_NUMBER)
    };
    let content = request.encode(Encoding::Json);
    let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, content.clone())
        .certificates([lab.idevid.clone()])
        .sign(&lab.idevid_key, &lab.idevid)
        .expect("signs");
    let judge = |message: &[u8]| {
        SignedVoucherRequest::read(message, Profile::Rfc8366bis)?.verify_as_pledge(&context)
    };
    assert!(judge(&message).is_ok());
    for at in signed_octets(&message, &content) {
        for bit in 0..8 {
            let mut changed = message.clone();
            changed[at] ^= 1 << bit;
            assert!(judge(&changed).is_err(), "octet {at} bit {bit}");
        }
    }
}

/// Hundreds of contexts: the report's verdict is verification's, exactly one check has failed if
/// it is a refusal, and with that verdict's error; all before were made, none after.
#[test]
fn the_report_is_what_verification_does() {
    let lab = Lab::new();
    let stranger = Lab::new();
    let (own, foreign) = (lab.anchors(), stranger.anchors());
    let mut failed = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let mut generator = Generator::new(seed);
        let mut voucher = Voucher {
            assertion: Assertion::ALL[generator.below(3)],
            ..lab.voucher()
        };
        match generator.below(3) {
            0 => voucher.nonce = Some(vec![7; 16]),
            1 => voucher.expires_on = Some(CREATED.plus_secs(DAY)),
            _ => {}
        }
        if generator.coin() {
            let issuer = lab.idevid.authority_key_identifier();
            voucher.idevid_issuer = issuer.map(<[u8]>::to_vec);
        }
        if generator.below(4) == 0 {
            voucher.pinned_domain_cert = vec![0x30, 0];
        }
        let mut message = lab.sign(&voucher.encode(Encoding::Json));
        if generator.below(6) == 0 {
            // In the signature, at the end.
            *message.last_mut().expect("octets") ^= 1;
        }
        let anchors = if generator.below(6) == 0 {
            &foreign
        } else {
            &own
        };
        let at = [-1, 0, 2 * DAY][generator.below(3)];
        let context = VoucherContext {
            serial_number: [None, Some(SERIAL_NUMBER), Some("other")][generator.below(3)],
            idevid: [None, Some(&lab.idevid), Some(&stranger.idevid)][generator.below(3)],
            nonce: [
                NonceExpectation::Unchecked,
                NonceExpectation::None,
                NonceExpectation::Exact(&[7; 16]),
                NonceExpectation::ExactOrNone(&[8; 16]),
            ][generator.below(4)],
            clock: match generator.below(3) {
                0 => WallClock::Unknown,
                _ => WallClock::Trusted(CREATED.plus_secs(at)),
            },
            expiry_needs_clock: generator.coin(),
            assertions: &Assertion::ALL[..=generator.below(3)],
            ..VoucherContext::new(anchors, WallClock::Unknown)
        };
        let signed = SignedVoucher::parse(&message, PROFILES[generator.below(2)]);
        let signed = signed.expect("parses");
        let report = signed.examine(&context);
        let verdict = signed.verify(&context);
        assert_eq!(report.verdict().err(), verdict.as_ref().err(), "{seed}");
        let names: Vec<Check> = report.checks().iter().map(|(check, _)| *check).collect();
        assert_eq!(names, Check::ALL);
        let at = report
            .checks()
            .iter()
            .position(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
        for (place, (check, outcome)) in report.checks().iter().enumerate() {
            match (outcome, at) {
                (Outcome::Failed(error), _) => {
                    assert_eq!(Some(error), verdict.as_ref().err());
                    failed.insert(*check);
                }
                (Outcome::NotReached, Some(at)) => assert!(place > at, "{seed} {check}"),
                (Outcome::NotReached, None) => panic!("{seed} {check}"),
                (_, Some(at)) => assert!(place < at, "{seed} {check}"),
                (_, None) => {}
            }
        }
        assert_eq!(at.is_some(), verdict.is_err(), "{seed}");
        if let Ok(verified) = verdict {
            assert_eq!(report.notes(), verified.notes());
        }
    }
    // The generator reaches each way to fail after reading.
    let reachable: Vec<Check> = Check::ALL.into_iter().skip(2).collect();
    assert_eq!(failed.into_iter().collect::<Vec<_>>(), reachable);
}
