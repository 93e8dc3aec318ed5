//! GeneralName, as subjectAltName and nameConstraints carry it (RFC 5280 §4.2.1.6).

use std::fmt;
use std::net::IpAddr;

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::OID_SUBJECT_ALT_NAME;
use crate::certificate::{Certificate, name, sequence_body};

/// One name; string forms are ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeneralName<'a> {
    Email(&'a str),
    Dns(&'a str),
    /// A Name, DER.
    Directory(&'a [u8]),
    Uri(&'a str),
    /// An address, or an address and a mask in name constraints.
    Ip(&'a [u8]),
    /// Any other form, by tag number.
    Other(u32),
}

impl<'a> GeneralName<'a> {
    pub(crate) fn parse(value: AnyRef<'a>) -> Option<Self> {
        let Tag::ContextSpecific { number, .. } = value.tag() else {
            return None;
        };
        let octets = value.value();
        let text = || std::str::from_utf8(octets).ok().filter(|t| t.is_ascii());
        Some(match number.value() {
            1 => Self::Email(text()?),
            2 => Self::Dns(text()?),
            4 => Self::Directory(octets),
            6 => Self::Uri(text()?),
            7 => Self::Ip(octets),
            other @ (0 | 3 | 5 | 8) => Self::Other(other),
            _ => return None,
        })
    }

    /// Whether both are of one form, so that one can constrain the other.
    pub(crate) fn same_form(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(left), Self::Other(right)) => left == right,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for GeneralName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => f.write_str(text),
            Self::Directory(der) => f.write_str(&name::to_text(der)),
            Self::Ip(octets) => match ip(octets) {
                Some(address) => address.fmt(f),
                None => f.write_str("IP address"),
            },
            Self::Other(tag) => write!(f, "name of form [{tag}]"),
        }
    }
}

/// An address of 4 or 16 octets.
pub(crate) fn ip(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(Into::into)
}

/// The names of subjectAltName; none if there is no such extension.
pub(crate) fn subject_alternative_names(certificate: &Certificate) -> Option<Vec<GeneralName<'_>>> {
    let Some(value) = certificate.extension(OID_SUBJECT_ALT_NAME) else {
        return Some(Vec::new());
    };
    let mut reader = SliceReader::new(sequence_body(value).ok()?).ok()?;
    let mut names = Vec::new();
    while !reader.is_finished() {
        names.push(GeneralName::parse(AnyRef::decode(&mut reader).ok()?)?);
    }
    Some(names)
}
