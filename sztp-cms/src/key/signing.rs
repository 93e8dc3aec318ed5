//! Private keys: making, reading, writing and signing.

use core::fmt;
use std::sync::Arc;
#[cfg(feature = "aws-lc-rs")]
use std::sync::OnceLock;

use der::pem;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding};
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, SignatureError, file};
use crate::backend::rust_crypto::PrivateKey;
use crate::{DigestAlgorithm, SignatureAlgorithm};

/// What a CMS message or certificate is signed with: a [`SigningKey`], or a key held elsewhere.
pub trait Signer: Send + Sync {
    /// The algorithm of the signatures made.
    fn algorithm(&self) -> SignatureAlgorithm;
    /// The public key as DER SubjectPublicKeyInfo.
    fn spki_der(&self) -> &[u8];
    /// Signs a message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError>;
    /// Signs a message with another algorithm of the key's kind, as TLS chooses one; a signer that
    /// has but one refuses.
    fn sign_with(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SignatureError> {
        if algorithm == self.algorithm() {
            self.sign(message)
        } else {
            Err(SignatureError::WrongKeyType)
        }
    }
}

/// A kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// ECDSA on P-256.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// ECDSA on P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// ML-DSA.
    #[cfg(feature = "ml-dsa")]
    MlDsa(crate::MlDsaParameterSet),
}

/// A private key in memory.
///
/// Clones share the key.
#[derive(Clone)]
pub struct SigningKey {
    held: Arc<Held>,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
}

struct Held {
    private: PrivateKey,
    /// The same key in AWS-LC, from its first use on; `None` inside if it was refused.
    #[cfg(feature = "aws-lc-rs")]
    aws_lc: OnceLock<Option<crate::backend::aws_lc::KeyPair>>,
}

