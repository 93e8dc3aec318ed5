//! The pure-Rust backend: `p256`, `p384`, `p521`, `ed25519-dalek` and `rsa`.

#[cfg(feature = "ml-dsa")]
pub(crate) mod ml_dsa;
mod private;

use rsa::PublicKey as RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use sha2::{Sha256, Sha384, Sha512};
use signature::Verifier;
use signature::hazmat::PrehashVerifier;

pub(crate) use self::private::PrivateKey;
use crate::key::KeyKind;
use crate::{DigestAlgorithm, SignatureAlgorithm};

/// A public key, parsed.
// With AWS-LC it only finds out whether a key can be one, and judges in tests.
#[cfg_attr(feature = "aws-lc-rs", allow(dead_code))]
pub(crate) enum VerifyingKey {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(RsaPublicKey),
    #[cfg(feature = "ml-dsa")]
    MlDsa(ml_dsa::VerifyingKey),
}

impl VerifyingKey {
    /// `None` if the octets are no key of this kind; the SubjectPublicKeyInfo that they are from is
    /// not looked at.
    pub(crate) fn parse(kind: KeyKind, octets: &[u8], _spki: &[u8]) -> Option<Self> {
        match kind {
            KeyKind::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(octets)
                .map(Self::P256)
                .ok(),
            KeyKind::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(octets)
                .map(Self::P384)
                .ok(),
            KeyKind::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(octets)
                .map(Self::P521)
                .ok(),
            // A key of small order verifies signatures that nobody made.
            KeyKind::Ed25519 => ed25519_dalek::VerifyingKey::try_from(octets)
                .ok()
                .filter(|key| !key.is_weak())
                .map(Self::Ed25519),
            KeyKind::Rsa { .. } => RsaPublicKey::from_pkcs1_der(octets).map(Self::Rsa).ok(),
            #[cfg(feature = "ml-dsa")]
            KeyKind::MlDsa(set) => ml_dsa::VerifyingKey::parse(set, octets).map(Self::MlDsa),
        }
    }

    #[cfg_attr(feature = "aws-lc-rs", allow(dead_code))]
    pub(crate) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        match (self, algorithm) {
            (Self::P256(key), Ecdsa(digest)) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok()),
            (Self::P384(key), Ecdsa(digest)) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok()),
            (Self::P521(key), Ecdsa(digest)) => p521::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok()),
            (Self::Ed25519(key), Ed25519) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|s| key.verify(message, &s).is_ok()),
            (Self::Rsa(key), RsaPkcs1(digest)) => pkcs1(key, digest, message, signature),
            (Self::Rsa(key), RsaPss(digest)) => pss(key, digest, message, signature),
            #[cfg(feature = "ml-dsa")]
            (Self::MlDsa(key), SignatureAlgorithm::MlDsa(_)) => key.verify(message, signature),
            _ => false,
        }
    }
}

fn pkcs1(key: &RsaPublicKey, digest: DigestAlgorithm, message: &[u8], signature: &[u8]) -> bool {
    match digest {
        DigestAlgorithm::Sha256 => key.pkcs1v15_verify::<Sha256>(message, signature),
        DigestAlgorithm::Sha384 => key.pkcs1v15_verify::<Sha384>(message, signature),
        DigestAlgorithm::Sha512 => key.pkcs1v15_verify::<Sha512>(message, signature),
    }
    .is_ok()
}

fn pss(key: &RsaPublicKey, digest: DigestAlgorithm, message: &[u8], signature: &[u8]) -> bool {
    match digest {
        DigestAlgorithm::Sha256 => key.pss_verify::<Sha256>(message, signature),
        DigestAlgorithm::Sha384 => key.pss_verify::<Sha384>(message, signature),
        DigestAlgorithm::Sha512 => key.pss_verify::<Sha512>(message, signature),
    }
    .is_ok()
}
