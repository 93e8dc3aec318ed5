//! The outermost CMS structure (RFC 5652 §3): what kind of message this is.

use der::Encode;
use der::asn1::ObjectIdentifier;

use crate::ber::{self, Reader};
use crate::error::malformed;
use crate::{CmsError, EnvelopedData, Limits, SignedData, oids};

/// A CMS message by its kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ContentInfo {
    /// Signed, or only certificates.
    SignedData(SignedData),
    /// Encrypted; also AuthEnvelopedData (RFC 5083), which is no SZTP form.
    EnvelopedData(EnvelopedData),
    /// A bare OCTET STRING: how RFC 8572 §3.1 wraps unsigned conveyed information.
    Octets {
        /// What the octets are.
        content_type: ObjectIdentifier,
        /// The octets.
        content: Vec<u8>,
    },
    /// Anything else, by its content type.
    Other(ObjectIdentifier),
}

impl ContentInfo {
    /// Reads a message in DER or BER.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        Self::parse_binary(octets, limits).map_err(|error| explain(octets, error))
    }

    /// Wraps unsigned content (RFC 8572 §3.1); DER.
    pub fn unsigned(content_type: ObjectIdentifier, content: &[u8]) -> Vec<u8> {
        wrap(content_type, &ber::encode(ber::OCTET_STRING, &[content]))
    }

    fn parse_binary(octets: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        let message = ber::definite(octets, limits)?;
        let (content_type, content) = outer(&message)?;
        match content_type {
            oids::ID_SIGNED_DATA => SignedData::read(content, limits).map(Self::SignedData),
            oids::ID_ENVELOPED_DATA => {
                EnvelopedData::read(content, limits).map(Self::EnvelopedData)
            }
            oids::ID_AUTH_ENVELOPED_DATA => {
                EnvelopedData::read_authenticated(content, limits).map(Self::EnvelopedData)
            }
            _ => {
                let mut inner = Reader::new(content);
                match inner.optional(ber::OCTET_STRING, "content")? {
                    Some(octets) if inner.is_empty() => Ok(Self::Octets {
                        content_type,
                        content: octets.body.to_vec(),
                    }),
                    _ => Ok(Self::Other(content_type)),
                }
            }
        }
    }
}

/// The content type of a message with definite lengths, and the octets of its content.
pub(crate) fn outer(message: &[u8]) -> Result<(ObjectIdentifier, &[u8]), CmsError> {
    let mut outer = Reader::new(message);
    let mut fields = Reader::new(outer.expect(ber::SEQUENCE, "ContentInfo")?.body);
    let content_type = oid(&mut fields, "contentType")?;
    let content = fields.expect(ber::CONTEXT_0, "content")?.body;
    fields.finish("ContentInfo")?;
    Ok((content_type, content))
}

/// What was probably meant by octets that are no CMS.
fn explain(octets: &[u8], error: CmsError) -> CmsError {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    if !matches!(error, CmsError::Malformed { .. }) {
        return error;
    }
    if octets.trim_ascii_start().starts_with(b"-----BEGIN ") {
        CmsError::Pem
    } else if octets.windows(3).any(|three| three == REPLACEMENT) {
        CmsError::TextModeDamage
    } else {
        error
    }
}

/// A ContentInfo around encoded content.
pub(crate) fn wrap(content_type: ObjectIdentifier, content: &[u8]) -> Vec<u8> {
    let oid = encode_oid(content_type);
    let explicit = ber::header(ber::CONTEXT_0, content.len());
    ber::encode(ber::SEQUENCE, &[&oid, &explicit, content])
}

pub(crate) fn encode_oid(oid: ObjectIdentifier) -> Vec<u8> {
    ber::encode(ber::OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

pub(crate) fn oid(
    fields: &mut Reader<'_>,
    what: &'static str,
) -> Result<ObjectIdentifier, CmsError> {
    let value = fields.expect(ber::OBJECT_IDENTIFIER, what)?;
    ObjectIdentifier::from_bytes(value.body).map_err(|_| malformed(what))
}

pub(crate) fn encode_der(value: &impl Encode) -> Result<Vec<u8>, CmsError> {
    value
        .to_der()
        .map_err(|_| malformed("a value cannot be encoded"))
}
