//! Signing with any implementation of the `signature` crate's traits.

use core::marker::PhantomData;

use signature::{Keypair, SignatureEncoding};
use spki::EncodePublicKey;

use super::{KeyError, PublicKey, SignatureError, Signer};
use crate::SignatureAlgorithm;

/// Makes a [`Signer`] of any `signature::Signer`, for instance a key in a token or a service.
///
/// `Sig` must encode itself as CMS and X.509 want it: DER for ECDSA, as
/// `p256::ecdsa::DerSignature` does, and the plain octets for RSA and Ed25519. Each signature is
/// checked with the public key before it is handed out, since what a foreign signer does is not
/// known here.
///
/// ```
/// use sztp_cms::{DigestAlgorithm, ForeignSigner, SignatureAlgorithm, Signer};
/// use p256::elliptic_curve::Generate;
///
/// let key = p256::ecdsa::SigningKey::generate();
/// let algorithm = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
/// let signer = ForeignSigner::<_, p256::ecdsa::DerSignature>::from_keypair(key, algorithm)?;
/// assert!(signer.sign(b"message").is_ok());
/// # Ok::<(), sztp_cms::KeyError>(())
/// ```
pub struct ForeignSigner<S, Sig> {
    inner: S,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
    signature: PhantomData<fn() -> Sig>,
}

impl<S, Sig> ForeignSigner<S, Sig>
where
    S: signature::Signer<Sig>,
    Sig: SignatureEncoding,
{
    /// A signer and the public key (DER SubjectPublicKeyInfo) that its signatures are checked with.
    pub fn new(inner: S, algorithm: SignatureAlgorithm, spki_der: &[u8]) -> Result<Self, KeyError> {
        let public = PublicKey::from_spki_der(spki_der)?;
        if !public.fits(algorithm) {
            return Err(KeyError::WrongAlgorithm);
        }
        Ok(Self {
            inner,
            public,
            algorithm,
            signature: PhantomData,
        })
    }

    /// A signer that knows its public key.
    pub fn from_keypair(inner: S, algorithm: SignatureAlgorithm) -> Result<Self, KeyError>
    where
        S: Keypair,
        S::VerifyingKey: EncodePublicKey,
    {
        let spki = inner
            .verifying_key()
            .to_public_key_der()
            .map_err(|_| KeyError::Malformed)?;
        Self::new(inner, algorithm, spki.as_bytes())
    }
}

impl<S, Sig> Signer for ForeignSigner<S, Sig>
where
    S: signature::Signer<Sig> + Send + Sync,
    Sig: SignatureEncoding,
{
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn spki_der(&self) -> &[u8] {
        self.public.spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let signature = self
            .inner
            .try_sign(message)
            .map_err(|_| SignatureError::Signing)?
            .to_vec();
        self.public
            .verify(self.algorithm, message, &signature)
            .map_err(|_| SignatureError::Signing)?;
        Ok(signature)
    }
}
