//! Private keys: making, reading, writing and signing.

use core::fmt;
use std::sync::Arc;

use der::pem;
use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use pkcs8::{
    DecodePrivateKey, EncodePrivateKey, EncodePublicKey, EncryptedPrivateKeyInfoRef, LineEnding,
    PrivateKeyInfoRef,
};
use rsa::PrivateKey as RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use sha2::{Sha256, Sha384, Sha512};
use signature::hazmat::PrehashSigner;
use zeroize::Zeroizing;

use super::{
    EC_PUBLIC_KEY, KeyError, P_256, P_384, PublicKey, RSA_ENCRYPTION, SignatureError, accepted_size,
};
use crate::{DigestAlgorithm, SignatureAlgorithm};

/// What a CMS message or certificate is signed with: a [`SigningKey`], or a key held elsewhere.
pub trait Signer: Send + Sync {
    /// The algorithm of the signatures made.
    fn algorithm(&self) -> SignatureAlgorithm;
    /// The public key as DER SubjectPublicKeyInfo.
    fn spki_der(&self) -> &[u8];
    /// Signs a message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError>;
}

/// A kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
}

/// A private key in memory.
#[derive(Clone)]
pub struct SigningKey {
    private: Arc<Private>,
    public: Arc<PublicKey>,
    algorithm: SignatureAlgorithm,
    /// The same key for AWS-LC, which then signs.
    #[cfg(feature = "aws-lc-rs")]
    native: Option<Arc<crate::backend::aws_lc::PrivateKey>>,
}

/// Each of these zeroizes itself when dropped.
#[expect(
    clippy::large_enum_variant,
    reason = "always behind an Arc, never moved"
)]
enum Private {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Rsa(RsaPrivateKey),
}

impl SigningKey {
    /// Makes a new key from the operating system's randomness.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let private = match key_type {
            KeyType::EcP256 => {
                Private::P256(p256::SecretKey::try_generate().map_err(|_| KeyError::Generation)?)
            }
            KeyType::EcP384 => {
                Private::P384(p384::SecretKey::try_generate().map_err(|_| KeyError::Generation)?)
            }
            KeyType::Rsa2048 => Private::Rsa(generate_rsa(2048)?),
            KeyType::Rsa3072 => Private::Rsa(generate_rsa(3072)?),
            KeyType::Rsa4096 => Private::Rsa(generate_rsa(4096)?),
        };
        Self::from_private(private)
    }

    /// Reads PKCS#8, SEC1 or PKCS#1, PEM or DER, told apart by content.
    ///
    /// An encrypted key answers [`KeyError::Encrypted`]: see [`Self::from_encrypted`].
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, KeyError> {
        match key_block(bytes)? {
            Some((label, der)) => match label.as_str() {
                "PRIVATE KEY" => from_pkcs8(&der),
                "EC PRIVATE KEY" => from_sec1(&der),
                "RSA PRIVATE KEY" => from_pkcs1(&der),
                "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
                _ => Err(KeyError::Malformed),
            },
            None if Self::is_encrypted(bytes) => Err(KeyError::Encrypted),
            // What is a key but not one to use is not another format.
            None => [from_pkcs8, from_sec1, from_pkcs1]
                .into_iter()
                .map(|read| read(bytes))
                .find(|outcome| !matches!(outcome, Err(KeyError::Malformed)))
                .unwrap_or(Err(KeyError::Malformed)),
        }
        .and_then(Self::from_private)
    }

    /// Reads encrypted PKCS#8, PEM or DER (RFC 5958 §3).
    pub fn from_encrypted(bytes: &[u8], passphrase: &str) -> Result<Self, KeyError> {
        let block = key_block(bytes)?;
        let der = block.as_ref().map_or(bytes, |(_, der)| der.as_slice());
        let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Malformed)?;
        let plain = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        from_pkcs8(plain.as_bytes()).and_then(Self::from_private)
    }

    /// Whether the file holds an encrypted PKCS#8 key.
    pub fn is_encrypted(bytes: &[u8]) -> bool {
        match key_block(bytes) {
            Ok(Some((label, _))) => label == "ENCRYPTED PRIVATE KEY",
            Ok(None) => EncryptedPrivateKeyInfoRef::try_from(bytes).is_ok(),
            Err(_) => false,
        }
    }

    /// The same key, signing with another algorithm.
    pub fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        let fits = match *self.private {
            Private::P256(_) | Private::P384(_) => {
                matches!(algorithm, SignatureAlgorithm::Ecdsa(_))
            }
            Private::Rsa(_) => !matches!(algorithm, SignatureAlgorithm::Ecdsa(_)),
        };
        if fits {
            Ok(Self {
                algorithm,
                ..self.clone()
            })
        } else {
            Err(KeyError::WrongAlgorithm)
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// As unencrypted PKCS#8 DER.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.private.to_pkcs8_der()
    }

    /// As unencrypted PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        match &*self.private {
            Private::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Private::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
            Private::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| KeyError::Malformed)
    }

    fn from_private(private: Private) -> Result<Self, KeyError> {
        let (spki, algorithm) = match &private {
            Private::P256(key) => (
                key.public_key().to_public_key_der(),
                SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256),
            ),
            Private::P384(key) => (
                key.public_key().to_public_key_der(),
                SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384),
            ),
            Private::Rsa(key) => (
                key.to_public_key().to_public_key_der(),
                SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256),
            ),
        };
        let spki = spki.map_err(|_| KeyError::Malformed)?;
        let public = Arc::new(PublicKey::from_spki_der(spki.as_bytes())?);
        #[cfg(feature = "aws-lc-rs")]
        let native = private.to_pkcs8_der().ok().and_then(|pkcs8| {
            crate::backend::aws_lc::PrivateKey::from_pkcs8(public.kind(), &pkcs8)
        });
        Ok(Self {
            private: Arc::new(private),
            public,
            algorithm,
            #[cfg(feature = "aws-lc-rs")]
            native: native.map(Arc::new),
        })
    }
}

