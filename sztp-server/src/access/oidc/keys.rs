//! The provider's keys (RFC 7517), kept for a while and read again when they are old or when a
//! token names another.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::{BitStringRef, Null, ObjectIdentifier, UintRef};
use der::{Encode as _, Sequence};
use serde::Deserialize;
use sztp_cms::{DigestAlgorithm, PublicKey, SignatureAlgorithm, UnixTime};
use tokio::sync::Mutex;

use super::{BearerError, fetch};
use crate::config::OidcConfig;

/// What tokens may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
}

impl Algorithm {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    const fn key_type(self) -> &'static str {
        match self {
            Self::Rs256 => "RSA",
            Self::Es256 => "EC",
        }
    }
}

/// Where the keys are, and the ones that were last read.
#[derive(Debug)]
pub(super) struct KeySource {
    place: Place,
    max_age_secs: i64,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Url { url: String, anchors: Vec<PathBuf> },
}

#[derive(Debug, Default)]
struct Cache {
    keys: Vec<Key>,
    read_at: Option<i64>,
    tried_at: Option<i64>,
    /// Why the last attempt failed.
    failure: Option<String>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: PublicKey,
}

impl KeySource {
    pub(super) fn new(config: &OidcConfig) -> Self {
        let place = if config.jwks.starts_with("https://") {
            Place::Url {
                url: config.jwks.clone(),
                anchors: config.jwks_anchors.clone(),
            }
        } else {
            Place::File(PathBuf::from(&config.jwks))
        };
        Self {
            place,
            max_age_secs: i64::try_from(config.jwks_max_age_secs).unwrap_or(i64::MAX),
            cache: Mutex::default(),
        }
    }

    /// Checks a signature with the key of the name, or with each where the token names none.
    pub(super) async fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
        now: UnixTime,
    ) -> Result<(), BearerError> {
        let mut cache = self.cache.lock().await;
        let now = now.secs();
        let age =
            |since: Option<i64>| since.map_or(i64::MAX, |since| now.saturating_sub(since).abs());
        let mut candidates = cache.candidates(algorithm, id);
        let old = age(cache.read_at) >= self.max_age_secs;
        if (old || candidates.is_empty()) && age(cache.tried_at) >= PATIENCE_SECS {
            self.refresh(&mut cache, now).await;
            candidates = cache.candidates(algorithm, id);
        }
        if candidates.is_empty() || age(cache.read_at) >= STALE_SECS {
            return Err(match &cache.failure {
                Some(reason) => BearerError::KeysUnavailable {
                    reason: reason.clone(),
                },
                None => BearerError::KeyUnknown,
            });
        }
        drop(cache);
        let holds = candidates
            .iter()
            .any(|key| holds(algorithm, key, message, signature));
        if holds {
            Ok(())
        } else {
            Err(BearerError::Signature)
        }
    }

    async fn refresh(&self, cache: &mut Cache, now: i64) {
        cache.tried_at = Some(now);
        let octets = match &self.place {
            Place::File(path) => tokio::fs::read(path)
                .await
                .map_err(|error| format!("{}: {error}", path.display())),
            Place::Url { url, anchors } => fetch::get(url, anchors).await,
        };
        match octets.and_then(|octets| read_keys(&octets)) {
            Ok(keys) => {
                *cache = Cache {
                    keys,
                    read_at: Some(now),
                    tried_at: Some(now),
                    failure: None,
                };
            }
            Err(reason) => {
                tracing::warn!(reason, "the keys of the OIDC provider");
                cache.failure = Some(reason);
            }
        }
    }
}

impl Cache {
    fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<PublicKey> {
        self.keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .map(|key| key.public.clone())
            .collect()
    }
}

fn holds(algorithm: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let digest = DigestAlgorithm::Sha256;
    match algorithm {
        Algorithm::Rs256 => key
            .verify(SignatureAlgorithm::RsaPkcs1(digest), message, signature)
            .is_ok(),
        Algorithm::Es256 => ecdsa_signature(signature).is_some_and(|der| {
            key.verify(SignatureAlgorithm::Ecdsa(digest), message, &der)
                .is_ok()
        }),
    }
}

/// RFC 7518 §3.4: r and s, 32 octets each.
fn ecdsa_signature(signature: &[u8]) -> Option<Vec<u8>> {
    #[derive(Sequence)]
    struct EcdsaSigValue<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let (r, s) = signature.split_at_checked(32)?;
    if s.len() != 32 {
        return None;
    }
    let value = EcdsaSigValue {
        r: UintRef::new(r).ok()?,
        s: UintRef::new(s).ok()?,
    };
    value.to_der().ok()
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Keys of other kinds and for other uses are passed over (RFC 7517 §5).
fn read_keys(octets: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet =
        serde_json::from_slice(octets).map_err(|error| format!("not a JWK set: {error}"))?;
    Ok(set
        .keys
        .iter()
        .take(MAX_KEYS)
        .filter_map(read_key)
        .collect())
}

fn read_key(jwk: &Jwk) -> Option<Key> {
    if jwk.r#use.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let algorithm = [Algorithm::Rs256, Algorithm::Es256]
        .into_iter()
        .find(|algorithm| algorithm.key_type() == jwk.kty)?;
    if let Some(name) = jwk.alg.as_deref()
        && Algorithm::from_name(name) != Some(algorithm)
    {
        return None;
    }
    let spki = match algorithm {
        Algorithm::Rs256 => rsa_spki(&octets(jwk.n.as_ref())?, &octets(jwk.e.as_ref())?)?,
        Algorithm::Es256 if jwk.crv.as_deref() == Some("P-256") => {
            p256_spki(&octets(jwk.x.as_ref())?, &octets(jwk.y.as_ref())?)?
        }
        Algorithm::Es256 => return None,
    };
    Some(Key {
        id: jwk.kid.clone(),
        algorithm,
        public: PublicKey::from_spki_der(&spki).ok()?,
    })
}

fn octets(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}

#[derive(Sequence)]
struct RsaAlgorithm {
    oid: ObjectIdentifier,
    parameters: Null,
}

#[derive(Sequence)]
struct EcAlgorithm {
    oid: ObjectIdentifier,
    curve: ObjectIdentifier,
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

#[derive(Sequence)]
struct RsaInfo<'a> {
    algorithm: RsaAlgorithm,
    key: BitStringRef<'a>,
}

#[derive(Sequence)]
struct EcInfo<'a> {
    algorithm: EcAlgorithm,
    key: BitStringRef<'a>,
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key = RsaPublicKey {
        modulus: UintRef::new(modulus).ok()?,
        exponent: UintRef::new(exponent).ok()?,
    };
    let key = key.to_der().ok()?;
    let info = RsaInfo {
        algorithm: RsaAlgorithm {
            oid: RSA_ENCRYPTION,
            parameters: Null,
        },
        key: BitStringRef::from_bytes(&key).ok()?,
    };
    info.to_der().ok()
}

fn p256_spki(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    let point = [&[0x04], x, y].concat();
    let info = EcInfo {
        algorithm: EcAlgorithm {
            oid: EC_PUBLIC_KEY,
            curve: P256,
        },
        key: BitStringRef::from_bytes(&point).ok()?,
    };
    info.to_der().ok()
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Between two attempts to read the keys.
const PATIENCE_SECS: i64 = 5;

/// For how long keys are used that cannot be read again.
const STALE_SECS: i64 = 24 * 60 * 60;

const MAX_KEYS: usize = 64;
