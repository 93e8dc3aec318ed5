//! The pure-Rust backend: `p256`, `p384`, `rsa`.

use rsa::PublicKey as RsaPublicKey;
use sha2::{Sha256, Sha384, Sha512};
use signature::hazmat::PrehashVerifier;

use crate::key::PublicKeyKind;
use crate::{DigestAlgorithm, SignatureAlgorithm};

pub(crate) fn verify(
    key: &PublicKeyKind,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match (key, algorithm) {
        (PublicKeyKind::P256 { key, .. }, SignatureAlgorithm::Ecdsa(digest)) => {
            p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok())
        }
        (PublicKeyKind::P384 { key, .. }, SignatureAlgorithm::Ecdsa(digest)) => {
            p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok())
        }
        (PublicKeyKind::Rsa { key, .. }, SignatureAlgorithm::RsaPkcs1(digest)) => {
            pkcs1(key, digest, message, signature)
        }
        (PublicKeyKind::Rsa { key, .. }, SignatureAlgorithm::RsaPss(digest)) => {
            pss(key, digest, message, signature)
        }
        _ => false,
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
