//! Signed voucher-requests: made, and read without being believed.

use sztp_cms::{Certificate, SignedData, SignedDataBuilder, Signer};

use super::{VoucherRequest, VoucherRequestError};
use crate::signed::Message;
use crate::yang::Encoding;
use crate::{Assertion, IssueOptions, Profile, VoucherError};

/// A voucher-request in CMS whose signature was not looked at.
#[derive(Debug, Clone)]
pub struct SignedVoucherRequest {
    cms: SignedData,
    request: VoucherRequest,
    profile: Profile,
    notes: Vec<String>,
}

impl SignedVoucherRequest {
    /// Reads a request in CMS, DER or BER.
    pub fn parse(octets: &[u8], profile: Profile) -> Result<Self, VoucherRequestError> {
        Self::of(Message::parse(octets)?, profile)
    }

    /// Reads a request as it is found in files: see
    /// [`SignedVoucher::read`](crate::SignedVoucher::read).
    pub fn read(octets: &[u8], profile: Profile) -> Result<Self, VoucherRequestError> {
        Self::of(Message::read(octets, profile)?, profile)
    }

    /// What it says, for display: not to be acted on.
    pub fn unverified(&self) -> &VoucherRequest {
        &self.request
    }

    /// The CMS message.
    pub fn cms(&self) -> &SignedData {
        &self.cms
    }

    /// How strictly it was read.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Deviations that reading let pass, and leaves that were ignored.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn of(message: Message, profile: Profile) -> Result<Self, VoucherRequestError> {
        let (content, encoding) = message.content();
        let (request, found) = VoucherRequest::decode(content, encoding, profile)?;
        let mut notes = message.notes;
        notes.extend(found);
        Ok(Self {
            cms: message.cms,
            request,
            profile,
            notes,
        })
    }
}

impl VoucherRequest {
    /// Refuses what breaks a rule by itself, so that it is not signed.
    pub(crate) fn check_for_signing(&self) -> Result<(), VoucherRequestError> {
        self.check()?;
        // A registrar repeats what the pledge asked for; the proof is in the pledge's request.
        if self.assertion == Some(Assertion::Proximity)
            && self.proximity_registrar_cert.is_none()
            && self.prior_signed_voucher_request.is_none()
        {
            return Err(VoucherRequestError::ProximityCertMissing);
        }
        if let Some(der) = &self.proximity_registrar_cert {
            Certificate::from_der(der).map_err(VoucherRequestError::ProximityCert)?;
        }
        Ok(())
    }
}

/// Signs a request as a pledge (with its IDevID) or as a registrar: DER CMS around JSON, with the
/// signer's certificate and `chain` inside.
///
/// A request that breaks a rule by itself is not signed. A registrar puts the domain's authority
/// into `chain` (RFC 8995 §5.5.2). A request pins nothing: [`IssueOptions::pin`] has no effect.
pub fn sign(
    request: &VoucherRequest,
    signer: &dyn Signer,
    signer_certificate: &Certificate,
    chain: &[Certificate],
    options: &IssueOptions<'_>,
) -> Result<Vec<u8>, VoucherRequestError> {
    request.check_for_signing()?;
    let certificates = std::iter::once(signer_certificate).chain(chain).cloned();
    SignedDataBuilder::new(options.content_type, request.encode(Encoding::Json))
        .certificates(certificates)
        .crls(options.crls.iter().cloned())
        .signing_time(options.signing_time)
        .sign(signer, signer_certificate)
        .map_err(|error| VoucherError::from(error).into())
}
