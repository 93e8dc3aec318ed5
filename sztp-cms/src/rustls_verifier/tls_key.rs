//! A client's private key in TLS: in memory, or wherever else a [`Signer`] has it.

use core::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer as RustlsSigner, SigningKey as RustlsSigningKey};
use rustls::{Error, SignatureAlgorithm as RustlsAlgorithm, SignatureScheme};

use super::{algorithm, certified};
use crate::key::KeyKind;
use crate::{Certificate, PublicKey, Signer, SigningKey};

/// The private key that a client proves its certificate with.
#[derive(Clone)]
pub enum TlsKey {
    /// In memory: AWS-LC signs.
    InMemory(SigningKey),
    /// Held elsewhere, such as in a token or a TPM. It has to sign with what TLS chooses
    /// ([`Signer::sign_with`]): RSA with PSS in TLS 1.3.
    Elsewhere(Arc<dyn Signer>),
}

impl TlsKey {
    /// The key as a signer of anything else.
    pub fn signer(&self) -> &dyn Signer {
        match self {
            Self::InMemory(key) => key,
            Self::Elsewhere(key) => key.as_ref(),
        }
    }

    pub(super) fn certified(&self, chain: &[Certificate]) -> Result<CertifiedKey, Error> {
        let key = match self {
            Self::InMemory(key) => return certified(chain, key),
            Self::Elsewhere(key) => key,
        };
        let fits = chain
            .first()
            .is_some_and(|end_entity| end_entity.spki_der() == key.spki_der());
        let public = PublicKey::from_spki_der(key.spki_der()).ok();
        let (true, Some(public)) = (fits, public) else {
            return Err(Error::General(NOT_ITS_KEY.to_owned()));
        };
        let chain = chain
            .iter()
            .map(|one| CertificateDer::from(one.as_der().to_vec()))
            .collect();
        let key = Elsewhere {
            key: key.clone(),
            kind: public.kind(),
        };
        Ok(CertifiedKey::new(chain, Arc::new(key)))
    }
}

impl From<SigningKey> for TlsKey {
    fn from(key: SigningKey) -> Self {
        Self::InMemory(key)
    }
}

impl From<Arc<dyn Signer>> for TlsKey {
    fn from(key: Arc<dyn Signer>) -> Self {
        Self::Elsewhere(key)
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory(key) => key.fmt(f),
            Self::Elsewhere(_) => f.write_str("TlsKey(held elsewhere)"),
        }
    }
}

struct Elsewhere {
    key: Arc<dyn Signer>,
    kind: KeyKind,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elsewhere({:?})", self.kind)
    }
}

impl RustlsSigningKey for Elsewhere {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn RustlsSigner>> {
        let scheme = schemes(self.kind)
            .iter()
            .find(|scheme| offered.contains(scheme))?;
        Some(Box::new(Chosen {
            key: self.key.clone(),
            scheme: *scheme,
        }))
    }

    fn algorithm(&self) -> RustlsAlgorithm {
        match self.kind {
            KeyKind::Rsa { .. } => RustlsAlgorithm::RSA,
            KeyKind::Ed25519 => RustlsAlgorithm::ED25519,
            _ => RustlsAlgorithm::ECDSA,
        }
    }
}

struct Chosen {
    key: Arc<dyn Signer>,
    scheme: SignatureScheme,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chosen({:?})", self.scheme)
    }
}

impl RustlsSigner for Chosen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed =
            |error: &dyn fmt::Display| Error::General(format!("the device's key: {error}"));
        let algorithm =
            algorithm(self.scheme).ok_or_else(|| failed(&"an algorithm that is not known"))?;
        self.key
            .sign_with(algorithm, message)
            .map_err(|error| failed(&error))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// In the order of preference. SHA-256 comes first for RSA, as that is what every token knows.
fn schemes(kind: KeyKind) -> &'static [SignatureScheme] {
    match kind {
        KeyKind::P256 => &[SignatureScheme::ECDSA_NISTP256_SHA256],
        KeyKind::P384 => &[SignatureScheme::ECDSA_NISTP384_SHA384],
        KeyKind::P521 => &[SignatureScheme::ECDSA_NISTP521_SHA512],
        KeyKind::Ed25519 => &[SignatureScheme::ED25519],
        KeyKind::Rsa { .. } => &[
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ],
        #[cfg(feature = "ml-dsa")]
        KeyKind::MlDsa(_) => &[],
    }
}

pub(super) const NOT_ITS_KEY: &str = "the certificate does not hold the private key's public key";
