//! Voucher-requests (RFC 8995 §3, §5.5): from a pledge over a registrar to a MASA, and each way in
//! which a MASA refuses one.

use sztp_cms::{
    Certificate, CertificateBuilder, PathError, Signer as _, SigningKey, TrustAnchors, WallClock,
};
use sztp_voucher::request::{
    AssertionBasis, ExtendedKeyUsage, Pin, PledgeContext, RegistrarContext, SignedVoucherRequest,
    VerifiedPledgeRequest, VerifiedRegistrarRequest, VoucherRequest, VoucherRequestError,
    VoucherTerms, sign,
};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{
    Assertion, IssueOptions, NonceExpectation, Profile, SignedVoucher, VoucherContext,
    VoucherError, issue,
};

use crate::lab::{CREATED, DAY, Lab, SERIAL_NUMBER, key};

const NONCE: [u8; 16] = [7; 16];

/// The lab and a registrar in the owner's domain.
struct Domain {
    lab: Lab,
    registrar: Certificate,
    registrar_key: SigningKey,
}

impl Domain {
    fn new() -> Self {
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
        Self {
            lab,
            registrar,
            registrar_key,
        }
    }

    fn pledge_request(&self) -> VoucherRequest {
        VoucherRequest {
            created_on: Some(CREATED),
            assertion: Some(Assertion::Proximity),
            nonce: Some(NONCE.to_vec()),
            proximity_registrar_cert: Some(self.registrar.as_der().to_vec()),
            ..VoucherRequest::new(SERIAL_NUMBER)
        }
    }

    fn as_pledge(&self, request: &VoucherRequest) -> Vec<u8> {
        let (key, idevid) = (&self.lab.idevid_key, &self.lab.idevid);
        sign(request, key, idevid, &[], &IssueOptions::default()).expect("signs")
    }

    fn registrar_request(&self) -> VoucherRequest {
        VoucherRequest {
            nonce: Some(NONCE.to_vec()),
            idevid_issuer: self
                .lab
                .idevid
                .authority_key_identifier()
                .map(<[u8]>::to_vec),
            prior_signed_voucher_request: Some(self.as_pledge(&self.pledge_request())),
            ..VoucherRequest::new(SERIAL_NUMBER)
        }
    }

    fn as_registrar(&self, request: &VoucherRequest) -> Vec<u8> {
        let chain = [self.lab.domain.clone()];
        let options = IssueOptions::default();
        sign(
            request,
            &self.registrar_key,
            &self.registrar,
            &chain,
            &options,
        )
        .expect("signs")
    }

    fn pledge_verdict(&self, message: &[u8]) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        let anchors = self.lab.anchors();
        let context = PledgeContext::new(&anchors, WallClock::Trusted(CREATED));
        SignedVoucherRequest::parse(message, Profile::Rfc8366)?.verify_as_pledge(&context)
    }

    fn verdict(
        &self,
        message: &[u8],
        adjust: impl for<'a> FnOnce(RegistrarContext<'a>, &'a TrustAnchors) -> RegistrarContext<'a>,
    ) -> Result<VerifiedRegistrarRequest, VoucherRequestError> {
        let anchors = self.lab.anchors();
        let domains = TrustAnchors::new([self.lab.domain.clone()]);
        let pledge = PledgeContext::new(&anchors, WallClock::Trusted(CREATED));
        let context = adjust(RegistrarContext::new(pledge), &domains);
        SignedVoucherRequest::parse(message, Profile::Rfc8366)?.verify_as_registrar(&context)
    }

    fn verified(&self) -> VerifiedRegistrarRequest {
        let message = self.as_registrar(&self.registrar_request());
        self.verdict(&message, |context, _| context).expect("holds")
    }

    /// The code with which a registrar's request is refused.
    fn refused(&self, request: &VoucherRequest) -> VoucherRequestError {
        let message = self.as_registrar(request);
        self.verdict(&message, |context, _| context)
            .map(|_| ())
            .expect_err("refused")
    }
}

