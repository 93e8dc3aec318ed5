//! Decryption with a private key: what an encrypted artifact needs of the device (RFC 8572 §3.4).

use getrandom::SysRng;
use p256::elliptic_curve::ecdh::diffie_hellman;
use rsa::Oaep;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::SigningKey;
use crate::backend::rust_crypto::PrivateKey as Private;

/// What a message encrypted to a certificate is opened with: a [`SigningKey`], or a key held
/// elsewhere, such as the IDevID key in a TPM or a PKCS#11 token.
///
/// A method that does not fit the kind of key answers [`DecryptionFailed`], as every other
/// failure does.
pub trait Decryptor: Send + Sync {
    /// The public key as DER SubjectPublicKeyInfo.
    fn public_key_der(&self) -> &[u8];

    /// RSA decryption (RFC 8017 §7.1.2, §7.2.2): what was encrypted, without its padding.
    ///
    /// For [`RsaPadding::Pkcs1`], broken padding should give octets that look like a key rather
    /// than an error, if the key's holder can do so (implicit rejection). An error is taken for
    /// the same thing by the caller.
    fn decrypt_rsa(
        &self,
        padding: RsaPadding,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed>;

    /// Elliptic-curve Diffie-Hellman with a point of the key's curve (uncompressed or compressed,
    /// SEC 1 §2.3.3): the x coordinate of the shared point, as long as the field.
    ///
    /// A point that is not on the curve must be refused.
    fn agree(&self, point: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed>;
}

/// How a key is padded before RSA encrypts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaPadding {
    /// RSAES-OAEP with an empty label (RFC 8017 §7.1).
    Oaep {
        /// Hashes the label.
        digest: KeyDigest,
        /// Used by the mask generation function MGF1.
        mask: KeyDigest,
    },
    /// RSAES-PKCS1-v1_5 (RFC 8017 §7.2).
    Pkcs1,
}

/// A digest inside key transport or key derivation. SHA-1 is among them: neither OAEP nor the
/// derivation rests on its collision resistance, and older software knows nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyDigest {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A private-key operation that failed; why is not said, as that would help whoever forges
/// messages to learn what is in others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the private-key operation failed")]
pub struct DecryptionFailed;

impl Decryptor for SigningKey {
    fn public_key_der(&self) -> &[u8] {
        self.public_key().spki_der()
    }

    fn decrypt_rsa(
        &self,
        padding: RsaPadding,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
        let Private::Rsa(key) = self.private() else {
            return Err(DecryptionFailed);
        };
        match padding {
            #[cfg(feature = "aws-lc-rs")]
            RsaPadding::Oaep { digest, mask } if digest == mask => {
                let pkcs8 = self.to_pkcs8_der().map_err(|_| DecryptionFailed)?;
                aws_lc_oaep(&pkcs8, digest, encrypted)
            }
            RsaPadding::Oaep { digest, mask } => oaep(key, digest, mask, encrypted),
            // Always this backend: it rejects implicitly, where AWS-LC answers with an error.
            RsaPadding::Pkcs1 => key
                .pkcs1v15_decrypt_with_rng(&mut SysRng, encrypted)
                .map(Zeroizing::new)
                .map_err(|_| DecryptionFailed),
        }
    }

    fn agree(&self, point: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
        macro_rules! agree {
            ($key:expr, $curve:ident) => {{
                let point =
                    $curve::PublicKey::from_sec1_bytes(point).map_err(|_| DecryptionFailed)?;
                let shared = diffie_hellman($key.to_nonzero_scalar(), point.as_affine());
                Ok(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
            }};
        }
        match self.private() {
            Private::P256(key) => agree!(key, p256),
            Private::P384(key) => agree!(key, p384),
            Private::P521(key) => agree!(key, p521),
            _ => Err(DecryptionFailed),
        }
    }
}

fn oaep(
    key: &rsa::PrivateKey,
    digest: KeyDigest,
    mask: KeyDigest,
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
    macro_rules! with {
        ($digest:ident) => {
            match mask {
                KeyDigest::Sha1 => with!($digest, Sha1),
                KeyDigest::Sha256 => with!($digest, Sha256),
                KeyDigest::Sha384 => with!($digest, Sha384),
                KeyDigest::Sha512 => with!($digest, Sha512),
            }
        };
        ($digest:ident, $mask:ident) => {
            key.decrypt_blinded(
                &mut SysRng,
                Oaep::<$digest, $mask>::new_with_mgf_hash(),
                encrypted,
            )
        };
    }
    match digest {
        KeyDigest::Sha1 => with!(Sha1),
        KeyDigest::Sha256 => with!(Sha256),
        KeyDigest::Sha384 => with!(Sha384),
        KeyDigest::Sha512 => with!(Sha512),
    }
    .map(Zeroizing::new)
    .map_err(|_| DecryptionFailed)
}

/// AWS-LC's private-key operation takes constant time (see RUSTSEC-2023-0071); it only knows OAEP
/// with one digest for both uses.
#[cfg(feature = "aws-lc-rs")]
fn aws_lc_oaep(
    pkcs8: &[u8],
    digest: KeyDigest,
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
    use aws_lc_rs::rsa::{
        OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
        OaepPrivateDecryptingKey, PrivateDecryptingKey,
    };
    let algorithm = match digest {
        KeyDigest::Sha1 => &OAEP_SHA1_MGF1SHA1,
        KeyDigest::Sha256 => &OAEP_SHA256_MGF1SHA256,
        KeyDigest::Sha384 => &OAEP_SHA384_MGF1SHA384,
        KeyDigest::Sha512 => &OAEP_SHA512_MGF1SHA512,
    };
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| DecryptionFailed)?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(|_| DecryptionFailed)?;
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    let length = key
        .decrypt(algorithm, encrypted, &mut plain, None)
        .map_err(|_| DecryptionFailed)?
        .len();
    plain.truncate(length);
    Ok(plain)
}
