//! Private keys in files: PKCS#8 (RFC 5208, RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017 §A.1.2).

use der::{Decode, pem};
use pkcs8::PrivateKeyInfoRef;
use rsa::PrivateKey as RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::{EC_PUBLIC_KEY, KeyError, KeyKind, RSA_ENCRYPTION, accepted_size, curve_kind};
use crate::algorithm::ED25519;
use crate::backend::rust_crypto::PrivateKey;

/// Version 1 or 2; the public key of version 2, if there, must be the private key's.
pub(super) fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Malformed)?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters_oid();
            match curve_kind(curve.map_err(|_| KeyError::Malformed)?)? {
                KeyKind::P256 => p256::SecretKey::try_from(info).map(PrivateKey::P256),
                KeyKind::P384 => p384::SecretKey::try_from(info).map(PrivateKey::P384),
                _ => p521::SecretKey::try_from(info).map(PrivateKey::P521),
            }
            .map_err(|_| KeyError::Malformed)
        }
        ED25519 => ed25519_dalek::SigningKey::try_from(info)
            .map(|key| PrivateKey::Ed25519(Box::new(key)))
            .map_err(|_| KeyError::Malformed),
        RSA_ENCRYPTION => from_pkcs1(info.private_key.as_bytes()),
        #[cfg(feature = "ml-dsa")]
        oid if let Some(set) = crate::MlDsaParameterSet::from_oid(oid) => {
            use crate::backend::rust_crypto::ml_dsa::PrivateKey as MlDsaKey;
            MlDsaKey::from_der(set, info.private_key.as_bytes())
                .filter(|key| {
                    let public = info.public_key.and_then(|public| public.as_bytes());
                    public.is_none_or(|public| public == key.public_key())
                })
                .map(PrivateKey::MlDsa)
                .ok_or(KeyError::Malformed)
        }
        oid => Err(KeyError::Unsupported { oid }),
    }
}

pub(super) fn from_sec1(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let key = EcPrivateKey::from_der(der).map_err(|_| KeyError::Malformed)?;
    let named = key.parameters.and_then(sec1::EcParameters::named_curve);
    let kind = match named {
        Some(curve) => curve_kind(curve)?,
        // RFC 5915 §3: the key has the octets of the curve's order.
        None => match key.private_key.len() {
            32 => KeyKind::P256,
            48 => KeyKind::P384,
            66 => KeyKind::P521,
            _ => return Err(KeyError::Malformed),
        },
    };
    match kind {
        KeyKind::P256 => p256::SecretKey::from_sec1_der(der).map(PrivateKey::P256),
        KeyKind::P384 => p384::SecretKey::from_sec1_der(der).map(PrivateKey::P384),
        _ => p521::SecretKey::from_sec1_der(der).map(PrivateKey::P521),
    }
    .map_err(|_| KeyError::Malformed)
}

pub(super) fn from_pkcs1(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let raw = pkcs1::RsaPrivateKeyRef::try_from(der).map_err(|_| KeyError::Malformed)?;
    accepted_size(raw.modulus.as_bytes())?;
    RsaPrivateKey::from_pkcs1_der(der)
        .map(|key| PrivateKey::Rsa(Box::new(key)))
        .map_err(|_| KeyError::Malformed)
}

/// The label of a PEM block and what it holds.
type KeyBlock = (String, Zeroizing<Vec<u8>>);

/// The first private-key block of a PEM file, past the parameters that `openssl ecparam` writes
/// before it; `None` where the file is not PEM.
pub(super) fn key_block(bytes: &[u8]) -> Result<Option<KeyBlock>, KeyError> {
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
