//! Certificate signing requests within bootstrapping (RFC 9646 §3): what a device can do, and what
//! a server asks for.

use der::asn1::AnyRef;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use serde_json::{Map, Value, json};
use sztp_cms::{KeyType, Rule};
use sztp_voucher::yang::{self, Encoding, Fields, Options, YangError, encode_binary};

use crate::rpc::MessageError;
use crate::schema;

/// `csr-support` (RFC 9646 §3.2): the CSRs that a device can make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsrSupport {
    /// DER AlgorithmIdentifiers of the keys it can generate; none: it can only use the key it has.
    pub algorithm_identifiers: Vec<Vec<u8>>,
    /// Formats, at least one, each with its module name as in [`P10_CSR`].
    pub formats: Vec<String>,
}

/// `csr-request` (RFC 9646 §3.2): the CSR that a server wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrRequest {
    /// DER AlgorithmIdentifier of a key to be generated; absent: the existing key is meant.
    pub algorithm_identifier: Option<Vec<u8>>,
    /// The format, with its module name as in [`P10_CSR`].
    pub format: String,
    /// DER CertificationRequestInfo to be signed as it is.
    pub cert_req_info: Option<Vec<u8>>,
}

impl CsrRequest {
    /// Decodes a `csr-request` document.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        let options = Options::default();
        let document = yang::decode(bytes, encoding, &[&schema::CSR_REQUEST], &options)?;
        Self::from_error_info(&document)
    }

    /// Reads it from the `error-info` of a decoded RESTCONF error (RFC 9646 §2.3).
    pub fn from_error_info(info: &Value) -> Result<Self, MessageError> {
        let mut info = info.clone();
        let Some(mut fields) = Fields::top(&mut info, CSR_REQUEST) else {
            return Err(YangError::Missing {
                path: format!("/{CSR_REQUEST}"),
            }
            .into());
        };
        let algorithm_identifier = match fields.container("key-generation") {
            None => None,
            Some(mut generation) => {
                let selected = generation.container("selected-algorithm");
                let mut selected =
                    selected.ok_or_else(|| generation.missing("selected-algorithm"))?;
                Some(selected.mandatory_binary("algorithm-identifier")?)
            }
        };
        let generation = fields.container("csr-generation");
        let mut generation = generation.ok_or_else(|| fields.missing("csr-generation"))?;
        let selected = generation.container("selected-format");
        let mut selected = selected.ok_or_else(|| generation.missing("selected-format"))?;
        let format = selected.mandatory_string("format-identifier")?;
        check_format(&format, || selected.path_of("format-identifier"))?;
        Ok(Self {
            algorithm_identifier,
            format,
            cert_req_info: fields.binary("cert-req-info"),
        })
    }

    /// The content of a RESTCONF error's `error-info` (RFC 9646 §2.3).
    pub fn to_error_info(&self) -> Value {
        let mut members = Map::new();
        if let Some(algorithm) = &self.algorithm_identifier {
            let selected = json!({ "algorithm-identifier": encode_binary(algorithm) });
            members.insert(
                "key-generation".into(),
                json!({ "selected-algorithm": selected }),
            );
        }
        let selected = json!({ "format-identifier": self.format });
        members.insert(
            "csr-generation".into(),
            json!({ "selected-format": selected }),
        );
        if let Some(info) = &self.cert_req_info {
            members.insert("cert-req-info".into(), encode_binary(info).into());
        }
        json!({ CSR_REQUEST: members })
    }

    /// Encodes a `csr-request` document.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        yang::encode_unchecked(&self.to_error_info(), encoding, &[&schema::CSR_REQUEST])
    }

    /// Whether a device that can do `support` can fulfil it (RFC 9646 §3.2).
    pub fn is_supported_by(&self, support: &CsrSupport) -> bool {
        self.check_offered(support).is_ok()
    }

    /// What a device that offered `support` has against it (RFC 9646 §3.2).
    pub fn check(&self, support: &CsrSupport) -> Result<(), CsrError> {
        self.check_offered(support)?;
        let Some(info) = &self.cert_req_info else {
            return Ok(());
        };
        let found = key_algorithm(info).map_err(|_| CsrError::MalformedRequestInfo)?;
        match &self.algorithm_identifier {
            Some(selected) if *selected != found => Err(CsrError::AlgorithmMismatch),
            _ => Ok(()),
        }
    }

    fn check_offered(&self, support: &CsrSupport) -> Result<(), CsrError> {
        if !support.formats.contains(&self.format) {
            let format = self.format.clone();
            return Err(CsrError::FormatNotOffered { format });
        }
        match &self.algorithm_identifier {
            Some(selected) if !support.algorithm_identifiers.contains(selected) => {
                Err(CsrError::AlgorithmNotOffered)
            }
            _ => Ok(()),
        }
    }
}

