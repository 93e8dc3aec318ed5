//! Distinguished names: the text form of RFC 4514 and the comparison of RFC 5280 §7.1.

use std::fmt::Write;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};

use super::values::{self, Values};
use crate::ber::{OBJECT_IDENTIFIER, SEQUENCE, SET};

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(crate) const EMAIL_ADDRESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// One attribute of a name.
pub(crate) struct Attribute<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) value: AnyRef<'a>,
}

/// Whether `der` has the shape of a Name, so that [`parse`] reads it.
pub(crate) fn check(der: &[u8]) -> Option<()> {
    let mut names = Values::new(values::whole(der).filter(|name| name.tag == SEQUENCE)?.body);
    while !names.is_finished() {
        let mut pairs = Values::new(names.expect(SET)?.body);
        while !pairs.is_finished() {
            let mut pair = Values::new(pairs.expect(SEQUENCE)?.body);
            let kind = pair.expect(OBJECT_IDENTIFIER)?.body;
            if !is_oid(kind) {
                return None;
            }
            pair.next()?;
            pair.finish()?;
        }
    }
    Some(())
}

/// Whether [`ObjectIdentifier`] takes the octets: nearly always id-at (RFC 5280 §A.1) and a number.
fn is_oid(octets: &[u8]) -> bool {
    match octets {
        [0x55, 4, last] if *last < 0x80 => true,
        _ => ObjectIdentifier::from_bytes(octets).is_ok(),
    }
}

/// The relative distinguished names of `der` in order of encoding.
pub(crate) fn parse(der: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let name = AnyRef::from_der(der).ok()?;
    if name.tag() != Tag::Sequence {
        return None;
    }
    let mut names = Vec::new();
    for set in children(name.value())? {
        if set.tag() != Tag::Set {
            return None;
        }
        names.push(attributes_of(set.value())?);
    }
    Some(names)
}

/// The attributes of one relative distinguished name.
fn attributes_of(set: &[u8]) -> Option<Vec<Attribute<'_>>> {
    let mut attributes = Vec::new();
    for pair in children(set)? {
        if pair.tag() != Tag::Sequence {
            return None;
        }
        let mut reader = SliceReader::new(pair.value()).ok()?;
        let oid = ObjectIdentifier::decode(&mut reader).ok()?;
        let value = AnyRef::decode(&mut reader).ok()?;
        reader.finish().ok()?;
        attributes.push(Attribute { oid, value });
    }
    Some(attributes)
}

/// The first value of one attribute type.
pub(crate) fn attribute(der: &[u8], oid: ObjectIdentifier) -> Option<String> {
    parse(der)?
        .into_iter()
        .flatten()
        .find(|a| a.oid == oid)
        .and_then(|a| text(a.value))
}

