//! Public keys that verify and private keys that sign, with one way in for every file format.
//!
//! Private keys are zeroized when dropped and never printed. What a public key may look like is
//! judged here, before a backend sees it, so that every backend takes the same keys.

mod decryption;
mod error;
mod file;
mod foreign;
mod sha1;
mod signing;

use core::fmt;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};

pub use self::decryption::{DecryptionFailed, Decryptor, KeyDigest, RsaPadding};
pub use self::error::{KeyError, SignatureError};
pub use self::foreign::ForeignSigner;
pub use self::signing::{KeyType, Signer, SigningKey};
#[cfg(feature = "ml-dsa")]
use crate::MlDsaParameterSet;
use crate::algorithm::{ED25519, RSA_ENCRYPTION, RSASSA_PSS, pss_digest};
use crate::{DigestAlgorithm, SignatureAlgorithm, backend};

/// A public key of a kind that is accepted: ECDSA P-256, P-384 or P-521, Ed25519, RSA of 2048 to
/// 8192 bits, and with the feature `ml-dsa` ML-DSA.
///
/// Clones share what was parsed.
#[derive(Clone)]
pub struct PublicKey(Arc<Parsed>);

struct Parsed {
    kind: KeyKind,
    pss_only: Option<PssOnly>,
    key: backend::VerifyingKey,
    spki: Vec<u8>,
}

/// The kinds of keys that the backends know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa {
        bits: usize,
    },
    #[cfg(feature = "ml-dsa")]
    MlDsa(MlDsaParameterSet),
}

/// An RSA key that says of itself to be for RSASSA-PSS (RFC 4055 §1.2), maybe with one digest.
struct PssOnly(Option<DigestAlgorithm>);

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Malformed)?;
        let octets = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed)?;
        let mut pss_only = None;
        let (kind, octets) = match info.algorithm.oid {
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid();
                let kind = curve_kind(curve.map_err(|_| KeyError::Malformed)?)?;
                (kind, point(kind, octets)?)
            }
            // RFC 8410 §3: the parameters must be absent.
            ED25519 if info.algorithm.parameters.is_none() => (KeyKind::Ed25519, edwards(octets)?),
            RSA_ENCRYPTION => rsa(octets)?,
            RSASSA_PSS => {
                pss_only = Some(pss_restriction(&info)?);
                rsa(octets)?
            }
            ED25519 => return Err(KeyError::Malformed),
            // RFC 9881 §4: the same, and the key is the content of the BIT STRING.
            #[cfg(feature = "ml-dsa")]
            oid if let Some(set) = MlDsaParameterSet::from_oid(oid) => {
                if info.algorithm.parameters.is_some() {
                    return Err(KeyError::Malformed);
                }
                (KeyKind::MlDsa(set), octets.to_vec())
            }
            oid => return Err(KeyError::Unsupported { oid }),
        };
        let key = backend::VerifyingKey::parse(kind, &octets, spki).ok_or(KeyError::Malformed)?;
        Ok(Self(Arc::new(Parsed {
            kind,
            pss_only,
            key,
            spki: spki.to_vec(),
        })))
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// Whether signatures of this algorithm can be this key's.
    pub fn fits(&self, algorithm: SignatureAlgorithm) -> bool {
        if let Some(PssOnly(digest)) = &self.0.pss_only {
            return match algorithm {
                SignatureAlgorithm::RsaPss(used) => digest.is_none_or(|only| only == used),
                _ => false,
            };
        }
        self.0.kind.fits(algorithm)
    }

    /// Checks a signature over a message.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if !self.fits(algorithm) {
            return Err(SignatureError::WrongKeyType);
        }
        if self.0.key.verify(algorithm, message, signature) {
            Ok(())
        } else {
            Err(SignatureError::Bad)
        }
    }

    /// For instance "ECDSA P-256" or "RSA 2048".
    pub fn description(&self) -> String {
        match self.0.kind {
            KeyKind::P256 => "ECDSA P-256".to_owned(),
            KeyKind::P384 => "ECDSA P-384".to_owned(),
            KeyKind::P521 => "ECDSA P-521".to_owned(),
            KeyKind::Ed25519 => "Ed25519".to_owned(),
            KeyKind::Rsa { bits } if self.0.pss_only.is_some() => format!("RSA-PSS {bits}"),
            KeyKind::Rsa { bits } => format!("RSA {bits}"),
            #[cfg(feature = "ml-dsa")]
            KeyKind::MlDsa(set) => set.to_string(),
        }
    }

    /// The DER AlgorithmIdentifier of its SubjectPublicKeyInfo, which says of what kind it is.
    pub fn algorithm_identifier(&self) -> Option<Vec<u8>> {
        let info = SubjectPublicKeyInfoRef::from_der(&self.0.spki).ok()?;
        info.algorithm.to_der().ok()
    }

    /// Of an RSA key, the size of its modulus in bits.
    pub fn rsa_bits(&self) -> Option<usize> {
        match self.0.kind {
            KeyKind::Rsa { bits } => Some(bits),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> KeyKind {
        self.0.kind
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.description())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl KeyKind {
    /// What the key signs with unless told otherwise: a digest of the key's strength.
    pub(crate) const fn usual_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256),
            Self::P384 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384),
            Self::P521 => SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha512),
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa { .. } => SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(set) => SignatureAlgorithm::MlDsa(set),
        }
    }

    pub(crate) fn fits(self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        #[cfg(feature = "ml-dsa")]
        if let (Self::MlDsa(set), SignatureAlgorithm::MlDsa(used)) = (self, algorithm) {
            return set == used;
        }
        matches!(
            (self, algorithm),
            (Self::P256 | Self::P384 | Self::P521, Ecdsa(_))
                | (Self::Ed25519, Ed25519)
                | (Self::Rsa { .. }, RsaPkcs1(_) | RsaPss(_))
        )
    }
}