/// Why a device does not do what a `csr-request` asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// A format that the device did not offer.
    #[error("{format} was not offered")]
    FormatNotOffered {
        /// The format.
        format: String,
    },
    /// A kind of key that the device did not offer to generate.
    #[error("a key of a kind that was not offered")]
    AlgorithmNotOffered,
    /// The given certification request information is none.
    #[error("cert-req-info is no CertificationRequestInfo")]
    MalformedRequestInfo,
    /// The given certification request information is for another kind of key than the selected one.
    #[error("cert-req-info is for another kind of key than selected-algorithm")]
    AlgorithmMismatch,
    /// The server asks again and again.
    #[error("the server asked for too many requests")]
    TooManyRequests,
    /// The device could not make it.
    #[error("{reason}")]
    NotMade {
        /// Why, for people.
        reason: String,
    },
    /// A key that has become useless could not be deleted.
    #[error("a useless key was not deleted: {reason}")]
    KeyNotDiscarded {
        /// Why, for people.
        reason: String,
    },
}

impl CsrError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FormatNotOffered { .. } => "csr.format-not-offered",
            Self::AlgorithmNotOffered => "csr.algorithm-not-offered",
            Self::MalformedRequestInfo => "csr.malformed-request-info",
            Self::AlgorithmMismatch => "csr.algorithm-mismatch",
            Self::TooManyRequests => "csr.too-many-requests",
            Self::NotMade { .. } => "csr.not-made",
            Self::KeyNotDiscarded { .. } => "csr.key-not-discarded",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::FormatNotOffered { .. } => Rule::new(9646, "3.2", "selected-format"),
            Self::AlgorithmNotOffered => Rule::new(9646, "3.2", "selected-algorithm"),
            Self::MalformedRequestInfo | Self::AlgorithmMismatch => {
                Rule::new(9646, "3.2", "cert-req-info")
            }
            Self::TooManyRequests | Self::NotMade { .. } | Self::KeyNotDiscarded { .. } => {
                Rule::new(9646, "2.3", "csr-request")
            }
        }
    }
}