#[test]
fn from_the_pledge_to_the_voucher_that_it_accepts() {
    let domain = Domain::new();
    let request = domain.verified();
    assert_eq!(request.registrar(), &domain.registrar);
    assert_eq!(request.domain_ca(), &domain.lab.domain);
    assert_eq!(
        request.pledge().map(VerifiedPledgeRequest::idevid),
        Some(&domain.lab.idevid)
    );
    assert_eq!(request.notes(), [""; 0]);
    let voucher = request.grant(&VoucherTerms::new(CREATED)).expect("granted");
    assert_eq!(voucher.assertion, Assertion::Proximity);
    assert_eq!(voucher.nonce.as_deref(), Some(&NONCE[..]));
    assert_eq!(voucher.pinned_domain_cert, domain.lab.domain.as_der());
    let options = IssueOptions::default();
    let message = issue(
        &voucher,
        &domain.lab.masa_key,
        &domain.lab.masa,
        &[],
        &options,
    );
    let anchors = domain.lab.anchors();
    let verified = SignedVoucher::parse(&message.expect("issues"), Profile::Rfc8366)
        .expect("parses")
        .verify(&VoucherContext {
            serial_number: Some(SERIAL_NUMBER),
            idevid: Some(&domain.lab.idevid),
            nonce: NonceExpectation::Exact(&NONCE),
            assertions: &[Assertion::Proximity],
            ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
        })
        .expect("the pledge accepts it");
    assert_eq!(verified.pinned_domain_cert(), &domain.lab.domain);
}

/// The assertion is what was proven or what the manufacturer knows, never what was asked for.
/// LEDGER: 8366-5.3-05
#[test]
fn the_assertion_granted() {
    let domain = Domain::new();
    let with_pledge = domain.verified();
    let without = domain.as_registrar(&VoucherRequest {
        assertion: Some(Assertion::Verified),
        prior_signed_voucher_request: None,
        ..domain.registrar_request()
    });
    let without = domain
        .verdict(&without, |context, _| RegistrarContext {
            prior_required: false,
            ..context
        })
        .expect("holds");
    let granted = |request: &VerifiedRegistrarRequest, assertion| {
        let terms = VoucherTerms {
            assertion,
            ..VoucherTerms::new(CREATED)
        };
        request.grant(&terms).expect("granted").assertion
    };
    use AssertionBasis::{Evidence, Nothing, OwnRecords};
    assert_eq!(granted(&with_pledge, Evidence), Assertion::Proximity);
    assert_eq!(granted(&with_pledge, OwnRecords), Assertion::Verified);
    assert_eq!(granted(&with_pledge, Nothing), Assertion::Logged);
    assert_eq!(granted(&without, Evidence), Assertion::Logged);
}

#[test]
fn what_is_pinned() {
    let domain = Domain::new();
    let request = domain.verified();
    let owner = CertificateBuilder::new("CN=owner").self_signed(&domain.lab.domain_key);
    let owner = owner.expect("issues");
    for (pin, expected) in [
        (Pin::DomainCa, &domain.lab.domain),
        (Pin::Registrar, &domain.registrar),
        (Pin::Certificate(&owner), &owner),
    ] {
        let terms = VoucherTerms {
            pin,
            ..VoucherTerms::new(CREATED)
        };
        let voucher = request.grant(&terms).expect("granted");
        assert_eq!(voucher.pinned_domain_cert, expected.as_der());
    }
    // Without a registrar, only the manufacturer can know.
    let pledge = domain
        .pledge_verdict(&domain.as_pledge(&domain.pledge_request()))
        .expect("holds");
    let terms = VoucherTerms::new(CREATED);
    assert_eq!(pledge.grant(&terms), Err(VoucherRequestError::NothingToPin));
    let terms = VoucherTerms {
        pin: Pin::Certificate(&owner),
        ..terms
    };
    let voucher = pledge.grant(&terms).expect("granted");
    // That it talked to a registrar is the pledge's word alone.
    assert_eq!(voucher.assertion, Assertion::Logged);
    assert_eq!(voucher.nonce.as_deref(), Some(&NONCE[..]));
}

