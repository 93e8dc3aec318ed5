//! Media types and content negotiation (RFC 8040 §5.2).

use sztp_voucher::yang::Encoding;

/// The media type of an encoding (RFC 8040 §11.3).
pub fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/yang-data+json",
        Encoding::Xml => "application/yang-data+xml",
    }
}

/// The encoding that a Content-Type names, with `application/yang.data+json|xml` of earlier drafts
/// and devices in the field; a charset other than UTF-8 names none (RFC 8040 §5.2).
pub fn encoding_of(content_type: &str) -> Option<Encoding> {
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    for parameter in parameters.split(';') {
        if let Some((name, value)) = parameter.split_once('=') {
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return None;
            }
        }
    }
    match media.trim().to_ascii_lowercase().as_str() {
        "application/yang-data+json" | "application/yang.data+json" => Some(Encoding::Json),
        "application/yang-data+xml" | "application/yang.data+xml" => Some(Encoding::Xml),
        _ => None,
    }
}

/// The encoding to answer in; `None` when the client accepts neither: 406 (RFC 8040 §5.2).
///
/// Without an Accept header it is the request's encoding, which also wins a tie.
pub fn negotiate(accept: Option<&str>, request: Encoding) -> Option<Encoding> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(request);
    };
    let other = match request {
        Encoding::Json => Encoding::Xml,
        Encoding::Xml => Encoding::Json,
    };
    let (ours, theirs) = (quality(accept, request), quality(accept, other));
    match (ours, theirs) {
        (0, 0) => None,
        _ if ours >= theirs => Some(request),
        _ => Some(other),
    }
}

/// The thousandths that an Accept header gives to an encoding: those of the most particular range
/// that matches (RFC 9110 §12.5.1).
fn quality(accept: &str, encoding: Encoding) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let (media, parameters) = range.split_once(';').unwrap_or((range, ""));
        let precision = match media.trim() {
            "*/*" => 1,
            media if media.eq_ignore_ascii_case("application/*") => 2,
            media if encoding_of(media) == Some(encoding) => 3,
            _ => continue,
        };
        let quality = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        if precision > best.0 || (precision == best.0 && quality > best.1) {
            best = (precision, quality);
        }
    }
    best.1
}

/// A `qvalue` (RFC 9110 §12.4.2); a malformed one counts as zero.
fn thousandths(value: &str) -> u16 {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    match (whole, format!("{fraction:0<3}").parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        // LEDGER: 8040-5.2-01, 8040-5.2-02
        for (media, encoding) in [
            ("application/yang-data+json", Some(Encoding::Json)),
            ("application/yang-data+xml", Some(Encoding::Xml)),
            ("application/yang.data+json", Some(Encoding::Json)),
            ("application/yang.data+xml", Some(Encoding::Xml)),
            (
                "Application/YANG-Data+XML ; charset=UTF-8",
                Some(Encoding::Xml),
            ),
            (
                "application/yang-data+json;charset=\"utf-8\"",
                Some(Encoding::Json),
            ),
            ("application/yang-data+json; charset=iso-8859-1", None),
            ("application/json", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(encoding_of(media), encoding, "{media}");
        }
    }

    #[test]
    fn the_answer_is_in_an_encoding_that_the_client_accepts() {
        use Encoding::{Json, Xml};
        // LEDGER: 8040-5.2-02, 8040-5.2-03
        for (accept, request, answer) in [
            (None, Xml, Some(Xml)),
            (Some(""), Json, Some(Json)),
            (Some("*/*"), Xml, Some(Xml)),
            (Some("application/*"), Json, Some(Json)),
            (Some("application/yang-data+json"), Xml, Some(Json)),
            (Some("application/yang.data+xml"), Json, Some(Xml)),
            (
                Some("application/yang-data+json, application/yang-data+xml"),
                Xml,
                Some(Xml),
            ),
            (
                Some("application/yang-data+json;q=0.5,application/yang-data+xml"),
                Json,
                Some(Xml),
            ),
            (
                Some("application/yang-data+json; q=0, */*; q=0.1"),
                Json,
                Some(Xml),
            ),
            (Some("application/yang-data+json;q=0.001"), Xml, Some(Json)),
            (Some("text/html, */*;q=0.8"), Json, Some(Json)),
            (Some("application/yang-data+json;q=0"), Json, None),
            (Some("application/yang-data+json;q=high"), Json, None),
            (Some("application/json"), Json, None),
            (Some("text/plain"), Xml, None),
        ] {
            assert_eq!(negotiate(accept, request), answer, "{accept:?} {request}");
        }
    }
}