fn curve_kind(curve: ObjectIdentifier) -> Result<KeyKind, KeyError> {
    match curve {
        P_256 => Ok(KeyKind::P256),
        P_384 => Ok(KeyKind::P384),
        P_521 => Ok(KeyKind::P521),
        oid => Err(KeyError::Unsupported { oid }),
    }
}

/// RFC 5480 §2.2: uncompressed, or compressed; never SEC 1's point at infinity or hybrid form.
fn point(kind: KeyKind, octets: &[u8]) -> Result<Vec<u8>, KeyError> {
    let field = match kind {
        KeyKind::P256 => 32,
        KeyKind::P384 => 48,
        _ => 66,
    };
    match octets {
        [4, coordinates @ ..] if coordinates.len() == 2 * field => Ok(octets.to_vec()),
        [2 | 3, coordinate @ ..] if coordinate.len() == field => Ok(octets.to_vec()),
        _ => Err(KeyError::Malformed),
    }
}

/// RFC 8032 §5.1.3: the y-coordinate in its only form, that is less than 2^255 - 19.
fn edwards(octets: &[u8]) -> Result<Vec<u8>, KeyError> {
    let [lowest, middle @ .., highest] = octets else {
        return Err(KeyError::Malformed);
    };
    let reduced =
        *lowest < 0xed || middle.iter().any(|octet| *octet != 0xff) || highest & 0x7f != 0x7f;
    if octets.len() == 32 && reduced {
        Ok(octets.to_vec())
    } else {
        Err(KeyError::Malformed)
    }
}

/// An RSAPublicKey (RFC 8017 §A.1.1) in DER, and its size.
fn rsa(pkcs1: &[u8]) -> Result<(KeyKind, Vec<u8>), KeyError> {
    let raw = pkcs1::RsaPublicKeyRef::from_der(pkcs1).map_err(|_| KeyError::Malformed)?;
    // Before any arithmetic: a huge modulus would cost the verifier, not the attacker.
    let modulus = raw.modulus.as_bytes();
    let bits = accepted_size(modulus)?;
    let exponent = raw.public_exponent.as_bytes();
    if exponent.len() > 8 {
        return Err(KeyError::Malformed);
    }
    let exponent = exponent.iter().fold(0, |e, o| e << 8 | u64::from(*o));
    let odd = modulus.last().is_some_and(|last| last & 1 == 1) && exponent & 1 == 1;
    if !odd || !(3..=MAX_RSA_EXPONENT).contains(&exponent) {
        return Err(KeyError::Malformed);
    }
    let der = raw.to_der().map_err(|_| KeyError::Malformed)?;
    Ok((KeyKind::Rsa { bits }, der))
}

/// The size of a modulus in bits, if it is accepted.
fn accepted_size(modulus: &[u8]) -> Result<usize, KeyError> {
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(zeros as usize);
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        Ok(bits)
    } else {
        Err(KeyError::RsaSize { bits })
    }
}

fn pss_restriction(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PssOnly, KeyError> {
    let algorithm = info.algorithm.to_der().map_err(|_| KeyError::Malformed)?;
    let algorithm =
        AlgorithmIdentifierOwned::from_der(&algorithm).map_err(|_| KeyError::Malformed)?;
    match algorithm.parameters {
        None => Ok(PssOnly(None)),
        some => pss_digest(some.as_ref())
            .map(|digest| PssOnly(Some(digest)))
            .map_err(|_| KeyError::Unsupported { oid: RSASSA_PSS }),
    }
}

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;
/// As in every widely used library: above, a verification would cost as much as a decryption.
const MAX_RSA_EXPONENT: u64 = (1 << 33) - 1;
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P_521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
