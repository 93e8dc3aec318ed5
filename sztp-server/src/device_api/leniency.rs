//! What devices write otherwise than the schema has it and that can mean one thing only: the
//! namespace in other letters, a nonce in base64url.
//!
//! A message that is legal never comes here; one that stays illegal is refused for what was wrong
//! with it as it came.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sztp_core::rpc::MessageError;
use sztp_voucher::yang::Encoding;

/// Decodes a message as it is, or else as it can only be meant.
pub(super) fn decode<T>(
    body: &[u8],
    encoding: Encoding,
    decode: impl Fn(&[u8], Encoding) -> Result<(T, Vec<String>), MessageError>,
) -> Result<(T, Vec<String>), MessageError> {
    let error = match decode(body, encoding) {
        Ok(decoded) => return Ok(decoded),
        Err(error) => error,
    };
    let Some((amended, leniencies)) = amend(body) else {
        return Err(error);
    };
    let (message, mut notes) = decode(&amended, encoding).map_err(|_| error)?;
    notes.extend(leniencies.into_iter().map(str::to_owned));
    Ok((message, notes))
}

fn amend(body: &[u8]) -> Option<(Vec<u8>, Vec<&'static str>)> {
    let mut text = std::str::from_utf8(body).ok()?.to_owned();
    let mut notes = Vec::new();
    for (before, after) in [("\"urn:ietf:params:xml:ns:yang:", "\""), ("\"", ":")] {
        let namespace = |name: &str| [before, name, after].concat();
        let other = namespace("ietf-SZTP-bootstrap-server");
        if text.contains(&other) {
            text = text.replace(&other, &namespace(MODULE));
            notes.push("the module's name was written with SZTP");
        }
    }
    for (before, after) in [
        ("<nonce>", "</nonce>"),
        ("\"nonce\":\"", "\""),
        ("\"nonce\": \"", "\""),
    ] {
        let Some((head, rest)) = text.split_once(before) else {
            continue;
        };
        let Some((value, tail)) = rest.split_once(after) else {
            continue;
        };
        let bare = value.trim().trim_end_matches('=');
        let Ok(octets) = URL_SAFE_NO_PAD.decode(bare.replace('+', "-").replace('/', "_")) else {
            continue;
        };
        let standard = STANDARD.encode(octets);
        if standard != value {
            text = [head, before, &standard, after, tail].concat();
            notes.push("the nonce was in base64url, or without padding");
        }
    }
    (!notes.is_empty()).then(|| (text.into_bytes(), notes))
}

const MODULE: &str = "ietf-sztp-bootstrap-server";

#[cfg(test)]
mod tests {
    use sztp_core::rpc::GetBootstrappingDataInput;

    use super::*;

    fn read(body: &str, encoding: Encoding) -> Option<(GetBootstrappingDataInput, usize)> {
        let decoded = decode(
            body.as_bytes(),
            encoding,
            GetBootstrappingDataInput::decode_noting,
        );
        decoded.ok().map(|(input, notes)| (input, notes.len()))
    }

    #[test]
    fn what_can_mean_one_thing_only() {
        let nonce = "\u{ff}".repeat(8);
        let url = URL_SAFE_NO_PAD.encode(&nonce);
        assert!(url.contains(['-', '_']));
        for module in ["ietf-sztp-bootstrap-server", "ietf-SZTP-bootstrap-server"] {
            let json = format!(r#"{{"{module}:input":{{"nonce":"{url}"}}}}"#);
            let (input, notes) = read(&json, Encoding::Json).unwrap();
            assert_eq!(input.nonce.as_deref(), Some(nonce.as_bytes()));
            assert!(notes >= 1);
            let xml = format!(
                "<input xmlns=\"urn:ietf:params:xml:ns:yang:{module}\"><nonce>{url}</nonce></input>"
            );
            let (input, _) = read(&xml, Encoding::Xml).unwrap();
            assert_eq!(input.nonce.as_deref(), Some(nonce.as_bytes()));
        }
        let legal =
            r#"{"ietf-sztp-bootstrap-server:input":{"hw-model":"ietf-SZTP-bootstrap-server:"}}"#;
        assert_eq!(read(legal, Encoding::Json).unwrap().1, 0);
        for bad in [
            r#"{"ietf-SZTP-other:input":{}}"#,
            r#"{"ietf-sztp-bootstrap-server:input":{"nonce":"!!"}}"#,
            r#"{"ietf-sztp-bootstrap-server:input":{"nonce":"AAAA"}}"#,
        ] {
            assert!(read(bad, Encoding::Json).is_none(), "{bad}");
        }
    }
}
