//! DER values read one after the other, for what a certificate is nearly all made of: short values
//! with tags of one octet.
//!
//! Takes what the `der` crate takes (X.690 §10.1: definite lengths in their shortest form, and only
//! tags that exist), except tags of several octets, which no part of a certificate has.

/// One value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    /// All of its octets.
    pub(super) raw: &'a [u8],
    /// Its content.
    pub(super) body: &'a [u8],
}

/// Values not yet read.
#[derive(Clone)]
pub(super) struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next value.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        if !exists(tag) {
            return None;
        }
        let (header, length) = match first {
            0..0x80 => (2, usize::from(first)),
            _ => long_length(self.0)?,
        };
        let (raw, rest) = self.0.split_at_checked(header + length)?;
        self.0 = rest;
        Some(Value {
            tag,
            raw,
            body: &raw[header..],
        })
    }

    /// The next value, if it has this tag.
    #[inline]
    pub(super) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    pub(super) fn finish(&self) -> Option<()> {
        self.is_finished().then_some(())
    }
}

/// The value that fills `octets`.
pub(super) fn whole(octets: &[u8]) -> Option<Value<'_>> {
    let mut values = Values::new(octets);
    let value = values.next()?;
    values.finish().map(|()| value)
}

/// The size of the header, and the length that it gives in up to four octets.
fn long_length(octets: &[u8]) -> Option<(usize, usize)> {
    let count = usize::from(octets[1] & 0x7F);
    let digits = octets
        .get(2..2 + count)
        .filter(|_| (1..=4).contains(&count))?;
    let length = digits
        .iter()
        .fold(0_u32, |sum, digit| sum << 8 | u32::from(*digit));
    (length >= 0x80 && digits[0] != 0).then_some((2 + count, length as usize))
}

/// Whether DER knows the tag: of the universal ones those that are defined, and in the form,
/// primitive or constructed, that they have there.
const fn exists(tag: u8) -> bool {
    match tag {
        0x40.. => tag & 0x1F != 0x1F,
        _ => matches!(
            tag,
            0x01..=0x06 | 0x09 | 0x0A | 0x0C | 0x0D | 0x12..=0x18 | 0x1A | 0x1B | 0x1E | 0x30 | 0x31
        ),
    }
}

#[cfg(test)]
mod tests {
    use der::Decode;
    use der::asn1::AnyRef;

    use super::*;

    /// All tags, and around all lengths that matter.
    #[test]
    fn takes_what_der_takes() {
        let mut messages = Vec::new();
        for tag in 0..=u8::MAX {
            for first in (0..5).chain(0x7E..0x87).chain([u8::MAX]) {
                for second in [0, 1, 0x7F, 0x80, 0xFF] {
                    for size in [0, 1, 2, 3, 127, 128, 129, 130, 131, 255, 256, 258] {
                        let mut message = vec![tag, first, second];
                        message.resize(size.max(3), 7);
                        message.truncate(size);
                        messages.push(message);
                    }
                }
            }
        }
        for (header, size) in [
            (&[4, 0x82, 1, 0][..], 256),
            (&[4, 0x82, 0, 0x80], 128),
            (&[4, 0x83, 0, 1, 0], 256),
            (&[4, 0x83, 1, 0, 0], 65536),
            (&[4, 0x84, 0, 1, 0, 0], 65536),
        ] {
            messages.push([header, &vec![0; size]].concat());
        }
        for message in messages {
            let ours = whole(&message).map(|value| value.body);
            let theirs = AnyRef::from_der(&message).ok().map(AnyRef::value);
            let several = message.first().is_some_and(|tag| tag & 0x1F == 0x1F);
            if several {
                assert_eq!(ours, None);
            } else {
                assert_eq!(ours, theirs, "{:02x?}", &message[..message.len().min(8)]);
            }
        }
    }
}
