//! What a voucher-request proves (RFC 8995 §5.3, §5.5): by a pledge's signature, and by a
//! registrar's around it.

use der::Decode as _;
use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateRevocationList, CmsError, Leniency, PathOptions, RevocationPolicy,
    TrustAnchors, VerifyOptions, WallClock,
};

use super::{SignedVoucherRequest, VoucherRequest, VoucherRequestError};
use crate::signed::CONTENT_TYPES;
use crate::verify::Signed;
use crate::{Assertion, Profile, VoucherError};

/// What a pledge's request is judged against.
#[derive(Debug, Clone, Copy)]
pub struct PledgeContext<'a> {
    /// Where the IDevID's path must end: the manufacturer's.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may lead from the IDevID to an anchor, beside the message's.
    pub intermediates: &'a [Certificate],
    /// How far the revocation of the IDevID's path is checked.
    pub revocation: RevocationPolicy,
    /// Revocation lists of the manufacturer and of domains, beside the messages'.
    pub crls: &'a [CertificateRevocationList],
    /// The time of the check.
    pub clock: WallClock,
    /// Deviations of the signature to let pass.
    pub leniency: Leniency,
}

impl<'a> PledgeContext<'a> {
    /// Strict, with nothing but the anchors and the message's own certificates.
    pub fn new(anchors: &'a TrustAnchors, clock: WallClock) -> Self {
        Self {
            anchors,
            intermediates: &[],
            revocation: RevocationPolicy::default(),
            crls: &[],
            clock,
            leniency: Leniency::default(),
        }
    }
}

/// What a registrar's request is judged against.
#[derive(Debug, Clone, Copy)]
pub struct RegistrarContext<'a> {
    /// For the pledge's request inside; its clock, lists and leniency are for both.
    pub pledge: PledgeContext<'a>,
    /// Where registrars' paths must end. None: a domain is taken at its own word, as RFC 8995
    /// §5.5.2 has it, and then only for requests with a nonce (§5.5.4).
    pub registrar_anchors: Option<&'a TrustAnchors>,
    /// How far the revocation of the registrar's path is checked (RFC 8995 §5.5.3).
    pub registrar_revocation: RevocationPolicy,
    /// Whether the pledge's own request must be inside.
    pub prior_required: bool,
    /// Whether the registrar's certificate must have the extended key usage id-kp-cmcRA
    /// (RFC 8995 §5.5.4).
    pub registrar_usage_required: bool,
}

impl<'a> RegistrarContext<'a> {
    /// For any domain; strict otherwise.
    pub fn new(pledge: PledgeContext<'a>) -> Self {
        Self {
            pledge,
            registrar_anchors: None,
            registrar_revocation: RevocationPolicy::WhereAvailable,
            prior_required: true,
            registrar_usage_required: true,
        }
    }
}

/// A request that a device of the manufacturer signed; only verification makes one.
///
/// ```compile_fail,E0451
/// use sztp_voucher::request::{VerifiedPledgeRequest, VoucherRequest};
///
/// fn forged(request: VoucherRequest, genuine: VerifiedPledgeRequest) -> VerifiedPledgeRequest {
///     VerifiedPledgeRequest { request, ..genuine }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedPledgeRequest {
    request: VoucherRequest,
    chain: Vec<Certificate>,
    notes: Vec<String>,
}

impl VerifiedPledgeRequest {
    /// What it says.
    pub fn request(&self) -> &VoucherRequest {
        &self.request
    }

    /// The IDevID certificate that signed it.
    pub fn idevid(&self) -> &Certificate {
        &self.chain[0]
    }

    /// From the IDevID certificate to the trust anchor.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Deviations that were let pass, for the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// A request that a registrar signed, and all that it proves; only verification makes one.
///
/// ```compile_fail,E0451
/// use sztp_voucher::request::{VerifiedRegistrarRequest, VoucherRequest};
///
/// fn forged(request: VoucherRequest, genuine: VerifiedRegistrarRequest) -> VerifiedRegistrarRequest {
///     VerifiedRegistrarRequest { request, ..genuine }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedRegistrarRequest {
    request: VoucherRequest,
    chain: Vec<Certificate>,
    pledge: Option<VerifiedPledgeRequest>,
    notes: Vec<String>,
}

impl VerifiedRegistrarRequest {
    /// What it says.
    pub fn request(&self) -> &VoucherRequest {
        &self.request
    }

    /// The certificate of the registrar that signed it.
    pub fn registrar(&self) -> &Certificate {
        &self.chain[0]
    }

    /// The domain's authority, in which the registrar's path ends.
    pub fn domain_ca(&self) -> &Certificate {
        &self.chain[self.chain.len() - 1]
    }

