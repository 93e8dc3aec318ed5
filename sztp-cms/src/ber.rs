//! ASN.1 values as tag, length and content, and BER made into DER's definite form.
//!
//! CMS may be sent in BER (RFC 5652 §1.1.2): OpenSSL's `-stream` writes indefinite lengths and
//! octet strings in pieces. [`definite`] rewrites those once, within limits; all else reads only
//! definite lengths. Nothing here recurses deeper than [`Limits::max_depth`].

use std::borrow::Cow;

use crate::error::malformed;
use crate::{CmsError, Limits};

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// Constructed context-specific tags.
pub(crate) const CONTEXT_0: u8 = 0xA0;
pub(crate) const CONTEXT_1: u8 = 0xA1;
/// Primitive `[0]`.
pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;

const CONSTRUCTED: u8 = 0x20;
const HIGH_TAG: u8 = 0x1F;
const INDEFINITE: u8 = 0x80;

/// One value: its first tag octet, all of its octets, and its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) raw: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Reads values with definite lengths one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn any(&mut self, what: &'static str) -> Result<Tlv<'a>, CmsError> {
        let header = Header::parse(self.rest).ok_or_else(|| malformed(what))?;
        let Length::Definite(length) = header.length else {
            return Err(malformed(what));
        };
        let split = header.size.checked_add(length);
        let (raw, rest) = split
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or_else(|| malformed(what))?;
        self.rest = rest;
        Ok(Tlv {
            tag: raw[0],
            raw,
            body: &raw[header.size..],
        })
    }

    pub(crate) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Tlv<'a>, CmsError> {
        self.optional(tag, what)?.ok_or_else(|| malformed(what))
    }

    pub(crate) fn optional(
        &mut self,
        tag: u8,
        what: &'static str,
    ) -> Result<Option<Tlv<'a>>, CmsError> {
        if self.rest.first() == Some(&tag) {
            self.any(what).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn finish(&self, what: &'static str) -> Result<(), CmsError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(malformed(what))
        }
    }
}

/// Encodes one value from the parts of its content.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    push_header(&mut out, &[tag], length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// What comes before content of this length, for content that is not to be copied at each level
/// that it is nested in.
pub(crate) fn header(tag: u8, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(6);
    push_header(&mut out, &[tag], length);
    out
}

/// A SET OF: DER wants its elements in ascending order (X.690 §11.6).
pub(crate) fn encode_set_of(tag: u8, mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    encode(tag, &parts)
}

/// One whole value with definite lengths and octet strings in one piece; borrowed if it was so
/// already. Nothing may follow it.
pub(crate) fn definite<'a>(octets: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, CmsError> {
    if octets.len() > limits.max_bytes {
        return Err(CmsError::TooLarge {
            what: "octets",
            limit: limits.max_bytes,
        });
    }
    let mut plain = true;
    let used = scan(octets, limits.max_depth, limits, &mut plain)?;
    if used != octets.len() {
        return Err(malformed("octets after the message"));
    }
    if plain {
        return Ok(Cow::Borrowed(octets));
    }
    let mut out = Vec::with_capacity(octets.len());
    rewrite(octets, &mut out)?;
    Ok(Cow::Owned(out))
}

/// Checks the nesting of the first value and returns its size; notes what needs rewriting.
fn scan(octets: &[u8], depth: usize, limits: &Limits, plain: &mut bool) -> Result<usize, CmsError> {
    let depth = depth.checked_sub(1).ok_or(CmsError::TooDeep {
        limit: limits.max_depth,
    })?;
    let header = Header::parse(octets).ok_or_else(|| malformed("tag or length"))?;
    let constructed = octets[0] & CONSTRUCTED != 0;
    if octets[0] == OCTET_STRING | CONSTRUCTED || !header.minimal {
        *plain = false;
    }
    match header.length {
        Length::Definite(length) => {
            let end = header
                .size
                .checked_add(length)
                .filter(|end| *end <= octets.len())
                .ok_or_else(|| malformed("a value is cut off"))?;
            if constructed {
                let mut rest = &octets[header.size..end];
                while !rest.is_empty() {
                    let size = match short_primitive(rest) {
                        Some(size) if depth > 0 => size,
                        _ => scan(rest, depth, limits, plain)?,
                    };
                    rest = rest.get(size..).unwrap_or_default();
                }
            }
            Ok(end)
        }
        Length::Indefinite if constructed => {
            *plain = false;
            let mut at = header.size;
            loop {
                match octets.get(at..) {
                    Some([0, 0, ..]) => return Ok(at + 2),
                    Some(rest) if !rest.is_empty() => at += scan(rest, depth, limits, plain)?,
                    _ => return Err(malformed("end-of-contents is missing")),
                }
            }
        }
        Length::Indefinite => Err(malformed("indefinite length of a primitive value")),
    }
}

/// The size of the first value if it is a whole primitive one of less than 128 octets, as most are:
/// there is nothing in it to look at.
#[inline]
fn short_primitive(octets: &[u8]) -> Option<usize> {
    let [tag, length @ 0..INDEFINITE, content @ ..] = octets else {
        return None;
    };
    let length = usize::from(*length);
    let plain = tag & CONSTRUCTED == 0 && tag & HIGH_TAG != HIGH_TAG;
    (plain && length <= content.len()).then_some(length + 2)
}

