//! Which certificates a list is for, and which lists a certificate is on: distribution points
//! (RFC 5280 §4.2.1.13, §5.2.5).

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use crate::certificate::{is_context, name, sequence_body};

/// Where a certificate says that its revocation would be published.
#[derive(Debug, Default)]
pub(crate) struct DistributionPoint {
    /// What the point is called; each name in a form to compare.
    pub(crate) names: Vec<Vec<u8>>,
    /// The reasons published there.
    pub(crate) reasons: Reasons,
    /// Whether somebody else than the certificate's issuer publishes there.
    pub(crate) has_crl_issuer: bool,
}

impl DistributionPoint {
    /// What stands for a certificate's distribution points if it names none (RFC 5280 §6.3.3): the
    /// issuer's name, DER.
    pub(crate) fn implied(canonical_issuer: &[u8]) -> Self {
        Self {
            names: vec![directory_name(canonical_issuer)],
            ..Self::default()
        }
    }

    /// The content of cRLDistributionPoints.
    pub(crate) fn parse_list(value: &[u8], canonical_issuer: &[u8]) -> Option<Vec<Self>> {
        let mut points = Vec::new();
        let mut reader = SliceReader::new(sequence_body(value).ok()?).ok()?;
        while !reader.is_finished() {
            let point = AnyRef::decode(&mut reader).ok()?;
            if point.tag() != Tag::Sequence || points.len() >= MAX_POINTS {
                return None;
            }
            points.push(Self::parse(point.value(), canonical_issuer)?);
        }
        Some(points)
    }

    fn parse(body: &[u8], canonical_issuer: &[u8]) -> Option<Self> {
        let mut point = Self::default();
        let mut fields = SliceReader::new(body).ok()?;
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields).ok()?;
            if is_context(field.tag(), 0) {
                point.names = names(field, canonical_issuer)?;
            } else if is_context(field.tag(), 1) {
                point.reasons = Reasons::parse(field)?;
            } else if is_context(field.tag(), 2) {
                point.has_crl_issuer = true;
            } else {
                return None;
            }
        }
        Some(point)
    }
}

/// What a list is for; without the extension, for all that its issuer issued.
#[derive(Debug, Clone, Default)]
pub(crate) struct IssuingDistributionPoint {
    /// Only for certificates that name this point, unless there is no name.
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) only_user_certificates: bool,
    pub(crate) only_ca_certificates: bool,
    pub(crate) only_attribute_certificates: bool,
    pub(crate) reasons: Reasons,
    pub(crate) indirect: bool,
}

impl IssuingDistributionPoint {
    pub(crate) fn parse(value: &[u8], canonical_issuer: &[u8]) -> Option<Self> {
        let mut point = Self::default();
        let mut fields = SliceReader::new(sequence_body(value).ok()?).ok()?;
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields).ok()?;
            let Tag::ContextSpecific { number, .. } = field.tag() else {
                return None;
            };
            match number.value() {
                0 => point.names = names(field, canonical_issuer)?,
                1 => point.only_user_certificates = boolean(field)?,
                2 => point.only_ca_certificates = boolean(field)?,
                3 => point.reasons = Reasons::parse(field)?,
                4 => point.indirect = boolean(field)?,
                5 => point.only_attribute_certificates = boolean(field)?,
                _ => return None,
            }
        }
        Some(point)
    }
}

/// A set of reasons for revocation (ReasonFlags); by default, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reasons(u16);

impl Reasons {
    pub(crate) const NONE: Self = Self(0);
    /// keyCompromise (1) to aACompromise (8); bit 0 is not used.
    pub(crate) const ALL: Self = Self(0b1_1111_1110);

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The content of an implicitly tagged BIT STRING.
    fn parse(field: AnyRef<'_>) -> Option<Self> {
        let [0..=7, octets @ ..] = field.value() else {
            return None;
        };
        let bits = octets.iter().take(2).enumerate();
        let bits = bits.fold(0, |bits, (index, octet)| {
            bits | u16::from(octet.reverse_bits()) << (8 * index)
        });
        Some(Self(bits).and(Self::ALL))
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self::ALL
    }
}

/// The content of DistributionPointName: full names, or one relative to the issuer.
fn names(field: AnyRef<'_>, canonical_issuer: &[u8]) -> Option<Vec<Vec<u8>>> {
    let choice = AnyRef::from_der(field.value()).ok()?;
    if is_context(choice.tag(), 1) {
        let relative = name::canonical_below(canonical_issuer, choice.value())?;
        return Some(vec![directory_name(&relative)]);
    }
    if !is_context(choice.tag(), 0) {
        return None;
    }
    let mut list = Vec::new();
    let mut reader = SliceReader::new(choice.value()).ok()?;
    while !reader.is_finished() {
        if list.len() >= MAX_POINTS {
            return None;
        }
        list.push(comparable(AnyRef::decode(&mut reader).ok()?)?);
    }
    // A point without a name would be everywhere.
    (!list.is_empty()).then_some(list)
}

/// A GeneralName in a form in which the same names are the same octets.
fn comparable(general_name: AnyRef<'_>) -> Option<Vec<u8>> {
    let Tag::ContextSpecific { number, .. } = general_name.tag() else {
        return None;
    };
    if number.value() == DIRECTORY_NAME {
        return Some(directory_name(&name::canonical(general_name.value())?));
    }
    let mut out = vec![u8::try_from(number.value()).ok()?];
    out.extend_from_slice(general_name.value());
    Some(out)
}

fn directory_name(canonical: &[u8]) -> Vec<u8> {
    let mut out = vec![4];
    out.extend_from_slice(canonical);
    out
}

fn boolean(field: AnyRef<'_>) -> Option<bool> {
    match field.value() {
        [octet] => Some(*octet != 0),
        _ => None,
    }
}

const DIRECTORY_NAME: u32 = 4;

/// The most distribution points of a certificate, and names of one.
const MAX_POINTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_from_the_left() {
        let parse = |octets: &[u8]| {
            let tag = Tag::ContextSpecific {
                constructed: false,
                number: der::TagNumber(1),
            };
            Reasons::parse(AnyRef::new(tag, octets).unwrap())
        };
        assert_eq!(parse(&[5, 0b0110_0000]), Some(Reasons(0b110)));
        assert_eq!(parse(&[7, 0xff, 0x80]), Some(Reasons::ALL));
        assert_eq!(parse(&[0]), Some(Reasons::NONE));
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[8, 0]), None);
    }
}
