//! Why a YANG instance document was refused.

use sztp_cms::Rule;

use super::Encoding;

/// Why a YANG instance document was refused; `path` says where, as in
/// `/ietf-voucher:voucher/nonce`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum YangError {
    /// Larger than the limit.
    #[error("document is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than the limit.
    #[error("document is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More nodes than the limit: small in bytes but large in memory.
    #[error("document has more than {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// Not UTF-8 (RFC 7951 §3, RFC 8040 §5.2).
    #[error("document is not UTF-8")]
    NotUtf8,
    /// Not well-formed JSON or XML.
    #[error("not well-formed {encoding}: {detail}")]
    Syntax {
        /// The encoding it was read as.
        encoding: Encoding,
        /// What the parser found.
        detail: String,
    },
    /// The XML uses something that instance data has no need of: a DTD, an entity, a processing
    /// instruction.
    #[error("XML {what} is not accepted")]
    ForbiddenXml {
        /// What was found.
        what: &'static str,
    },
    /// A member or single-instance node occurs twice (RFC 7493 §2.3, RFC 7950 §7.6.7).
    #[error("{path} occurs twice")]
    Duplicate {
        /// Where.
        path: String,
    },
    /// Two entries of a list have the same key (RFC 7950 §7.8.2).
    #[error("two entries of {path} have the same key")]
    DuplicateKey {
        /// Where.
        path: String,
    },
    /// A node that the schema does not know.
    #[error("{path} is not a known node")]
    Unknown {
        /// Where.
        path: String,
    },
    /// A known node in the wrong or no namespace (RFC 7951 §4, RFC 7950 §5.3).
    #[error("{path} must be named {expected}")]
    WronglyQualified {
        /// Where.
        path: String,
        /// The right name.
        expected: String,
    },
    /// A value of another type than the schema's.
    #[error("{path} must be {expected}")]
    WrongType {
        /// Where.
        path: String,
        /// What the type demands.
        expected: &'static str,
    },
    /// A value of the right type that is not in its value space.
    #[error("{path} has an invalid value: {reason}")]
    InvalidValue {
        /// Where.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A mandatory node is absent (RFC 7950 §7.6.5, §8.3).
    #[error("{path} is missing")]
    Missing {
        /// Where.
        path: String,
    },
    /// A list or leaf-list has too few entries (RFC 7950 §7.7.5).
    #[error("{path} needs at least {min} entries")]
    TooFew {
        /// Where.
        path: String,
        /// min-elements.
        min: usize,
    },
}

impl YangError {
    /// A stable code for the command line and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "yang.too-large",
            Self::TooDeep { .. } => "yang.too-deep",
            Self::TooManyNodes { .. } => "yang.too-many-nodes",
            Self::NotUtf8 => "yang.not-utf8",
            Self::Syntax { .. } => "yang.malformed",
            Self::ForbiddenXml { .. } => "yang.forbidden-xml",
            Self::Duplicate { .. } => "yang.duplicate",
            Self::DuplicateKey { .. } => "yang.duplicate-key",
            Self::Unknown { .. } => "yang.unknown-node",
            Self::WronglyQualified { .. } => "yang.wrong-namespace",
            Self::WrongType { .. } => "yang.wrong-type",
            Self::InvalidValue { .. } => "yang.invalid-value",
            Self::Missing { .. } => "yang.missing-node",
            Self::TooFew { .. } => "yang.too-few-entries",
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::TooLarge { .. } => Rule::new(8259, "9", "size limit"),
            Self::TooDeep { .. } => Rule::new(8259, "9", "depth limit"),
            Self::TooManyNodes { .. } => Rule::new(8259, "9", "node limit"),
            Self::NotUtf8 => Rule::new(7951, "3", "UTF-8"),
            Self::Syntax {
                encoding: Encoding::Json,
                ..
            } => Rule::new(7951, "3", "JSON"),
            Self::Syntax {
                encoding: Encoding::Xml,
                ..
            }
            | Self::ForbiddenXml { .. } => Rule::new(7950, "5", "XML"),
            Self::Duplicate { .. } => Rule::new(7493, "2.3", "unique names"),
            Self::DuplicateKey { .. } => Rule::new(7950, "7.8.2", "key"),
            Self::Unknown { .. } => Rule::new(7950, "8.3.1", "unknown-element"),
            Self::WronglyQualified { .. } => Rule::new(7951, "4", "namespace"),
            Self::WrongType { .. } => Rule::new(7951, "6", "type"),
            Self::InvalidValue { .. } => Rule::new(7950, "9", "value space"),
            Self::Missing { .. } => Rule::new(7950, "7.6.5", "mandatory"),
            Self::TooFew { .. } => Rule::new(7950, "7.7.5", "min-elements"),
        }
    }

    /// Where in the document, when the error has a place.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Duplicate { path }
            | Self::DuplicateKey { path }
            | Self::Unknown { path }
            | Self::WronglyQualified { path, .. }
            | Self::WrongType { path, .. }
            | Self::InvalidValue { path, .. }
            | Self::Missing { path }
            | Self::TooFew { path, .. } => Some(path),
            _ => None,
        }
    }
}
