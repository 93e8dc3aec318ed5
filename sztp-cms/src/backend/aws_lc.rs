//! The AWS-LC backend.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use zeroize::Zeroizing;

use crate::key::PublicKeyKind;
use crate::{DigestAlgorithm, SignatureAlgorithm, SignatureError};

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

/// A private key in the form that AWS-LC signs with; it clears itself when dropped.
pub(crate) enum PrivateKey {
    Rsa(lc::RsaKeyPair),
    P256(lc::EcdsaKeyPair),
    P384(lc::EcdsaKeyPair),
}

impl PrivateKey {
    /// `None` where AWS-LC does not take the key.
    pub(crate) fn from_pkcs8(public: &PublicKeyKind, pkcs8: &[u8]) -> Option<Self> {
        match public {
            PublicKeyKind::P256 { .. } => {
                lc::EcdsaKeyPair::from_pkcs8(&lc::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
                    .ok()
                    .map(Self::P256)
            }
            PublicKeyKind::P384 { .. } => {
                lc::EcdsaKeyPair::from_pkcs8(&lc::ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8)
                    .ok()
                    .map(Self::P384)
            }
            PublicKeyKind::Rsa { .. } => lc::RsaKeyPair::from_pkcs8(pkcs8).ok().map(Self::Rsa),
        }
    }

    /// `None` where AWS-LC's interface lacks the combination.
    pub(crate) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Result<Vec<u8>, SignatureError>> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureAlgorithm::{Ecdsa, RsaPkcs1, RsaPss};
        let random = SystemRandom::new();
        let signature = match (self, algorithm) {
            (Self::P256(key), Ecdsa(Sha256)) | (Self::P384(key), Ecdsa(Sha384)) => {
                key.sign(&random, message).map(|it| it.as_ref().to_vec())
            }
            (Self::Rsa(key), RsaPkcs1(_) | RsaPss(_)) => {
                let padding: &'static dyn lc::RsaEncoding = match algorithm {
                    RsaPkcs1(Sha256) => &lc::RSA_PKCS1_SHA256,
                    RsaPkcs1(Sha384) => &lc::RSA_PKCS1_SHA384,
                    RsaPkcs1(Sha512) => &lc::RSA_PKCS1_SHA512,
                    RsaPss(Sha256) => &lc::RSA_PSS_SHA256,
                    RsaPss(Sha384) => &lc::RSA_PSS_SHA384,
                    RsaPss(Sha512) => &lc::RSA_PSS_SHA512,
                    Ecdsa(_) => return None,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature)
                    .map(|()| signature)
            }
            _ => return None,
        };
        Some(signature.map_err(|_| SignatureError::Signing))
    }
}

/// A new RSA key in PKCS#8; `None` where AWS-LC does not make that size.
pub(crate) fn generate_rsa(bits: usize) -> Option<Zeroizing<Vec<u8>>> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return None,
    };
    let key = lc::RsaKeyPair::generate(size).ok()?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).ok()?;
    Some(Zeroizing::new(pkcs8.as_ref().to_vec()))
}
