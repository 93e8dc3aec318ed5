//! The AWS-LC backend.
//!
//! Keys are parsed once and then kept: AWS-LC binds a parsed key to one digest, hence a slot for
//! each.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaEncoding, VerificationAlgorithm,
};
use zeroize::Zeroizing;

#[cfg(feature = "ml-dsa")]
use crate::MlDsaParameterSet;
use crate::key::KeyKind;
use crate::{DigestAlgorithm, SignatureAlgorithm};

/// A public key, parsed for each algorithm that it has been used with.
pub(crate) struct VerifyingKey {
    kind: KeyKind,
    octets: Vec<u8>,
    parsed: [OnceLock<Option<ParsedPublicKey>>; SLOTS],
}

/// Three digests for ECDSA or PKCS#1 v1.5, three for PSS.
const SLOTS: usize = 6;

impl VerifyingKey {
    /// `None` if the octets, and the SubjectPublicKeyInfo that they are from, are no key of this
    /// kind.
    pub(crate) fn parse(kind: KeyKind, octets: &[u8], spki: &[u8]) -> Option<Self> {
        // A bare point is checked twice.
        let form = match kind {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => spki,
            _ => octets,
        };
        let key = Self {
            kind,
            octets: form.to_vec(),
            parsed: Default::default(),
        };
        if kind == KeyKind::Ed25519 {
            // AWS-LC takes any 32 octets and looks for the point when it verifies.
            super::rust_crypto::VerifyingKey::parse(kind, octets, spki)?;
        }
        key.parsed(kind.usual_algorithm())?;
        Some(key)
    }

    pub(crate) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.parsed(algorithm)
            .is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    fn parsed(&self, algorithm: SignatureAlgorithm) -> Option<&ParsedPublicKey> {
        let (slot, with) = verification(self.kind, algorithm)?;
        self.parsed[slot]
            .get_or_init(|| ParsedPublicKey::new(with, &self.octets).ok())
            .as_ref()
    }
}

fn verification(
    kind: KeyKind,
    algorithm: SignatureAlgorithm,
) -> Option<(usize, &'static dyn VerificationAlgorithm)> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
    Some(match (kind, algorithm) {
        (KeyKind::P256, Ecdsa(Sha256)) => (0, &lc::ECDSA_P256_SHA256_ASN1),
        (KeyKind::P256, Ecdsa(Sha384)) => (1, &lc::ECDSA_P256_SHA384_ASN1),
        (KeyKind::P256, Ecdsa(Sha512)) => (2, &lc::ECDSA_P256_SHA512_ASN1),
        (KeyKind::P384, Ecdsa(Sha256)) => (0, &lc::ECDSA_P384_SHA256_ASN1),
        (KeyKind::P384, Ecdsa(Sha384)) => (1, &lc::ECDSA_P384_SHA384_ASN1),
        (KeyKind::P384, Ecdsa(Sha512)) => (2, &lc::ECDSA_P384_SHA512_ASN1),
        (KeyKind::P521, Ecdsa(Sha256)) => (0, &lc::ECDSA_P521_SHA256_ASN1),
        (KeyKind::P521, Ecdsa(Sha384)) => (1, &lc::ECDSA_P521_SHA384_ASN1),
        (KeyKind::P521, Ecdsa(Sha512)) => (2, &lc::ECDSA_P521_SHA512_ASN1),
        (KeyKind::Rsa { .. }, RsaPkcs1(Sha256)) => (0, &lc::RSA_PKCS1_2048_8192_SHA256),
        (KeyKind::Rsa { .. }, RsaPkcs1(Sha384)) => (1, &lc::RSA_PKCS1_2048_8192_SHA384),
        (KeyKind::Rsa { .. }, RsaPkcs1(Sha512)) => (2, &lc::RSA_PKCS1_2048_8192_SHA512),
        (KeyKind::Rsa { .. }, RsaPss(Sha256)) => (3, &lc::RSA_PSS_2048_8192_SHA256),
        (KeyKind::Rsa { .. }, RsaPss(Sha384)) => (4, &lc::RSA_PSS_2048_8192_SHA384),
        (KeyKind::Rsa { .. }, RsaPss(Sha512)) => (5, &lc::RSA_PSS_2048_8192_SHA512),
        (KeyKind::Ed25519, Ed25519) => (0, &lc::ED25519),
        #[cfg(feature = "ml-dsa")]
        (KeyKind::MlDsa(set), SignatureAlgorithm::MlDsa(used)) if set == used => match set {
            MlDsaParameterSet::MlDsa44 => (0, &lc::ML_DSA_44),
            MlDsaParameterSet::MlDsa65 => (0, &lc::ML_DSA_65),
            MlDsaParameterSet::MlDsa87 => (0, &lc::ML_DSA_87),
        },
        _ => return None,
    })
}

