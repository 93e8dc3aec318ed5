//! Why no certification path holds.

use der::asn1::ObjectIdentifier;

use crate::{CrlError, RevocationReason, Rule, UnixTime};

/// Why a certificate is not trusted: the most telling failure of all paths tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// There is nothing to trust.
    #[error("no trust anchor is configured")]
    NoTrustAnchor,
    /// No anchor and no intermediate has the issuer's name (RFC 5280 §6.1.3 (a)(4)).
    #[error("no certificate found for the issuer \"{issuer}\"")]
    UnknownIssuer {
        /// The name looked for.
        issuer: String,
    },
    /// The signature does not fit the issuer's key (RFC 5280 §6.1.3 (a)(1)).
    #[error("the signature of \"{subject}\" was not made by the key of \"{issuer}\"")]
    BadSignature {
        /// Whose certificate.
        subject: String,
        /// Whose key.
        issuer: String,
    },
    /// Signed with SHA-1, MD5 or a key that is too short.
    #[error("the certificate of \"{subject}\" is signed with an algorithm too weak to trust")]
    WeakAlgorithm {
        /// Whose certificate.
        subject: String,
    },
    /// Signed with an algorithm or by a key that is not known here.
    #[error("the certificate of \"{subject}\" is signed with an algorithm that is not supported")]
    UnsupportedAlgorithm {
        /// Whose certificate.
        subject: String,
    },
    /// The two copies of the signature algorithm differ (RFC 5280 §4.1.1.2).
    #[error("the certificate of \"{subject}\" names two different signature algorithms")]
    SignatureAlgorithmMismatch {
        /// Whose certificate.
        subject: String,
    },
    /// The issuer is no certificate authority (RFC 5280 §6.1.4 (k)).
    #[error("\"{issuer}\" is not a certificate authority")]
    IssuerNotCa {
        /// Who issued nonetheless.
        issuer: String,
    },
    /// The issuer's keyUsage lacks keyCertSign (RFC 5280 §6.1.4 (n)).
    #[error("\"{issuer}\" may not sign certificates (keyUsage)")]
    IssuerKeyUsage {
        /// Who issued nonetheless.
        issuer: String,
    },
    /// More than the path can be.
    #[error("certification path longer than {limit} certificates")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// More authorities follow than pathLenConstraint allows (RFC 5280 §6.1.4 (l)).
    #[error("more than {limit} authorities below \"{issuer}\"")]
    PathLengthExceeded {
        /// Who set the limit.
        issuer: String,
        /// The limit.
        limit: u32,
    },
    /// A name outside the issuer's name constraints (RFC 5280 §6.1.3 (b), (c)).
    #[error("the name \"{name}\" is outside the name constraints of \"{issuer}\"")]
    NameConstraint {
        /// Who set the constraints.
        issuer: String,
        /// The name that breaks them.
        name: String,
    },
    /// A critical extension that is not processed here (RFC 5280 §6.1.4 (o), §6.1.5 (f)).
    #[error("critical extension {oid} of \"{subject}\" is not known")]
    UnknownCriticalExtension {
        /// The extension.
        oid: ObjectIdentifier,
        /// Whose certificate.
        subject: String,
    },
    /// An extension that cannot be read.
    #[error("extension {oid} of \"{subject}\" is malformed")]
    MalformedExtension {
        /// The extension.
        oid: ObjectIdentifier,
        /// Whose certificate.
        subject: String,
    },
    /// A policy is required, by a certificate or by the caller, and the path is not valid for one
    /// that is wanted (RFC 5280 §6.1.5 (g)).
    #[error("no acceptable certificate policy is common to the path of \"{subject}\"")]
    PolicyRequired {
        /// Whose certificate.
        subject: String,
    },
    /// keyUsage of the end-entity certificate lacks digitalSignature (RFC 5280 §4.2.1.3).
    #[error("\"{subject}\" may not sign (keyUsage lacks digitalSignature)")]
    KeyUsage {
        /// Whose certificate.
        subject: String,
    },
    /// Before notBefore (RFC 5280 §6.1.3 (a)(2)).
    #[error("the certificate of \"{subject}\" is valid from {not_before}, and it is {at}")]
    NotYetValid {
        /// The time used.
        at: UnixTime,
        /// From when it holds.
        not_before: UnixTime,
        /// Whose certificate.
        subject: String,
    },
    /// After notAfter (RFC 5280 §6.1.3 (a)(2)).
    #[error("the certificate of \"{subject}\" was valid until {not_after}, and it is {at}")]
    Expired {
        /// The time used.
        at: UnixTime,
        /// Until when it held.
        not_after: UnixTime,
        /// Whose certificate.
        subject: String,
    },
    /// On the issuer's list of revoked certificates (RFC 5280 §6.3.3).
    #[error("the certificate of \"{subject}\" was revoked at {date} ({reason})")]
    Revoked {
        /// Whose certificate.
        subject: String,
        /// Since when.
        date: UnixTime,
        /// Why.
        reason: RevocationReason,
    },
    /// No list says that the certificate is not revoked, and one is required (RFC 5280 §6.3.3).
    #[error("whether the certificate of \"{subject}\" is revoked is not known: {why}")]
    RevocationUnknown {
        /// Whose certificate.
        subject: String,
        /// Why the lists at hand do not tell.
        #[source]
        why: CrlError,
    },
    /// The search was given up.
    #[error("no path found within {checks} signature checks")]
    BudgetExhausted {
        /// The limit.
        checks: usize,
    },
    /// The certificates have more names and constraints than are compared.
    #[error("more than {limit} comparisons of names")]
    TooManyNames {
        /// The limit.
        limit: usize,
    },
    /// The certificates have more policies and mappings than are processed.
    #[error("more than {limit} certificate policies")]
    TooManyPolicies {
        /// The limit.
        limit: usize,
    },
}

