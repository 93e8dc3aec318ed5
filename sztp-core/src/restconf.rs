//! What SZTP uses of RESTCONF (RFC 8040): media types, content negotiation, errors, discovery.

mod discovery;
mod media;

use serde_json::{Map, Value, json};
use sztp_voucher::yang::{self, Encoding, Fields, Options, YangError, clean_text};

use crate::csr::CsrRequest;
use crate::rpc::MessageError;
use crate::schema;

pub use discovery::{HOST_META_MEDIA_TYPE, host_meta, restconf_root};
pub use media::{encoding_of, media_type, negotiate};

/// The `errors` document (RFC 8040 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Errors {
    /// Each error.
    pub errors: Vec<RestconfError>,
}

/// One error (RFC 8040 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestconfError {
    /// The layer at which it occurred.
    pub error_type: ErrorType,
    /// What it is; decides the status.
    pub error_tag: ErrorTag,
    /// A tag of the implementation.
    pub app_tag: Option<String>,
    /// The node it is about, as an instance identifier.
    pub path: Option<String>,
    /// In words.
    pub message: Option<String>,
    /// Further nodes with qualified names, such as a `csr-request` (RFC 9646 §2.3).
    pub info: Option<Value>,
}

/// `error-type` (RFC 8040 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// The transport layer.
    Transport,
    /// The RPC or notification layer.
    Rpc,
    /// The protocol operation layer.
    Protocol,
    /// The server application layer.
    Application,
}

macro_rules! error_tags {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => [$($status:literal),+],)*) => {
        /// `error-tag` (RFC 8040 §7, RFC 6241 Appendix A).
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorTag {
            $($(#[$doc])* $variant,)*
            /// A tag outside the table.
            Other(String),
        }

        impl ErrorTag {
            /// The tags of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// The statuses that the tag may go with (RFC 8040 §7), the usual one first.
            pub fn statuses(&self) -> &'static [u16] {
                match self {
                    $(Self::$variant => &[$($status),+],)*
                    Self::Other(_) => &[500],
                }
            }

            fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other(name.to_owned()),
                }
            }
        }
    };
}

error_tags! {
    /// The resource is in use already.
    InUse = "in-use" => [409],
    /// A value that is not acceptable.
    InvalidValue = "invalid-value" => [400, 404, 406],
    /// The request or the response would be too large.
    TooBig = "too-big" => [413, 400],
    /// An expected attribute is missing.
    MissingAttribute = "missing-attribute" => [400],
    /// An attribute's value is not correct.
    BadAttribute = "bad-attribute" => [400],
    /// An unexpected attribute.
    UnknownAttribute = "unknown-attribute" => [400],
    /// An expected element is missing.
    MissingElement = "missing-element" => [400],
    /// An element's value is not correct.
    BadElement = "bad-element" => [400],
    /// An unexpected element.
    UnknownElement = "unknown-element" => [400],
    /// An unexpected namespace.
    UnknownNamespace = "unknown-namespace" => [400],
    /// Authorization failed.
    AccessDenied = "access-denied" => [403, 401],
    /// Another party holds the lock.
    LockDenied = "lock-denied" => [409],
    /// Resources do not suffice.
    ResourceDenied = "resource-denied" => [409],
    /// A rollback failed.
    RollbackFailed = "rollback-failed" => [500],
    /// The data exists already.
    DataExists = "data-exists" => [409],
    /// The data does not exist.
    DataMissing = "data-missing" => [409],
    /// The server does not support the operation.
    OperationNotSupported = "operation-not-supported" => [501, 405],
    /// The operation failed for a reason that no other tag fits.
    OperationFailed = "operation-failed" => [500, 412],
    /// Obsolete: part of the operation failed.
    PartialOperation = "partial-operation" => [500],
    /// The message could not be parsed.
    MalformedMessage = "malformed-message" => [400],
}

impl ErrorTag {
    /// The HTTP status to send it with where nothing more particular is known (RFC 8040 §7).
    pub fn status(&self) -> u16 {
        self.statuses()[0]
    }

