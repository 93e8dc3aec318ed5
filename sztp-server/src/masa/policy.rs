//! Whether a request is granted, and what the voucher says: no I/O, no state.
//!
//! Somebody who is no registrar of this manufacturer's customers learns nothing about which serial
//! numbers there are: whatever they ask for, they are not known here.

use sztp_cms::{
    Certificate, PathOptions, RevocationPolicy, TrustAnchors, UnixTime, WallClock, validate_path,
};
use sztp_voucher::request::{
    AssertionBasis, Pin, PledgeContext, RegistrarContext, SignedVoucherRequest,
    VerifiedRegistrarRequest, VoucherRequestError, VoucherTerms,
};
use sztp_voucher::{Profile, Voucher, VoucherError};

use super::config::{AssertionRule, MasaPolicy};
use super::{MasaError, SalesList};

/// What is decided by.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a MasaPolicy,
    pub(super) idevid_anchors: &'a TrustAnchors,
    pub(super) sales: &'a SalesList,
    pub(super) now: UnixTime,
}

/// A voucher that may be issued, and for what the audit log needs to know.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) voucher: Voucher,
    pub(super) registrar: Certificate,
    pub(super) domain_ca: Certificate,
    /// Whether the pledge's own request was inside, and good.
    pub(super) has_pledge_request: bool,
    pub(super) notes: Vec<String>,
}

