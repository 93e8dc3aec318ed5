//! The AWS-LC backend.

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

use crate::key::PublicKeyKind;
use crate::{DigestAlgorithm, SignatureAlgorithm};

/// `None` where AWS-LC's interface lacks the combination.
pub(crate) fn verify(
    key: &PublicKeyKind,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm::{Ecdsa, RsaPkcs1, RsaPss};
    let (with, octets): (&'static dyn VerificationAlgorithm, &[u8]) = match (key, algorithm) {
        (PublicKeyKind::P256 { point, .. }, Ecdsa(Sha256)) => (&lc::ECDSA_P256_SHA256_ASN1, point),
        (PublicKeyKind::P256 { point, .. }, Ecdsa(Sha384)) => (&lc::ECDSA_P256_SHA384_ASN1, point),
        (PublicKeyKind::P384 { point, .. }, Ecdsa(Sha256)) => (&lc::ECDSA_P384_SHA256_ASN1, point),
        (PublicKeyKind::P384 { point, .. }, Ecdsa(Sha384)) => (&lc::ECDSA_P384_SHA384_ASN1, point),
        (PublicKeyKind::Rsa { pkcs1, .. }, RsaPkcs1(digest)) => {
            let with: &'static dyn VerificationAlgorithm = match digest {
                Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
                Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
            };
            (with, pkcs1)
        }
        (PublicKeyKind::Rsa { pkcs1, .. }, RsaPss(digest)) => {
            let with: &'static dyn VerificationAlgorithm = match digest {
                Sha256 => &lc::RSA_PSS_2048_8192_SHA256,
                Sha384 => &lc::RSA_PSS_2048_8192_SHA384,
                Sha512 => &lc::RSA_PSS_2048_8192_SHA512,
            };
            (with, pkcs1)
        }
        _ => return None,
    };
    Some(
        UnparsedPublicKey::new(with, octets)
            .verify(message, signature)
            .is_ok(),
    )
}
