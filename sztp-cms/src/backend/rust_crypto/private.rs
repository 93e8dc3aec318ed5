//! Private keys in pure Rust. Each zeroizes itself when dropped.

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::KeypairBytes;
use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use pkcs8::{EncodePrivateKey, EncodePublicKey, SecretDocument};
use rsa::PrivateKey as RsaPrivateKey;
use sha2::{Sha256, Sha384, Sha512};
use signature::hazmat::PrehashSigner;

use crate::{DigestAlgorithm, SignatureAlgorithm};

/// A private key in memory.
pub(crate) enum PrivateKey {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<RsaPrivateKey>),
    #[cfg(feature = "ml-dsa")]
    MlDsa(super::ml_dsa::PrivateKey),
}

impl PrivateKey {
    pub(crate) fn generate_p256() -> Option<Self> {
        p256::SecretKey::try_generate().map(Self::P256).ok()
    }

    pub(crate) fn generate_p384() -> Option<Self> {
        p384::SecretKey::try_generate().map(Self::P384).ok()
    }

    pub(crate) fn generate_p521() -> Option<Self> {
        p521::SecretKey::try_generate().map(Self::P521).ok()
    }

    pub(crate) fn generate_ed25519() -> Option<Self> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).ok()?;
        Some(Self::Ed25519(Box::new(
            ed25519_dalek::SigningKey::from_bytes(&seed),
        )))
    }

    pub(crate) fn generate_rsa(bits: usize) -> Option<Self> {
        RsaPrivateKey::new(&mut SysRng, bits)
            .map(|key| Self::Rsa(Box::new(key)))
            .ok()
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(crate) fn spki_der(&self) -> Option<Vec<u8>> {
        match self {
            Self::P256(key) => key.public_key().to_public_key_der(),
            Self::P384(key) => key.public_key().to_public_key_der(),
            Self::P521(key) => key.public_key().to_public_key_der(),
            Self::Ed25519(key) => key.verifying_key().to_public_key_der(),
            Self::Rsa(key) => key.to_public_key().to_public_key_der(),
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(key) => return ml_dsa_spki(key),
        }
        .map(|document| document.as_bytes().to_vec())
        .ok()
    }

    /// Unencrypted PKCS#8.
    pub(crate) fn to_pkcs8(&self) -> Option<SecretDocument> {
        match self {
            Self::P256(key) => key.to_pkcs8_der(),
            Self::P384(key) => key.to_pkcs8_der(),
            Self::P521(key) => key.to_pkcs8_der(),
            // Without the public key, as version 1: OpenSSL reads no version 2 (RFC 8410 §7).
            Self::Ed25519(key) => KeypairBytes {
                secret_key: key.to_bytes(),
                public_key: None,
            }
            .to_pkcs8_der(),
            Self::Rsa(key) => key.to_pkcs8_der(),
            #[cfg(feature = "ml-dsa")]
            Self::MlDsa(key) => return ml_dsa_pkcs8(key),
        }
        .ok()
    }

    /// `None` where the algorithm is for another kind of key, or the arithmetic failed.
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        match (self, algorithm) {
            (Self::P256(key), Ecdsa(digest)) => {
                let key = p256::ecdsa::SigningKey::from(key);
                PrehashSigner::<p256::ecdsa::DerSignature>::sign_prehash(
                    &key,
                    &digest.digest(message),
                )
                .map(|signature| signature.as_bytes().to_vec())
                .ok()
            }
            (Self::P384(key), Ecdsa(digest)) => {
                let key = p384::ecdsa::SigningKey::from(key);
                PrehashSigner::<p384::ecdsa::DerSignature>::sign_prehash(
                    &key,
                    &digest.digest(message),
                )
                .map(|signature| signature.as_bytes().to_vec())
                .ok()
            }
            (Self::P521(key), Ecdsa(digest)) => {
                let key = p521::ecdsa::SigningKey::from(key);
                PrehashSigner::<p521::ecdsa::DerSignature>::sign_prehash(
                    &key,
                    &digest.digest(message),
                )
                .map(|signature| signature.as_bytes().to_vec())
                .ok()
            }
            (Self::Ed25519(key), Ed25519) => key
                .try_sign(message)
                .map(|signature| signature.to_bytes().to_vec())
                .ok(),
            (Self::Rsa(key), RsaPkcs1(digest)) => pkcs1(key, digest, message),
            (Self::Rsa(key), RsaPss(digest)) => pss(key, digest, message),
            #[cfg(feature = "ml-dsa")]
            (Self::MlDsa(key), SignatureAlgorithm::MlDsa(set)) if set == key.parameter_set() => {
                key.sign(message)
            }
            _ => None,
        }
    }
}

fn pkcs1(key: &RsaPrivateKey, digest: DigestAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
    match digest {
        DigestAlgorithm::Sha256 => key.pkcs1v15_sign_with_rng::<Sha256, _>(&mut SysRng, message),
        DigestAlgorithm::Sha384 => key.pkcs1v15_sign_with_rng::<Sha384, _>(&mut SysRng, message),
        DigestAlgorithm::Sha512 => key.pkcs1v15_sign_with_rng::<Sha512, _>(&mut SysRng, message),
    }
    .ok()
}

fn pss(key: &RsaPrivateKey, digest: DigestAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
    match digest {
        DigestAlgorithm::Sha256 => key.pss_sign_with_rng::<Sha256, _>(&mut SysRng, message),
        DigestAlgorithm::Sha384 => key.pss_sign_with_rng::<Sha384, _>(&mut SysRng, message),
        DigestAlgorithm::Sha512 => key.pss_sign_with_rng::<Sha512, _>(&mut SysRng, message),
    }
    .ok()
}

#[cfg(feature = "ml-dsa")]
fn ml_dsa_spki(key: &super::ml_dsa::PrivateKey) -> Option<Vec<u8>> {
    use der::Encode;
    spki::SubjectPublicKeyInfoOwned {
        algorithm: spki::AlgorithmIdentifierOwned {
            oid: key.parameter_set().oid(),
            parameters: None,
        },
        subject_public_key: der::asn1::BitString::from_bytes(&key.public_key()).ok()?,
    }
    .to_der()
    .ok()
}

#[cfg(feature = "ml-dsa")]
fn ml_dsa_pkcs8(key: &super::ml_dsa::PrivateKey) -> Option<SecretDocument> {
    let der = key.to_der();
    let algorithm = spki::AlgorithmIdentifierRef {
        oid: key.parameter_set().oid(),
        parameters: None,
    };
    let octets = der::asn1::OctetStringRef::new(&der).ok()?;
    SecretDocument::encode_msg(&pkcs8::PrivateKeyInfoRef::new(algorithm, octets)).ok()
}
