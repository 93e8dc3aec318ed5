//! The text form of certificates and revocation lists (RFC 7468).

use std::borrow::Cow;

/// The armour is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DamagedPem;

/// Whether a file has PEM blocks at all.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    let begin = b"-----BEGIN ";
    bytes.windows(begin.len()).any(|window| window == begin)
}

/// The PEM blocks with one of `labels`, label and content; all else is skipped (RFC 7468 §2).
pub(crate) fn blocks(bytes: &[u8], labels: &[&str]) -> Result<Vec<(String, Vec<u8>)>, DamagedPem> {
    use base64::Engine;
    let text: Cow<'_, str> = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut rest: &str = &text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let (label, tail) = rest.split_once("-----").ok_or(DamagedPem)?;
        let end = format!("-----END {label}-----");
        let (body, tail) = tail.split_once(&end).ok_or(DamagedPem)?;
        // Others may not be plain base64: encrypted keys have header lines in their body.
        if labels.contains(&label) {
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = base64::engine::general_purpose::STANDARD
                .decode(body)
                .map_err(|_| DamagedPem)?;
            blocks.push((label.to_owned(), der));
        }
        rest = tail;
    }
    Ok(blocks)
}