impl Private {
    fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self {
            Self::P256(key) => key.to_pkcs8_der(),
            Self::P384(key) => key.to_pkcs8_der(),
            Self::Rsa(key) => key.to_pkcs8_der(),
        }
        .map(|document| Zeroizing::new(document.as_bytes().to_vec()))
        .map_err(|_| KeyError::Malformed)
    }
}

impl Signer for SigningKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn spki_der(&self) -> &[u8] {
        self.public.spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        #[cfg(feature = "aws-lc-rs")]
        if let Some(signature) = self
            .native
            .as_ref()
            .and_then(|key| key.sign(self.algorithm, message))
        {
            return signature;
        }
        let digest = self.algorithm.digest();
        match (&*self.private, self.algorithm) {
            (Private::P256(key), SignatureAlgorithm::Ecdsa(_)) => {
                let key = p256::ecdsa::SigningKey::from(key);
                PrehashSigner::<p256::ecdsa::DerSignature>::sign_prehash(
                    &key,
                    &digest.digest(message),
                )
                .map(|signature| signature.as_bytes().to_vec())
                .map_err(|_| SignatureError::Signing)
            }
            (Private::P384(key), SignatureAlgorithm::Ecdsa(_)) => {
                let key = p384::ecdsa::SigningKey::from(key);
                PrehashSigner::<p384::ecdsa::DerSignature>::sign_prehash(
                    &key,
                    &digest.digest(message),
                )
                .map(|signature| signature.as_bytes().to_vec())
                .map_err(|_| SignatureError::Signing)
            }
            (Private::Rsa(key), SignatureAlgorithm::RsaPkcs1(_)) => match digest {
                DigestAlgorithm::Sha256 => {
                    key.pkcs1v15_sign_with_rng::<Sha256, _>(&mut SysRng, message)
                }
                DigestAlgorithm::Sha384 => {
                    key.pkcs1v15_sign_with_rng::<Sha384, _>(&mut SysRng, message)
                }
                DigestAlgorithm::Sha512 => {
                    key.pkcs1v15_sign_with_rng::<Sha512, _>(&mut SysRng, message)
                }
            }
            .map_err(|_| SignatureError::Signing),
            (Private::Rsa(key), SignatureAlgorithm::RsaPss(_)) => match digest {
                DigestAlgorithm::Sha256 => key.pss_sign_with_rng::<Sha256, _>(&mut SysRng, message),
                DigestAlgorithm::Sha384 => key.pss_sign_with_rng::<Sha384, _>(&mut SysRng, message),
                DigestAlgorithm::Sha512 => key.pss_sign_with_rng::<Sha512, _>(&mut SysRng, message),
            }
            .map_err(|_| SignatureError::Signing),
            _ => Err(SignatureError::WrongKeyType),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SigningKey({}, private part not shown)",
            self.public.description()
        )
    }
}