    /// The tag for a message that was refused (RFC 7950 §8.3.1, RFC 6241 Appendix A).
    pub fn of_message_error(error: &MessageError) -> Self {
        match error {
            MessageError::Yang(error) => Self::of_yang_error(error),
            MessageError::OwnerCertificateWithoutVoucher
            | MessageError::VoucherWithoutOwnerCertificate => Self::OperationFailed,
            MessageError::NonceLength { .. } => Self::InvalidValue,
            MessageError::SeveralCsrNodes => Self::BadElement,
            MessageError::OnlyWhenComplete { .. } => Self::UnknownElement,
        }
    }

    fn of_yang_error(error: &YangError) -> Self {
        match error {
            YangError::TooLarge { .. } => Self::TooBig,
            YangError::Duplicate { .. } | YangError::DuplicateKey { .. } => Self::BadElement,
            YangError::Unknown { .. } => Self::UnknownElement,
            YangError::WronglyQualified { .. } => Self::UnknownNamespace,
            YangError::WrongType { .. } | YangError::InvalidValue { .. } => Self::InvalidValue,
            YangError::Missing { .. } => Self::MissingElement,
            YangError::TooFew { .. } => Self::OperationFailed,
            _ => Self::MalformedMessage,
        }
    }
}

impl RestconfError {
    /// An error of a type and tag.
    pub fn new(error_type: ErrorType, error_tag: ErrorTag) -> Self {
        Self {
            error_type,
            error_tag,
            app_tag: None,
            path: None,
            message: None,
            info: None,
        }
    }

    /// The same with a message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The request for a CSR (RFC 9646 §2.3): status 400, `missing-attribute`.
    pub fn csr_request(request: &CsrRequest) -> Self {
        Self {
            info: Some(request.to_error_info()),
            ..Self::new(ErrorType::Application, ErrorTag::MissingAttribute)
        }
    }

    /// The `csr-request` that the error carries, if it carries one (RFC 9646 §2.3).
    pub fn requested_csr(&self) -> Option<Result<CsrRequest, MessageError>> {
        let info = self.info.as_ref()?;
        info.get("ietf-sztp-csr:csr-request")?;
        Some(CsrRequest::from_error_info(info))
    }

    fn to_value(&self) -> Value {
        let mut members = Map::new();
        members.insert("error-type".into(), self.error_type.as_str().into());
        members.insert(
            "error-tag".into(),
            clean_text(self.error_tag.as_str()).into(),
        );
        let mut insert = |name: &str, text: &Option<String>| {
            if let Some(text) = text {
                members.insert(name.to_owned(), clean_text(text).into());
            }
        };
        insert("error-app-tag", &self.app_tag);
        insert("error-path", &self.path);
        insert("error-message", &self.message);
        if let Some(info) = &self.info {
            members.insert("error-info".into(), info.clone());
        }
        members.into()
    }
}

impl From<RestconfError> for Errors {
    fn from(error: RestconfError) -> Self {
        Self {
            errors: vec![error],
        }
    }
}

impl Errors {
    /// Decodes an `errors` document.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        let options = Options {
            max_bytes: 1024 * 1024,
            ..Options::default()
        };
        let mut document = yang::decode(bytes, encoding, schema::ERRORS, &options)?;
        let Some(mut fields) = Fields::top(&mut document, ERRORS) else {
            return Err(YangError::Missing {
                path: format!("/{ERRORS}"),
            }
            .into());
        };
        let mut errors = Vec::new();
        for mut entry in fields.list("error") {
            let name = entry.mandatory_string("error-type")?;
            let error_type = ErrorType::from_name(&name);
            errors.push(RestconfError {
                error_type: error_type.ok_or_else(|| entry.missing("error-type"))?,
                error_tag: ErrorTag::from_name(&entry.mandatory_string("error-tag")?),
                app_tag: entry.string("error-app-tag"),
                path: entry.string("error-path"),
                message: entry.string("error-message"),
                info: entry.anydata("error-info"),
            });
        }
        Ok(Self { errors })
    }

    /// Encodes the document.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let errors: Vec<Value> = self.errors.iter().map(RestconfError::to_value).collect();
        let mut document = json!({ ERRORS: {} });
        if !errors.is_empty() {
            document[ERRORS]["error"] = errors.into();
        }
        yang::encode_unchecked(&document, encoding, schema::ERRORS)
    }

    /// The HTTP status of the first error.
    pub fn status(&self) -> u16 {
        self.errors
            .first()
            .map_or(500, |error| error.error_tag.status())
    }
}

