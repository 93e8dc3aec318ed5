//! Voucher-requests in JWS: from a pledge over a registrar to the MASA, and each way in which they
//! are refused. The rules are those of requests in CMS (`voucher/requests.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sztp_cms::{
    Certificate, CertificateBuilder, CertificateError, KeyType, PathError, Signer as _, SigningKey,
    TrustAnchors, UnixTime, WallClock,
};
use sztp_voucher::jws::{self, JwsError, JwsVoucher, JwsVoucherRequest, sign_request};
use sztp_voucher::request::{
    ExtendedKeyUsage, PledgeContext, RegistrarContext, SignedVoucherRequest, VerifiedPledgeRequest,
    VerifiedRegistrarRequest, VoucherRequest, VoucherRequestError, VoucherTerms, sign,
};
use sztp_voucher::yang::YangError;
use sztp_voucher::{
    Assertion, IssueOptions, NonceExpectation, Profile, VoucherContext, VoucherError,
};

/// 2026-03-02T08:15:00Z.
const NOW: UnixTime = UnixTime::from_secs(1_772_439_300);
const CLOCK: WallClock = WallClock::Trusted(NOW);
const NONCE: [u8; 16] = [7; 16];
const SERIAL_NUMBER: &str = "AX7-00042";

/// A manufacturer's device, and a domain with its registrar.
struct World {
    vendor: Certificate,
    vendor_key: SigningKey,
    idevid: Certificate,
    idevid_key: SigningKey,
    domain: Certificate,
    registrar: Certificate,
    registrar_key: SigningKey,
}

fn key(key_type: KeyType) -> SigningKey {
    SigningKey::generate(key_type).expect("a key")
}

impl World {
    fn new() -> Self {
        Self::of(KeyType::EcP256)
    }

    fn of(key_type: KeyType) -> Self {
        let (vendor_key, domain_key) = (key(KeyType::EcP256), key(KeyType::EcP256));
        let (idevid_key, registrar_key) = (key(key_type), key(key_type));
        let authority = |name: &str, key: &SigningKey| {
            let builder = CertificateBuilder::new(name).ca(None);
            builder.self_signed(key).expect("issues")
        };
        let vendor = authority("CN=vendor", &vendor_key);
        let domain = authority("CN=domain", &domain_key);
        let idevid = CertificateBuilder::new(format!("serialNumber={SERIAL_NUMBER}"))
            .issued_by(idevid_key.spki_der(), &vendor, &vendor_key)
            .expect("issues");
        let usage = ExtendedKeyUsage::CMC_RA.to_vec();
        let registrar = CertificateBuilder::new("CN=registrar")
            .extension(ExtendedKeyUsage::EXTENSION, false, usage)
            .issued_by(registrar_key.spki_der(), &domain, &domain_key)
            .expect("issues");
        Self {
            vendor,
            vendor_key,
            idevid,
            idevid_key,
            domain,
            registrar,
            registrar_key,
        }
    }

    fn pledge_request(&self) -> VoucherRequest {
        VoucherRequest {
            created_on: Some(NOW),
            assertion: Some(Assertion::Proximity),
            nonce: Some(NONCE.to_vec()),
            proximity_registrar_cert: Some(self.registrar.as_der().to_vec()),
            ..VoucherRequest::new(SERIAL_NUMBER)
        }
    }

    fn as_pledge(&self, request: &VoucherRequest) -> String {
        sign_request(request, &self.idevid_key, &self.idevid, &[]).expect("signs")
    }

    fn registrar_request(&self, prior: impl Into<Vec<u8>>) -> VoucherRequest {
        let issuer = self.idevid.authority_key_identifier();
        VoucherRequest {
            nonce: Some(NONCE.to_vec()),
            idevid_issuer: issuer.map(<[u8]>::to_vec),
            prior_signed_voucher_request: Some(prior.into()),
            ..VoucherRequest::new(SERIAL_NUMBER)
        }
    }

    fn as_registrar(&self, request: &VoucherRequest) -> String {
        let chain = [self.domain.clone()];
        sign_request(request, &self.registrar_key, &self.registrar, &chain).expect("signs")
    }

