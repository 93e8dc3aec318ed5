//! Digest and signature algorithms: which are accepted, and how CMS and X.509 name them.
//!
//! SHA-1 and MD5 are recognised only to be refused by name.

#[cfg(feature = "ml-dsa")]
mod ml_dsa;

use core::fmt;

use der::asn1::{Any, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use sha2::{Digest, Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierOwned;

#[cfg(feature = "ml-dsa")]
pub use self::ml_dsa::MlDsaParameterSet;
use crate::Rule;

/// A SHA-2 digest (RFC 5754 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// The digest of some octets.
    pub fn digest(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha384 => Sha384::digest(octets).to_vec(),
            Self::Sha512 => Sha512::digest(octets).to_vec(),
        }
    }

    /// Length of the digest in octets.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// As named in a CMS digestAlgorithm.
    ///
    /// Parameters are absent or NULL (RFC 5754 §2).
    pub fn from_identifier(id: &AlgorithmIdentifierOwned) -> Result<Self, AlgorithmError> {
        Self::from_oid(id.oid).and_then(|digest| without_parameters(id, digest))
    }

    /// For a CMS digestAlgorithm; parameters are absent (RFC 5754 §2).
    pub fn identifier(self) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned {
            oid: self.oid(),
            parameters: None,
        }
    }

    /// The DigestInfo (RFC 8017 §9.2) around a message's digest, which RSASSA-PKCS1-v1_5 signs.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn digest_info(self, message: &[u8]) -> Result<Vec<u8>, der::Error> {
        use crate::ber::{OCTET_STRING, SEQUENCE, encode};
        let algorithm = AlgorithmIdentifierOwned {
            oid: self.oid(),
            parameters: Some(Any::null()),
        };
        let digest = encode(OCTET_STRING, &[&self.digest(message)]);
        Ok(encode(SEQUENCE, &[&algorithm.to_der()?, &digest]))
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => SHA_256,
            Self::Sha384 => SHA_384,
            Self::Sha512 => SHA_512,
        }
    }

    fn from_oid(oid: ObjectIdentifier) -> Result<Self, AlgorithmError> {
        match oid {
            SHA_256 => Ok(Self::Sha256),
            SHA_384 => Ok(Self::Sha384),
            SHA_512 => Ok(Self::Sha512),
            SHA_1 => Err(AlgorithmError::Weak { name: "SHA-1" }),
            MD5 => Err(AlgorithmError::Weak { name: "MD5" }),
            other => Err(AlgorithmError::Unsupported { oid: other }),
        }
    }
}

/// A signature algorithm together with its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA over the key's own curve (RFC 5758 §3.2).
    Ecdsa(DigestAlgorithm),
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(DigestAlgorithm),
    /// RSASSA-PSS with MGF1 of the same digest and a salt of the digest's length (RFC 8017 §8.1).
    RsaPss(DigestAlgorithm),
    /// Ed25519 (RFC 8032 §5.1), which digests by itself.
    Ed25519,
    /// ML-DSA in its pure form with an empty context (RFC 9882 §3), which digests by itself.
    #[cfg(feature = "ml-dsa")]
    MlDsa(MlDsaParameterSet),
}