    /// From the registrar's certificate to the domain's authority.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The pledge's own request, which names this registrar; none if there is none and policy did
    /// not ask for it.
    pub fn pledge(&self) -> Option<&VerifiedPledgeRequest> {
        self.pledge.as_ref()
    }

    /// Deviations that were let pass, for the log; also the pledge's.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl SignedVoucherRequest {
    /// Verifies a request that a pledge signed with its IDevID.
    ///
    /// The serial number and idevid-issuer that it asks for must be those of the certificate that
    /// signed, and where it asserts proximity it must say to whom (RFC 8995 §3.4).
    pub fn verify_as_pledge(
        &self,
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        self.received().verify_as_pledge(context)
    }

    /// Verifies a request that a registrar signed, and the pledge's request inside.
    ///
    /// In the order of RFC 8995 §5.5.2 to §5.5.6: the registrar's signature and path, that it is a
    /// registrar, that it is known if there is no nonce, then the pledge's request: its own
    /// rules, the registrar that it names, its serial number and its nonce.
    pub fn verify_as_registrar(
        &self,
        context: &RegistrarContext<'_>,
    ) -> Result<VerifiedRegistrarRequest, VoucherRequestError> {
        self.received().verify_as_registrar(context)
    }

    fn received(&self) -> Received<'_> {
        Received {
            request: self.unverified(),
            profile: self.profile(),
            notes: self.notes(),
            message: self,
        }
    }
}

/// A request as read from a signed message of either kind.
pub(crate) struct Received<'a> {
    pub(crate) request: &'a VoucherRequest,
    pub(crate) profile: Profile,
    pub(crate) notes: &'a [String],
    pub(crate) message: &'a dyn SignedMessage,
}

/// What the kinds of signed messages do in their own ways.
pub(crate) trait SignedMessage {
    fn certificates(&self) -> Vec<&Certificate>;

    fn is_signer(&self, certificate: &Certificate) -> bool;