    fn pledge_verdict(&self, text: &str) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        let anchors = TrustAnchors::new([self.vendor.clone()]);
        JwsVoucherRequest::parse(text.as_bytes(), Profile::Rfc8366)?
            .verify_as_pledge(&PledgeContext::new(&anchors, CLOCK))
    }

    fn verdict(&self, text: &str) -> Result<VerifiedRegistrarRequest, VoucherRequestError> {
        let anchors = TrustAnchors::new([self.vendor.clone()]);
        let context = RegistrarContext::new(PledgeContext::new(&anchors, CLOCK));
        JwsVoucherRequest::parse(text.as_bytes(), Profile::Rfc8366)?.verify_as_registrar(&context)
    }

    fn refused(&self, request: &VoucherRequest) -> VoucherRequestError {
        let outcome = self.verdict(&self.as_registrar(request));
        outcome.map(|_| ()).expect_err("refused")
    }
}

#[test]
fn from_the_pledge_to_the_voucher_that_it_accepts() {
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519] {
        let world = World::of(key_type);
        let asked = world.as_pledge(&world.pledge_request());
        let passed_on = world.as_registrar(&world.registrar_request(asked));
        let request = world.verdict(&passed_on).expect("holds");
        assert_eq!(request.registrar(), &world.registrar);
        assert_eq!(request.domain_ca(), &world.domain);
        let pledge = request.pledge().expect("is there");
        assert_eq!(pledge.idevid(), &world.idevid);
        assert_eq!(pledge.request(), &world.pledge_request());
        assert_eq!(request.notes(), [""; 0]);
        let voucher = request.grant(&VoucherTerms::new(NOW)).expect("granted");
        assert_eq!(voucher.assertion, Assertion::Proximity);
        let text = jws::issue(&voucher, &world.vendor_key, &world.vendor, &[]).expect("issues");
        let anchors = TrustAnchors::new([world.vendor.clone()]);
        let verified = JwsVoucher::parse(text.as_bytes(), Profile::Rfc8366)
            .expect("parses")
            .verify(&VoucherContext {
                serial_number: Some(SERIAL_NUMBER),
                idevid: Some(&world.idevid),
                nonce: NonceExpectation::Exact(&NONCE),
                ..VoucherContext::new(&anchors, CLOCK)
            })
            .expect("the pledge accepts it");
        assert_eq!(verified.pinned_domain_cert(), &world.domain);
    }
}

/// A registrar speaks JWS to the MASA whatever the pledge speaks to it; in CMS there is only CMS.
#[test]
fn the_request_inside_may_be_cms() {
    let world = World::new();
    let options = IssueOptions::default();
    let in_cms = sign(
        &world.pledge_request(),
        &world.idevid_key,
        &world.idevid,
        &[],
        &options,
    );
    let text = world.as_registrar(&world.registrar_request(in_cms.expect("signs")));
    let request = world.verdict(&text).expect("holds");
    assert!(request.pledge().is_some());

    let in_jws = world.as_pledge(&world.pledge_request());
    let message = sign(
        &world.registrar_request(in_jws),
        &world.registrar_key,
        &world.registrar,
        std::slice::from_ref(&world.domain),
        &options,
    );
    let anchors = TrustAnchors::new([world.vendor.clone()]);
    let context = RegistrarContext::new(PledgeContext::new(&anchors, CLOCK));
    let outcome = SignedVoucherRequest::parse(&message.expect("signs"), Profile::Rfc8366)
        .and_then(|signed| signed.verify_as_registrar(&context));
    let error = outcome.map(|_| ()).expect_err("refused");
    assert_eq!(error.code(), "voucher-request.prior");
}

#[test]
fn what_a_pledge_may_not_ask() {
    let world = World::new();
    let other = VoucherRequest {
        serial_number: "AX7-00043".to_owned(),
        ..world.pledge_request()
    };
    assert_eq!(
        world.pledge_verdict(&world.as_pledge(&other)).map(|_| ()),
        Err(VoucherRequestError::SerialNumberMismatch {
            idevid: Some(SERIAL_NUMBER.to_owned()),
            request: "AX7-00043".to_owned(),
        })
    );
    let foreign = VoucherRequest {
        idevid_issuer: Some(vec![1, 2, 3]),
        ..world.pledge_request()
    };
    assert_eq!(
        world.pledge_verdict(&world.as_pledge(&foreign)).map(|_| ()),
        Err(VoucherRequestError::IdevidIssuerMismatch)
    );
    let stranger = World::new();
    let outcome = world.pledge_verdict(&stranger.as_pledge(&stranger.pledge_request()));
    assert!(matches!(
        outcome.map(|_| ()),
        Err(VoucherRequestError::Voucher(VoucherError::UntrustedSigner(
            PathError::BadSignature { .. }
        )))
    ));
}