impl SignatureAlgorithm {
    /// The digest part; for algorithms without one, what a CMS digestAlgorithm must say: SHA-512
    /// for Ed25519 (RFC 8419 §2.3) and ML-DSA (RFC 9882 §3.3).
    pub const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::Ecdsa(digest) | Self::RsaPkcs1(digest) | Self::RsaPss(digest) => digest,
            Self::Ed25519 => DigestAlgorithm::Sha512,
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(_) => DigestAlgorithm::Sha512,
        }
    }

    /// The same algorithm with another digest, where it has one to choose.
    #[must_use]
    pub const fn with_digest(self, digest: DigestAlgorithm) -> Self {
        match self {
            Self::Ecdsa(_) => Self::Ecdsa(digest),
            Self::RsaPkcs1(_) => Self::RsaPkcs1(digest),
            Self::RsaPss(_) => Self::RsaPss(digest),
            other => other,
        }
    }

    /// As named by a certificate or a CMS signatureAlgorithm that includes the digest.
    ///
    /// `rsaEncryption`, which names no digest, is [`Self::from_cms_identifier`]'s business.
    pub fn from_identifier(id: &AlgorithmIdentifierOwned) -> Result<Self, AlgorithmError> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        let algorithm = match id.oid {
            ECDSA_SHA_256 => Self::Ecdsa(Sha256),
            ECDSA_SHA_384 => Self::Ecdsa(Sha384),
            ECDSA_SHA_512 => Self::Ecdsa(Sha512),
            RSA_SHA_256 => Self::RsaPkcs1(Sha256),
            RSA_SHA_384 => Self::RsaPkcs1(Sha384),
            RSA_SHA_512 => Self::RsaPkcs1(Sha512),
            RSASSA_PSS => return pss_digest(id.parameters.as_ref()).map(Self::RsaPss),
            ED25519 => return parameters_absent(id, Self::Ed25519),
            #[cfg(feature = "ml-dsa")]
            oid if let Some(set) = MlDsaParameterSet::from_oid(oid) => {
                return parameters_absent(id, Self::MlDsa(set));
            }
            ECDSA_SHA_1 | RSA_SHA_1 => return Err(AlgorithmError::Weak { name: "SHA-1" }),
            RSA_MD5 => return Err(AlgorithmError::Weak { name: "MD5" }),
            other => return Err(AlgorithmError::Unsupported { oid: other }),
        };
        without_parameters(id, algorithm)
    }

    /// As named in a SignerInfo, where `rsaEncryption` takes the digest from digestAlgorithm
    /// (RFC 3370 §3.2) and both digests must agree.
    pub fn from_cms_identifier(
        id: &AlgorithmIdentifierOwned,
        digest: DigestAlgorithm,
    ) -> Result<Self, AlgorithmError> {
        if id.oid == RSA_ENCRYPTION {
            return without_parameters(id, Self::RsaPkcs1(digest));
        }
        let algorithm = Self::from_identifier(id)?;
        // RFC 9882 §3.3: a verifier may insist on a digest of the key's strength. All that are
        // accepted here are strong enough for other keys too.
        #[cfg(feature = "ml-dsa")]
        if let Self::MlDsa(_) = algorithm {
            return Ok(algorithm);
        }
        if algorithm.digest() == digest {
            Ok(algorithm)
        } else {
            Err(AlgorithmError::DigestMismatch)
        }
    }

    /// Whether a CMS digestAlgorithm says nothing where there are no signed attributes, and must
    /// not be looked at (RFC 9882 §3.3).
    pub(crate) fn ignores_digest(id: &AlgorithmIdentifierOwned) -> Option<Self> {
        #[cfg(feature = "ml-dsa")]
        if let Ok(algorithm @ Self::MlDsa(_)) = Self::from_identifier(id) {
            return Some(algorithm);
        }
        let _ = id;
        None
    }

    /// For a certificate's or SignerInfo's signatureAlgorithm.
    pub fn identifier(self) -> Result<AlgorithmIdentifierOwned, der::Error> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        let (oid, parameters) = match self {
            Self::Ecdsa(Sha256) => (ECDSA_SHA_256, None),
            Self::Ecdsa(Sha384) => (ECDSA_SHA_384, None),
            Self::Ecdsa(Sha512) => (ECDSA_SHA_512, None),
            Self::RsaPkcs1(Sha256) => (RSA_SHA_256, Some(Any::null())),
            Self::RsaPkcs1(Sha384) => (RSA_SHA_384, Some(Any::null())),
            Self::RsaPkcs1(Sha512) => (RSA_SHA_512, Some(Any::null())),
            Self::RsaPss(digest) => (RSASSA_PSS, Some(pss_parameters(digest)?)),
            Self::Ed25519 => (ED25519, None),
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(set) => (set.oid(), None),
        };
        Ok(AlgorithmIdentifierOwned { oid, parameters })
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, digest) = match self {
            Self::Ecdsa(digest) => ("ECDSA", digest),
            Self::RsaPkcs1(digest) => ("RSA PKCS#1 v1.5", digest),
            Self::RsaPss(digest) => ("RSA-PSS", digest),
            Self::Ed25519 => return f.write_str("Ed25519"),
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(set) => return set.fmt(f),
        };
        write!(f, "{name} with SHA-{}", digest.length() * 8)
    }
}