/// Two IDevID authorities of one manufacturer that use the same serial number: the voucher for one
/// device is not for the other.
/// LEDGER: 8366-5.3-07
#[test]
fn idevid_issuer_tells_devices_of_one_serial_number_apart() {
    let domain = Domain::new();
    let voucher = domain
        .verified()
        .grant(&VoucherTerms::new(CREATED))
        .expect("granted");
    let issuer = domain.lab.idevid.authority_key_identifier();
    assert_eq!(voucher.idevid_issuer.as_deref(), issuer);
    let other_key = key();
    let other_ca = CertificateBuilder::new("CN=the other IDevID CA")
        .ca(None)
        .issued_by(other_key.spki_der(), &domain.lab.root, &domain.lab.root_key)
        .expect("issues");
    let namesake = CertificateBuilder::new(format!("serialNumber={SERIAL_NUMBER}"))
        .issued_by(other_key.spki_der(), &other_ca, &other_key)
        .expect("issues");
    let message = domain.lab.issue(&voucher);
    let judge = |idevid: &Certificate| {
        let anchors = domain.lab.anchors();
        let context = VoucherContext {
            serial_number: Some(SERIAL_NUMBER),
            idevid: Some(idevid),
            ..VoucherContext::new(&anchors, WallClock::Trusted(CREATED))
        };
        let signed = SignedVoucher::parse(&message, Profile::Rfc8366).expect("parses");
        signed.verify(&context).map(|_| ())
    };
    assert_eq!(judge(&domain.lab.idevid), Ok(()));
    assert_eq!(judge(&namesake), Err(VoucherError::IdevidIssuerMismatch));
    // Where serial numbers are unique it may be left out.
    let terms = VoucherTerms {
        name_idevid_issuer: false,
        ..VoucherTerms::new(CREATED)
    };
    let voucher = domain.verified().grant(&terms).expect("granted");
    assert_eq!(voucher.idevid_issuer, None);
}

/// LEDGER: 8366-7.1-01
#[test]
fn devices_without_a_clock_get_no_voucher_that_expires() {
    let domain = Domain::new();
    let message = domain.as_registrar(&VoucherRequest {
        nonce: None,
        ..domain.registrar_request()
    });
    let request = domain
        .verdict(&message, |context, domains| RegistrarContext {
            registrar_anchors: Some(domains),
            ..context
        })
        .expect("holds");
    let terms = VoucherTerms {
        expires_on: Some(CREATED.plus_secs(14 * DAY)),
        device_has_clock: false,
        ..VoucherTerms::new(CREATED)
    };
    assert_eq!(
        request.grant(&terms),
        Err(VoucherRequestError::ExpiryWithoutClock)
    );
    let for_life = VoucherTerms {
        expires_on: None,
        ..terms
    };
    assert_eq!(request.grant(&for_life).expect("granted").expires_on, None);
    let with_clock = VoucherTerms {
        device_has_clock: true,
        ..terms
    };
    let voucher = request.grant(&with_clock).expect("granted");
    assert_eq!(voucher.expires_on, terms.expires_on);
}

/// LEDGER: 8366-5.3-02
#[test]
fn terms_that_make_no_voucher() {
    let domain = Domain::new();
    let request = domain.verified();
    let refused = |terms: VoucherTerms<'_>| request.grant(&terms).expect_err("refused");
    let terms = VoucherTerms::new(CREATED);
    assert_eq!(
        refused(VoucherTerms {
            expires_on: Some(CREATED.plus_secs(DAY)),
            ..terms
        }),
        VoucherRequestError::Voucher(VoucherError::NonceAndExpiry)
    );
    assert_eq!(
        refused(VoucherTerms {
            last_renewal_date: Some(CREATED),
            ..terms
        }),
        VoucherRequestError::Voucher(VoucherError::RenewalWithoutExpiry)
    );
}

#[test]
fn a_pledge_asks_for_itself() {
    let domain = Domain::new();
    let refused = |request: &VoucherRequest| {
        domain
            .pledge_verdict(&domain.as_pledge(request))
            .map(|_| ())
            .expect_err("refused")
    };
    let good = domain.pledge_request();
    assert!(domain.pledge_verdict(&domain.as_pledge(&good)).is_ok());
    let other = VoucherRequest {
        serial_number: "AX7-00043".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        refused(&other),
        VoucherRequestError::SerialNumberMismatch {
            idevid: Some(SERIAL_NUMBER.to_owned()),
            request: "AX7-00043".to_owned()
        }
    );
    let other = VoucherRequest {
        idevid_issuer: Some(vec![1; 24]),
        ..good.clone()
    };
    assert_eq!(refused(&other), VoucherRequestError::IdevidIssuerMismatch);
    // Signed by another device of the same maker, or by nobody's.
    let stranger = Domain::new();
    assert!(matches!(
        domain
            .pledge_verdict(&stranger.as_pledge(&good))
            .map(|_| ()),
        Err(VoucherRequestError::Voucher(VoucherError::UntrustedSigner(
            _
        )))
    ));
    // A proximity that names nobody is neither signed nor believed.
    let nobody = VoucherRequest {
        proximity_registrar_cert: None,
        ..good.clone()
    };
    let (key, idevid) = (&domain.lab.idevid_key, &domain.lab.idevid);
    let options = IssueOptions::default();
    assert_eq!(
        sign(&nobody, key, idevid, &[], &options),
        Err(VoucherRequestError::ProximityCertMissing)
    );
    let forced = sztp_cms::SignedDataBuilder::new(
        sztp_cms::oids::ANIMA_JSON_VOUCHER,
        nobody.encode(Encoding::Json),
    )
    .certificates([idevid.clone()])
    .sign(key, idevid)
    .expect("signs");
    assert_eq!(
        domain.pledge_verdict(&forced).map(|_| ()),
        Err(VoucherRequestError::ProximityCertMissing)
    );
}