fn generate_rsa(bits: usize) -> Result<RsaPrivateKey, KeyError> {
    #[cfg(feature = "aws-lc-rs")]
    if let Some(pkcs8) = crate::backend::aws_lc::generate_rsa(bits) {
        return RsaPrivateKey::from_pkcs8_der(&pkcs8).map_err(|_| KeyError::Generation);
    }
    RsaPrivateKey::new(&mut SysRng, bits).map_err(|_| KeyError::Generation)
}

fn from_pkcs8(der: &[u8]) -> Result<Private, KeyError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Malformed)?;
    let curve = info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, curve) {
        (EC_PUBLIC_KEY, Some(P_256)) => p256::SecretKey::from_pkcs8_der(der)
            .map(Private::P256)
            .map_err(|_| KeyError::Malformed),
        (EC_PUBLIC_KEY, Some(P_384)) => p384::SecretKey::from_pkcs8_der(der)
            .map(Private::P384)
            .map_err(|_| KeyError::Malformed),
        (EC_PUBLIC_KEY, None) => Err(KeyError::Malformed),
        (RSA_ENCRYPTION, _) => from_pkcs1(info.private_key.as_bytes()),
        (EC_PUBLIC_KEY, Some(oid)) | (oid, _) => Err(KeyError::Unsupported { oid }),
    }
}

fn from_sec1(der: &[u8]) -> Result<Private, KeyError> {
    let info = sec1::EcPrivateKey::try_from(der).map_err(|_| KeyError::Malformed)?;
    match info.parameters.and_then(sec1::EcParameters::named_curve) {
        Some(P_384) => p384::SecretKey::from_sec1_der(der)
            .map(Private::P384)
            .map_err(|_| KeyError::Malformed),
        Some(oid) if oid != P_256 => Err(KeyError::Unsupported { oid }),
        // Without a curve the length of the number tells them apart.
        _ => p256::SecretKey::from_sec1_der(der)
            .map(Private::P256)
            .or_else(|_| p384::SecretKey::from_sec1_der(der).map(Private::P384))
            .map_err(|_| KeyError::Malformed),
    }
}

fn from_pkcs1(der: &[u8]) -> Result<Private, KeyError> {
    let raw = pkcs1::RsaPrivateKeyRef::try_from(der).map_err(|_| KeyError::Malformed)?;
    accepted_size(raw.modulus.as_bytes())?;
    RsaPrivateKey::from_pkcs1_der(der)
        .map(Private::Rsa)
        .map_err(|_| KeyError::Malformed)
}

/// The label of a PEM block and what it holds.
type KeyBlock = (String, Zeroizing<Vec<u8>>);

