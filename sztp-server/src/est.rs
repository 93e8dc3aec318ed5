//! A client of EST (RFC 7030): one certificate for one PKCS#10 request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use sztp_cms::{Certificate, CmsError, Limits, parse_certs_only};

use crate::LdevidError;
use crate::OutsideError;
use crate::outside::{HttpsPeer, Outgoing, Reply, shortened};

/// A server of RFC 7030, and who asks it.
#[derive(Clone)]
pub(crate) struct EstClient {
    pub(crate) peer: HttpsPeer,
    /// HTTP Basic (RFC 7030 §3.2.3), beside a client certificate or in its place.
    pub(crate) authorization: Option<HeaderValue>,
}

impl EstClient {
    /// `/simpleenroll` (RFC 7030 §4.2.1): the certificates of the answer, in its order.
    ///
    /// An answer of 202 is repeated after the time that it names, if that is not long; how long all
    /// of it may take is the caller's to say.
    pub(crate) async fn simple_enroll(&self, csr: &[u8]) -> Result<Vec<Certificate>, LdevidError> {
        let path = self.path();
        let body = STANDARD.encode(csr).into_bytes();
        for _ in 0..TRIES {
            let mut headers = vec![
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/pkcs10"),
                ),
                (
                    header::HeaderName::from_static("content-transfer-encoding"),
                    HeaderValue::from_static("base64"),
                ),
                (
                    header::ACCEPT,
                    HeaderValue::from_static("application/pkcs7-mime"),
                ),
            ];
            if let Some(authorization) = &self.authorization {
                headers.push((header::AUTHORIZATION, authorization.clone()));
            }
            let reply = self
                .peer
                .send(Outgoing {
                    path: path.clone(),
                    headers,
                    body: Some(body.clone()),
                    max_answer: MAX_ANSWER,
                })
                .await?;
            match reply.status {
                StatusCode::OK => return self.certificates(&reply),
                // RFC 7030 §4.2.3: the client waits at least that long.
                StatusCode::ACCEPTED => {
                    let secs = retry_after_secs(&reply);
                    if secs > LONGEST_WAIT_SECS {
                        return Err(self.pending(secs).into());
                    }
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                }
                status => {
                    return Err(OutsideError::Status {
                        peer: self.peer.url.to_string(),
                        status: status.as_u16(),
                        reason: shortened(&reply.body),
                    }
                    .into());
                }
            }
        }
        Err(self.pending(LONGEST_WAIT_SECS).into())
    }

    fn pending(&self, retry_after_secs: u64) -> OutsideError {
        OutsideError::Pending {
            peer: self.peer.url.to_string(),
            retry_after_secs: retry_after_secs.min(LONGEST_PENDING_SECS),
        }
    }

    /// RFC 7030 §3.2.2; a label of a certain CA may be in the URL already.
    fn path(&self) -> String {
        let base = self.peer.url.path();
        if base.contains("/.well-known/est") {
            format!("{base}/simpleenroll")
        } else {
            format!("{base}/.well-known/est/simpleenroll")
        }
    }

    /// RFC 7030 §4.2.3: a certs-only message, in base64 whatever its headers say (RFC 8951 §3.1).
    fn certificates(&self, reply: &Reply) -> Result<Vec<Certificate>, LdevidError> {
        let answer = |problem: String| OutsideError::Answer {
            peer: self.peer.url.to_string(),
            problem,
        };
        let media_type = reply.media_type();
        if media_type != "application/pkcs7-mime" {
            let problem = format!("answered with {media_type:?} instead of application/pkcs7-mime");
            return Err(answer(problem).into());
        }
        let message = binary(&reply.body).ok_or_else(|| answer("no base64".to_owned()))?;
        certs_only(&message).map_err(LdevidError::Message)
    }
}

/// The certificates of a certs-only message.
pub(crate) fn certs_only(message: &[u8]) -> Result<Vec<Certificate>, CmsError> {
    let message = parse_certs_only(message, &Limits::default())?;
    Ok(message.certificates().to_vec())
}

/// DER as it is, or from base64 in lines.
pub(crate) fn binary(octets: &[u8]) -> Option<Vec<u8>> {
    if octets.first() == Some(&0x30) {
        return Some(octets.to_vec());
    }
    let text: Vec<u8> = octets
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    STANDARD.decode(text).ok()
}

/// Seconds; a date, which is allowed too, is taken as a while.
fn retry_after_secs(reply: &Reply) -> u64 {
    let value = reply.headers.get(header::RETRY_AFTER);
    let text = value.and_then(|value| value.to_str().ok());
    match text {
        None => 1,
        Some(text) => text.trim().parse().unwrap_or(LONGEST_WAIT_SECS + 1),
    }
}

/// Questions for one certificate.
const TRIES: usize = 5;

/// A device waits for the answer; longer, and it is better told to come again.
const LONGEST_WAIT_SECS: u64 = 10;
const LONGEST_PENDING_SECS: u64 = 3600;

const MAX_ANSWER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_and_without_lines() {
        assert_eq!(binary(b"MAA="), Some(vec![0x30, 0]));
        assert_eq!(binary(b"MA\r\nA=\n"), Some(vec![0x30, 0]));
        assert_eq!(binary(&[0x30, 0]), Some(vec![0x30, 0]));
        assert_eq!(binary(b"<html>"), None);
    }

    #[test]
    fn waits() {
        let reply = |value: Option<&str>| {
            let mut headers = http::HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            }
            retry_after_secs(&Reply {
                status: StatusCode::ACCEPTED,
                headers,
                body: Vec::new(),
            })
        };
        assert_eq!((reply(None), reply(Some("3"))), (1, 3));
        assert!(reply(Some("Wed, 25 Nov 2026 00:00:00 GMT")) > LONGEST_WAIT_SECS);
    }
}
