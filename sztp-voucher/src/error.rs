//! Why a voucher is refused: one variant for each way to fail.

use sztp_cms::{CertificateError, CmsError, PathError, Rule, UnixTime};

use crate::Assertion;
use crate::yang::YangError;

/// A voucher that is not accepted, or could not be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoucherError {
    /// The CMS structure or its signature.
    #[error(transparent)]
    Cms(CmsError),
    /// The signature verifies, but its signer leads to none of the trust anchors.
    #[error("the voucher's signer is not trusted: {0}")]
    UntrustedSigner(#[source] PathError),
    /// The content is no voucher.
    #[error(transparent)]
    Yang(#[from] YangError),
    /// The content is a voucher-request (RFC 8995 §3), which grants nothing.
    #[error("this is a voucher-request, not a voucher")]
    VoucherRequest,
    /// A nonce and an expiry exclude each other.
    #[error("nonce and expires-on exclude each other")]
    NonceAndExpiry,
    /// Renewal is about the expiry.
    #[error("last-renewal-date needs expires-on")]
    RenewalWithoutExpiry,
    /// A nonce has 8 to 32 octets.
    #[error("a nonce of {length} octets is not within 8 to 32")]
    NonceLength {
        /// Its length in octets.
        length: usize,
    },
    /// Issued for another device.
    #[error("the voucher is for serial number {voucher:?}, this device is {device:?}")]
    SerialNumberMismatch {
        /// The device's own.
        device: String,
        /// The voucher's.
        voucher: String,
    },
    /// For a device of the same serial number whose IDevID has another issuer.
    #[error("the voucher's idevid-issuer is not the authority key identifier of the IDevID")]
    IdevidIssuerMismatch,
    /// Made for another exchange.
    #[error("the voucher's nonce is not the one that was sent")]
    NonceMismatch,
    /// A nonce was sent and the voucher has none.
    #[error("the voucher has no nonce, though one was sent")]
    NonceMissing,
    /// No nonce was sent and the voucher has one.
    #[error("the voucher has a nonce, though none was sent")]
    NonceUnexpected,
    /// Past its expires-on.
    #[error("the voucher expired at {expires_on}, it is {at}")]
    Expired {
        /// The time of the check.
        at: UnixTime,
        /// The voucher's.
        expires_on: UnixTime,
    },
    /// Before its created-on.
    #[error("the voucher was created at {created_on}, it is {at}")]
    NotYetValid {
        /// The time of the check.
        at: UnixTime,
        /// The voucher's.
        created_on: UnixTime,
    },
    /// The assertion is not among those that policy accepts.
    #[error("assertion {found} is not accepted")]
    AssertionRefused {
        /// The voucher's.
        found: Assertion,
    },
    /// The pinned-domain-cert is no certificate.
    #[error("pinned-domain-cert: {0}")]
    PinnedDomainCert(#[source] CertificateError),
    /// What would be pinned is not valid any more, or revoked.
    #[error("pinned-domain-cert must not be pinned: {0}")]
    PinnedDomainCertRefused(#[source] PathError),
    /// A voucher may not outlive what it pins.
    #[error("expires-on {expires_on} is later than the pinned-domain-cert's notAfter {not_after}")]
    OutlivesPinnedDomainCert {
        /// The voucher's.
        expires_on: UnixTime,
        /// The pinned certificate's.
        not_after: UnixTime,
    },
    /// A voucher names exactly one device.
    #[error("serial-number must not be empty")]
    EmptySerialNumber,
    /// The voucher expires, and a device without a clock was told to take none that does.
    #[error("the voucher expires on {expires_on}, and there is no clock to tell by")]
    ExpiryWithoutClock {
        /// The voucher's.
        expires_on: UnixTime,
    },
    /// Only a voucher that expires is renewed.
    #[error("a voucher that does not expire is not renewed")]
    NotRenewable,
    /// The series of renewals is over.
    #[error("the voucher's last-renewal-date {last} is before {at}")]
    RenewalEnded {
        /// When the next voucher would be made.
        at: UnixTime,
        /// The last-renewal-date.
        last: UnixTime,
    },
    /// base64 text where the binary form is required.
    #[error("this is base64 text; the voucher must be in binary (DER)")]
    Base64Text,
    /// The armour or base64 of a PEM text is damaged.
    #[error("the PEM armour or its base64 is damaged")]
    DamagedPem,
    /// Binary data in which a text-mode transfer has put a carriage return before each line feed.
    #[error("damaged by a text-mode transfer (line feeds have become CR LF)")]
    LineEndingDamage,
    /// The JWS structure or its signature.
    #[cfg(feature = "jws")]
    #[error(transparent)]
    Jws(#[from] crate::jws::JwsError),
}

impl From<CmsError> for VoucherError {
    fn from(error: CmsError) -> Self {
        match error {
            CmsError::Path(path) => Self::UntrustedSigner(path),
            other => Self::Cms(other),
        }
    }
}

impl VoucherError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cms(inner) => inner.code(),
            #[cfg(feature = "jws")]
            Self::Jws(inner) => inner.code(),
            Self::UntrustedSigner(_) => "voucher.untrusted-signer",
            Self::Yang(inner) => inner.code(),
            Self::VoucherRequest => "voucher.is-a-request",
            Self::NonceAndExpiry => "voucher.nonce-and-expiry",
            Self::RenewalWithoutExpiry => "voucher.renewal-without-expiry",
            Self::NonceLength { .. } => "voucher.nonce-length",
            Self::SerialNumberMismatch { .. } => "voucher.serial-mismatch",
            Self::IdevidIssuerMismatch => "voucher.idevid-issuer-mismatch",
            Self::NonceMismatch => "voucher.nonce-mismatch",
            Self::NonceMissing => "voucher.nonce-missing",
            Self::NonceUnexpected => "voucher.nonce-unexpected",
            Self::Expired { .. } => "voucher.expired",
            Self::NotYetValid { .. } => "voucher.not-yet-valid",
            Self::AssertionRefused { .. } => "voucher.assertion-refused",
            Self::PinnedDomainCert(_) => "voucher.pinned-domain-cert",
            Self::PinnedDomainCertRefused(_) => "voucher.pinned-domain-cert-refused",
            Self::OutlivesPinnedDomainCert { .. } => "voucher.outlives-pinned-domain-cert",
            Self::EmptySerialNumber => "voucher.empty-serial-number",
            Self::ExpiryWithoutClock { .. } => "voucher.expiry-without-clock",
            Self::NotRenewable => "voucher.not-renewable",
            Self::RenewalEnded { .. } => "voucher.renewal-ended",
            Self::Base64Text => "voucher.base64-text",
            Self::DamagedPem => "voucher.damaged-pem",
            Self::LineEndingDamage => "voucher.line-ending-damage",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        const fn voucher(topic: &'static str) -> Rule {
            Rule::new(8366, "5.3", topic)
        }
        match self {
            Self::Cms(inner) => inner.rule(),
            #[cfg(feature = "jws")]
            Self::Jws(inner) => inner.rule(),
            Self::UntrustedSigner(inner) => inner.rule(),
            Self::Yang(inner) => inner.rule(),
            Self::VoucherRequest => voucher("voucher"),
            Self::NonceAndExpiry
            | Self::NonceLength { .. }
            | Self::NonceMismatch
            | Self::NonceMissing
            | Self::NonceUnexpected => voucher("nonce"),
            Self::RenewalWithoutExpiry | Self::RenewalEnded { .. } => voucher("last-renewal-date"),
            Self::NotRenewable => Rule::new(8366, "6.1", "renewals instead of revocations"),
            Self::Base64Text | Self::DamagedPem | Self::LineEndingDamage => {
                Rule::new(8366, "5.4", "DER")
            }
            Self::SerialNumberMismatch { .. } | Self::EmptySerialNumber => voucher("serial-number"),
            Self::IdevidIssuerMismatch => voucher("idevid-issuer"),
            Self::Expired { .. }
            | Self::OutlivesPinnedDomainCert { .. }
            | Self::ExpiryWithoutClock { .. } => voucher("expires-on"),
            Self::NotYetValid { .. } => voucher("created-on"),
            Self::AssertionRefused { .. } => voucher("assertion"),
            Self::PinnedDomainCert(_) => voucher("pinned-domain-cert"),
            Self::PinnedDomainCertRefused(_) => {
                Rule::new(8366, "7.3", "domain certificate validity when signing")
            }
        }
    }
}