impl ErrorType {
    /// The name in the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Rpc => "rpc",
            Self::Protocol => "protocol",
            Self::Application => "application",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [
            Self::Transport,
            Self::Rpc,
            Self::Protocol,
            Self::Application,
        ]
        .into_iter()
        .find(|error_type| error_type.as_str() == name)
    }
}

const ERRORS: &str = "ietf-restconf:errors";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::P10_CSR;

    #[test]
    fn each_error_tag_has_its_status() {
        // LEDGER: 8040-7-01
        let table = [
            ("in-use", 409),
            ("invalid-value", 400),
            ("too-big", 413),
            ("missing-attribute", 400),
            ("bad-attribute", 400),
            ("unknown-attribute", 400),
            ("missing-element", 400),
            ("bad-element", 400),
            ("unknown-element", 400),
            ("unknown-namespace", 400),
            ("access-denied", 403),
            ("lock-denied", 409),
            ("resource-denied", 409),
            ("rollback-failed", 500),
            ("data-exists", 409),
            ("data-missing", 409),
            ("operation-not-supported", 501),
            ("operation-failed", 500),
            ("partial-operation", 500),
            ("malformed-message", 400),
        ];
        let ours: Vec<_> = ErrorTag::ALL
            .iter()
            .map(|tag| (tag.as_str(), tag.status()))
            .collect();
        assert_eq!(ours, table);
        assert_eq!(ErrorTag::AccessDenied.statuses(), [403, 401]);
        assert_eq!(ErrorTag::OperationNotSupported.statuses(), [501, 405]);
    }

    #[test]
    fn errors_survive_both_encodings() {
        // LEDGER: 8040-7.1-02
        let full = RestconfError {
            app_tag: Some("message.nonce-length".to_owned()),
            path: Some("/input/nonce".to_owned()),
            ..RestconfError::new(ErrorType::Rpc, ErrorTag::Other("odd".to_owned()))
                .with_message("a < b")
        };
        let several = Errors {
            errors: vec![full.clone(), full],
        };
        for errors in [Errors::default(), several] {
            for encoding in [Encoding::Json, Encoding::Xml] {
                assert_eq!(
                    Errors::decode(&errors.encode(encoding), encoding),
                    Ok(errors.clone())
                );
            }
        }
    }

    #[test]
    fn a_csr_is_asked_for_in_error_info() {
        // LEDGER: 9646-2.3-02, 8040-7.1-03
        let request = CsrRequest {
            algorithm_identifier: Some(vec![0x30, 0]),
            format: P10_CSR.to_owned(),
            cert_req_info: None,
        };
        let errors = Errors::from(RestconfError::csr_request(&request));
        assert_eq!(errors.status(), 400);
        for encoding in [Encoding::Json, Encoding::Xml] {
            let decoded = Errors::decode(&errors.encode(encoding), encoding).expect("our own");
            assert_eq!(decoded.errors[0].error_tag, ErrorTag::MissingAttribute);
            assert_eq!(decoded.errors[0].requested_csr(), Some(Ok(request.clone())));
        }
        assert_eq!(
            RestconfError::new(ErrorType::Rpc, ErrorTag::TooBig).requested_csr(),
            None
        );
    }

    #[test]
    fn unknown_error_info_is_carried() {
        let xml = b"<errors xmlns='urn:ietf:params:xml:ns:yang:ietf-restconf'><error>\
            <error-type>rpc</error-type><error-tag>too-big</error-tag>\
            <error-info><x xmlns='urn:x'><y>1</y></x></error-info></error></errors>";
        let errors = Errors::decode(xml, Encoding::Xml).expect("legal");
        assert_eq!(
            errors.errors[0].info,
            Some(json!({ "urn:x:x": { "y": "1" } }))
        );
    }
}
