//! Base64 of `binary` leaves: standard alphabet with padding (RFC 4648 §4, RFC 7950 §9.8).

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

use base64::Engine as _;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd, general_purpose::PAD};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::STANDARD;

/// With the vector instructions of the machine, if it has them: binary leaves are what most octets
/// of a voucher or a configuration are.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));

/// Encodes a binary value.
pub fn encode_binary(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes a binary value; white space within it only where `line_breaks` says so.
///
/// `None` when it is not base64 in the standard alphabet with padding.
pub fn decode_binary(text: &str, line_breaks: bool) -> Option<Vec<u8>> {
    match STANDARD.decode(text) {
        Ok(octets) => Some(octets),
        Err(_) if line_breaks && text.bytes().any(|b| b.is_ascii_whitespace()) => {
            let bare: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            STANDARD.decode(bare).ok()
        }
        Err(_) => None,
    }
}

/// Whether [`decode_binary`] takes the text, as it is without white space.
pub(super) fn is_binary(text: &str) -> bool {
    let octets = text.as_bytes();
    let digits = octets.strip_suffix(b"==").map(|digits| (digits, 0x0F));
    let digits = digits.or_else(|| octets.strip_suffix(b"=").map(|digits| (digits, 0x03)));
    let (digits, unused) = digits.unwrap_or((octets, 0));
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "no branch for each: a certificate is a long text"
    )]
    let known = digits.iter().fold(true, |known, digit| {
        known & (digit.is_ascii_alphanumeric() | (*digit == b'+') | (*digit == b'/'))
    });
    // RFC 4648 §3.5: the bits of the last digit that make no octet are zero.
    let whole = digits.last().is_none_or(|last| value(*last) & unused == 0);
    known && whole && octets.len().is_multiple_of(4)
}

/// What a digit of the alphabet stands for.
const fn value(digit: u8) -> u8 {
    match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    }
}

/// `#[serde(with = "binary")]` for `Vec<u8>` members.
pub mod binary {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes base64.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode_binary(bytes))
    }

    /// Reads base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::decode_binary(&text, false).ok_or_else(|| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of up to six characters from both sides of every border, and the same after digits.
    #[test]
    fn is_binary_says_what_decoding_says() {
        let characters = ['A', 'Q', 'g', 'w', 'x', '9', '+', '/', '=', '-', ' ', 'é'];
        let mut texts = vec![String::new()];
        for length in 1..=5 {
            let longer: Vec<String> = texts
                .iter()
                .filter(|text| text.chars().count() == length - 1)
                .flat_map(|text| characters.map(|character| format!("{text}{character}")))
                .collect();
            texts.extend(longer);
        }
        let mut good = 0;
        for text in texts {
            for text in [format!("abcd{text}"), text] {
                let decoded = decode_binary(&text, false).is_some();
                assert_eq!(is_binary(&text), decoded, "{text:?}");
                good += usize::from(decoded);
            }
        }
        assert!(good > 1000);
    }
}
