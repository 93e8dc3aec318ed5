//! JWS messages in the general JSON serialization (RFC 7515 §7.2.1): read and written.
//!
//! The octets that were signed are kept as they were received, never encoded again.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sztp_cms::Certificate;

use super::algorithm::Algorithm;
use super::{JwsError, MEDIA_TYPE};
use crate::Profile;

/// A well-formed message; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub(super) struct Message {
    payload_text: String,
    pub(super) payload: Vec<u8>,
    pub(super) signatures: Vec<Signature>,
    pub(super) notes: Vec<String>,
}

/// One signature and what its protected header says.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    protected_text: String,
    pub(super) algorithm: Algorithm,
    pub(super) certificates: Vec<Certificate>,
    pub(super) octets: Vec<u8>,
}

impl Message {
    pub(super) fn parse(octets: &[u8], profile: Profile) -> Result<Self, JwsError> {
        if octets.len() > MAX_BYTES {
            return Err(JwsError::TooLarge {
                what: "octets",
                limit: MAX_BYTES,
            });
        }
        let general: General = serde_json::from_slice(octets)
            .map_err(|_| malformed("members payload and signatures"))?;
        if general.signatures.len() > MAX_SIGNATURES {
            return Err(JwsError::TooLarge {
                what: "signatures",
                limit: MAX_SIGNATURES,
            });
        }
        let mut notes = Vec::new();
        let signatures = general
            .signatures
            .into_iter()
            .map(|one| Signature::read(one, profile, &mut notes))
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() {
            return Err(JwsError::NoSigner);
        }
        Ok(Self {
            payload: decode(&general.payload, "payload")?,
            payload_text: general.payload,
            signatures,
            notes,
        })
    }

    /// Those of the first signature.
    pub(super) fn certificates(&self) -> &[Certificate] {
        let first = self.signatures.first();
        first.map_or(&[], |signature| &signature.certificates)
    }

    /// What was signed (RFC 7515 §5.1).
    pub(super) fn signing_input(&self, signature: &Signature) -> Vec<u8> {
        signing_input(&signature.protected_text, &self.payload_text)
    }
}

impl Signature {
    fn read(
        one: GeneralSignature,
        profile: Profile,
        notes: &mut Vec<String>,
    ) -> Result<Self, JwsError> {
        let header: Header = serde_json::from_slice(&decode(&one.protected, "protected")?)
            .map_err(|_| malformed("protected header"))?;
        if header.crit.is_some() {
            return Err(JwsError::Critical);
        }
        if one.header.is_some() {
            notes.push("the JWS has an unprotected header, which was ignored".to_owned());
        }
        check_type(header.typ.as_deref(), profile, notes)?;
        let algorithm = Algorithm::from_name(&header.alg).ok_or_else(|| JwsError::Algorithm {
            found: shortened(&header.alg),
        })?;
        let texts = header.x5c.unwrap_or_default();
        if texts.len() > MAX_CERTIFICATES {
            return Err(JwsError::TooLarge {
                what: "certificates",
                limit: MAX_CERTIFICATES,
            });
        }
        let mut certificates = Vec::with_capacity(texts.len());
        for text in texts {
            // RFC 7515 §4.1.6: base64, where all else is base64url.
            let der = STANDARD.decode(text).map_err(|_| malformed("x5c"))?;
            certificates.push(Certificate::from_der(&der).map_err(JwsError::Certificate)?);
        }
        if certificates.is_empty() {
            notes.push("the JWS holds no certificates (x5c)".to_owned());
        }
        Ok(Self {
            algorithm,
            certificates,
            octets: decode(&one.signature, "signature")?,
            protected_text: one.protected,
        })
    }
}

/// Writes a message with one signature, which `sign` makes.
pub(super) fn write(
    header: &Header,
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, JwsError>,
) -> Result<String, JwsError> {
    let header = serde_json::to_vec(header).map_err(|_| malformed("protected header"))?;
    let protected = URL_SAFE_NO_PAD.encode(header);
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let signature = sign(&signing_input(&protected, &payload))?;
    let general = General {
        payload,
        signatures: vec![GeneralSignature {
            protected,
            header: None,
            signature: URL_SAFE_NO_PAD.encode(signature),
        }],
    };
    serde_json::to_string(&general).map_err(|_| malformed("signatures"))
}

/// RFC 7515 §7.2.1. Members that are not understood are ignored, as it demands; known ones occur
/// once.
#[derive(Serialize, Deserialize)]
struct General {
    payload: String,
    signatures: Vec<GeneralSignature>,
}

#[derive(Serialize, Deserialize)]
struct GeneralSignature {
    protected: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Value>,
    signature: String,
}

/// The protected header (RFC 7515 §4.1).
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<Value>,
}

impl Header {
    pub(super) fn new<'a>(
        algorithm: Algorithm,
        certificates: impl Iterator<Item = &'a Certificate>,
    ) -> Self {
        let x5c = certificates.map(|one| STANDARD.encode(one.as_der()));
        Self {
            alg: algorithm.name().to_owned(),
            typ: Some(TYPE.to_owned()),
            x5c: Some(x5c.collect()),
            crit: None,
        }
    }
}

/// The type may be absent; what is left out of it is "application/" (RFC 7515 §4.1.9).
fn check_type(
    found: Option<&str>,
    profile: Profile,
    notes: &mut Vec<String>,
) -> Result<(), JwsError> {
    match (found, profile) {
        (None | Some(TYPE | MEDIA_TYPE), _) => Ok(()),
        (Some(other), Profile::Rfc8366) => Err(JwsError::WrongType {
            found: shortened(other),
        }),
        (Some(other), Profile::Rfc8366bis) => {
            let found = shortened(other);
            notes.push(format!(
                "the JWS has type {found:?}, not voucher-jws+json; its content says what it is"
            ));
            Ok(())
        }
    }
}

fn signing_input(protected: &str, payload: &str) -> Vec<u8> {
    [protected.as_bytes(), b".", payload.as_bytes()].concat()
}

fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(what))
}

const fn malformed(what: &'static str) -> JwsError {
    JwsError::Malformed { what }
}

/// Outside text as it may stand in an error: short and without control characters.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

const TYPE: &str = "voucher-jws+json";
/// As for CMS vouchers, a third more for base64.
const MAX_BYTES: usize = 1024 * 1024 / 3 * 4;
const MAX_SIGNATURES: usize = 8;
const MAX_CERTIFICATES: usize = 32;
