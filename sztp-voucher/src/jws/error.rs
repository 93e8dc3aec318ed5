//! Why a JWS is refused.

use sztp_cms::{CertificateError, Rule, SignatureError};

/// A JWS that is not accepted, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// More than is read.
    #[error("JWS with more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is read at most.
        limit: usize,
    },
    /// Not the general JSON serialization, or broken at the named member.
    #[error("not a JWS in its general JSON serialization: {what}")]
    Malformed {
        /// The member that could not be read.
        what: &'static str,
    },
    /// The header demands to be understood further than is possible.
    #[error("the JWS header has critical parameters that are not known")]
    Critical,
    /// It says that it is something else than a voucher.
    #[error("the JWS has type {found:?}, not voucher-jws+json")]
    WrongType {
        /// What it says, shortened.
        found: String,
    },
    /// An algorithm that is not accepted, for instance `none` or one of shared secrets.
    #[error("JWS algorithm {found:?} is not accepted")]
    Algorithm {
        /// Its name, shortened.
        found: String,
    },
    /// The algorithm is for another kind of key than the signer's.
    #[error("JWS algorithm {algorithm} does not fit the signer's key")]
    AlgorithmKeyMismatch {
        /// Its name.
        algorithm: &'static str,
    },
    /// Without a signature.
    #[error("nobody signed this")]
    NoSigner,
    /// A certificate in x5c cannot be read.
    #[error("certificate in x5c: {0}")]
    Certificate(#[source] CertificateError),
    /// The signer's certificate is neither in x5c nor otherwise known.
    #[error("the signer's certificate is not known")]
    SignerCertificateMissing,
    /// The signer's public key cannot be used.
    #[error("the signer's certificate: {0}")]
    SignerKey(#[source] CertificateError),
    /// The signature is not the signer's.
    #[error("the signature does not verify")]
    BadSignature,
    /// The signer's algorithm has no name in JWS.
    #[error("JWS has no algorithm for this signer")]
    SignerAlgorithm,
    /// The certificate is not for the signing key.
    #[error("the certificate does not hold the signing key's public key")]
    KeyMismatch,
    /// The message could not be signed.
    #[error("signing failed: {0}")]
    Signing(#[source] SignatureError),
}

impl JwsError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "jws.too-large",
            Self::Malformed { .. } => "jws.malformed",
            Self::Critical => "jws.critical-parameter",
            Self::WrongType { .. } => "jws.wrong-type",
            Self::Algorithm { .. } => "jws.algorithm",
            Self::AlgorithmKeyMismatch { .. } => "jws.algorithm-key-mismatch",
            Self::NoSigner => "jws.no-signer",
            Self::Certificate(_) => "jws.certificate",
            Self::SignerCertificateMissing => "jws.signer-certificate-missing",
            Self::SignerKey(_) => "jws.signer-key",
            Self::BadSignature => "jws.bad-signature",
            Self::SignerAlgorithm => "jws.signer-algorithm",
            Self::KeyMismatch => "jws.key-mismatch",
            Self::Signing(_) => "jws.signing",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::TooLarge { .. } | Self::Malformed { .. } | Self::NoSigner => {
                Rule::new(7515, "7.2.1", "general JWS JSON serialization")
            }
            Self::Critical => Rule::new(7515, "4.1.11", "crit"),
            Self::WrongType { .. } => Rule::new(7515, "4.1.9", "typ"),
            Self::Algorithm { .. } | Self::AlgorithmKeyMismatch { .. } | Self::SignerAlgorithm => {
                Rule::new(7518, "3.1", "alg")
            }
            Self::Certificate(inner) | Self::SignerKey(inner) => inner.rule(),
            Self::SignerCertificateMissing | Self::KeyMismatch => Rule::new(7515, "4.1.6", "x5c"),
            Self::BadSignature => Rule::new(7515, "5.2", "signature validation"),
            Self::Signing(inner) => inner.rule(),
        }
    }
}