impl PathError {
    /// A stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTrustAnchor => "path.no-trust-anchor",
            Self::UnknownIssuer { .. } => "path.unknown-issuer",
            Self::BadSignature { .. } => "path.bad-signature",
            Self::WeakAlgorithm { .. } => "path.weak-algorithm",
            Self::UnsupportedAlgorithm { .. } => "path.unsupported-algorithm",
            Self::SignatureAlgorithmMismatch { .. } => "path.signature-algorithm-mismatch",
            Self::IssuerNotCa { .. } => "path.issuer-not-ca",
            Self::IssuerKeyUsage { .. } => "path.issuer-key-usage",
            Self::TooLong { .. } => "path.too-long",
            Self::PathLengthExceeded { .. } => "path.length-exceeded",
            Self::NameConstraint { .. } => "path.name-constraint",
            Self::UnknownCriticalExtension { .. } => "path.unknown-critical-extension",
            Self::MalformedExtension { .. } => "path.malformed-extension",
            Self::PolicyRequired { .. } => "path.policy-required",
            Self::KeyUsage { .. } => "path.key-usage",
            Self::NotYetValid { .. } => "path.not-yet-valid",
            Self::Expired { .. } => "path.expired",
            Self::Revoked { .. } => "path.revoked",
            Self::RevocationUnknown { .. } => "path.revocation-unknown",
            Self::BudgetExhausted { .. } => "path.budget-exhausted",
            Self::TooManyNames { .. } => "path.too-many-names",
            Self::TooManyPolicies { .. } => "path.too-many-policies",
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        let (section, topic) = match self {
            Self::RevocationUnknown { why, .. } => return why.rule(),
            Self::Revoked { .. } => ("6.3.3", "revocation"),
            Self::NoTrustAnchor => ("6.1.1", "trust anchor"),
            Self::UnknownIssuer { .. } => ("6.1.3", "issuer name"),
            Self::BadSignature { .. } => ("6.1.3", "signature"),
            Self::WeakAlgorithm { .. } | Self::UnsupportedAlgorithm { .. } => {
                ("6.1.3", "signature algorithm")
            }
            Self::SignatureAlgorithmMismatch { .. } => ("4.1.1.2", "signatureAlgorithm"),
            Self::IssuerNotCa { .. } => ("6.1.4", "basicConstraints"),
            Self::IssuerKeyUsage { .. } => ("6.1.4", "keyUsage"),
            Self::TooLong { .. }
            | Self::BudgetExhausted { .. }
            | Self::TooManyNames { .. }
            | Self::TooManyPolicies { .. } => ("6", "path building"),
            Self::PathLengthExceeded { .. } => ("6.1.4", "pathLenConstraint"),
            Self::NameConstraint { .. } => ("6.1.3", "nameConstraints"),
            Self::UnknownCriticalExtension { .. } => ("6.1.4", "critical extensions"),
            Self::MalformedExtension { .. } => ("4.2", "extensions"),
            Self::PolicyRequired { .. } => ("6.1.5", "certificate policies"),
            Self::KeyUsage { .. } => ("4.2.1.3", "keyUsage"),
            Self::NotYetValid { .. } | Self::Expired { .. } => ("6.1.3", "validity"),
        };
        Rule::new(5280, section, topic)
    }

    /// How much the error says: the further a path came before it broke, the more.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::NoTrustAnchor | Self::UnknownIssuer { .. } => 0,
            Self::BadSignature { .. } => 1,
            Self::UnsupportedAlgorithm { .. } => 2,
            Self::WeakAlgorithm { .. } => 3,
            Self::SignatureAlgorithmMismatch { .. } => 4,
            Self::TooLong { .. } => 5,
            Self::IssuerNotCa { .. } => 6,
            Self::IssuerKeyUsage { .. } => 7,
            Self::NotYetValid { .. } => 8,
            Self::Expired { .. } => 9,
            Self::MalformedExtension { .. } | Self::UnknownCriticalExtension { .. } => 10,
            Self::PathLengthExceeded { .. } => 11,
            Self::KeyUsage { .. } => 12,
            Self::NameConstraint { .. } => 13,
            Self::PolicyRequired { .. } => 14,
            Self::RevocationUnknown { .. } => 15,
            Self::BudgetExhausted { .. }
            | Self::TooManyNames { .. }
            | Self::TooManyPolicies { .. } => 16,
            Self::Revoked { .. } => 17,
        }
    }

    /// Whether the validation was given up, so that trying on is no use.
    pub(super) fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::BudgetExhausted { .. } | Self::TooManyNames { .. } | Self::TooManyPolicies { .. }
        )
    }
}