/// An algorithm that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AlgorithmError {
    /// Known and broken.
    #[error("{name} is too weak to rely on")]
    Weak {
        /// Its name.
        name: &'static str,
    },
    /// Not known here.
    #[error("algorithm {oid} is not supported")]
    Unsupported {
        /// Its object identifier.
        oid: ObjectIdentifier,
    },
    /// Parameters where there are none to have (RFC 5754 §2, §3, RFC 8410 §3, RFC 9881 §2).
    #[error("algorithm {oid} has no parameters")]
    Parameters {
        /// Its object identifier.
        oid: ObjectIdentifier,
    },
    /// The parameters of RSASSA-PSS are not the ones accepted (RFC 4055 §3.1).
    #[error("RSASSA-PSS parameters are not one SHA-2 digest with a salt of its length")]
    PssParameters,
    /// digestAlgorithm and signatureAlgorithm name different digests (RFC 5754 §3).
    #[error("digestAlgorithm differs from the digest of signatureAlgorithm")]
    DigestMismatch,
}

impl AlgorithmError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Weak { .. } => "algorithm.weak",
            Self::Unsupported { .. } => "algorithm.unsupported",
            Self::PssParameters => "algorithm.pss-parameters",
            Self::Parameters { .. } => "algorithm.parameters",
            Self::DigestMismatch => "algorithm.digest-mismatch",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Weak { .. } | Self::Unsupported { .. } => Rule::new(5754, "2", "algorithms"),
            Self::PssParameters => Rule::new(4055, "3.1", "RSASSA-PSS parameters"),
            Self::Parameters { .. } => Rule::new(5754, "3", "algorithm parameters"),
            Self::DigestMismatch => Rule::new(5754, "3", "digest of the signature algorithm"),
        }
    }
}

/// Both "absent" and NULL mean none: which of them is right differs between RFC 3370 §2 and RFC
/// 5754, and encoders differ likewise.
fn without_parameters<T>(id: &AlgorithmIdentifierOwned, value: T) -> Result<T, AlgorithmError> {
    match &id.parameters {
        None => Ok(value),
        Some(parameters) if parameters.is_null() => Ok(value),
        Some(_) => Err(AlgorithmError::Parameters { oid: id.oid }),
    }
}

/// Newer algorithms allow no NULL (RFC 8410 §3, RFC 9881 §2).
fn parameters_absent<T>(id: &AlgorithmIdentifierOwned, value: T) -> Result<T, AlgorithmError> {
    match &id.parameters {
        None => Ok(value),
        Some(_) => Err(AlgorithmError::Parameters { oid: id.oid }),
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1). All fields default to SHA-1 forms, which are refused.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    mask: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    salt_length: Option<u32>,
    #[asn1(context_specific = "3", optional = "true", tag_mode = "EXPLICIT")]
    trailer: Option<u32>,
}

pub(crate) fn pss_digest(parameters: Option<&Any>) -> Result<DigestAlgorithm, AlgorithmError> {
    let parameters: PssParameters = parameters
        .and_then(|any| any.decode_as().ok())
        .ok_or(AlgorithmError::PssParameters)?;
    let (Some(hash), Some(mask)) = (parameters.hash, parameters.mask) else {
        return Err(AlgorithmError::Weak { name: "SHA-1" });
    };
    let digest = DigestAlgorithm::from_identifier(&hash)?;
    let mask_digest = mask
        .parameters
        .and_then(|any| any.decode_as::<AlgorithmIdentifierOwned>().ok())
        .ok_or(AlgorithmError::PssParameters)
        .and_then(|id| DigestAlgorithm::from_identifier(&id))?;
    let salt_length = parameters.salt_length.unwrap_or(20) as usize;
    let usual = mask.oid == MGF1
        && mask_digest == digest
        && salt_length == digest.length()
        && parameters.trailer.unwrap_or(1) == 1;
    if usual {
        Ok(digest)
    } else {
        Err(AlgorithmError::PssParameters)
    }
}

