//! Voucher-requests in JWS: signed by pledges and registrars, and read without being believed.

use sztp_cms::{Certificate, Signer, VerifyOptions};

use super::message::Message;
use super::verify::Judge;
use crate::request::{
    PledgeContext, Received, RegistrarContext, SignedMessage, SignedVoucherRequest,
    VerifiedPledgeRequest, VerifiedRegistrarRequest, VoucherRequest, VoucherRequestError,
};
use crate::verify::Signed;
use crate::yang::Encoding;
use crate::{Profile, VoucherError};

/// A voucher-request in JWS whose signature was not looked at.
///
/// What is proven by it is judged as of a [`SignedVoucherRequest`]; only the signature is another.
///
/// ```
/// use sztp_cms::{CertificateBuilder, KeyType, SigningKey, TrustAnchors, UnixTime, WallClock};
/// use sztp_voucher::Profile;
/// use sztp_voucher::jws::{JwsVoucherRequest, sign_request};
/// use sztp_voucher::request::{PledgeContext, VoucherRequest};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SigningKey::generate(KeyType::EcP256)?;
/// let idevid = CertificateBuilder::new("serialNumber=AX7-00042").self_signed(&key)?;
/// let mut request = VoucherRequest::new("AX7-00042");
/// request.nonce = Some(vec![7; 16]);
/// let text = sign_request(&request, &key, &idevid, &[])?;
///
/// let anchors = TrustAnchors::new([idevid]);
/// let now = WallClock::Trusted(UnixTime::from_secs(1_800_000_000));
/// let verified = JwsVoucherRequest::parse(text.as_bytes(), Profile::Rfc8366)?
///     .verify_as_pledge(&PledgeContext::new(&anchors, now))?;
/// assert_eq!(verified.request(), &request);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct JwsVoucherRequest {
    message: Message,
    request: VoucherRequest,
    profile: Profile,
    notes: Vec<String>,
}

impl JwsVoucherRequest {
    /// Reads a request in the general JSON serialization of JWS.
    pub fn parse(octets: &[u8], profile: Profile) -> Result<Self, VoucherRequestError> {
        let message = Message::parse(octets, profile).map_err(VoucherError::from)?;
        let (request, found) = VoucherRequest::decode(&message.payload, Encoding::Json, profile)?;
        let mut notes = message.notes.clone();
        notes.extend(found);
        Ok(Self {
            message,
            request,
            profile,
            notes,
        })
    }

    /// What it says, for display: not to be acted on.
    pub fn unverified(&self) -> &VoucherRequest {
        &self.request
    }

    /// The certificates in the message (x5c), the signer's first; of the first signature, if there
    /// are several.
    pub fn certificates(&self) -> &[Certificate] {
        self.message.certificates()
    }

    /// How strictly it was read.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Deviations that reading let pass, and leaves that were ignored.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Verifies as [`SignedVoucherRequest::verify_as_pledge`] does.
    ///
    /// One signature that holds is enough. [`PledgeContext::leniency`], which is about CMS, has no
    /// effect.
    pub fn verify_as_pledge(
        &self,
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        self.received().verify_as_pledge(context)
    }

    /// Verifies as [`SignedVoucherRequest::verify_as_registrar`] does.
    ///
    /// The pledge's request inside may be in JWS or in CMS.
    pub fn verify_as_registrar(
        &self,
        context: &RegistrarContext<'_>,
    ) -> Result<VerifiedRegistrarRequest, VoucherRequestError> {
        self.received().verify_as_registrar(context)
    }

    fn received(&self) -> Received<'_> {
        Received {
            request: &self.request,
            profile: self.profile,
            notes: &self.notes,
            message: self,
        }
    }
}

impl SignedMessage for JwsVoucherRequest {
    fn certificates(&self) -> Vec<&Certificate> {
        let signatures = self.message.signatures.iter();
        signatures.flat_map(|one| &one.certificates).collect()
    }

    fn is_signer(&self, certificate: &Certificate) -> bool {
        let mut signatures = self.message.signatures.iter();
        signatures.any(|one| one.certificates.first() == Some(certificate))
    }

    fn verify(&self, options: &VerifyOptions<'_>) -> Result<Signed, VoucherRequestError> {
        let judge = Judge {
            anchors: options.anchors,
            intermediates: options.intermediates,
            clock: options.clock,
            path: options.path,
        };
        Ok((judge.verify(&self.message)?, Vec::new()))
    }

    fn verify_prior(
        &self,
        prior: &[u8],
        context: &PledgeContext<'_>,
    ) -> Result<VerifiedPledgeRequest, VoucherRequestError> {
        // Each form begins as the other cannot.
        if prior.trim_ascii_start().first() == Some(&b'{') {
            Self::parse(prior, self.profile)?.verify_as_pledge(context)
        } else {
            SignedVoucherRequest::parse(prior, self.profile)?.verify_as_pledge(context)
        }
    }
}

/// Signs a request as [`sign`](crate::request::sign) does, but in JWS: with the signer's
/// certificate and `chain`, in this order, in x5c of the protected header.
pub fn sign_request(
    request: &VoucherRequest,
    signer: &dyn Signer,
    signer_certificate: &Certificate,
    chain: &[Certificate],
) -> Result<String, VoucherRequestError> {
    request.check_for_signing()?;
    let payload = request.encode(Encoding::Json);
    super::sign(&payload, signer, signer_certificate, chain)
        .map_err(|error| VoucherError::from(error).into())
}
