//! Public keys that verify and private keys that sign, with one way in for every file format.
//!
//! Private keys are zeroized when dropped and never printed.

mod signing;

use core::fmt;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use rsa::PublicKey as RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use spki::SubjectPublicKeyInfoRef;

pub use self::signing::{KeyType, Signer, SigningKey};
use crate::{AlgorithmError, Rule, SignatureAlgorithm, backend};

/// A public key of a kind that SZTP accepts: ECDSA P-256 or P-384, or RSA of 2048 to 8192 bits.
#[derive(Clone)]
pub struct PublicKey {
    kind: PublicKeyKind,
    spki: Vec<u8>,
}

/// The key in the forms that the two backends take; `point` is uncompressed.
#[derive(Clone)]
pub(crate) enum PublicKeyKind {
    P256 {
        key: p256::ecdsa::VerifyingKey,
        #[cfg_attr(
            not(feature = "aws-lc-rs"),
            expect(dead_code, reason = "the form AWS-LC takes")
        )]
        point: Vec<u8>,
    },
    P384 {
        key: p384::ecdsa::VerifyingKey,
        #[cfg_attr(
            not(feature = "aws-lc-rs"),
            expect(dead_code, reason = "the form AWS-LC takes")
        )]
        point: Vec<u8>,
    },
    Rsa {
        key: RsaPublicKey,
        #[cfg_attr(
            not(feature = "aws-lc-rs"),
            expect(dead_code, reason = "the form AWS-LC takes")
        )]
        pkcs1: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Malformed)?;
        let bits = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed)?;
        let kind = match info.algorithm.oid {
            EC_PUBLIC_KEY => ec_key(info.algorithm.parameters_oid().ok(), bits)?,
            RSA_ENCRYPTION => rsa_key(bits)?,
            oid => return Err(KeyError::Unsupported { oid }),
        };
        Ok(Self {
            kind,
            spki: spki.to_vec(),
        })
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Checks a signature over a message.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let fits = matches!(
            (&self.kind, algorithm),
            (
                PublicKeyKind::P256 { .. } | PublicKeyKind::P384 { .. },
                SignatureAlgorithm::Ecdsa(_)
            ) | (
                PublicKeyKind::Rsa { .. },
                SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_)
            )
        );
        if !fits {
            return Err(SignatureError::WrongKeyType);
        }
        if backend::verify(&self.kind, algorithm, message, signature) {
            Ok(())
        } else {
            Err(SignatureError::Bad)
        }
    }

    /// For instance "ECDSA P-256" or "RSA 2048".
    pub fn description(&self) -> String {
        match &self.kind {
            PublicKeyKind::P256 { .. } => "ECDSA P-256".to_owned(),
            PublicKeyKind::P384 { .. } => "ECDSA P-384".to_owned(),
            PublicKeyKind::Rsa { key, .. } => format!("RSA {}", key.n().bit_width()),
        }
    }

    #[cfg(any(test, feature = "aws-lc-rs"))]
    pub(crate) fn kind(&self) -> &PublicKeyKind {
        &self.kind
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.description())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

fn ec_key(curve: Option<ObjectIdentifier>, point: &[u8]) -> Result<PublicKeyKind, KeyError> {
    // Compressed or not (RFC 5480 §2.2); the backends differ about other forms.
    if !matches!(point.first(), Some(2..=4)) {
        return Err(KeyError::Malformed);
    }
    match curve {
        Some(P_256) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .map(|key| PublicKeyKind::P256 {
                point: key.to_sec1_point(false).as_bytes().to_vec(),
                key,
            })
            .map_err(|_| KeyError::Malformed),
        Some(P_384) => p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .map(|key| PublicKeyKind::P384 {
                point: key.to_sec1_point(false).as_bytes().to_vec(),
                key,
            })
            .map_err(|_| KeyError::Malformed),
        Some(oid) => Err(KeyError::Unsupported { oid }),
        None => Err(KeyError::Malformed),
    }
}

/// Whether a modulus has a size that is accepted.
fn accepted_size(modulus: &[u8]) -> Result<(), KeyError> {
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(zeros as usize);
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        Ok(())
    } else {
        Err(KeyError::RsaSize { bits })
    }
}

fn rsa_key(pkcs1: &[u8]) -> Result<PublicKeyKind, KeyError> {
    let raw = pkcs1::RsaPublicKeyRef::from_der(pkcs1).map_err(|_| KeyError::Malformed)?;
    // Before any arithmetic: a huge modulus would cost the verifier, not the attacker.
    accepted_size(raw.modulus.as_bytes())?;
    let key = RsaPublicKey::from_pkcs1_der(pkcs1).map_err(|_| KeyError::Malformed)?;
    Ok(PublicKeyKind::Rsa {
        key,
        pkcs1: raw.to_der().map_err(|_| KeyError::Malformed)?,
    })
}

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

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