impl SigningKey {
    /// Makes a new key from the operating system's randomness.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let private = match key_type {
            KeyType::EcP256 => PrivateKey::generate_p256(),
            KeyType::EcP384 => PrivateKey::generate_p384(),
            KeyType::EcP521 => PrivateKey::generate_p521(),
            KeyType::Ed25519 => PrivateKey::generate_ed25519(),
            KeyType::Rsa2048 => generate_rsa(2048),
            KeyType::Rsa3072 => generate_rsa(3072),
            KeyType::Rsa4096 => generate_rsa(4096),
            #[cfg(feature = "ml-dsa")]
            KeyType::MlDsa(set) => {
                use crate::backend::rust_crypto::ml_dsa::PrivateKey as MlDsaKey;
                MlDsaKey::generate(set).map(PrivateKey::MlDsa)
            }
        };
        Self::from_private(private.ok_or(KeyError::Generation)?)
    }

    /// Reads PKCS#8, SEC1 or PKCS#1, PEM or DER, told apart by content.
    ///
    /// An encrypted key answers [`KeyError::Encrypted`]: see [`Self::from_encrypted`].
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, KeyError> {
        match file::key_block(bytes)? {
            Some((label, der)) => match label.as_str() {
                "PRIVATE KEY" => file::from_pkcs8(&der),
                "EC PRIVATE KEY" => file::from_sec1(&der),
                "RSA PRIVATE KEY" => file::from_pkcs1(&der),
                "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
                _ => Err(KeyError::Malformed),
            },
            None if Self::is_encrypted(bytes) => Err(KeyError::Encrypted),
            None => match file::from_pkcs8(bytes) {
                Err(KeyError::Malformed) => match file::from_sec1(bytes) {
                    Err(KeyError::Malformed) => file::from_pkcs1(bytes),
                    other => other,
                },
                other => other,
            },
        }
        .and_then(Self::from_private)
    }

    /// Reads encrypted PKCS#8, PEM or DER (RFC 5958 §3).
    pub fn from_encrypted(bytes: &[u8], passphrase: &str) -> Result<Self, KeyError> {
        let block = file::key_block(bytes)?;
        let der = block.as_ref().map_or(bytes, |(_, der)| der.as_slice());
        let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Malformed)?;
        let plain = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        file::from_pkcs8(plain.as_bytes()).and_then(Self::from_private)
    }

    /// Whether the file holds an encrypted PKCS#8 key.
    pub fn is_encrypted(bytes: &[u8]) -> bool {
        match file::key_block(bytes) {
            Ok(Some((label, _))) => label == "ENCRYPTED PRIVATE KEY",
            Ok(None) => EncryptedPrivateKeyInfoRef::try_from(bytes).is_ok(),
            Err(_) => false,
        }
    }

    /// The same key, signing with another algorithm.
    pub fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        if self.public.fits(algorithm) {
            Ok(Self {
                algorithm,
                ..self.clone()
            })
        } else {
            Err(KeyError::WrongAlgorithm)
        }
    }

    /// The same key, signing with another digest; Ed25519, which has its own, stays as it is.
    #[must_use]
    pub fn with_digest(&self, digest: DigestAlgorithm) -> Self {
        Self {
            algorithm: self.algorithm.with_digest(digest),
            ..self.clone()
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// As unencrypted PKCS#8 DER.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = self.held.private.to_pkcs8().ok_or(KeyError::Malformed)?;
        Ok(Zeroizing::new(document.as_bytes().to_vec()))
    }

    /// As unencrypted PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.to_pkcs8_der()?;
        pem::encode_string("PRIVATE KEY", LineEnding::LF, &der)
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Malformed)
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.held.private
    }

    fn from_private(private: PrivateKey) -> Result<Self, KeyError> {
        let spki = private.spki_der().ok_or(KeyError::Malformed)?;
        let public = PublicKey::from_spki_der(&spki)?;
        Ok(Self {
            held: Arc::new(Held {
                private,
                #[cfg(feature = "aws-lc-rs")]
                aws_lc: OnceLock::new(),
            }),
            algorithm: public.kind().usual_algorithm(),
            public,
        })
    }

    #[cfg(feature = "aws-lc-rs")]
    fn sign_with_aws_lc(&self, message: &[u8]) -> Option<Vec<u8>> {
        let pair = self.held.aws_lc.get_or_init(|| {
            let pkcs8 = self.held.private.to_pkcs8()?;
            crate::backend::aws_lc::KeyPair::from_pkcs8(self.public.kind(), pkcs8.as_bytes())
        });
        pair.as_ref()?.sign(self.algorithm, message)
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
        if !self.public.fits(self.algorithm) {
            return Err(SignatureError::WrongKeyType);
        }
        #[cfg(feature = "aws-lc-rs")]
        if let Some(signature) = self.sign_with_aws_lc(message) {
            return Ok(signature);
        }
        self.held
            .private
            .sign(self.algorithm, message)
            .ok_or(SignatureError::Signing)
    }

    fn sign_with(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SignatureError> {
        match self.with_algorithm(algorithm) {
            Ok(key) => key.sign(message),
            Err(_) => Err(SignatureError::WrongKeyType),
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

/// AWS-LC is an order of magnitude faster at finding primes.
fn generate_rsa(bits: usize) -> Option<PrivateKey> {
    #[cfg(feature = "aws-lc-rs")]
    if let Some(pkcs8) = crate::backend::aws_lc::generate_rsa(bits) {
        return file::from_pkcs8(&pkcs8).ok();
    }
    PrivateKey::generate_rsa(bits)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::backend::rust_crypto;
    use crate::key::KeyKind;

    const TYPES: &[KeyType] = &[
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
        KeyType::Ed25519,
        KeyType::Rsa2048,
        #[cfg(feature = "ml-dsa")]
        KeyType::MlDsa(crate::MlDsaParameterSet::MlDsa44),
        #[cfg(feature = "ml-dsa")]
        KeyType::MlDsa(crate::MlDsaParameterSet::MlDsa65),
        #[cfg(feature = "ml-dsa")]
        KeyType::MlDsa(crate::MlDsaParameterSet::MlDsa87),
    ];

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
            .chain([key.algorithm()])
            .filter(|&a| key.with_algorithm(a).is_ok())
            .collect::<HashSet<_>>()
            .into_iter()
            .collect()
    }

    /// The key in pure Rust, whatever the features.
    fn in_rust(public: &PublicKey) -> rust_crypto::VerifyingKey {
        let info = spki::SubjectPublicKeyInfoRef::try_from(public.spki_der()).unwrap();
        let octets = info.subject_public_key.as_bytes().unwrap();
        rust_crypto::VerifyingKey::parse(public.kind(), octets, public.spki_der()).unwrap()
    }

    #[test]
    fn signs_and_verifies_with_every_algorithm_on_every_backend() {
        for &key_type in TYPES {
            let key = SigningKey::generate(key_type).unwrap();
            let algorithms = algorithms(&key);
            let expected = match key_type {
                KeyType::Rsa2048 => 6,
                KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => 3,
                _ => 1,
            };
            assert_eq!(algorithms.len(), expected);
            for algorithm in algorithms {
                let signer = key.with_algorithm(algorithm).unwrap();
                let public = key.public_key();
                let other_backend = in_rust(public);
                let by_rust = key.held.private.sign(algorithm, b"message").unwrap();
                for mut signature in [signer.sign(b"message").unwrap(), by_rust] {
                    assert_eq!(
                        public.verify(algorithm, b"message", &signature),
                        Ok(()),
                        "{algorithm}"
                    );
                    assert!(other_backend.verify(algorithm, b"message", &signature));
                    assert_eq!(
                        public.verify(algorithm, b"other", &signature),
                        Err(SignatureError::Bad)
                    );
                    *signature.last_mut().unwrap() ^= 1;
                    assert_eq!(
                        public.verify(algorithm, b"message", &signature),
                        Err(SignatureError::Bad)
                    );
                    assert!(!other_backend.verify(algorithm, b"message", &signature));
                }
            }
        }
    }

    #[test]
    fn survives_pkcs8_and_hides_itself_from_debug() {
        for &key_type in TYPES {
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
    fn ed25519_in_version_2_is_read_if_its_public_key_fits() {
        use pkcs8::EncodePrivateKey;
        let seed = [7; 32];
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let mut der = key.to_pkcs8_der().unwrap().as_bytes().to_vec();
        assert!(SigningKey::from_pem_or_der(&der).is_ok());
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(
            SigningKey::from_pem_or_der(&der).err(),
            Some(KeyError::Malformed)
        );
    }

    #[test]
    fn ed25519_keys_of_small_order_or_in_another_form_are_refused() {
        let prefix = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xf0, 0x7f);
        for key in [[0; 32], identity, unreduced] {
            let spki = [&prefix[..], &key[..]].concat();
            assert_eq!(
                PublicKey::from_spki_der(&spki).err(),
                Some(KeyError::Malformed)
            );
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

    /// Above all RSA's private-key operations (RUSTSEC-2023-0071).
    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn aws_lc_signs_where_it_can() {
        for &key_type in TYPES {
            let key = SigningKey::generate(key_type).unwrap();
            for algorithm in algorithms(&key) {
                let usual = algorithm == key.algorithm
                    || !matches!(algorithm, SignatureAlgorithm::Ecdsa(_));
                let signer = key.with_algorithm(algorithm).unwrap();
                let signature = signer.sign_with_aws_lc(b"message");
                assert_eq!(signature.is_some(), usual, "{key_type:?} {algorithm}");
            }
        }
    }

    #[test]
    fn strength_of_the_digest_follows_the_curve() {
        assert_eq!(
            KeyKind::P521.usual_algorithm(),
            SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha512)
        );
        let key = SigningKey::generate(KeyType::EcP256).unwrap();
        assert_eq!(
            key.with_digest(DigestAlgorithm::Sha384).algorithm(),
            SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384)
        );
    }
}