impl CsrSupport {
    pub(crate) fn from_fields(mut fields: Fields) -> Result<Self, MessageError> {
        let algorithm_identifiers = match fields.container("key-generation") {
            None => Vec::new(),
            Some(mut generation) => {
                // min-elements holds although the containers around it may be left out.
                let supported = generation.container("supported-algorithms");
                let mut supported =
                    supported.ok_or_else(|| generation.missing("supported-algorithms"))?;
                supported.binaries("algorithm-identifier")
            }
        };
        let generation = fields.container("csr-generation");
        let mut generation = generation.ok_or_else(|| fields.missing("csr-generation"))?;
        let supported = generation.container("supported-formats");
        let mut supported = supported.ok_or_else(|| generation.missing("supported-formats"))?;
        let formats = supported.strings("format-identifier");
        for format in &formats {
            check_format(format, || supported.path_of("format-identifier"))?;
        }
        Ok(Self {
            algorithm_identifiers,
            formats,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut members = Map::new();
        if !self.algorithm_identifiers.is_empty() {
            let algorithms: Vec<String> = self
                .algorithm_identifiers
                .iter()
                .map(|der| encode_binary(der))
                .collect();
            let supported = json!({ "algorithm-identifier": algorithms });
            members.insert(
                "key-generation".into(),
                json!({ "supported-algorithms": supported }),
            );
        }
        let supported = json!({ "format-identifier": self.formats });
        members.insert(
            "csr-generation".into(),
            json!({ "supported-formats": supported }),
        );
        members.into()
    }
}

/// PKCS#10 (RFC 2986).
pub const P10_CSR: &str = "ietf-ztp-types:p10-csr";
/// CMP (RFC 4210).
pub const CMP_CSR: &str = "ietf-ztp-types:cmp-csr";
/// CMC (RFC 5272).
pub const CMC_CSR: &str = "ietf-ztp-types:cmc-csr";

/// The DER AlgorithmIdentifier by which a device offers to generate a key of this kind
/// ([`CsrSupport::algorithm_identifiers`]); none: such a key has none that tells it from others.
pub fn algorithm_of(key_type: KeyType) -> Option<&'static [u8]> {
    let mut known = ALGORITHMS.iter();
    known.find_map(|(known, der)| (*known == key_type).then_some(*der))
}

/// The kind of key that a DER AlgorithmIdentifier asks for ([`CsrRequest::algorithm_identifier`]).
pub fn key_type_of(algorithm_identifier: &[u8]) -> Option<KeyType> {
    let mut known = ALGORITHMS.iter();
    known.find_map(|(key_type, known)| (*known == algorithm_identifier).then_some(*key_type))
}

/// The DER AlgorithmIdentifier of a key, given as SubjectPublicKeyInfo, to compare with what a request
/// asks for; none: malformed.
pub fn key_algorithm_of(spki: &[u8]) -> Option<Vec<u8>> {
    let mut outer = SliceReader::new(spki).ok()?;
    spki_algorithm(&mut outer).ok()
}

/// RFC 5480 §2.1.1, RFC 8410 §3, RFC 3279 §2.3.1. That of RSA says nothing of the size, which is the
/// device's to choose.
const ALGORITHMS: [(KeyType, &[u8]); 5] = [
    (
        KeyType::EcP256,
        &[
            0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
            0x3d, 3, 1, 7,
        ],
    ),
    (
        KeyType::EcP384,
        &[
            0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22,
        ],
    ),
    (
        KeyType::EcP521,
        &[
            0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23,
        ],
    ),
    (KeyType::Ed25519, &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70]),
    (
        KeyType::Rsa3072,
        &[
            0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
        ],
    ),
];

const CSR_REQUEST: &str = "ietf-sztp-csr:csr-request";

/// The AlgorithmIdentifier of the key in a CertificationRequestInfo (RFC 2986 §4.1).
fn key_algorithm(info: &[u8]) -> Result<Vec<u8>, der::Error> {
    let mut outer = SliceReader::new(info)?;
    let found = outer.sequence(|info| {
        let _version = u8::decode(info)?;
        let _subject = AnyRef::decode(info)?;
        let algorithm = spki_algorithm(info)?;
        while !info.is_finished() {
            let _attributes = AnyRef::decode(info)?;
        }
        Ok::<_, der::Error>(algorithm)
    })?;
    outer.finish()?;
    Ok(found)
}

fn spki_algorithm(reader: &mut SliceReader<'_>) -> Result<Vec<u8>, der::Error> {
    reader.sequence(|key| {
        let algorithm = AnyRef::decode(key)?.to_der()?;
        let _key = der::asn1::BitStringRef::decode(key)?;
        Ok::<_, der::Error>(algorithm)
    })
}

