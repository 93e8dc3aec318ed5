//! Serial number and activation code, or password, of HTTP Basic (RFC 7617).
//!
//! Beside a certificate the user name proves nothing and grants nothing; it only must not
//! contradict the certificate (RFC 8572 §5.3), and the password is not looked at. Without a
//! certificate both are judged by [`Service::activate`](crate::Service::activate).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, header};

use super::header_text;

/// The user name, if the request has one that can be read.
pub(super) fn user_name<B>(request: &Request<B>) -> Option<String> {
    credentials(request).map(|(name, _)| name)
}

/// User name and password, if the request has them and they can be read.
pub(super) fn credentials<B>(request: &Request<B>) -> Option<(String, String)> {
    let (scheme, credentials) = header_text(request, &header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