/// A private key as AWS-LC holds it.
pub(crate) enum KeyPair {
    /// For one digest, that of the curve's size.
    Ecdsa(EcdsaKeyPair, DigestAlgorithm),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    #[cfg(feature = "ml-dsa")]
    MlDsa(lc::PqdsaKeyPair),
}

impl KeyPair {
    /// `None` if AWS-LC does not take the key.
    pub(crate) fn from_pkcs8(kind: KeyKind, pkcs8: &[u8]) -> Option<Self> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        let (ecdsa, digest) = match kind {
            KeyKind::P256 => (&lc::ECDSA_P256_SHA256_ASN1_SIGNING, Sha256),
            KeyKind::P384 => (&lc::ECDSA_P384_SHA384_ASN1_SIGNING, Sha384),
            KeyKind::P521 => (&lc::ECDSA_P521_SHA512_ASN1_SIGNING, Sha512),
            KeyKind::Ed25519 => return Ed25519KeyPair::from_pkcs8(pkcs8).map(Self::Ed25519).ok(),
            KeyKind::Rsa { .. } => return RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa).ok(),
            #[cfg(feature = "ml-dsa")]
            KeyKind::MlDsa(set) => {
                let with = match set {
                    MlDsaParameterSet::MlDsa44 => &lc::ML_DSA_44_SIGNING,
                    MlDsaParameterSet::MlDsa65 => &lc::ML_DSA_65_SIGNING,
                    MlDsaParameterSet::MlDsa87 => &lc::ML_DSA_87_SIGNING,
                };
                let pair = lc::PqdsaKeyPair::from_pkcs8(with, pkcs8);
                return pair.map(Self::MlDsa).ok();
            }
        };
        EcdsaKeyPair::from_pkcs8(ecdsa, pkcs8)
            .map(|pair| Self::Ecdsa(pair, digest))
            .ok()
    }

    /// `None` where AWS-LC's interface lacks the combination, or failed.
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        let random = SystemRandom::new();
        match (self, algorithm) {
            (Self::Ecdsa(pair, digest), Ecdsa(wanted)) if *digest == wanted => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .ok(),
            (Self::Ed25519(pair), Ed25519) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .ok(),
            (Self::Rsa(pair), RsaPkcs1(_) | RsaPss(_)) => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    RsaPkcs1(Sha256) => &lc::RSA_PKCS1_SHA256,
                    RsaPkcs1(Sha384) => &lc::RSA_PKCS1_SHA384,
                    RsaPkcs1(Sha512) => &lc::RSA_PKCS1_SHA512,
                    RsaPss(Sha256) => &lc::RSA_PSS_SHA256,
                    RsaPss(Sha384) => &lc::RSA_PSS_SHA384,
                    RsaPss(Sha512) => &lc::RSA_PSS_SHA512,
                    _ => return None,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            #[cfg(feature = "ml-dsa")]
            (Self::MlDsa(pair), SignatureAlgorithm::MlDsa(_)) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).ok()?;
                signature.truncate(length);
                Some(signature)
            }
            _ => None,
        }
    }
}

/// A new RSA key as PKCS#8; `None` for a size that AWS-LC does not make.
pub(crate) fn generate_rsa(bits: usize) -> Option<Zeroizing<Vec<u8>>> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return None,
    };
    let pair = RsaKeyPair::generate(size).ok()?;
    let der = pair.as_der().ok()?;
    Some(Zeroizing::new(der.as_ref().to_vec()))
}