#[test]
fn what_a_registrar_may_not_pass_on() {
    let world = World::new();
    let asked = world.as_pledge(&world.pledge_request());
    let good = world.registrar_request(asked.clone());
    assert!(world.verdict(&world.as_registrar(&good)).is_ok());

    let without = VoucherRequest {
        prior_signed_voucher_request: None,
        ..good.clone()
    };
    assert_eq!(world.refused(&without), VoucherRequestError::PriorMissing);
    let other_nonce = VoucherRequest {
        nonce: Some(vec![8; 16]),
        ..good.clone()
    };
    assert_eq!(
        world.refused(&other_nonce),
        VoucherRequestError::NonceMismatch
    );
    let no_nonce = VoucherRequest {
        nonce: None,
        ..good.clone()
    };
    assert_eq!(
        world.refused(&no_nonce),
        VoucherRequestError::RegistrarUnknown
    );
    // Another registrar than the pledge talked to.
    let elsewhere = VoucherRequest {
        proximity_registrar_cert: Some(world.vendor.as_der().to_vec()),
        ..world.pledge_request()
    };
    let elsewhere = world.registrar_request(world.as_pledge(&elsewhere));
    assert_eq!(
        world.refused(&elsewhere),
        VoucherRequestError::ProximityCertMismatch
    );
    for broken in ["", "{}", "  {", "text", "\u{30}\u{3}"] {
        let error = world.refused(&world.registrar_request(broken));
        assert!(
            matches!(error, VoucherRequestError::Prior(_)),
            "{broken:?} {error:?}"
        );
    }
    // A pledge's request wrapped in itself any number of times is read to the first pledge only.
    let nested = world.registrar_request(world.as_registrar(&good));
    assert!(matches!(
        world.refused(&nested),
        VoucherRequestError::Prior(_)
    ));
    // Nobody is a registrar by his own word.
    let text = sign_request(
        &good,
        &world.vendor_key,
        &world.vendor,
        std::slice::from_ref(&world.domain),
    );
    assert_eq!(
        world.verdict(&text.expect("signs")).map(|_| ()),
        Err(VoucherRequestError::NotRegistrar)
    );
}

/// Without the authority in x5c nobody says which domain it is.
#[test]
fn the_domain_is_in_the_message_or_configured() {
    let world = World::new();
    let asked = world.as_pledge(&world.pledge_request());
    let request = world.registrar_request(asked);
    let text = sign_request(&request, &world.registrar_key, &world.registrar, &[]);
    let text = text.expect("signs");
    assert_eq!(
        world.verdict(&text).map(|_| ()),
        Err(VoucherRequestError::DomainCaMissing)
    );
    let anchors = TrustAnchors::new([world.vendor.clone()]);
    let domains = TrustAnchors::new([world.domain.clone()]);
    let context = RegistrarContext {
        registrar_anchors: Some(&domains),
        ..RegistrarContext::new(PledgeContext::new(&anchors, CLOCK))
    };
    let signed = JwsVoucherRequest::parse(text.as_bytes(), Profile::Rfc8366).expect("parses");
    let verified = signed.verify_as_registrar(&context).expect("holds");
    assert_eq!(verified.domain_ca(), &world.domain);
    assert_eq!(
        signed.certificates(),
        std::slice::from_ref(&world.registrar)
    );
    assert_eq!(signed.profile(), Profile::Rfc8366);
    assert_eq!(signed.unverified(), &request);
}