/// Appends the first value of scanned octets in definite form; returns the size it had.
fn rewrite(octets: &[u8], out: &mut Vec<u8>) -> Result<usize, CmsError> {
    let header = Header::parse(octets).ok_or(malformed("tag or length"))?;
    let tag = &octets[..header.tag_size];
    if tag[0] & CONSTRUCTED == 0 {
        let Length::Definite(length) = header.length else {
            return Err(malformed("indefinite length of a primitive value"));
        };
        let end = header.size + length;
        push_header(out, tag, length);
        out.extend_from_slice(&octets[header.size..end]);
        return Ok(end);
    }
    let in_pieces = tag[0] == OCTET_STRING | CONSTRUCTED;
    let mut body = Vec::new();
    let mut at = header.size;
    let end = loop {
        match header.length {
            Length::Definite(length) if at == header.size + length => break at,
            Length::Indefinite if octets[at..].starts_with(&[0, 0]) => break at + 2,
            _ => {}
        }
        if in_pieces {
            let mut piece = Vec::new();
            at += rewrite(&octets[at..], &mut piece)?;
            let mut reader = Reader::new(&piece);
            let piece = reader.expect(OCTET_STRING, "a piece of an octet string")?;
            body.extend_from_slice(piece.body);
        } else {
            at += rewrite(&octets[at..], &mut body)?;
        }
    };
    if in_pieces {
        push_header(out, &[OCTET_STRING], body.len());
    } else {
        push_header(out, tag, body.len());
    }
    out.extend_from_slice(&body);
    Ok(end)
}

enum Length {
    Definite(usize),
    Indefinite,
}

struct Header {
    tag_size: usize,
    size: usize,
    length: Length,
    minimal: bool,
}

impl Header {
    #[inline]
    fn parse(octets: &[u8]) -> Option<Self> {
        match octets {
            [tag, length @ 0..INDEFINITE, ..] if tag & HIGH_TAG != HIGH_TAG => Some(Self {
                tag_size: 1,
                size: 2,
                length: Length::Definite(usize::from(*length)),
                minimal: true,
            }),
            _ => Self::parse_long(octets),
        }
    }

    fn parse_long(octets: &[u8]) -> Option<Self> {
        let mut tag_size = 1;
        if octets.first()? & HIGH_TAG == HIGH_TAG {
            // Up to four more octets: no structure read here has such tags.
            loop {
                let octet = *octets.get(tag_size)?;
                tag_size += 1;
                if octet & 0x80 == 0 {
                    break;
                }
                if tag_size > 4 {
                    return None;
                }
            }
        }
        let first = *octets.get(tag_size)?;
        let mut size = tag_size + 1;
        let (length, minimal) = match first {
            INDEFINITE => (Length::Indefinite, false),
            0..INDEFINITE => (Length::Definite(usize::from(first)), true),
            _ => {
                let count = usize::from(first & 0x7F);
                if count > 4 {
                    return None;
                }
                let digits = octets.get(size..size + count)?;
                size += count;
                let length = digits.iter().try_fold(0_usize, |sum, digit| {
                    sum.checked_mul(256)?.checked_add(usize::from(*digit))
                })?;
                (Length::Definite(length), length >= 128 && digits[0] != 0)
            }
        };
        Some(Self {
            tag_size,
            size,
            length,
            minimal,
        })
    }
}

fn push_header(out: &mut Vec<u8>, tag: &[u8], length: usize) {
    out.extend_from_slice(tag);
    let octets = length.to_be_bytes();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = &octets[length.leading_zeros() as usize / 8..];
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Vec<u8>, CmsError> {
        definite(octets, &Limits::default()).map(Cow::into_owned)
    }

    #[test]
    fn der_is_left_alone() {
        let der = encode(SEQUENCE, &[&encode(OCTET_STRING, &[&[7; 300]])]);
        assert!(
            matches!(definite(&der, &Limits::default()), Ok(Cow::Borrowed(same)) if same == der)
        );
    }

    #[test]
    fn indefinite_lengths_and_pieces() {
        let ber = [
            0x30, 0x80, 0x24, 0x80, 4, 1, 7, 4, 0x81, 1, 8, 0, 0, 2, 1, 5, 0, 0,
        ];
        assert_eq!(read(&ber).unwrap(), [0x30, 7, 4, 2, 7, 8, 2, 1, 5]);
        // Pieces within pieces are still octet strings (X.690 §8.7.3).
        let nested = [0x24, 8, 0x24, 3, 4, 1, 1, 4, 1, 2];
        assert_eq!(read(&nested).unwrap(), [4, 2, 1, 2]);
    }

    #[test]
    fn broken_or_excessive_encodings_are_refused() {
        for broken in [
            &[][..],
            &[0x30],
            &[0x30, 3, 1],
            &[0x30, 0x80, 4, 1, 1],
            &[0x04, 0x80, 0, 0],
            &[0x24, 3, 2, 1, 1],
            &[0x30, 0x85, 0, 0, 0, 0, 1],
            &[0x30, 0, 0],
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            assert!(read(broken).is_err(), "{broken:02x?}");
        }
        let deep: Vec<u8> = [0x30, 0x80].repeat(40);
        assert_eq!(read(&deep), Err(CmsError::TooDeep { limit: 32 }));
        let large = vec![0; Limits::default().max_bytes + 1];
        assert!(matches!(read(&large), Err(CmsError::TooLarge { .. })));
    }
}
