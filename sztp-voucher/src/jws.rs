//! Vouchers and voucher-requests signed as JSON (draft-ietf-anima-jws-voucher): JWS in its general
//! JSON serialization (RFC 7515 §7.2.1) around the same documents that CMS signs.
//!
//! The rules for what they say are those of the CMS forms, and made by the same code; only the
//! signature is another. Devices of RFC 8572 know nothing of this form: BRSKI's do, and those of
//! draft-ietf-anima-brski-prm have no other. Requests have the vouchers' media type.
//!
//! ```
//! use sztp_cms::{CertificateBuilder, KeyType, SigningKey, TrustAnchors, UnixTime, WallClock};
//! use sztp_voucher::jws::{JwsVoucher, issue};
//! use sztp_voucher::{Assertion, Profile, Voucher, VoucherContext};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(KeyType::EcP256)?;
//! let masa = CertificateBuilder::new("CN=MASA").self_signed(&key)?;
//! # let domain = CertificateBuilder::new("CN=Domain").ca(None).self_signed(&key)?;
//! let now = UnixTime::from_secs(1_800_000_000);
//! let voucher = Voucher::new("AX7-00042", Assertion::Logged, domain.as_der(), now);
//! let text = issue(&voucher, &key, &masa, &[])?;
//! assert!(text.starts_with("{\"payload\":\""));
//!
//! let anchors = TrustAnchors::new([masa]);
//! let verified = JwsVoucher::parse(text.as_bytes(), Profile::Rfc8366)?
//!     .verify(&VoucherContext::new(&anchors, WallClock::Trusted(now)))?;
//! assert_eq!(verified.voucher(), &voucher);
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod error;
mod message;
mod request;
mod verify;

use sztp_cms::{Certificate, Signer};

use self::algorithm::Algorithm;
pub use self::error::JwsError;
use self::message::{Header, Message};
pub use self::request::{JwsVoucherRequest, sign_request};
use self::verify::Judge;
use crate::issue::checked_for_issue;
use crate::verify::Read;
use crate::yang::Encoding;
use crate::{
    Check, Outcome, Profile, VerifiedVoucher, Voucher, VoucherContext, VoucherError, VoucherReport,
};

/// The media type of a voucher, and of a voucher-request, in JWS.
pub const MEDIA_TYPE: &str = "application/voucher-jws+json";
/// The extension of its files.
pub const FILE_EXTENSION: &str = "vjj";

/// A voucher in JWS whose signature was not looked at.
#[derive(Debug, Clone)]
pub struct JwsVoucher {
    message: Message,
    voucher: Voucher,
    profile: Profile,
    notes: Vec<String>,
}

impl JwsVoucher {
    /// Reads a voucher in the general JSON serialization of JWS.
    pub fn parse(octets: &[u8], profile: Profile) -> Result<Self, VoucherError> {
        Self::of(Message::parse(octets, profile)?, profile)
    }

    /// What it says, for display: not to be acted on.
    pub fn unverified(&self) -> &Voucher {
        &self.voucher
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

    /// Deviations that reading let pass.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Verifies as [`SignedVoucher::verify`](crate::SignedVoucher::verify) does.
    ///
    /// One signature that holds is enough. [`VoucherContext::leniency`], which is about CMS, has no
    /// effect.
    pub fn verify(&self, context: &VoucherContext<'_>) -> Result<VerifiedVoucher, VoucherError> {
        self.verify_seen(context, &mut |_, _| {}, &mut Vec::new())
    }

    /// Verifies as [`Self::verify`] does, and says what came of each check.
    pub fn examine(&self, context: &VoucherContext<'_>) -> VoucherReport {
        VoucherReport::record(&self.voucher, |seen, notes| {
            self.verify_seen(context, seen, notes)
        })
    }

    fn of(message: Message, profile: Profile) -> Result<Self, VoucherError> {
        let (voucher, found) = Voucher::decode(&message.payload, Encoding::Json, profile)?;
        let mut notes = message.notes.clone();
        notes.extend(found);
        Ok(Self {
            message,
            voucher,
            profile,
            notes,
        })
    }

    fn verify_seen(
        &self,
        context: &VoucherContext<'_>,
        seen: &mut dyn FnMut(Check, Outcome),
        notes: &mut Vec<String>,
    ) -> Result<VerifiedVoucher, VoucherError> {
        let read = Read {
            voucher: &self.voucher,
            profile: self.profile,
            notes: &self.notes,
        };
        let judge = Judge {
            anchors: context.anchors,
            intermediates: context.intermediates,
            clock: context.clock,
            path: context.path(),
        };
        read.verify(context, seen, notes, || {
            Ok((judge.verify(&self.message)?, Vec::new()))
        })
    }
}

impl VoucherReport {
    /// Reads a voucher in JWS and verifies it.
    pub fn of_jws(octets: &[u8], profile: Profile, context: &VoucherContext<'_>) -> Self {
        let message = match Message::parse(octets, profile) {
            Ok(message) => message,
            Err(error) => return Self::unread(Check::Structure, error.into(), Vec::new()),
        };
        let notes = message.notes.clone();
        match JwsVoucher::of(message, profile) {
            Ok(signed) => signed.examine(context),
            Err(error) => Self::unread(Check::Content, error, notes),
        }
    }
}

/// Signs a voucher as [`issue`](crate::issue()) does, but in JWS: with the signer's certificate and
/// `chain`, in this order, in x5c of the protected header.
pub fn issue(
    voucher: &Voucher,
    signer: &dyn Signer,
    signer_certificate: &Certificate,
    chain: &[Certificate],
) -> Result<String, VoucherError> {
    checked_for_issue(voucher)?;
    let payload = voucher.encode(Encoding::Json);
    sign(&payload, signer, signer_certificate, chain).map_err(Into::into)
}

/// A message around any document.
fn sign(
    payload: &[u8],
    signer: &dyn Signer,
    signer_certificate: &Certificate,
    chain: &[Certificate],
) -> Result<String, JwsError> {
    if signer_certificate.spki_der() != signer.spki_der() {
        return Err(JwsError::KeyMismatch);
    }
    let algorithm = Algorithm::of_signer(signer.algorithm(), signer.spki_der())
        .ok_or(JwsError::SignerAlgorithm)?;
    let certificates = std::iter::once(signer_certificate).chain(chain);
    let header = Header::new(algorithm, certificates);
    message::write(&header, payload, |input| {
        let signature = signer.sign(input).map_err(JwsError::Signing)?;
        algorithm
            .signature_from_der(&signature)
            .ok_or(JwsError::SignerAlgorithm)
    })
}