#[test]
fn a_registrar_passes_on_what_the_pledge_asked() {
    let domain = Domain::new();
    let good = domain.registrar_request();
    let with_prior = |prior: VoucherRequest| VoucherRequest {
        prior_signed_voucher_request: Some(domain.as_pledge(&prior)),
        ..good.clone()
    };
    let pledge = domain.pledge_request();
    let absent = VoucherRequest {
        prior_signed_voucher_request: None,
        ..good.clone()
    };
    assert_eq!(domain.refused(&absent), VoucherRequestError::PriorMissing);
    let garbage = VoucherRequest {
        prior_signed_voucher_request: Some(b"no CMS".to_vec()),
        ..good.clone()
    };
    assert_eq!(domain.refused(&garbage).code(), "voucher-request.prior");
    let other_device = VoucherRequest {
        serial_number: "AX7-00043".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        domain.refused(&other_device).code(),
        "voucher-request.serial-mismatch"
    );
    let other_issuer = VoucherRequest {
        idevid_issuer: Some(vec![1; 24]),
        ..good.clone()
    };
    assert_eq!(
        domain.refused(&other_issuer),
        VoucherRequestError::IdevidIssuerMismatch
    );
    let other_nonce = VoucherRequest {
        nonce: Some(vec![8; 16]),
        ..good.clone()
    };
    assert_eq!(
        domain.refused(&other_nonce),
        VoucherRequestError::NonceMismatch
    );
    let nonce_of_the_registrars_own = with_prior(VoucherRequest {
        nonce: None,
        ..pledge.clone()
    });
    assert_eq!(
        domain.refused(&nonce_of_the_registrars_own),
        VoucherRequestError::NonceMismatch
    );
    // The pledge talked to someone else, or did not say to whom.
    let elsewhere = with_prior(VoucherRequest {
        proximity_registrar_cert: Some(domain.lab.masa.as_der().to_vec()),
        ..pledge.clone()
    });
    assert_eq!(
        domain.refused(&elsewhere),
        VoucherRequestError::ProximityCertMismatch
    );
    let silent = with_prior(VoucherRequest {
        assertion: None,
        proximity_registrar_cert: None,
        ..pledge.clone()
    });
    assert_eq!(
        domain.refused(&silent),
        VoucherRequestError::ProximityCertMissing
    );
    // The pledge saw the domain's authority in the registrar's chain: that is this domain too.
    let authority = with_prior(VoucherRequest {
        proximity_registrar_cert: Some(domain.lab.domain.as_der().to_vec()),
        ..pledge
    });
    let message = domain.as_registrar(&authority);
    assert!(domain.verdict(&message, |context, _| context).is_ok());
}