/// All values of one attribute type; `None` for one that is no text.
pub(crate) fn attributes(der: &[u8], oid: ObjectIdentifier) -> Vec<Option<String>> {
    let all = parse(der).unwrap_or_default().into_iter().flatten();
    all.filter(|a| a.oid == oid)
        .map(|a| text(a.value))
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

/// A form in which two names match (RFC 5280 §7.1) if it is the same octets, and in which one name
/// is an initial part of another (RFC 5280 §4.2.1.10) if its octets are.
///
/// Strings are compared without regard to their type, case and runs of white space.
pub(crate) fn canonical(der: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(der.len());
    for attributes in parse(der)? {
        extend_canonical(&mut out, &attributes);
    }
    Some(out)
}

/// The canonical form of the name `canonical` with one more relative name, the content octets of
/// its SET (RFC 5280 §4.2.1.13, nameRelativeToCRLIssuer).
pub(crate) fn canonical_below(canonical: &[u8], relative_name: &[u8]) -> Option<Vec<u8>> {
    let mut out = canonical.to_vec();
    extend_canonical(&mut out, &attributes_of(relative_name)?);
    Some(out)
}

/// One relative name; lengths in front keep what follows from being taken for a part of it.
fn extend_canonical(out: &mut Vec<u8>, attributes: &[Attribute<'_>]) {
    let mut parts: Vec<Vec<u8>> = attributes.iter().map(canonical_attribute).collect();
    // The order within a SET says nothing.
    parts.sort_unstable();
    out.extend_from_slice(&length(parts.len()));
    for part in parts {
        out.extend_from_slice(&length(part.len()));
        out.extend_from_slice(&part);
    }
}

fn canonical_attribute(attribute: &Attribute<'_>) -> Vec<u8> {
    let oid = attribute.oid.as_bytes();
    let mut out = length(oid.len()).to_vec();
    out.extend_from_slice(oid);
    if let Some(text) = text(attribute.value) {
        out.push(0);
        out.extend_from_slice(folded(&text).as_bytes());
    } else {
        out.push(1);
        out.extend(attribute.value.to_der().unwrap_or_default());
    }
    out
}

/// Certificates are far smaller than 4 GiB, so nothing is cut off.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// Lower case, white space trimmed and runs of it made one.
fn folded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for word in value.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    if out.is_ascii() {
        out.make_ascii_lowercase();
        out
    } else {
        out.to_lowercase()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(left: &[u8], right: &[u8]) -> bool {
        canonical(left).unwrap() == canonical(right).unwrap()
    }

    /// SEQUENCE OF SET OF one attribute of a string type each.
    fn name(parts: &[(ObjectIdentifier, Tag, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (oid, tag, text) in parts {
            let mut pair = oid.to_der().unwrap();
            pair.extend(
                AnyRef::new(*tag, text.as_bytes())
                    .unwrap()
                    .to_der()
                    .unwrap(),
            );
            let pair = AnyRef::new(Tag::Sequence, &pair).unwrap().to_der().unwrap();
            body.extend(AnyRef::new(Tag::Set, &pair).unwrap().to_der().unwrap());
        }
        AnyRef::new(Tag::Sequence, &body).unwrap().to_der().unwrap()
    }

    #[test]
    fn case_space_and_string_type_do_not_matter_and_all_else_does() {
        let one = name(&[(COMMON_NAME, Tag::PrintableString, "Example  CA")]);
        let same = name(&[(COMMON_NAME, Tag::Utf8String, " EXAMPLE ca ")]);
        let joined = name(&[(COMMON_NAME, Tag::Utf8String, "exampleca")]);
        let typed = name(&[(SERIAL_NUMBER, Tag::Utf8String, "example ca")]);
        assert!(matches(&one, &same));
        assert!(!matches(&one, &joined));
        assert!(!matches(&one, &typed));
        assert!(!matches(&one, &name(&[])));
    }

    /// What is checked when a certificate is read is what can be read when names are compared: a
    /// name that could not would escape name constraints.
    #[test]
    fn check_and_parse_take_the_same() {
        let good = name(&[
            (COMMON_NAME, Tag::Utf8String, "a"),
            (SERIAL_NUMBER, Tag::PrintableString, "b"),
        ]);
        let (mut taken, mut refused) = (0, 0);
        for at in 0..good.len() {
            for octet in 0..=u8::MAX {
                let mut changed = good.clone();
                changed[at] = octet;
                let checked = check(&changed).is_some();
                assert_eq!(checked, parse(&changed).is_some(), "{changed:02x?}");
                assert_eq!(checked, canonical(&changed).is_some(), "{changed:02x?}");
                *(if checked { &mut taken } else { &mut refused }) += 1;
            }
        }
        assert!(taken > 1000 && refused > 1000, "{taken} {refused}");
    }

    #[test]
    fn a_name_starts_with_its_subtree_and_not_with_half_of_an_attribute() {
        let unit = (COMMON_NAME, Tag::Utf8String, "a");
        let long = canonical(&name(&[unit, (SERIAL_NUMBER, Tag::Utf8String, "1")])).unwrap();
        assert!(long.starts_with(&canonical(&name(&[unit])).unwrap()));
        assert!(long.starts_with(&canonical(&name(&[])).unwrap()));
        let longer = canonical(&name(&[(COMMON_NAME, Tag::Utf8String, "ab")])).unwrap();
        assert!(!longer.starts_with(&canonical(&name(&[unit])).unwrap()));
    }
}