impl Judge<'_> {
    /// Reads a request; nothing in it is believed.
    pub(super) fn read(octets: &[u8]) -> Result<SignedVoucherRequest, MasaError> {
        SignedVoucherRequest::parse(octets, Profile::Rfc8366bis).map_err(MasaError::Request)
    }

    /// `shown` is what the client's certificate was in TLS, its own first.
    pub(super) fn decide(
        &self,
        request: &SignedVoucherRequest,
        shown: &[Certificate],
    ) -> Result<Granted, MasaError> {
        let asked = request.unverified();
        let owner = self.sales.owner(&asked.serial_number);
        let verified = match owner {
            Some(owner) => {
                let verified = request
                    .verify_as_registrar(&self.context(Some(&owner.registrar_anchors), false));
                match verified {
                    Err(error) if is_untrusted(&error) => return Err(self.not_the_owner(request)),
                    verified => verified.map_err(MasaError::Request)?,
                }
            }
            None if self.policy.unlisted_by_pledge_request => request
                .verify_as_registrar(&self.context(None, true))
                .map_err(MasaError::Request)?,
            None => return Err(self.unknown_device(request)),
        };
        // The same domain in TLS, whether with the key that signed or another (RFC 8995 §5.4.1).
        let own_word = TrustAnchors::new([verified.domain_ca().clone()]);
        let anchors = owner.map_or(&own_word, |owner| &owner.registrar_anchors);
        self.check_client(shown, anchors)?;
        if self.policy.nonce_required && asked.nonce.is_none() {
            return Err(MasaError::NonceMissing);
        }
        self.check_age(verified.request().created_on)?;
        let pin = match owner {
            Some(owner) => Pin::Certificate(&owner.pinned_domain_cert),
            None => Pin::DomainCa,
        };
        let terms = self.terms(&verified, pin, owner.is_some())?;
        let voucher = verified.grant(&terms).map_err(MasaError::Request)?;
        Ok(Granted {
            voucher,
            registrar: verified.registrar().clone(),
            domain_ca: verified.domain_ca().clone(),
            has_pledge_request: verified.pledge().is_some(),
            notes: verified.notes().to_vec(),
        })
    }

    fn context<'a>(
        &'a self,
        registrar_anchors: Option<&'a TrustAnchors>,
        prior_required: bool,
    ) -> RegistrarContext<'a> {
        let pledge = PledgeContext::new(self.idevid_anchors, WallClock::Trusted(self.now));
        RegistrarContext {
            registrar_anchors,
            prior_required: prior_required || self.policy.pledge_request_required,
            registrar_usage_required: self.policy.registrar_usage_required,
            ..RegistrarContext::new(pledge)
        }
    }

    fn terms<'a>(
        &self,
        verified: &VerifiedRegistrarRequest,
        pin: Pin<'a>,
        is_listed: bool,
    ) -> Result<VoucherTerms<'a>, MasaError> {
        let mut terms = VoucherTerms {
            pin,
            assertion: match self.policy.assertion {
                AssertionRule::Verified if is_listed => AssertionBasis::OwnRecords,
                // Whoever is not on the list is so by evidence only.
                AssertionRule::Verified | AssertionRule::Evidence => AssertionBasis::Evidence,
                AssertionRule::Logged => AssertionBasis::Nothing,
            },
            device_has_clock: self.policy.device_has_clock,
            ..VoucherTerms::new(self.now)
        };
        if verified.request().nonce.is_none() && self.policy.validity_days > 0 {
            let end = self
                .now
                .plus_secs(i64::from(self.policy.validity_days) * DAY);
            let pinned = match pin {
                Pin::Certificate(certificate) => certificate,
                _ => verified.domain_ca(),
            };
            // A voucher may not outlive what it pins (RFC 8366 §5.3).
            let end = end.min(pinned.not_after());
            // The registrar may want less.
            let end = verified
                .request()
                .expires_on
                .map_or(end, |asked| asked.min(end));
            if end <= self.now {
                let at = self.now;
                let expired = VoucherError::Expired {
                    at,
                    expires_on: end,
                };
                return Err(MasaError::Request(expired.into()));
            }
            terms.expires_on = Some(end);
        }
        Ok(terms)
    }

    fn check_client(&self, shown: &[Certificate], anchors: &TrustAnchors) -> Result<(), MasaError> {
        let Some((own, rest)) = shown.split_first() else {
            return Err(MasaError::CertificateMissing);
        };
        let options = PathOptions {
            revocation: RevocationPolicy::WhereAvailable,
            ..PathOptions::default()
        };
        validate_path(own, rest, anchors, WallClock::Trusted(self.now), &options)
            .map(drop)
            .map_err(MasaError::CertificateRefused)
    }

    /// RFC 8995 §5.6: a request must not be stale.
    fn check_age(&self, created_on: Option<UnixTime>) -> Result<(), MasaError> {
        let limit = i64::from(self.policy.max_request_age_secs);
        let Some(at) = created_on.filter(|_| limit > 0) else {
            return Ok(());
        };
        if (at.plus_secs(-CLOCKS_DIFFER)..=at.plus_secs(limit)).contains(&self.now) {
            return Ok(());
        }
        Err(MasaError::Stale {
            created_on: at.to_string(),
        })
    }

    /// Somebody asks for a device that is not on the list.
    fn unknown_device(&self, request: &SignedVoucherRequest) -> MasaError {
        if !self.is_registrar(request) {
            return MasaError::RegistrarUnknown;
        }
        MasaError::DeviceUnknown {
            serial_number: request.unverified().serial_number.clone(),
        }
    }

    /// Somebody asks for a device that somebody else bought.
    fn not_the_owner(&self, request: &SignedVoucherRequest) -> MasaError {
        if !self.is_registrar(request) {
            return MasaError::RegistrarUnknown;
        }
        MasaError::NotTheOwner {
            serial_number: request.unverified().serial_number.clone(),
        }
    }

    /// Whether a registrar of any owner has signed.
    fn is_registrar(&self, request: &SignedVoucherRequest) -> bool {
        let context = self.context(Some(self.sales.registrar_anchors()), false);
        request.verify_as_registrar(&context).is_ok()
    }
}

fn is_untrusted(error: &VoucherRequestError) -> bool {
    matches!(
        error,
        VoucherRequestError::Voucher(VoucherError::UntrustedSigner(_))
    )
}

const DAY: i64 = 24 * 60 * 60;