    fn verify(&self, options: &VerifyOptions<'_>) -> Result<Signed, VoucherRequestError>;

    /// Reads and verifies the pledge's request that was inside.
    fn verify_prior(
        &self,
        prior: &[u8],
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError>;
}

impl SignedMessage for SignedVoucherRequest {
    fn certificates(&self) -> Vec<&Certificate> {
        self.cms().certificates().iter().collect()
    }

    fn is_signer(&self, certificate: &Certificate) -> bool {
        let mut signers = self.cms().signers().iter();
        signers.any(|signer| signer.names(certificate))
    }

    fn verify(&self, options: &VerifyOptions<'_>) -> Result<Signed, VoucherRequestError> {
        let verified = self.cms().verify(options);
        let verified = verified.map_err(|error: CmsError| VoucherError::from(error))?;
        Ok((verified.chain().to_vec(), verified.notes().to_vec()))
    }

    fn verify_prior(
        &self,
        prior: &[u8],
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        Self::parse(prior, self.profile())?.verify_as_pledge(context)
    }
}

impl Received<'_> {
    pub(crate) fn verify_as_pledge(
        &self,
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        let (chain, found) = self.verify(
            context.anchors,
            context.intermediates,
            context.revocation,
            context,
        )?;
        let request = self.request;
        let mut notes = self.notes.to_vec();
        notes.extend(found);
        let idevid = &chain[0];
        let serial_number = idevid.serial_number_attribute();
        if serial_number.as_ref() != Some(&request.serial_number) {
            return Err(VoucherRequestError::SerialNumberMismatch {
                idevid: serial_number,
                request: request.serial_number.clone(),
            });
        }
        self.check_idevid_issuer(idevid, &mut notes)?;
        if request.assertion == Some(Assertion::Proximity)
            && request.proximity_registrar_cert.is_none()
        {
            return Err(VoucherRequestError::ProximityCertMissing);
        }
        Ok(VerifiedPledgeRequest {
            request: request.clone(),
            chain,
            notes,
        })
    }

    pub(crate) fn verify_as_registrar(
        &self,
        context: &RegistrarContext<'_>,
    ) -> Result<VerifiedRegistrarRequest, VoucherRequestError> {
        let request = self.request;
        let own_word;
        let anchors = if let Some(anchors) = context.registrar_anchors {
            anchors
        } else {
            own_word = self.domain_authorities()?;
            &own_word
        };
        let (chain, found) =
            self.verify(anchors, &[], context.registrar_revocation, &context.pledge)?;
        if context.registrar_usage_required && !ExtendedKeyUsage::is_registrar(&chain[0]) {
            return Err(VoucherRequestError::NotRegistrar);
        }
        if request.nonce.is_none() && context.registrar_anchors.is_none() {
            return Err(VoucherRequestError::RegistrarUnknown);
        }
        let mut notes = self.notes.to_vec();
        notes.extend(found);
        let pledge = match &request.prior_signed_voucher_request {
            None if context.prior_required => return Err(VoucherRequestError::PriorMissing),
            None => None,
            Some(prior) => {
                let prior = self
                    .message
                    .verify_prior(prior, &context.pledge)
                    .map_err(|error| VoucherRequestError::Prior(Box::new(error)))?;
                self.check_prior(&prior, &chain, &mut notes)?;
                let of_prior = prior.notes.iter();
                notes.extend(of_prior.map(|note| format!("prior-signed-voucher-request: {note}")));
                Some(prior)
            }
        };
        Ok(VerifiedRegistrarRequest {
            request: request.clone(),
            chain,
            pledge,
            notes,
        })
    }

    /// Whether the pledge's request is about the same device, domain and exchange.
    fn check_prior(
        &self,
        prior: &VerifiedPledgeRequest,
        chain: &[Certificate],
        notes: &mut Vec<String>,
    ) -> Result<(), VoucherRequestError> {
        let request = self.request;
        let named = prior
            .request
            .proximity_registrar_cert
            .as_ref()
            .ok_or(VoucherRequestError::ProximityCertMissing)?;
        let named = Certificate::from_der(named).map_err(VoucherRequestError::ProximityCert)?;
        // RFC 8995 §5.5.5: the key counts, not the certificate.
        if !chain.iter().any(|one| one.spki_der() == named.spki_der()) {
            return Err(VoucherRequestError::ProximityCertMismatch);
        }
        if request.serial_number != prior.request.serial_number {
            return Err(VoucherRequestError::SerialNumberMismatch {
                idevid: prior.idevid().serial_number_attribute(),
                request: request.serial_number.clone(),
            });
        }
        self.check_idevid_issuer(prior.idevid(), notes)?;
        if request.nonce.is_some() && request.nonce != prior.request.nonce {
            return Err(VoucherRequestError::NonceMismatch);
        }
        Ok(())
    }

    fn check_idevid_issuer(
        &self,
        idevid: &Certificate,
        notes: &mut Vec<String>,
    ) -> Result<(), VoucherRequestError> {
        match &self.request.idevid_issuer {
            None => Ok(()),
            Some(issuer) if idevid.authority_key_identifier() == Some(issuer) => Ok(()),
            Some(issuer)
                if self.profile == Profile::Rfc8366bis
                    && idevid.authority_key_id() == Some(issuer) =>
            {
                notes.push("idevid-issuer is a bare key identifier".to_owned());
                Ok(())
            }
            Some(_) => Err(VoucherRequestError::IdevidIssuerMismatch),
        }
    }

    fn verify(
        &self,
        anchors: &TrustAnchors,
        intermediates: &[Certificate],
        revocation: RevocationPolicy,
        context: &PledgeContext<'_>,
    ) -> Result<Signed, VoucherRequestError> {
        let options = VerifyOptions {
            intermediates,
            leniency: context.leniency,
            path: PathOptions {
                revocation,
                crls: context.crls,
                ..PathOptions::default()
            },
            ..VerifyOptions::new(anchors, context.clock, &CONTENT_TYPES)
        };
        self.message.verify(&options)
    }

    /// The top of each chain in the message: what the registrar says its domain is.
    fn domain_authorities(&self) -> Result<TrustAnchors, VoucherRequestError> {
        let inside = self.message.certificates();
        let is_top = |one: &Certificate| {
            let issued_here = inside
                .iter()
                .any(|other| *other != one && other.subject_der() == one.issuer_der());
            one.is_self_issued() || (!issued_here && !self.message.is_signer(one))
        };
        let inside = inside.iter().copied();
        let tops: Vec<Certificate> = inside.filter(|one| is_top(one)).cloned().collect();
        if tops.is_empty() {
            return Err(VoucherRequestError::DomainCaMissing);
        }
        Ok(TrustAnchors::new(tops))
    }
}

/// The extended key usage by which a certificate is a registrar's (RFC 8995 §5.5.4).
#[derive(Debug, Clone, Copy)]
pub struct ExtendedKeyUsage;

impl ExtendedKeyUsage {
    /// The extension (RFC 5280 §4.2.1.12).
    pub const EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
    /// Its value (DER) with id-kp-cmcRA (RFC 6402 §2.10) alone, for whoever makes a registrar's
    /// certificate.
    pub const CMC_RA: &'static [u8] = &[
        0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x1c,
    ];

    const ID_KP_CMC_RA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.28");

    fn is_registrar(certificate: &Certificate) -> bool {
        certificate
            .extension(Self::EXTENSION)
            .and_then(|value| Vec::<ObjectIdentifier>::from_der(value).ok())
            .is_some_and(|usages| usages.contains(&Self::ID_KP_CMC_RA))
    }
}
