//! Voucher-requests (RFC 8995 §3): what a pledge asks for, what a registrar passes on, and what a
//! MASA may grant.
//!
//! A request becomes a voucher in four steps, each with a type of its own:
//! [`SignedVoucherRequest`] is read, [`VerifiedPledgeRequest`] or [`VerifiedRegistrarRequest`] is
//! what was proven, their `grant` makes the [`Voucher`](crate::Voucher), and
//! [`issue`](crate::issue()) signs it. How requests travel is left to others. Requests in JWS are
//! in `jws` (feature `jws`) and take the same steps.
//!
//! ```
//! use sztp_cms::{CertificateBuilder, KeyType, SigningKey, TrustAnchors, UnixTime, WallClock};
//! use sztp_voucher::request::{
//!     ExtendedKeyUsage, PledgeContext, RegistrarContext, SignedVoucherRequest, VoucherRequest,
//!     VoucherTerms, sign,
//! };
//! use sztp_voucher::{Assertion, IssueOptions, Profile, issue};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = || SigningKey::generate(KeyType::EcP256);
//! # let (vendor_key, masa_key, idevid_key) = (key()?, key()?, key()?);
//! # let (domain_key, registrar_key) = (key()?, key()?);
//! # use sztp_cms::Signer as _;
//! # let vendor = CertificateBuilder::new("CN=Vendor").ca(None).self_signed(&vendor_key)?;
//! # let masa = CertificateBuilder::new("CN=MASA")
//! #     .issued_by(masa_key.spki_der(), &vendor, &vendor_key)?;
//! # let idevid = CertificateBuilder::new("serialNumber=AX7-00042")
//! #     .issued_by(idevid_key.spki_der(), &vendor, &vendor_key)?;
//! # let domain = CertificateBuilder::new("CN=Domain").ca(None).self_signed(&domain_key)?;
//! # let cmc_ra = ExtendedKeyUsage::CMC_RA;
//! # let registrar = CertificateBuilder::new("CN=Registrar")
//! #     .extension(ExtendedKeyUsage::EXTENSION, false, cmc_ra.to_vec())
//! #     .issued_by(registrar_key.spki_der(), &domain, &domain_key)?;
//! let options = IssueOptions::default();
//! // The pledge asks, and names the registrar that it talks to.
//! let mut request = VoucherRequest::new("AX7-00042");
//! request.assertion = Some(Assertion::Proximity);
//! request.nonce = Some(vec![7; 16]);
//! request.proximity_registrar_cert = Some(registrar.as_der().to_vec());
//! let asked = sign(&request, &idevid_key, &idevid, &[], &options)?;
//!
//! // The registrar passes it on.
//! let mut request = VoucherRequest::new("AX7-00042");
//! request.nonce = Some(vec![7; 16]);
//! request.prior_signed_voucher_request = Some(asked);
//! let passed_on = sign(&request, &registrar_key, &registrar, &[domain], &options)?;
//!
//! // The MASA checks both, and grants what was proven.
//! let now = UnixTime::from_secs(1_800_000_000);
//! let anchors = TrustAnchors::new([vendor]);
//! let pledge = PledgeContext::new(&anchors, WallClock::Trusted(now));
//! let request = SignedVoucherRequest::parse(&passed_on, Profile::Rfc8366)?
//!     .verify_as_registrar(&RegistrarContext::new(pledge))?;
//! let voucher = request.grant(&VoucherTerms::new(now))?;
//! assert_eq!(voucher.assertion, Assertion::Proximity);
//! assert_eq!(voucher.nonce.as_deref(), Some(&[7; 16][..]));
//! let signed = issue(&voucher, &masa_key, &masa, &[], &options)?;
//! # assert!(!signed.is_empty());
//! # Ok(())
//! # }
//! ```

mod error;
mod grant;
mod signed;
mod verify;

use serde_json::{Map, Value};
use sztp_cms::UnixTime;

pub use self::error::VoucherRequestError;
pub use self::grant::{AssertionBasis, Pin, VoucherTerms};
pub use self::signed::{SignedVoucherRequest, sign};
pub use self::verify::{
    ExtendedKeyUsage, PledgeContext, RegistrarContext, VerifiedPledgeRequest,
    VerifiedRegistrarRequest,
};
#[cfg(feature = "jws")]
pub(crate) use self::verify::{Received, SignedMessage};
use crate::document::{self, Leaves, REQUEST, VOUCHER};
use crate::voucher::NONCE_LENGTH;
use crate::yang::{Encoding, YangError};
use crate::{Assertion, Profile, VoucherError};

