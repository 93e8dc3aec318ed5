//! Why a certificate revocation list cannot be read, or says nothing about a certificate.

use der::asn1::ObjectIdentifier;

use super::MAX_CRL_BYTES;
use crate::{PathError, Rule, UnixTime};

/// A certificate revocation list that is no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// The structure of RFC 5280 §5.1 is broken at the named field.
    #[error("not a well-formed certificate revocation list: {what}")]
    Malformed {
        /// The field that could not be read.
        what: &'static str,
    },
    /// Larger than is read.
    #[error("certificate revocation list of {size} octets is larger than {MAX_CRL_BYTES}")]
    TooLarge {
        /// The size found.
        size: usize,
    },
    /// The PEM armour is damaged (RFC 7468).
    #[error("damaged PEM armour")]
    Pem,
    /// The file holds no certificate revocation list.
    #[error("no certificate revocation list found")]
    Missing,
    /// No list of the certificate's issuer is at hand.
    #[error("there is no revocation list of the certificate's issuer")]
    NotFound,
    /// The issuer's lists are for other certificates: other distribution points, or only authority,
    /// user or attribute certificates (RFC 5280 §5.2.5).
    #[error("the issuer's revocation lists do not cover this certificate")]
    OutOfScope,
    /// The lists at hand cover only some reasons for revocation (RFC 5280 §6.3.3 (l)).
    #[error("the revocation lists at hand cover only some reasons for revocation")]
    SomeReasonsOnly,
    /// A list with other issuers' certificates on it; such are not supported (RFC 5280 §5).
    #[error("indirect revocation lists are not supported")]
    Indirect,
    /// A list of changes without the list that it changes (RFC 5280 §5.2.4).
    #[error("a delta revocation list without the complete list that it changes")]
    DeltaWithoutBase,
    /// A critical extension of the list or of an entry that is not known (RFC 5280 §5.2, §5.3).
    #[error("critical extension {oid} of the revocation list is not known")]
    UnknownCriticalExtension {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// Made after the time of the check (RFC 5280 §5.1.2.4).
    #[error("the revocation list was made at {this_update}, and it is {at}")]
    NotYetValid {
        /// The time used.
        at: UnixTime,
        /// When it was made.
        this_update: UnixTime,
    },
    /// A newer list is out (RFC 5280 §5.1.2.5).
    #[error("the next revocation list was due at {next_update}, and it is {at}")]
    Stale {
        /// The time used.
        at: UnixTime,
        /// When the next one was due.
        next_update: UnixTime,
    },
    /// The list does not say until when it holds (RFC 5280 §5.1.2.5).
    #[error("the revocation list does not say when the next one is due")]
    NoNextUpdate,
    /// The signature does not fit the issuer's key (RFC 5280 §6.3.3 (g)).
    #[error("the revocation list was not signed by \"{issuer}\"")]
    BadSignature {
        /// The list's issuer.
        issuer: String,
    },
    /// Signed with SHA-1, MD5 or a key that is too short.
    #[error("the revocation list is signed with an algorithm too weak to trust")]
    WeakAlgorithm,
    /// Signed with an algorithm or by a key that is not known here.
    #[error("the revocation list is signed with an algorithm that is not supported")]
    UnsupportedAlgorithm,
    /// The two copies of the signature algorithm differ (RFC 5280 §5.1.1.2).
    #[error("the revocation list names two different signature algorithms")]
    SignatureAlgorithmMismatch,
    /// The signer's keyUsage lacks cRLSign (RFC 5280 §6.3.3 (f)).
    #[error("\"{signer}\" may not sign revocation lists (keyUsage)")]
    SignerKeyUsage {
        /// Who signed nonetheless.
        signer: String,
    },
    /// The signer's certificate leads to no anchor, or not to the certificate's (RFC 5280 §6.3.3
    /// (f)).
    #[error("the signer of the revocation list is not trusted: {0}")]
    SignerUntrusted(#[source] Box<PathError>),
}

impl CrlError {
    /// A stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "crl.malformed",
            Self::TooLarge { .. } => "crl.too-large",
            Self::Pem => "crl.pem",
            Self::Missing => "crl.missing",
            Self::NotFound => "crl.not-found",
            Self::OutOfScope => "crl.out-of-scope",
            Self::SomeReasonsOnly => "crl.some-reasons-only",
            Self::Indirect => "crl.indirect",
            Self::DeltaWithoutBase => "crl.delta-without-base",
            Self::UnknownCriticalExtension { .. } => "crl.unknown-critical-extension",
            Self::NotYetValid { .. } => "crl.not-yet-valid",
            Self::Stale { .. } => "crl.stale",
            Self::NoNextUpdate => "crl.no-next-update",
            Self::BadSignature { .. } => "crl.bad-signature",
            Self::WeakAlgorithm => "crl.weak-algorithm",
            Self::UnsupportedAlgorithm => "crl.unsupported-algorithm",
            Self::SignatureAlgorithmMismatch => "crl.signature-algorithm-mismatch",
            Self::SignerKeyUsage { .. } => "crl.signer-key-usage",
            Self::SignerUntrusted(_) => "crl.untrusted-signer",
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Malformed { .. } | Self::TooLarge { .. } => {
                Rule::new(5280, "5.1", "certificate revocation list")
            }
            Self::Pem | Self::Missing => Rule::new(7468, "7", "revocation list text"),
            Self::NotFound => Rule::new(5280, "6.3.3", "revocation list"),
            Self::OutOfScope => Rule::new(5280, "5.2.5", "issuingDistributionPoint"),
            Self::SomeReasonsOnly => Rule::new(5280, "6.3.3", "reasons"),
            Self::Indirect => Rule::new(5280, "5", "indirect revocation list"),
            Self::DeltaWithoutBase => Rule::new(5280, "5.2.4", "deltaCRLIndicator"),
            Self::UnknownCriticalExtension { .. } => Rule::new(5280, "5.2", "critical extensions"),
            Self::NotYetValid { .. } => Rule::new(5280, "5.1.2.4", "thisUpdate"),
            Self::Stale { .. } | Self::NoNextUpdate => Rule::new(5280, "5.1.2.5", "nextUpdate"),
            Self::BadSignature { .. } | Self::WeakAlgorithm | Self::UnsupportedAlgorithm => {
                Rule::new(5280, "6.3.3", "signature of the revocation list")
            }
            Self::SignatureAlgorithmMismatch => Rule::new(5280, "5.1.1.2", "signatureAlgorithm"),
            Self::SignerKeyUsage { .. } => Rule::new(5280, "6.3.3", "keyUsage"),
            Self::SignerUntrusted(inner) => inner.rule(),
        }
    }

    /// How much it says: the nearer a list was to being of use, the more.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Malformed { .. } | Self::TooLarge { .. } | Self::Pem | Self::Missing => 0,
            Self::NotFound => 1,
            Self::OutOfScope | Self::DeltaWithoutBase => 2,
            Self::Indirect => 3,
            Self::BadSignature { .. } => 4,
            Self::WeakAlgorithm | Self::UnsupportedAlgorithm | Self::SignatureAlgorithmMismatch => {
                5
            }
            Self::SignerKeyUsage { .. } => 6,
            Self::SignerUntrusted(_) => 7,
            Self::UnknownCriticalExtension { .. } => 8,
            Self::NoNextUpdate | Self::NotYetValid { .. } | Self::Stale { .. } => 9,
            Self::SomeReasonsOnly => 10,
        }
    }
}
