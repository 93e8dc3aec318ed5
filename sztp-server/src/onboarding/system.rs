//! A system that is told something over HTTPS, and why that may not arrive.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use sztp_cms::{Certificate, TrustAnchors};
use tokio::time::timeout;

use crate::ConfigError;
use crate::outside::{HttpsPeer, HttpsUrl, Reply, shortened};

/// Why something did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// It may arrive another time.
    Later {
        /// For people.
        reason: String,
        /// Not before so many seconds.
        after_secs: Option<u64>,
    },
    /// It never will.
    Refused {
        /// For people.
        reason: String,
    },
}

impl Undelivered {
    pub(super) fn later(reason: impl Into<String>) -> Self {
        Self::Later {
            reason: reason.into(),
            after_secs: None,
        }
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }

    /// The same, where what others have written went through `hide`.
    pub(super) fn hiding(self, hide: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Later { reason, after_secs } => Self::Later {
                reason: hide(&reason),
                after_secs,
            },
            Self::Refused { reason } => Self::Refused {
                reason: hide(&reason),
            },
        }
    }
}

/// Where a system is, and how it is known.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Without path and query, which may hold what others must not see.
    host: HttpsUrl,
    path: String,
    query: String,
    anchors: Vec<PathBuf>,
    timeout: Duration,
}

/// A system that can be asked.
#[derive(Debug)]
pub(super) struct Open<'a> {
    place: &'a Place,
    peer: HttpsPeer,
    headers: HeaderMap,
}

impl Place {
    /// `key` is the one of the configuration.
    pub(super) fn new(
        (key, url): (&'static str, &str),
        anchors: &[PathBuf],
        timeout_secs: u64,
    ) -> Result<Self, ConfigError> {
        // The URL is no part of the message, for the same reason.
        let problem = |problem: String| ConfigError::Value { key, problem };
        let (plain, query) = match url.split_once('?') {
            Some((plain, query)) => (plain, format!("?{query}")),
            None => (url, String::new()),
        };
        let whole = HttpsUrl::parse(plain).map_err(problem)?;
        let is_plain = query
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&octet));
        if !is_plain {
            return Err(problem("has characters that no URL has".to_owned()));
        }
        let path = whole.path().to_owned();
        let end = plain.trim_end_matches('/').len() - path.len();
        let host = HttpsUrl::parse(&plain[..end]).map_err(problem)?;
        if anchors.is_empty() {
            return Err(problem("needs anchors beside it".to_owned()));
        }
        for file in anchors {
            must_be_readable(key, file)?;
        }
        Ok(Self {
            host,
            path,
            query,
            anchors: anchors.to_vec(),
            timeout: Duration::from_secs(timeout_secs),
        })
    }

    pub(super) fn host(&self) -> String {
        self.host.to_string()
    }

    /// Path and query as configured.
    pub(super) fn target(&self) -> String {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        format!("{path}{}", self.query)
    }

    /// A text that others have written, without what is secret in the URL.
    fn hidden_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in [self.query.trim_start_matches('?'), &self.path] {
            if secret.len() > 1 {
                text = text.replace(secret, "***");
            }
        }
        text
    }

    /// With headers that go along with each request.
    pub(super) async fn open(&self, headers: HeaderMap) -> Result<Open<'_>, Undelivered> {
        let mut certificates = Vec::new();
        for path in &self.anchors {
            let unreadable =
                |problem: String| Undelivered::later(format!("{}: {problem}", path.display()));
            let octets = tokio::fs::read(path)
                .await
                .map_err(|error| unreadable(error.to_string()))?;
            let found = Certificate::list_from_pem_or_der(&octets)
                .map_err(|error| unreadable(error.to_string()))?;
            certificates.extend(found);
        }
        Ok(Open {
            place: self,
            peer: HttpsPeer {
                url: self.host.clone(),
                anchors: TrustAnchors::new(certificates),
                identity: None,
            },
            headers,
        })
    }
}

impl Open<'_> {
    /// Sends JSON to a path beneath the one that is configured, and takes any answer that comes.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Undelivered> {
        let whole = format!("{}{path}", self.place.path);
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.send(method, &whole, body, HeaderMap::new()).await
    }

    /// Sends a text to a path.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
        headers: HeaderMap,
    ) -> Result<Reply, Undelivered> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::from(Bytes::from(body)))
            .map_err(|error| Undelivered::refused(error.to_string()))?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().extend(headers);
        let patience = self.place.timeout;
        match timeout(patience, self.peer.exchange(request, MAX_ANSWER)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(Undelivered::later(error.to_string())),
            Err(_) => Err(Undelivered::later(format!(
                "{}: no answer within {} s",
                self.place.host,
                patience.as_secs()
            ))),
        }
    }

    /// The JSON of an answer that says yes.
    pub(super) fn accepted(&self, what: &str, reply: &Reply) -> Result<Value, Undelivered> {
        if reply.status.is_success() {
            return Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null));
        }
        Err(self.not_accepted(what, reply))
    }

    /// An answer that says no: now, or for ever.
    pub(super) fn not_accepted(&self, what: &str, reply: &Reply) -> Undelivered {
        let status = reply.status;
        let said = self.place.hidden_in(&shortened(&reply.body));
        let reason = if status.is_redirection() {
            format!(
                "{what}: answered {}; redirects are not followed",
                status.as_u16()
            )
        } else {
            let reason = format!("{what}: answered {}: {said}", status.as_u16());
            reason.trim_end_matches([':', ' ']).to_owned()
        };
        if may_change(status) {
            Undelivered::Later {
                reason,
                after_secs: retry_after(&reply.headers),
            }
        } else {
            Undelivered::Refused { reason }
        }
    }
}

/// Whether another attempt may be answered otherwise.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error() || [408, 409, 423, 425, 429].contains(&status.as_u16())
}

/// Seconds, as far as they are given as such.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok()
}

/// A header that a secret is part of.
pub(super) fn sensitive(
    name: HeaderName,
    value: &str,
) -> Result<(HeaderName, HeaderValue), Undelivered> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Undelivered::later("the secret's file has characters that no header has"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Early, so that it is noticed when the server starts.
pub(super) fn must_be_readable(key: &'static str, path: &Path) -> Result<(), ConfigError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError::Value {
            key,
            problem: format!("{}: {error}", path.display()),
        }),
    }
}

/// A part of a path (RFC 3986 §2.3).
pub(super) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// Octets of an answer that are taken.
const MAX_ANSWER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_place_is_its_host() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let anchors = [file.path().to_owned()];
        let place = |url| Place::new(("webhooks.url", url), &anchors, 5);
        let one = place("https://hooks.example:8443/T0/s3cret/?token=s3cret").unwrap();
        assert_eq!(one.host(), "https://hooks.example:8443");
        assert_eq!(one.target(), "/T0/s3cret?token=s3cret");
        assert_eq!(place("https://a.example").unwrap().target(), "/");
        for bad in [
            "http://a.example/x",
            "https://a.example/x?a b",
            "https:///x",
        ] {
            let error = place(bad).unwrap_err().to_string();
            assert!(!error.contains("a.example"), "{error}");
        }
        assert!(Place::new(("webhooks.url", "https://a.example"), &[], 5).is_err());
    }

    #[test]
    fn parts_of_paths() {
        assert_eq!(percent_encoded("PID:X SN:1/2"), "PID%3AX%20SN%3A1%2F2");
        assert_eq!(percent_encoded("edge-42.lab"), "edge-42.lab");
    }
}