/// Seconds that a registrar's clock may be ahead.
const CLOCKS_DIFFER: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    use sztp_cms::{CertificateBuilder, KeyType, Signer as _, SigningKey};
    use sztp_voucher::request::{ExtendedKeyUsage, VoucherRequest, sign};
    use sztp_voucher::{Assertion, IssueOptions};

    /// Two owners, each with a registrar, and a device of the vendor.
    struct World {
        vendor: Certificate,
        idevid: (Certificate, SigningKey),
        birch: Domain,
        oak: Domain,
    }

    struct Domain {
        authority: Certificate,
        registrar: (Certificate, SigningKey),
        unqualified: (Certificate, SigningKey),
    }

    fn key() -> SigningKey {
        SigningKey::generate(KeyType::EcP256).unwrap()
    }

    fn domain(name: &str) -> Domain {
        let authority_key = key();
        let builder = CertificateBuilder::new(format!("CN={name}")).ca(None);
        let authority = builder.self_signed(&authority_key).unwrap();
        let issue = |builder: CertificateBuilder| {
            let key = key();
            let made = builder.issued_by(key.spki_der(), &authority, &authority_key);
            (made.unwrap(), key)
        };
        let builder = CertificateBuilder::new(format!("CN={name} registrar"));
        let unqualified = issue(builder.clone());
        let usage = ExtendedKeyUsage::CMC_RA.to_vec();
        let registrar = issue(builder.extension(ExtendedKeyUsage::EXTENSION, false, usage));
        Domain {
            authority,
            registrar,
            unqualified,
        }
    }

    fn world() -> &'static World {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| {
            let (vendor_key, idevid_key) = (key(), key());
            let builder = CertificateBuilder::new("CN=Vendor").ca(None);
            let vendor = builder.self_signed(&vendor_key).unwrap();
            let idevid = CertificateBuilder::new("serialNumber=A-1")
                .issued_by(idevid_key.spki_der(), &vendor, &vendor_key)
                .unwrap();
            World {
                vendor,
                idevid: (idevid, idevid_key),
                birch: domain("Birch"),
                oak: domain("Oak"),
            }
        })
    }

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn sales() -> SalesList {
        let (birch, oak) = (&world().birch, &world().oak);
        let text = "serial-number,pinned-domain-cert\nA-1,birch\nA-2,oak\n";
        SalesList::parse(text.as_bytes(), |name| {
            let domain = if name == "birch" { birch } else { oak };
            Ok(domain.authority.as_der().to_vec())
        })
        .unwrap()
    }

    fn asked(serial_number: &str, nonce: Option<&[u8]>) -> VoucherRequest {
        VoucherRequest {
            nonce: nonce.map(<[u8]>::to_vec),
            created_on: Some(NOW),
            ..VoucherRequest::new(serial_number)
        }
    }

    fn signed_by(
        (registrar, key): &(Certificate, SigningKey),
        domain: &Domain,
        request: &VoucherRequest,
    ) -> SignedVoucherRequest {
        let chain = [domain.authority.clone()];
        let octets = sign(request, key, registrar, &chain, &IssueOptions::default()).unwrap();
        Judge::read(&octets).unwrap()
    }

    fn decide(
        policy: &MasaPolicy,
        request: &SignedVoucherRequest,
        shown: &Certificate,
    ) -> Result<Granted, MasaError> {
        let anchors = TrustAnchors::new([world().vendor.clone()]);
        let judge = Judge {
            policy,
            idevid_anchors: &anchors,
            sales: &sales(),
            now: NOW,
        };
        judge.decide(request, std::slice::from_ref(shown))
    }

    #[test]
    fn the_buyer_gets_a_voucher_that_pins_what_the_list_says() {
        let birch = &world().birch;
        let policy = MasaPolicy {
            validity_days: 30,
            ..MasaPolicy::default()
        };
        let request = signed_by(&birch.registrar, birch, &asked("A-1", Some(&[7; 16])));
        let granted = decide(&policy, &request, &birch.registrar.0).unwrap();
        assert_eq!(granted.voucher.pinned_domain_cert, birch.authority.as_der());
        assert_eq!(granted.voucher.assertion, Assertion::Verified);
        assert_eq!(granted.voucher.nonce.as_deref(), Some(&[7; 16][..]));
        assert_eq!(granted.voucher.expires_on, None);
        assert!(!granted.has_pledge_request);
        let request = signed_by(&birch.registrar, birch, &asked("A-1", None));
        let granted = decide(&policy, &request, &birch.registrar.0).unwrap();
        assert_eq!(granted.voucher.expires_on, Some(NOW.plus_secs(30 * DAY)));
    }

    #[test]
    fn nobody_else_does() {
        let World { birch, oak, .. } = world();
        let policy = MasaPolicy::default();
        let ask = |domain: &Domain, serial: &str| {
            let request = signed_by(&domain.registrar, domain, &asked(serial, None));
            decide(&policy, &request, &domain.registrar.0).unwrap_err()
        };
        assert_eq!(ask(birch, "A-2").code(), "masa.not-the-owner");
        assert_eq!(ask(birch, "A-9").code(), "masa.device-unknown");
        // Which serial numbers there are, a stranger does not learn.
        let stranger = domain("Stranger");
        for serial in ["A-1", "A-2", "A-9"] {
            assert_eq!(ask(&stranger, serial).code(), "masa.registrar-unknown");
        }
        // Signed by the buyer, sent by somebody else.
        let request = signed_by(&birch.registrar, birch, &asked("A-1", None));
        let error = decide(&policy, &request, &oak.registrar.0).unwrap_err();
        assert_eq!(error.code(), "masa.certificate-refused");
        let request = signed_by(&birch.unqualified, birch, &asked("A-1", None));
        let error = decide(&policy, &request, &birch.registrar.0).unwrap_err();
        assert_eq!(error.code(), "voucher-request.not-a-registrar");
    }

    #[test]
    fn what_policy_demands() {
        let birch = &world().birch;
        let ask = |policy: &MasaPolicy, request: &VoucherRequest| {
            let request = signed_by(&birch.registrar, birch, request);
            decide(policy, &request, &birch.registrar.0)
        };
        let nonce = MasaPolicy {
            nonce_required: true,
            ..MasaPolicy::default()
        };
        let error = ask(&nonce, &asked("A-1", None)).unwrap_err();
        assert_eq!(error, MasaError::NonceMissing);
        for at in [NOW.plus_secs(-2 * DAY), NOW.plus_secs(3600)] {
            let request = VoucherRequest {
                created_on: Some(at),
                ..asked("A-1", None)
            };
            let error = ask(&MasaPolicy::default(), &request).unwrap_err();
            assert_eq!(error.code(), "masa.stale-request");
        }
        let prior = MasaPolicy {
            pledge_request_required: true,
            ..MasaPolicy::default()
        };
        let error = ask(&prior, &asked("A-1", None)).unwrap_err();
        assert_eq!(error.code(), "voucher-request.prior-missing");
    }

    #[test]
    fn a_pledge_says_itself_to_whom_it_talks() {
        let World { birch, idevid, .. } = world();
        let policy = MasaPolicy {
            unlisted_by_pledge_request: true,
            assertion: AssertionRule::Evidence,
            ..MasaPolicy::default()
        };
        let pledge = |registrar: &Certificate| {
            let request = VoucherRequest {
                assertion: Some(Assertion::Proximity),
                proximity_registrar_cert: Some(registrar.as_der().to_vec()),
                ..asked("A-1", Some(&[9; 16]))
            };
            let options = IssueOptions::default();
            sign(&request, &idevid.1, &idevid.0, &[], &options).unwrap()
        };
        let anchors = TrustAnchors::new([world().vendor.clone()]);
        let nobody = SalesList::default();
        let judge = Judge {
            policy: &policy,
            idevid_anchors: &anchors,
            sales: &nobody,
            now: NOW,
        };
        let with = |prior: Option<Vec<u8>>| {
            let request = VoucherRequest {
                prior_signed_voucher_request: prior,
                ..asked("A-1", Some(&[9; 16]))
            };
            let request = signed_by(&birch.registrar, birch, &request);
            judge.decide(&request, std::slice::from_ref(&birch.registrar.0))
        };
        let granted = with(Some(pledge(&birch.registrar.0))).unwrap();
        assert_eq!(granted.voucher.assertion, Assertion::Proximity);
        assert_eq!(granted.voucher.pinned_domain_cert, birch.authority.as_der());
        let error = with(Some(pledge(&world().oak.registrar.0))).unwrap_err();
        assert_eq!(
            error.code(),
            "voucher-request.proximity-registrar-cert-mismatch"
        );
        assert_eq!(
            with(None).unwrap_err().code(),
            "voucher-request.prior-missing"
        );
    }
}
