//! Where the parts of a certificate are in its octets.

use std::ops::Range;
use std::sync::OnceLock;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::values::{self, Value, Values};
use super::{
    BasicConstraints, CertificateError, KeyUsage, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, name, time,
};
use crate::ber::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
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
        let mut outer = Values::new(sequence_body(der)?);
        let tbs = sequence(&mut outer, "tbsCertificate")?;
        let outer_algorithm = sequence(&mut outer, "signatureAlgorithm")?.raw;
        let signature = outer.expect(BIT_STRING);
        let signature = signature.map(|value| whole_octets(value.body));
        let signature = signature.ok_or_else(|| malformed("signatureValue"))?;
        outer.finish().ok_or_else(|| malformed("signatureValue"))?;

        let mut fields = Values::new(tbs.body);
        let tbs = tbs.raw;
        let version = version(&mut fields)?;
        let serial = fields.expect(INTEGER);
        let serial = serial.ok_or_else(|| malformed("serialNumber"))?.body;
        if serial.is_empty() || serial.len() > MAX_SERIAL_BYTES {
            return Err(malformed("serialNumber"));
        }
        let inner_algorithm = sequence(&mut fields, "signature")?.raw;
        let issuer = sequence(&mut fields, "issuer")?.raw;
        let validity = sequence(&mut fields, "validity")?.body;
        let subject = sequence(&mut fields, "subject")?.raw;
        let spki = sequence(&mut fields, "subjectPublicKeyInfo")?.raw;
        name::check(issuer).ok_or_else(|| malformed("issuer"))?;
        name::check(subject).ok_or_else(|| malformed("subject"))?;
        let (not_before, not_after) = time::validity(validity)?;

        let mut extensions = Vec::new();
        while !fields.is_finished() {
            let field = fields.next().ok_or_else(|| malformed("tbsCertificate"))?;
            match field.tag & !CONSTRUCTED {
                CONTEXT_3 => {
                    extensions.reserve(USUAL_EXTENSIONS);
                    read_extensions(der, field.body, &mut extensions)?;
                    fields.finish().ok_or_else(|| malformed("extensions"))?;
                }
                CONTEXT_1 | CONTEXT_2 => {}
                _ => return Err(malformed("tbsCertificate")),
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

fn version(fields: &mut Values<'_>) -> Result<u8, CertificateError> {
    let bad = || malformed("version");
    if fields.peek().ok_or_else(bad)? & !CONSTRUCTED != CONTEXT_0 {
        return Ok(1);
    }
    let field = fields.next().ok_or_else(bad)?;
    match u8::from_der(field.body).map_err(|_| bad())? {
        number @ 0..=2 => Ok(number + 1),
        _ => Err(bad()),
    }
}

fn sequence<'a>(
    values: &mut Values<'a>,
    what: &'static str,
) -> Result<Value<'a>, CertificateError> {
    values.expect(SEQUENCE).ok_or_else(|| malformed(what))
}

/// Reads Extensions (RFC 5280 §4.1, §5.1) out of `der`.
pub(crate) fn read_extensions(
    der: &[u8],
    content: &[u8],
    list: &mut Vec<ExtensionField>,
) -> Result<(), CertificateError> {
    let bad = || malformed("extensions");
    let mut all = Values::new(sequence_body(content)?);
    while !all.is_finished() {
        let mut fields = Values::new(all.expect(SEQUENCE).ok_or_else(bad)?.body);
        let oid = fields.expect(OBJECT_IDENTIFIER).ok_or_else(bad)?.body;
        let oid = ObjectIdentifier::from_bytes(oid).map_err(|_| bad())?;
        let mut critical = false;
        if fields.peek().ok_or_else(bad)? == BOOLEAN {
            critical = truth(fields.next().ok_or_else(bad)?.body)?;
        }
        let value = fields.expect(OCTET_STRING).ok_or_else(bad)?.body;
        fields.finish().ok_or_else(bad)?;
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
    any(reader, Tag::BitString, "signatureValue").map(|value| whole_octets(value.value()))
}

fn whole_octets(bit_string: &[u8]) -> &[u8] {
    match bit_string {
        [0, octets @ ..] => octets,
        other => &other[..0],
    }
}

/// The content of a `BOOLEAN`: DER says FF, some encoders write 01, and both mean true.
pub(super) fn truth(content: &[u8]) -> Result<bool, CertificateError> {
    match content {
        [octet] => Ok(*octet != 0),
        _ => Err(malformed("BOOLEAN")),
    }
}

/// The content of a SEQUENCE that fills `der`.
pub(crate) fn sequence_body(der: &[u8]) -> Result<&[u8], CertificateError> {
    match values::whole(der) {
        Some(value) if value.tag == SEQUENCE => Ok(value.body),
        _ => Err(malformed("SEQUENCE")),
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

/// As many as most certificates have at most.
const USUAL_EXTENSIONS: usize = 6;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const BIT_STRING: u8 = 0x03;
const CONSTRUCTED: u8 = 0x20;
/// Context-specific tags, of which it is not asked whether they are constructed.
const CONTEXT_0: u8 = 0x80;
const CONTEXT_1: u8 = 0x81;
const CONTEXT_2: u8 = 0x82;
const CONTEXT_3: u8 = 0x83;

/// More than any certificate has use for; each new one is compared with all before it.
const MAX_EXTENSIONS: usize = 128;
