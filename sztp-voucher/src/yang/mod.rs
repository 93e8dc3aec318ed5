//! YANG instance data in JSON (RFC 7951) and XML (RFC 7950), driven by static schema tables.
//!
//! [`decode`] turns bytes of either encoding into the same RFC 7951-shaped [`serde_json::Value`],
//! checked against the schema: names, namespaces, types, duplicates, list keys and sizes.
//! [`encode`] is its inverse. Cross-leaf constraints (`must`, `when`, `choice`, mandatory leaves)
//! belong to the message types that use this module.

mod accessors;
mod base64ish;
mod check;
mod error;
mod json;
mod path;
mod schema;
mod xml;
mod xml_write;

use serde_json::Value;

pub use accessors::Fields;
pub use base64ish::{binary, decode_binary, encode_binary};
pub use check::clean_text;
pub use error::YangError;
pub use schema::{Kind, LeafType, Module, Node};

/// The encoding of a YANG instance document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON, RFC 7951.
    Json,
    /// XML, RFC 7950.
    Xml,
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Xml => "XML",
        })
    }
}

/// What to do with nodes that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownMembers {
    /// Refuse the document (strict YANG validation).
    Refuse,
    /// Keep them in the value, unchecked.
    Keep,
}

/// Limits and policies of [`decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Nodes that the schema does not know.
    pub unknown: UnknownMembers,
    /// Largest document accepted, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting accepted.
    pub max_depth: usize,
    /// Whether white space is accepted within base64, as devices in the field wrap it.
    pub base64_line_breaks: bool,
}

impl Default for Options {
    /// Strict about names and types, 16 MiB, 32 levels, wrapped base64 accepted.
    fn default() -> Self {
        Self {
            unknown: UnknownMembers::Refuse,
            max_bytes: 16 * 1024 * 1024,
            max_depth: 32,
            base64_line_breaks: true,
        }
    }
}

/// Most elements, members and entries of a document; the largest that SZTP has is a report with
/// some host keys.
const MAX_NODES: usize = 100_000;

/// Decodes a document whose top-level nodes are among `top` into an RFC 7951-shaped object.
///
/// Identity references come out as `module:name` and binary leaves without white space, whichever
/// way they were written.
pub fn decode(
    bytes: &[u8],
    encoding: Encoding,
    top: &[&'static Node],
    options: &Options,
) -> Result<Value, YangError> {
    if bytes.len() > options.max_bytes {
        return Err(YangError::TooLarge {
            limit: options.max_bytes,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| YangError::NotUtf8)?;
    match encoding {
        Encoding::Json => json::decode(text, top, options),
        Encoding::Xml => xml::decode(text, top, options),
    }
}

/// Encodes an RFC 7951-shaped object whose top-level nodes are among `top`.
pub fn encode(
    value: &Value,
    encoding: Encoding,
    top: &[&'static Node],
) -> Result<Vec<u8>, YangError> {
    match encoding {
        Encoding::Json => json::encode(value, top),
        Encoding::Xml => xml_write::encode(value, top),
    }
}

/// Encodes an RFC 7951-shaped object without judging it, for values built from typed fields.
///
/// A value that breaks the schema gives a document that [`decode`] refuses.
pub fn encode_unchecked(value: &Value, encoding: Encoding, top: &[&'static Node]) -> Vec<u8> {
    match encoding {
        Encoding::Json => json::write(value),
        Encoding::Xml => xml_write::write(value, top),
    }
}