/// The first private-key block of a PEM file, past the parameters that `openssl ecparam` writes
/// before it; `None` where the file is not PEM.
fn key_block(bytes: &[u8]) -> Result<Option<KeyBlock>, KeyError> {
    const BEGIN: &str = "-----BEGIN ";
    let Ok(text) = core::str::from_utf8(bytes) else {
        return Ok(None);
    };
    let mut rest = text;
    let mut seen = false;
    while let Some(at) = rest.find(BEGIN) {
        seen = true;
        rest = &rest[at..];
        let label = rest[BEGIN.len()..]
            .split("-----")
            .next()
            .unwrap_or_default();
        if label.ends_with("PRIVATE KEY") {
            let end = format!("-----END {label}-----");
            let length = rest.find(&end).ok_or(KeyError::Malformed)? + end.len();
            let (label, der) =
                pem::decode_vec(&rest.as_bytes()[..length]).map_err(|_| KeyError::Malformed)?;
            return Ok(Some((label.to_owned(), Zeroizing::new(der))));
        }
        rest = &rest[BEGIN.len()..];
    }
    if seen {
        Err(KeyError::Malformed)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::rust_crypto;

    fn algorithms(key: &SigningKey) -> Vec<SignatureAlgorithm> {
        use DigestAlgorithm::{Sha256, Sha384, Sha512};
        [Sha256, Sha384, Sha512]
            .into_iter()
            .flat_map(|d| {
                [
                    SignatureAlgorithm::Ecdsa(d),
                    SignatureAlgorithm::RsaPkcs1(d),
                    SignatureAlgorithm::RsaPss(d),
                ]
            })
            .filter(|&a| key.with_algorithm(a).is_ok())
            .collect()
    }

    #[test]
    fn signs_and_verifies_with_every_algorithm_on_every_backend() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
            let key = SigningKey::generate(key_type).unwrap();
            for algorithm in algorithms(&key) {
                let signer = key.with_algorithm(algorithm).unwrap();
                let mut signature = signer.sign(b"message").unwrap();
                let public = key.public_key();
                assert_eq!(
                    public.verify(algorithm, b"message", &signature),
                    Ok(()),
                    "{algorithm}"
                );
                assert!(rust_crypto::verify(
                    public.kind(),
                    algorithm,
                    b"message",
                    &signature
                ));
                assert_eq!(
                    public.verify(algorithm, b"other", &signature),
                    Err(SignatureError::Bad)
                );
                *signature.last_mut().unwrap() ^= 1;
                assert_eq!(
                    public.verify(algorithm, b"message", &signature),
                    Err(SignatureError::Bad)
                );
                assert!(!rust_crypto::verify(
                    public.kind(),
                    algorithm,
                    b"message",
                    &signature
                ));
            }
        }
    }

    /// Above all RSA's private-key operations (RUSTSEC-2023-0071).
    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn aws_lc_signs_where_it_can() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
            let key = SigningKey::generate(key_type).unwrap();
            let native = key.native.as_ref().expect("AWS-LC takes the key");
            for algorithm in algorithms(&key) {
                let usual = algorithm == key.algorithm
                    || !matches!(algorithm, SignatureAlgorithm::Ecdsa(_));
                let signature = native.sign(algorithm, b"message");
                assert_eq!(signature.is_some(), usual, "{key_type:?} {algorithm}");
            }
        }
    }

    #[test]
    fn survives_pkcs8_and_hides_itself_from_debug() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
            let key = SigningKey::generate(key_type).unwrap();
            let pem = key.to_pkcs8_pem().unwrap();
            let again = SigningKey::from_pem_or_der(pem.as_bytes()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let der = key.to_pkcs8_der().unwrap();
            assert!(SigningKey::from_pem_or_der(&der).is_ok());
            assert!(format!("{key:?}").ends_with("private part not shown)"));
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        for bytes in [
            &b""[..],
            b"hello",
            b"-----BEGIN CERTIFICATE-----\n",
            &[0x30, 0x80, 0, 0],
        ] {
            assert_eq!(
                SigningKey::from_pem_or_der(bytes).err(),
                Some(KeyError::Malformed)
            );
        }
    }
}