#[test]
fn what_is_not_signed() {
    let world = World::new();
    let sign = |request: &VoucherRequest, certificate| {
        sign_request(request, &world.idevid_key, certificate, &[])
    };
    assert_eq!(
        sign(&world.pledge_request(), &world.vendor),
        Err(VoucherRequestError::Voucher(VoucherError::Jws(
            JwsError::KeyMismatch
        )))
    );
    let nobody = VoucherRequest::new("");
    assert_eq!(
        sign(&nobody, &world.idevid),
        Err(VoucherError::EmptySerialNumber.into())
    );
    let to_nobody = VoucherRequest {
        proximity_registrar_cert: None,
        ..world.pledge_request()
    };
    assert_eq!(
        sign(&to_nobody, &world.idevid),
        Err(VoucherRequestError::ProximityCertMissing)
    );
    let to_what = VoucherRequest {
        proximity_registrar_cert: Some(vec![4, 0]),
        ..world.pledge_request()
    };
    assert!(matches!(
        sign(&to_what, &world.idevid),
        Err(VoucherRequestError::ProximityCert(
            CertificateError::Malformed { .. }
        ))
    ));
}

/// The two documents travel in the same form and under the same type: only content tells them apart.
#[test]
fn a_voucher_is_no_request_and_a_request_no_voucher() {
    let world = World::new();
    let asked = world.as_pledge(&world.pledge_request());
    assert_eq!(
        JwsVoucher::parse(asked.as_bytes(), Profile::Rfc8366)
            .map(|_| ())
            .expect_err("refused"),
        VoucherError::VoucherRequest
    );
    let voucher =
        sztp_voucher::Voucher::new(SERIAL_NUMBER, Assertion::Logged, world.domain.as_der(), NOW);
    let text = jws::issue(&voucher, &world.vendor_key, &world.vendor, &[]).expect("issues");
    assert_eq!(
        JwsVoucherRequest::parse(text.as_bytes(), Profile::Rfc8366)
            .map(|_| ())
            .expect_err("refused"),
        VoucherRequestError::IsVoucher
    );
    // What PRM pledges assert beyond RFC 8995 is not known, in either profile.
    let mut message: Value = serde_json::from_str(&asked).expect("JSON");
    let document = json!({ "ietf-voucher-request:voucher": {
        "serial-number": SERIAL_NUMBER, "assertion": "agent-proximity",
    }});
    message["payload"] = json!(URL_SAFE_NO_PAD.encode(document.to_string()));
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        assert!(matches!(
            JwsVoucherRequest::parse(message.to_string().as_bytes(), profile),
            Err(VoucherRequestError::Voucher(VoucherError::Yang(
                YangError::WrongType { .. } | YangError::InvalidValue { .. }
            )))
        ));
    }
}

/// Each octet of header, payload and signature, in one bit, of the request and of the one inside.
#[test]
fn nothing_signed_may_change() {
    let world = World::new();
    let asked = world.as_pledge(&world.pledge_request());
    let passed_on = world.as_registrar(&world.registrar_request(asked.clone()));
    let anchors = TrustAnchors::new([world.vendor.clone()]);
    let pledge = PledgeContext::new(&anchors, CLOCK);
    let judge = |text: &str, profile, is_pledge: bool| {
        let signed = JwsVoucherRequest::parse(text.as_bytes(), profile)?;
        if is_pledge {
            signed.verify_as_pledge(&pledge).map(|_| ())
        } else {
            let context = RegistrarContext::new(pledge);
            signed.verify_as_registrar(&context).map(|_| ())
        }
    };
    let mut judged = 0;
    for (text, is_pledge) in [(asked, true), (passed_on, false)] {
        let good: Value = serde_json::from_str(&text).expect("JSON");
        for place in [
            "/payload",
            "/signatures/0/protected",
            "/signatures/0/signature",
        ] {
            let value = good.pointer(place).and_then(Value::as_str);
            let octets = URL_SAFE_NO_PAD
                .decode(value.expect("text"))
                .expect("base64url");
            for at in 0..octets.len() {
                let mut changed = octets.clone();
                changed[at] ^= 1 << (at % 8);
                let mut message = good.clone();
                *message.pointer_mut(place).expect("is there") =
                    json!(URL_SAFE_NO_PAD.encode(changed));
                let text = message.to_string();
                for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
                    assert!(judge(&text, profile, is_pledge).is_err(), "{place} {at}");
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 3000, "{judged}");
}
