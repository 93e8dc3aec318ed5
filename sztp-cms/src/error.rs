//! Why a CMS message is refused: one variant for each way to fail.

use der::asn1::ObjectIdentifier;

use crate::{AlgorithmError, CertificateError, KeyError, PathError, Rule, SignatureError};

/// A CMS message that is not accepted, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CmsError {
    /// The ASN.1 structure is broken at the named field.
    #[error("not a well-formed CMS message: {what}")]
    Malformed {
        /// The field that could not be read.
        what: &'static str,
    },
    /// More octets, certificates, lists or signers than are read.
    #[error("CMS message with more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is read at most.
        limit: usize,
    },
    /// Values nested deeper than is read.
    #[error("CMS message nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest level read.
        limit: usize,
    },
    /// PEM text where the binary form is required (RFC 8572 §3).
    #[error("this is PEM text; the artifact must be in binary (DER)")]
    Pem,
    /// Binary data that went through a text conversion: octets were replaced by U+FFFD.
    #[error("damaged by a text conversion (it has U+FFFD in place of octets)")]
    TextModeDamage,
    /// Something else than SignedData.
    #[error("content type {0} is not SignedData")]
    NotSignedData(ObjectIdentifier),
    /// Signed or encrypted, but not as the kind of content that is expected here.
    #[error("content has type {found}, expected {}", expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))]
    WrongContentType {
        /// The type found.
        found: ObjectIdentifier,
        /// What is accepted.
        expected: Vec<ObjectIdentifier>,
    },
    /// SignedData without a SignerInfo.
    #[error("nobody signed this")]
    NoSigner,
    /// SignedData whose content is elsewhere (a detached signature).
    #[error("the signed content is not in the message (detached signature)")]
    NoContent,
    /// Content where a detached signature was expected.
    #[error("the message carries content, expected a detached signature")]
    NotDetached,
    /// Only certificates were expected.
    #[error("expected certificates only, found signed content")]
    NotCertsOnly,
    /// A certificate in the message cannot be read.
    #[error("certificate in the message: {0}")]
    Certificate(#[source] CertificateError),
    /// Without signed attributes only id-data may be signed.
    #[error("signed attributes are missing")]
    MissingSignedAttributes,
    /// An attribute that must be there exactly once, is not.
    #[error("signed attribute {attribute} must be present exactly once with one value")]
    SignedAttribute {
        /// Its name.
        attribute: &'static str,
    },
    /// The content-type attribute names another type than the content has.
    #[error("the content-type attribute names {attribute}, the content has type {content}")]
    ContentTypeAttributeMismatch {
        /// In the signed attributes.
        attribute: ObjectIdentifier,
        /// In the message.
        content: ObjectIdentifier,
    },
    /// The content is not what was signed.
    #[error("the content is not what was signed (message digest differs)")]
    DigestMismatch,
    /// The signature is not the signer's.
    #[error("the signature does not verify")]
    BadSignature,
    /// The signer's certificate is neither in the message nor otherwise known.
    #[error("the signer's certificate is not known ({signer})")]
    SignerCertificateMissing {
        /// How the message names the signer.
        signer: String,
    },
    /// The signer's public key cannot be used.
    #[error("the signer's certificate: {0}")]
    SignerKey(#[source] CertificateError),
    /// The signature's algorithm is unknown, does not fit the key, or is inconsistent.
    #[error("signature algorithm: {0}")]
    UnsupportedAlgorithm(#[source] SignatureError),
    /// The digest or signature algorithm is broken.
    #[error("{0}")]
    WeakAlgorithm(#[source] AlgorithmError),
    /// The signature verifies, but its signer is not trusted.
    #[error("the signer is not trusted: {0}")]
    Path(#[source] PathError),
    /// The message could not be signed.
    #[error("signing failed: {0}")]
    Signing(#[source] SignatureError),
    /// The certificate is not for the private key.
    #[error("the certificate does not hold the private key's public key")]
    KeyMismatch,
    /// Something else than EnvelopedData.
    #[error("content type {0} is not EnvelopedData")]
    NotEnvelopedData(ObjectIdentifier),
    /// The message is encrypted for others than the holder of this certificate.
    #[error("the message is not encrypted for this certificate")]
    NotARecipient,
    /// A way of encrypting content or keys that is not known.
    #[error("encryption algorithm {oid} is not supported")]
    UnsupportedEncryption {
        /// Its object identifier.
        oid: ObjectIdentifier,
    },
    /// A known way of encrypting that the policy does not allow.
    #[error("{what} is not allowed")]
    EncryptionRefused {
        /// Its name.
        what: &'static str,
    },
    /// The message cannot be decrypted. It is not said whether a key, padding or content was
    /// wrong: that would help whoever sends forged messages.
    #[error("the message cannot be decrypted")]
    Decryption,
    /// Nobody is named to encrypt for.
    #[error("there is no recipient to encrypt for")]
    NoRecipient,
    /// The recipient's public key cannot be encrypted to.
    #[error("the recipient's certificate: {0}")]
    RecipientKey(#[source] KeyError),
    /// The message could not be encrypted.
    #[error("encryption failed")]
    Encryption,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Random,
}

impl CmsError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "cms.malformed",
            Self::TooLarge { .. } => "cms.too-large",
            Self::TooDeep { .. } => "cms.too-deep",
            Self::Pem => "cms.pem",
            Self::TextModeDamage => "cms.text-mode-damage",
            Self::NotSignedData(_) => "cms.not-signed-data",
            Self::WrongContentType { .. } => "cms.wrong-content-type",
            Self::NoSigner => "cms.no-signer",
            Self::NoContent => "cms.no-content",
            Self::NotDetached => "cms.not-detached",
            Self::NotCertsOnly => "cms.not-certs-only",
            Self::Certificate(_) => "cms.certificate",
            Self::MissingSignedAttributes => "cms.missing-signed-attributes",
            Self::SignedAttribute { .. } => "cms.signed-attribute",
            Self::ContentTypeAttributeMismatch { .. } => "cms.content-type-mismatch",
            Self::DigestMismatch => "cms.digest-mismatch",
            Self::BadSignature => "cms.bad-signature",
            Self::SignerCertificateMissing { .. } => "cms.signer-certificate-missing",
            Self::SignerKey(_) => "cms.signer-key",
            Self::UnsupportedAlgorithm(_) => "cms.unsupported-algorithm",
            Self::WeakAlgorithm(_) => "cms.weak-algorithm",
            Self::Path(_) => "cms.untrusted-signer",
            Self::Signing(_) => "cms.signing",
            Self::KeyMismatch => "cms.key-mismatch",
            Self::NotEnvelopedData(_) => "cms.not-enveloped-data",
            Self::NotARecipient => "cms.not-a-recipient",
            Self::UnsupportedEncryption { .. } => "cms.unsupported-encryption",
            Self::EncryptionRefused { .. } => "cms.encryption-refused",
            Self::Decryption => "cms.decryption",
            Self::NoRecipient => "cms.no-recipient",
            Self::RecipientKey(_) => "cms.recipient-key",
            Self::Encryption => "cms.encryption",
            Self::Random => "cms.random",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Malformed { .. } | Self::TooLarge { .. } | Self::TooDeep { .. } => {
                Rule::new(5652, "3", "general syntax")
            }
            Self::Pem | Self::TextModeDamage => Rule::new(8572, "3", "artifacts are binary CMS"),
            Self::NotSignedData(_) | Self::NoSigner | Self::NotCertsOnly => {
                Rule::new(5652, "5.1", "SignedData")
            }
            Self::WrongContentType { .. } | Self::NoContent | Self::NotDetached => {
                Rule::new(5652, "5.2", "encapsulated content")
            }
            Self::Certificate(inner) | Self::SignerKey(inner) => inner.rule(),
            Self::MissingSignedAttributes => Rule::new(5652, "5.3", "signed attributes"),
            Self::SignedAttribute { .. } | Self::ContentTypeAttributeMismatch { .. } => {
                Rule::new(5652, "11", "signed attributes")
            }
            Self::DigestMismatch => Rule::new(5652, "5.4", "message digest"),
            Self::BadSignature => Rule::new(5652, "5.6", "signature verification"),
            Self::SignerCertificateMissing { .. } | Self::KeyMismatch => {
                Rule::new(5652, "5.3", "signer identifier")
            }
            Self::UnsupportedAlgorithm(inner) | Self::Signing(inner) => inner.rule(),
            Self::NotEnvelopedData(_) | Self::UnsupportedEncryption { .. } => {
                Rule::new(5652, "6.1", "EnvelopedData")
            }
            Self::NotARecipient | Self::NoRecipient => Rule::new(5652, "6.2", "recipients"),
            Self::RecipientKey(inner) => inner.rule(),
            Self::EncryptionRefused { .. } | Self::Decryption | Self::Encryption | Self::Random => {
                Rule::new(8572, "3.4", "artifact encryption")
            }
            Self::WeakAlgorithm(inner) => inner.rule(),
            Self::Path(inner) => inner.rule(),
        }
    }

    /// How far verification came: of several failures the furthest says most.
    pub(crate) fn progress(&self) -> u8 {
        match self {
            Self::Path(path) => 4 + path.rank(),
            Self::BadSignature => 3,
            Self::DigestMismatch => 2,
            Self::SignerCertificateMissing { .. } => 0,
            _ => 1,
        }
    }
}

pub(crate) const fn malformed(what: &'static str) -> CmsError {
    CmsError::Malformed { what }
}
