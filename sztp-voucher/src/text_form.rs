//! Binary messages that arrive as text: PEM, base64, with white space around them, or ruined on
//! the way.
//!
//! Vouchers are binary (RFC 8366 §5.4); this is for tools and for the lenient profile. What is
//! inside the text is judged by whoever reads the message.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::VoucherError;

/// What a message was wrapped in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextForm {
    /// PEM (RFC 7468) with this label.
    Pem {
        /// What the armour says is in it.
        label: String,
    },
    /// base64 or base64url, with or without line breaks and padding.
    Base64,
    /// Binary, followed by white space.
    TrailingWhiteSpace,
}

impl fmt::Display for TextForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem { label } => write!(f, "the message is PEM text ({label}), not binary"),
            Self::Base64 => f.write_str("the message is base64 text, not binary"),
            Self::TrailingWhiteSpace => f.write_str("the message is followed by white space"),
        }
    }
}

/// Takes a binary ASN.1 message out of the text that it may be wrapped in.
///
/// Octets that are no such text are given back as they are. An error says that the text or the
/// message was damaged on its way: [`VoucherError::DamagedPem`] or
/// [`VoucherError::LineEndingDamage`].
///
/// ```
/// use sztp_voucher::{TextForm, unwrap_text};
///
/// let (octets, form) = unwrap_text(b"MAMC\nAQU=\n")?;
/// assert_eq!(*octets, [0x30, 0x03, 0x02, 0x01, 0x05]);
/// assert_eq!(form, Some(TextForm::Base64));
/// # Ok::<(), sztp_voucher::VoucherError>(())
/// ```
pub fn unwrap_text(octets: &[u8]) -> Result<(Cow<'_, [u8]>, Option<TextForm>), VoucherError> {
    if octets.first() == Some(&SEQUENCE) {
        return binary(octets);
    }
    let text = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets);
    let text = text.trim_ascii();
    if let Some(armoured) = text.strip_prefix(b"-----BEGIN ") {
        let (label, octets) = armour(armoured).ok_or(VoucherError::DamagedPem)?;
        return Ok((Cow::Owned(octets), Some(TextForm::Pem { label })));
    }
    // In base64 each SEQUENCE begins with M.
    if text.first() == Some(&b'M')
        && let Some(octets) = decode(text)
    {
        return Ok((Cow::Owned(octets), Some(TextForm::Base64)));
    }
    Ok((Cow::Borrowed(octets), None))
}

/// A message in binary, perhaps with an editor's line break at its end.
fn binary(octets: &[u8]) -> Result<(Cow<'_, [u8]>, Option<TextForm>), VoucherError> {
    let Some(length) = outer_length(octets) else {
        // An indefinite length ends in octets that are no white space.
        let trimmed = octets.trim_ascii_end();
        let form = (trimmed.len() < octets.len()).then_some(TextForm::TrailingWhiteSpace);
        return Ok((Cow::Borrowed(trimmed), form));
    };
    match octets.split_at_checked(length) {
        Some((_, [])) => Ok((Cow::Borrowed(octets), None)),
        Some((message, rest)) if rest.trim_ascii().is_empty() => {
            Ok((Cow::Borrowed(message), Some(TextForm::TrailingWhiteSpace)))
        }
        _ if is_line_ending_damage(octets) => Err(VoucherError::LineEndingDamage),
        _ => Ok((Cow::Borrowed(octets), None)),
    }
}

/// Whether the octets are a message of exactly the length it says once each CR LF is an LF again.
pub(crate) fn is_line_ending_damage(octets: &[u8]) -> bool {
    let added = octets.windows(2).filter(|pair| *pair == b"\r\n").count();
    let before = octets.len() - added;
    // The length itself is in the first octets: it may have got a carriage return too.
    let mut head = Vec::with_capacity(HEAD);
    for (at, octet) in octets.iter().take(2 * HEAD).enumerate() {
        if *octet != b'\r' || octets.get(at + 1) != Some(&b'\n') {
            head.push(*octet);
        }
    }
    added > 0 && outer_length(&head) == Some(before)
}

/// The length of a DER value, header and all, as its first octets say; none if it is indefinite or
/// no length.
fn outer_length(octets: &[u8]) -> Option<usize> {
    let first = *octets.get(1)?;
    if first < 0x80 {
        return Some(2 + usize::from(first));
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = octets
        .get(2..2 + count)?
        .iter()
        .try_fold(0_usize, |length, octet| {
            length.checked_mul(256)?.checked_add(usize::from(*octet))
        })?;
    length.checked_add(2 + count)
}

/// The label and the content of PEM armour after its first words.
fn armour(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(text).ok()?;
    let (label, rest) = text.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let plain = !label.is_empty() && label.len() <= 64 && !label.contains(char::is_control);
    Some((label.to_owned(), decode(body.as_bytes())?)).filter(|_| plain)
}

/// base64 with padding or without, in either alphabet, with white space anywhere.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut compact: Vec<u8> = text
        .iter()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(|octet| match octet {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    while compact.last() == Some(&b'=') {
        compact.pop();
    }
    STANDARD_NO_PAD
        .decode(compact)
        .ok()
        .filter(|octets| !octets.is_empty())
}

/// More than the longest header of a message.
const HEAD: usize = 8;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form() {
        assert_eq!(outer_length(&[0x30, 3]), Some(5));
        assert_eq!(outer_length(&[0x30, 0x82, 1, 2]), Some(4 + 258));
        assert_eq!(outer_length(&[0x30, 0x80]), None);
        assert_eq!(outer_length(&[0x30, 0x82, 1]), None);
        assert_eq!(outer_length(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
        assert_eq!(outer_length(&[0x30]), None);
    }

    #[test]
    fn a_line_feed_in_the_length_may_have_got_a_carriage_return_too() {
        let mut message = vec![0x30, 10];
        message.extend([0x04, 8, 10, 10, 10, 4, 5, 6, 7, 8]);
        assert!(!is_line_ending_damage(&message));
        let damaged: Vec<u8> = message
            .iter()
            .flat_map(|octet| match octet {
                10 => vec![13, 10],
                other => vec![*other],
            })
            .collect();
        assert!(is_line_ending_damage(&damaged));
        assert_eq!(unwrap_text(&damaged), Err(VoucherError::LineEndingDamage));
    }

    #[test]
    fn what_is_no_text_form_is_left_alone() {
        for octets in [&b""[..], b"{}", b"M", b"MII*", b"\x04\x01\x00", b"-----"] {
            assert_eq!(unwrap_text(octets), Ok((Cow::Borrowed(octets), None)));
        }
        for damaged in [
            "-----BEGIN CMS-----",
            "-----BEGIN CMS-----\nMAA=\n-----END PKCS7-----\n",
            "-----BEGIN CMS-----\nM*A=\n-----END CMS-----\n",
            "-----BEGIN CMS-----\n-----END CMS-----\n",
        ] {
            assert_eq!(
                unwrap_text(damaged.as_bytes()),
                Err(VoucherError::DamagedPem),
                "{damaged}"
            );
        }
    }
}