fn pss_parameters(digest: DigestAlgorithm) -> Result<Any, der::Error> {
    let hash = AlgorithmIdentifierOwned {
        oid: digest.oid(),
        parameters: Some(Any::null()),
    };
    let mask = AlgorithmIdentifierOwned {
        oid: MGF1,
        parameters: Some(Any::encode_from(&hash)?),
    };
    let parameters = PssParameters {
        hash: Some(hash),
        mask: Some(mask),
        salt_length: u32::try_from(digest.length()).ok(),
        trailer: None,
    };
    Any::from_der(&parameters.to_der()?)
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const SHA_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
const SHA_1: ObjectIdentifier = oid("1.3.14.3.2.26");
const MD5: ObjectIdentifier = oid("1.2.840.113549.2.5");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
pub(crate) const ED25519: ObjectIdentifier = oid("1.3.101.112");
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
pub(crate) const RSASSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
const RSA_SHA_256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const RSA_SHA_384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const RSA_SHA_512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const RSA_SHA_1: ObjectIdentifier = oid("1.2.840.113549.1.1.5");
const RSA_MD5: ObjectIdentifier = oid("1.2.840.113549.1.1.4");
const ECDSA_SHA_1: ObjectIdentifier = oid("1.2.840.10045.4.1");
const ECDSA_SHA_256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
const ECDSA_SHA_384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const ECDSA_SHA_512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SignatureAlgorithm; 10] = {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureAlgorithm::{Ecdsa, RsaPkcs1, RsaPss};
        [
            Ecdsa(Sha256),
            Ecdsa(Sha384),
            Ecdsa(Sha512),
            RsaPkcs1(Sha256),
            RsaPkcs1(Sha384),
            RsaPkcs1(Sha512),
            RsaPss(Sha256),
            RsaPss(Sha384),
            RsaPss(Sha512),
            SignatureAlgorithm::Ed25519,
        ]
    };

    #[test]
    fn identifiers_survive_encoding() {
        for algorithm in ALL {
            let der = algorithm.identifier().unwrap().to_der().unwrap();
            let id = AlgorithmIdentifierOwned::from_der(&der).unwrap();
            assert_eq!(SignatureAlgorithm::from_identifier(&id), Ok(algorithm));
        }
    }

    #[test]
    fn weak_digests_are_refused_by_name() {
        let id = AlgorithmIdentifierOwned {
            oid: RSA_SHA_1,
            parameters: Some(Any::null()),
        };
        assert_eq!(
            SignatureAlgorithm::from_identifier(&id),
            Err(AlgorithmError::Weak { name: "SHA-1" })
        );
    }

    #[test]
    fn ed25519_has_no_parameters_and_goes_with_sha_512() {
        let mut id = SignatureAlgorithm::Ed25519.identifier().unwrap();
        assert_eq!(
            SignatureAlgorithm::from_cms_identifier(&id, DigestAlgorithm::Sha512),
            Ok(SignatureAlgorithm::Ed25519)
        );
        assert_eq!(
            SignatureAlgorithm::from_cms_identifier(&id, DigestAlgorithm::Sha256),
            Err(AlgorithmError::DigestMismatch)
        );
        id.parameters = Some(Any::null());
        assert_eq!(
            SignatureAlgorithm::from_identifier(&id),
            Err(AlgorithmError::Parameters { oid: ED25519 })
        );
    }

    #[test]
    fn digests_of_a_signer_info_must_agree() {
        let id = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256)
            .identifier()
            .unwrap();
        assert_eq!(
            SignatureAlgorithm::from_cms_identifier(&id, DigestAlgorithm::Sha512),
            Err(AlgorithmError::DigestMismatch)
        );
    }
}