fn check_format(format: &str, path: impl Fn() -> String) -> Result<(), YangError> {
    if [P10_CSR, CMP_CSR, CMC_CSR].contains(&format) {
        return Ok(());
    }
    let reason = format!("{format:?} is not a certificate request format");
    Err(YangError::InvalidValue {
        path: path(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::GetBootstrappingDataInput;

    fn request(algorithm: Option<&[u8]>, format: &str) -> CsrRequest {
        CsrRequest {
            algorithm_identifier: algorithm.map(<[u8]>::to_vec),
            format: format.to_owned(),
            cert_req_info: None,
        }
    }

    fn support(members: &str) -> Result<GetBootstrappingDataInput, MessageError> {
        let text = format!(
            "{{\"ietf-sztp-bootstrap-server:input\":{{\"ietf-sztp-csr:csr-support\":{{{members}}}}}}}"
        );
        GetBootstrappingDataInput::decode(text.as_bytes(), Encoding::Json)
    }

    #[test]
    fn keys_are_offered_as_their_certificates_name_them() {
        use sztp_cms::{CertificationRequestBuilder, Signer as _, SigningKey};
        for (key_type, der) in ALGORITHMS {
            assert_eq!(algorithm_of(key_type), Some(der));
            assert_eq!(key_type_of(der), Some(key_type));
            let key = SigningKey::generate(key_type).unwrap();
            let request = CertificationRequestBuilder::new("CN=x").unwrap();
            let request = request.sign(&key).unwrap();
            let info = SliceReader::new(&request)
                .unwrap()
                .sequence(|request| {
                    let info = AnyRef::decode(request)?.to_der()?;
                    AnyRef::decode(request)?;
                    AnyRef::decode(request)?;
                    Ok::<_, der::Error>(info)
                })
                .unwrap();
            assert_eq!(key_algorithm(&info).as_deref(), Ok(der));
            assert_eq!(key_algorithm_of(key.spki_der()).as_deref(), Some(der));
        }
        assert_eq!(algorithm_of(KeyType::Rsa2048), None);
        assert_eq!(key_type_of(&[0x30, 0]), None);
    }

    #[test]
    fn lists_of_what_is_supported_are_not_empty() {
        let formats = r#""csr-generation":{"supported-formats":{"format-identifier":[
            "ietf-ztp-types:p10-csr"]}}"#;
        assert!(support(formats).is_ok());
        // LEDGER: 9646-3.2-01
        for keys in [
            "{}",
            r#"{"supported-algorithms":{}}"#,
            r#"{"supported-algorithms":{"algorithm-identifier":[]}}"#,
        ] {
            assert!(
                support(&format!(r#""key-generation":{keys},{formats}"#)).is_err(),
                "{keys}"
            );
        }
        // LEDGER: 9646-3.2-03
        for formats in [
            "",
            r#""csr-generation":{}"#,
            r#""csr-generation":{"supported-formats":{"format-identifier":[]}}"#,
            r#""csr-generation":{"supported-formats":{"format-identifier":["p10-csr"]}}"#,
            r#""csr-generation":{"supported-formats":{"format-identifier":["ietf-ztp-types:x"]}}"#,
        ] {
            assert!(support(formats).is_err(), "{formats}");
        }
    }

    #[test]
    fn a_request_asks_only_for_what_was_offered() {
        let offered = CsrSupport {
            algorithm_identifiers: vec![vec![0x30, 0]],
            formats: vec![P10_CSR.to_owned()],
        };
        assert!(request(None, P10_CSR).is_supported_by(&offered));
        // LEDGER: 9646-3.2-04
        let existing_only = CsrSupport {
            algorithm_identifiers: Vec::new(),
            ..offered.clone()
        };
        assert!(!request(Some(&[0x30, 0]), P10_CSR).is_supported_by(&existing_only));
        // LEDGER: 9646-3.2-05
        assert!(request(Some(&[0x30, 0]), P10_CSR).is_supported_by(&offered));
        assert!(!request(Some(&[0x30, 1]), P10_CSR).is_supported_by(&offered));
        // LEDGER: 9646-3.2-06
        assert!(!request(None, CMP_CSR).is_supported_by(&offered));
    }

    #[test]
    fn a_request_survives_both_encodings() {
        let mut full = request(Some(&[0x30, 0]), CMC_CSR);
        full.cert_req_info = Some(vec![1, 2, 3]);
        for request in [full, request(None, P10_CSR)] {
            for encoding in [Encoding::Json, Encoding::Xml] {
                let bytes = request.encode(encoding);
                assert_eq!(CsrRequest::decode(&bytes, encoding), Ok(request.clone()));
            }
        }
    }
}
