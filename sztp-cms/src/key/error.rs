//! Why a key cannot be used, or a signature does not hold.

use der::asn1::ObjectIdentifier;

use crate::{AlgorithmError, Rule};

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a key in any known format.
    #[error("not a readable key (PKCS#8, SEC1 or PKCS#1, PEM or DER)")]
    Malformed,
    /// A kind of key or curve that is not accepted.
    #[error("keys of type {oid} are not supported")]
    Unsupported {
        /// The key type's or curve's object identifier.
        oid: ObjectIdentifier,
    },
    /// RSA keys must have 2048 to 8192 bits.
    #[error("an RSA key of {bits} bits is outside 2048 to 8192")]
    RsaSize {
        /// Size of the modulus.
        bits: usize,
    },
    /// The file holds an encrypted key and no passphrase was given.
    #[error("the key is encrypted")]
    Encrypted,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// Making a key failed.
    #[error("a key could not be generated")]
    Generation,
    /// An algorithm that this key cannot be used with.
    #[error("the algorithm does not fit the key")]
    WrongAlgorithm,
}

impl KeyError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "key.malformed",
            Self::Unsupported { .. } => "key.unsupported",
            Self::RsaSize { .. } => "key.rsa-size",
            Self::Encrypted => "key.encrypted",
            Self::Passphrase => "key.passphrase",
            Self::Generation => "key.generation",
            Self::WrongAlgorithm => "key.wrong-algorithm",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Encrypted | Self::Passphrase => Rule::new(5958, "3", "encrypted private key"),
            _ => Rule::new(5280, "4.1.2.7", "subject public key info"),
        }
    }
}

/// A signature that was not made or does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature is not this key's over this message.
    #[error("the signature does not verify")]
    Bad,
    /// The signature's algorithm is for another type of key.
    #[error("the signature algorithm does not fit the key")]
    WrongKeyType,
    /// The algorithm is not accepted.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// The key could not sign.
    #[error("signing failed")]
    Signing,
}

impl SignatureError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bad => "signature.bad",
            Self::WrongKeyType => "signature.wrong-key-type",
            Self::Algorithm(inner) => inner.code(),
            Self::Signing => "signature.signing",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Algorithm(inner) => inner.rule(),
            _ => Rule::new(5280, "6.1.3", "signature"),
        }
    }
}
