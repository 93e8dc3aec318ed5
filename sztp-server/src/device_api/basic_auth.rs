//! The user name of HTTP Basic, which some devices send beside their certificate.
//!
//! It proves nothing here and grants nothing; it only must not contradict the certificate
//! (RFC 8572 §5.3). The password is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, header};

use super::header_text;

/// The user name, if the request has one that can be read.
pub(super) fn user_name<B>(request: &Request<B>) -> Option<String> {
    let (scheme, credentials) = header_text(request, &header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let (name, _password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(name.to_owned())
}
