//! Where the parts of a certificate are in its octets.

use std::ops::Range;
use std::sync::OnceLock;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::{
    BasicConstraints, CertificateError, KeyUsage, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, name, time,
};
use crate::{KeyError, PublicKey, UnixTime};

/// Where the parts are in `der`.
pub(super) struct Fields {
    pub(crate) der: Vec<u8>,
    pub(crate) version: u8,
    pub(crate) tbs: Range<usize>,
    pub(crate) serial: Range<usize>,
    pub(crate) inner_algorithm: Range<usize>,
    pub(crate) outer_algorithm: Range<usize>,
    pub(crate) issuer: Range<usize>,
    pub(crate) subject: Range<usize>,
    pub(crate) spki: Range<usize>,
    pub(crate) signature: Range<usize>,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) extensions: Vec<ExtensionField>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    /// Made when first asked for: few certificates of a bag have their names compared or their
    /// key used.
    pub(super) canonical_subject: OnceLock<Vec<u8>>,
    pub(super) canonical_issuer: OnceLock<Vec<u8>>,
    pub(super) public_key: OnceLock<Result<PublicKey, KeyError>>,
}

pub(crate) struct ExtensionField {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: Range<usize>,
}

impl Fields {
    pub(super) fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let at = |part: &[u8]| range_in(der, part);
        let body = sequence_body(der)?;
        let mut outer = reader(body, "certificate")?;
        let tbs = tlv(&mut outer, Tag::Sequence, "tbsCertificate")?;
        let outer_algorithm = tlv(&mut outer, Tag::Sequence, "signatureAlgorithm")?;
        let signature = signature_octets(&mut outer)?;
        outer.finish().map_err(|_| malformed("signatureValue"))?;

        let mut fields = reader(sequence_body(tbs)?, "tbsCertificate")?;
        let version = version(&mut fields)?;
        let serial = any(&mut fields, Tag::Integer, "serialNumber")?.value();
        if serial.is_empty() || serial.len() > MAX_SERIAL_BYTES {
            return Err(malformed("serialNumber"));
        }
        let inner_algorithm = tlv(&mut fields, Tag::Sequence, "signature")?;
        let issuer = tlv(&mut fields, Tag::Sequence, "issuer")?;
        let validity = tlv(&mut fields, Tag::Sequence, "validity")?;
        let subject = tlv(&mut fields, Tag::Sequence, "subject")?;
        let spki = tlv(&mut fields, Tag::Sequence, "subjectPublicKeyInfo")?;
        name::check(issuer).map_err(|()| malformed("issuer"))?;
        name::check(subject).map_err(|()| malformed("subject"))?;
        let (not_before, not_after) = time::validity(sequence_body(validity)?)?;

        let mut extensions = Vec::new();
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields).map_err(|_| malformed("tbsCertificate"))?;
            if is_context(field.tag(), 3) {
                read_extensions(der, field.value(), &mut extensions)?;
                fields.finish().map_err(|_| malformed("extensions"))?;
                break;
            } else if !is_context(field.tag(), 1) && !is_context(field.tag(), 2) {
                return Err(malformed("tbsCertificate"));
            }
        }
        // Only version 3 has extensions (RFC 5280 §4.1.2.9).
        if version < 3 && !extensions.is_empty() {
            return Err(malformed("version"));
        }
        let value_of = |oid| {
            extensions
                .iter()
                .find(|e| e.oid == oid)
                .map(|e| &der[e.value.clone()])
        };
        let key_usage = value_of(OID_KEY_USAGE)
            .map(KeyUsage::from_der)
            .transpose()?;
        let basic_constraints = value_of(OID_BASIC_CONSTRAINTS)
            .map(BasicConstraints::from_der)
            .transpose()?;
        Ok(Self {
            version,
            tbs: at(tbs),
            serial: at(serial),
            inner_algorithm: at(inner_algorithm),
            outer_algorithm: at(outer_algorithm),
            issuer: at(issuer),
            subject: at(subject),
            spki: at(spki),
            signature: at(signature),
            not_before,
            not_after,
            extensions,
            key_usage,
            basic_constraints,
            canonical_subject: OnceLock::new(),
            canonical_issuer: OnceLock::new(),
            public_key: OnceLock::new(),
            der: der.to_vec(),
        })
    }

    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.der[range.clone()]
    }
}

