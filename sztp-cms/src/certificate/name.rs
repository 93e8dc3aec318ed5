//! Distinguished names: the text form of RFC 4514 and the comparison of RFC 5280 §7.1.

use std::fmt::Write;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
pub(crate) const EMAIL_ADDRESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// One attribute of a name.
pub(crate) struct Attribute<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) value: AnyRef<'a>,
}

/// Whether `der` has the shape of a Name.
pub(crate) fn check(der: &[u8]) -> Result<(), ()> {
    parse(der).map(|_| ()).ok_or(())
}

/// The most attributes of a name: comparing two names takes the square of it.
const MAX_ATTRIBUTES: usize = 64;

/// The relative distinguished names of `der` in order of encoding.
pub(crate) fn parse(der: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let name = AnyRef::from_der(der).ok()?;
    if name.tag() != Tag::Sequence {
        return None;
    }
    let mut names = Vec::new();
    let mut left = MAX_ATTRIBUTES;
    for set in children(name.value())? {
        let mut attributes = Vec::new();
        if set.tag() != Tag::Set {
            return None;
        }
        for pair in children(set.value())? {
            left = left.checked_sub(1)?;
            let mut reader = SliceReader::new(pair.value()).ok()?;
            let oid = ObjectIdentifier::decode(&mut reader).ok()?;
            let value = AnyRef::decode(&mut reader).ok()?;
            reader.finish().ok()?;
            attributes.push(Attribute { oid, value });
        }
        names.push(attributes);
    }
    Some(names)
}

/// The first value of one attribute type.
pub(crate) fn attribute(der: &[u8], oid: ObjectIdentifier) -> Option<String> {
    parse(der)?
        .into_iter()
        .flatten()
        .find(|a| a.oid == oid)
        .and_then(|a| text(a.value))
}

/// All values of one attribute type.
pub(crate) fn attributes(der: &[u8], oid: ObjectIdentifier) -> Vec<String> {
    let all = parse(der).unwrap_or_default().into_iter().flatten();
    all.filter(|a| a.oid == oid)
        .filter_map(|a| text(a.value))
        .collect()
}

/// The name as text, last relative name first (RFC 4514 §2.1).
pub(crate) fn to_text(der: &[u8]) -> String {
    let names = parse(der).unwrap_or_default();
    let parts = names.iter().rev().map(|attributes| {
        let pairs = attributes
            .iter()
            .map(|a| format!("{}={}", label(a.oid), escaped(a.value)));
        pairs.collect::<Vec<_>>().join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Whether two names are the same, case and white space of strings aside (RFC 5280 §7.1).
pub(crate) fn matches(left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    match (parse(left), parse(right)) {
        (Some(left), Some(right)) => left.len() == right.len() && starts_with(&left, &right),
        _ => false,
    }
}

/// Whether the directory name `subtree` is an initial part of `name` (RFC 5280 §4.2.1.10).
pub(crate) fn is_within(name: &[u8], subtree: &[u8]) -> Option<bool> {
    Some(starts_with(&parse(name)?, &parse(subtree)?))
}

fn starts_with(name: &[Vec<Attribute<'_>>], prefix: &[Vec<Attribute<'_>>]) -> bool {
    name.len() >= prefix.len()
        && name.iter().zip(prefix).all(|(left, right)| {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|l| right.iter().any(|r| attributes_match(l, r)))
        })
}

fn attributes_match(left: &Attribute<'_>, right: &Attribute<'_>) -> bool {
    left.oid == right.oid
        && match (text(left.value), text(right.value)) {
            (Some(left), Some(right)) => folded(&left) == folded(&right),
            _ => left.value == right.value,
        }
}

/// Lower case, white space trimmed and runs of it made one.
fn folded(value: &str) -> String {
    value
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

/// The characters of a string type; `None` for anything else.
pub(crate) fn text(value: AnyRef<'_>) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::VisibleString
        | Tag::NumericString => String::from_utf8(bytes.to_vec()).ok(),
        // In practice Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|b| char::from(*b)).collect()),
        Tag::BmpString if bytes.len() % 2 == 0 => {
            let units: Vec<u16> = bytes
                .chunks_exact(2)
                .map(|c| u16::from_be_bytes([c[0], c[1]]))
                .collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

fn label(oid: ObjectIdentifier) -> String {
    let known = LABELS.iter().find(|(known, _)| *known == oid);
    known.map_or_else(|| oid.to_string(), |(_, label)| (*label).to_owned())
}

/// RFC 4514 §2.4, with control characters written as hexadecimal pairs.
fn escaped(value: AnyRef<'_>) -> String {
    let Some(text) = text(value) else {
        let der = value.to_der().unwrap_or_default();
        return der.iter().fold(String::from("#"), |mut out, octet| {
            let _ = write!(out, "{octet:02X}");
            out
        });
    };
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '#' if index == 0 => out.push_str("\\#"),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            control if control.is_control() => {
                let mut buffer = [0; 4];
                for octet in control.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(out, "\\{octet:02X}");
                }
            }
            plain => out.push(plain),
        }
    }
    out
}

fn children(body: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(body).ok()?;
    let mut list = Vec::new();
    while !reader.is_finished() {
        list.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(list)
}

/// Attribute types that have a name in text (RFC 4514 §3 and what people expect beside it).
pub(crate) const LABELS: &[(ObjectIdentifier, &str)] = &[
    (COMMON_NAME, "CN"),
    (SERIAL_NUMBER, "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "SN"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "title"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "GN"),
    (
        ObjectIdentifier::new_unwrap("2.5.4.97"),
        "organizationIdentifier",
    ),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"),
        "UID",
    ),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"),
        "DC",
    ),
    (EMAIL_ADDRESS, "emailAddress"),
];