#[test]
fn who_is_a_registrar() {
    let domain = Domain::new();
    let request = domain.registrar_request();
    let chain = [domain.lab.domain.clone()];
    let options = IssueOptions::default();
    // Any other end entity of the domain.
    let entity_key = key();
    let entity = CertificateBuilder::new("CN=a host")
        .issued_by(
            entity_key.spki_der(),
            &domain.lab.domain,
            &domain.lab.domain_key,
        )
        .expect("issues");
    let message = sign(&request, &entity_key, &entity, &chain, &options).expect("signs");
    assert_eq!(
        domain.verdict(&message, |context, _| context).map(|_| ()),
        Err(VoucherRequestError::NotRegistrar)
    );
    // The authority is not in the message, and nobody has configured it.
    let (key, registrar) = (&domain.registrar_key, &domain.registrar);
    let alone = sign(&request, key, registrar, &[], &options).expect("signs");
    assert_eq!(
        domain.verdict(&alone, |context, _| context).map(|_| ()),
        Err(VoucherRequestError::DomainCaMissing)
    );
    let configured = domain.verdict(&alone, |context, domains| RegistrarContext {
        registrar_anchors: Some(domains),
        ..context
    });
    assert_eq!(configured.expect("holds").domain_ca(), &domain.lab.domain);
    // Configured, and another domain.
    let stranger = Domain::new();
    let refused = domain.verdict(
        &stranger.as_registrar(&stranger.registrar_request()),
        |context, domains| RegistrarContext {
            registrar_anchors: Some(domains),
            ..context
        },
    );
    assert!(matches!(
        refused.map(|_| ()),
        Err(VoucherRequestError::Voucher(VoucherError::UntrustedSigner(
            PathError::BadSignature { .. } | PathError::UnknownIssuer { .. }
        )))
    ));
    // Without a nonce, a domain is not taken at its own word.
    let nonceless = domain.as_registrar(&VoucherRequest {
        nonce: None,
        ..request
    });
    assert_eq!(
        domain.verdict(&nonceless, |context, _| context).map(|_| ()),
        Err(VoucherRequestError::RegistrarUnknown)
    );
}

#[test]
fn the_document() {
    let request = VoucherRequest {
        expires_on: None,
        prior_signed_voucher_request: Some(vec![1; 500]),
        ..Domain::new().pledge_request()
    };
    for encoding in [Encoding::Json, Encoding::Xml] {
        let document = request.encode(encoding);
        let again = VoucherRequest::decode(&document, encoding, Profile::Rfc8366);
        assert_eq!(again, Ok((request.clone(), Vec::new())), "{encoding}");
    }
    // RFC 8995 §3.4: these leaves are ignored, whatever they say.
    let text = format!(
        "{{\"ietf-voucher-request:voucher\":{{\"serial-number\":\"{SERIAL_NUMBER}\",\
         \"pinned-domain-cert\":\"AAAA\",\"last-renewal-date\":\"2026-03-02T08:15:00Z\",\
         \"domain-cert-revocation-checks\":true}}}}"
    );
    let (read, notes) =
        VoucherRequest::decode(text.as_bytes(), Encoding::Json, Profile::Rfc8366).expect("reads");
    assert_eq!(read, VoucherRequest::new(SERIAL_NUMBER));
    assert_eq!(notes.len(), 3, "{notes:?}");
    let refused = |text: &str, profile| {
        VoucherRequest::decode(text.as_bytes(), Encoding::Json, profile)
            .expect_err("refused")
            .code()
    };
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        let cases = [
            ("\"nonce\":\"AAAA\",", "voucher.nonce-length"),
            ("\"assertion\":\"\",", "yang.invalid-value"),
            ("\"serial-number\":\"other\",", "yang.duplicate"),
            (
                "\"nonce\":\"AAAAAAAAAAA=\",\"expires-on\":\"2026-03-02T08:15:00Z\",",
                "voucher.nonce-and-expiry",
            ),
        ];
        for (leaf, code) in cases {
            let changed = text.replacen("{\"serial", &format!("{{{leaf}\"serial"), 1);
            assert_eq!(refused(&changed, profile), code, "{leaf}");
        }
        let empty = text.replace(SERIAL_NUMBER, "");
        assert_eq!(refused(&empty, profile), "voucher.empty-serial-number");
        assert_eq!(refused("{}", profile), "yang.missing-node");
    }
    let unknown = text.replacen("{\"serial", "{\"agent-sign-cert\":[\"AAAA\"],\"serial", 1);
    assert_eq!(refused(&unknown, Profile::Rfc8366), "yang.unknown-node");
    let (read, _) = VoucherRequest::decode(unknown.as_bytes(), Encoding::Json, Profile::Rfc8366bis)
        .expect("reads");
    assert!(read.extra.contains_key("agent-sign-cert"));
    let again = VoucherRequest::decode(
        &read.encode(Encoding::Json),
        Encoding::Json,
        Profile::Rfc8366bis,
    );
    assert_eq!(again.map(|(request, _)| request), Ok(read));
}

#[test]
fn a_voucher_is_no_request() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        assert_eq!(
            SignedVoucherRequest::parse(&message, profile).map(|_| ()),
            Err(VoucherRequestError::IsVoucher)
        );
    }
}