fn version(fields: &mut SliceReader<'_>) -> Result<u8, CertificateError> {
    let bad = |_| malformed("version");
    if !is_context(Tag::peek(fields).map_err(bad)?, 0) {
        return Ok(1);
    }
    let field = AnyRef::decode(fields).map_err(bad)?;
    match u8::from_der(field.value()).map_err(bad)? {
        number @ 0..=2 => Ok(number + 1),
        _ => Err(malformed("version")),
    }
}

/// Reads Extensions (RFC 5280 §4.1, §5.1) out of `der`.
pub(crate) fn read_extensions(
    der: &[u8],
    content: &[u8],
    list: &mut Vec<ExtensionField>,
) -> Result<(), CertificateError> {
    let bad = |_| malformed("extensions");
    let mut all = reader(sequence_body(content)?, "extensions")?;
    while !all.is_finished() {
        let one = any(&mut all, Tag::Sequence, "extensions")?;
        let mut fields = reader(one.value(), "extensions")?;
        let oid = ObjectIdentifier::decode(&mut fields).map_err(bad)?;
        let mut critical = false;
        if Tag::peek(&fields).map_err(bad)? == Tag::Boolean {
            critical = boolean(AnyRef::decode(&mut fields).map_err(bad)?)?;
        }
        let value = any(&mut fields, Tag::OctetString, "extensions")?.value();
        fields.finish().map_err(bad)?;
        if list.len() >= MAX_EXTENSIONS {
            return Err(malformed("extensions"));
        }
        if list.iter().any(|known| known.oid == oid) {
            return Err(CertificateError::DuplicateExtension(oid));
        }
        list.push(ExtensionField {
            oid,
            critical,
            value: range_in(der, value),
        });
    }
    Ok(())
}

/// The octets of signatureValue. One that is not made of whole octets is no signature, but whoever
/// does not need it verified need not mind.
pub(crate) fn signature_octets<'a>(
    reader: &mut SliceReader<'a>,
) -> Result<&'a [u8], CertificateError> {
    match any(reader, Tag::BitString, "signatureValue")?.value() {
        [0, octets @ ..] => Ok(octets),
        other => Ok(&other[..0]),
    }
}

/// A `BOOLEAN`: DER says FF, some encoders write 01, and both mean true.
pub(crate) fn boolean(value: AnyRef<'_>) -> Result<bool, CertificateError> {
    match value.value() {
        [octet] => Ok(*octet != 0),
        _ => Err(malformed("BOOLEAN")),
    }
}

/// The content of a SEQUENCE that fills `der`.
pub(crate) fn sequence_body(der: &[u8]) -> Result<&[u8], CertificateError> {
    let value = AnyRef::from_der(der).map_err(|_| malformed("SEQUENCE"))?;
    if value.tag() == Tag::Sequence {
        Ok(value.value())
    } else {
        Err(malformed("SEQUENCE"))
    }
}

/// Whether `tag` is context-specific with this number, primitive or constructed.
pub(crate) fn is_context(tag: Tag, wanted: u32) -> bool {
    matches!(tag, Tag::ContextSpecific { number, .. } if number == TagNumber(wanted))
}

pub(crate) fn reader<'a>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<SliceReader<'a>, CertificateError> {
    SliceReader::new(bytes).map_err(|_| malformed(what))
}

pub(crate) fn any<'a>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
    what: &'static str,
) -> Result<AnyRef<'a>, CertificateError> {
    let value = AnyRef::decode(reader).map_err(|_| malformed(what))?;
    if value.tag() == tag {
        Ok(value)
    } else {
        Err(malformed(what))
    }
}

pub(crate) fn tlv<'a>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
    what: &'static str,
) -> Result<&'a [u8], CertificateError> {
    if Tag::peek(reader).map_err(|_| malformed(what))? != tag {
        return Err(malformed(what));
    }
    reader.tlv_bytes().map_err(|_| malformed(what))
}

/// Where `part`, a sub-slice of `whole`, lies in it.
pub(crate) fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

pub(crate) fn malformed(what: &'static str) -> CertificateError {
    CertificateError::Malformed { what }
}

const MAX_SERIAL_BYTES: usize = 64;

/// More than any certificate has use for; each new one is compared with all before it.
const MAX_EXTENSIONS: usize = 128;