/// What a voucher-request says. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherRequest {
    /// When it was made; a pledge without a clock leaves it out.
    pub created_on: Option<UnixTime>,
    /// Until when the voucher is wanted.
    pub expires_on: Option<UnixTime>,
    /// The assertion that is asked for.
    pub assertion: Option<Assertion>,
    /// The device that the voucher is to be for.
    pub serial_number: String,
    /// The authority key identifier of the device's IDevID certificate.
    pub idevid_issuer: Option<Vec<u8>>,
    /// Ties the voucher to this request; 8 to 32 octets.
    pub nonce: Option<Vec<u8>>,
    /// The pledge's signed request, in a registrar's: CMS, or JWS in a JWS.
    pub prior_signed_voucher_request: Option<Vec<u8>>,
    /// The certificate (DER) of the TLS server that the pledge talks to, in a pledge's.
    pub proximity_registrar_cert: Option<Vec<u8>>,
    /// Leaves that RFC 8995 does not know, kept by [`Profile::Rfc8366bis`].
    pub extra: Map<String, Value>,
}

impl VoucherRequest {
    /// A request with the mandatory leaf.
    pub fn new(serial_number: impl Into<String>) -> Self {
        Self {
            created_on: None,
            expires_on: None,
            assertion: None,
            serial_number: serial_number.into(),
            idevid_issuer: None,
            nonce: None,
            prior_signed_voucher_request: None,
            proximity_registrar_cert: None,
            extra: Map::new(),
        }
    }

    /// Reads a request document, and says what had to be let pass or was ignored.
    ///
    /// The leaves that RFC 8995 §3.4 declares invalid in a request are ignored, as it demands.
    pub fn decode(
        octets: &[u8],
        encoding: Encoding,
        profile: Profile,
    ) -> Result<(Self, Vec<String>), VoucherRequestError> {
        let mut notes = Vec::new();
        let mut fields = match REQUEST.read(octets, encoding, profile, &mut notes) {
            Err(error) if VOUCHER.seems(octets, &error) => {
                return Err(VoucherRequestError::IsVoucher);
            }
            other => other?,
        };
        for name in [
            "pinned-domain-cert",
            "domain-cert-revocation-checks",
            "last-renewal-date",
        ] {
            if fields.anydata(name).is_some() {
                notes.push(format!(
                    "{name} is not valid in a voucher-request and was ignored (RFC 8995 §3.4)"
                ));
            }
        }
        let request = Self {
            created_on: document::time(&mut fields, "created-on")?,
            expires_on: document::time(&mut fields, "expires-on")?,
            assertion: fields
                .string("assertion")
                .and_then(|name| Assertion::from_name(&name)),
            serial_number: fields.mandatory_string("serial-number")?,
            idevid_issuer: fields.binary("idevid-issuer"),
            nonce: fields.binary("nonce"),
            prior_signed_voucher_request: fields.binary("prior-signed-voucher-request"),
            proximity_registrar_cert: fields.binary("proximity-registrar-cert"),
            extra: document::unknown(fields, &mut notes),
        };
        request.check()?;
        Ok((request, notes))
    }

    /// Writes the request document.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut leaves = Leaves::new(&self.extra);
        leaves.time("created-on", self.created_on);
        leaves.time("expires-on", self.expires_on);
        leaves.put("assertion", self.assertion.map(Assertion::as_str));
        leaves.put("serial-number", Some(self.serial_number.as_str()));
        leaves.binary("idevid-issuer", self.idevid_issuer.as_deref());
        leaves.binary("nonce", self.nonce.as_deref());
        leaves.binary(
            "prior-signed-voucher-request",
            self.prior_signed_voucher_request.as_deref(),
        );
        leaves.binary(
            "proximity-registrar-cert",
            self.proximity_registrar_cert.as_deref(),
        );
        REQUEST.write(leaves, encoding)
    }

    /// The rules that a request has by itself (RFC 8366 §5.3, which RFC 8995 §3.4 refines).
    fn check(&self) -> Result<(), VoucherError> {
        if self.serial_number.is_empty() {
            return Err(VoucherError::EmptySerialNumber);
        }
        if self.nonce.is_some() && self.expires_on.is_some() {
            return Err(VoucherError::NonceAndExpiry);
        }
        match self.nonce.as_ref().map(Vec::len) {
            Some(length) if !NONCE_LENGTH.contains(&length) => {
                Err(VoucherError::NonceLength { length })
            }
            _ => Ok(()),
        }
    }
}

impl From<YangError> for VoucherRequestError {
    fn from(error: YangError) -> Self {
        Self::Voucher(VoucherError::Yang(error))
    }
}
