//! Base64 of `binary` leaves: standard alphabet with padding (RFC 4648 §4, RFC 7950 §9.8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
