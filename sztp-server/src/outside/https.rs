//! One request over TLS to a server that is judged by its own anchors, perhaps with a client
//! certificate. Nothing is followed, and an answer has a largest size.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sztp_cms::{
    Certificate, ServerTrust, ServerVerifier, SigningKey, TrustAnchors, UnixTime, WallClock,
    client_config,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::OutsideError;

/// An `https://` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpsUrl {
    authority: Authority,
    /// Empty, or with a slash in front.
    path: String,
}

impl HttpsUrl {
    /// The problem is for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("https://")
            .ok_or("must begin with https://")?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let authority: Authority = authority
            .parse()
            .map_err(|_| "is not https://host[:port][/path]")?;
        let is_plain = path
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&octet));
        let bad_port = authority.as_str() != authority.host() && authority.port_u16().is_none();
        if authority.host().is_empty() || authority.as_str().contains('@') || bad_port || !is_plain
        {
            return Err("is not https://host[:port][/path]".to_owned());
        }
        Ok(Self {
            authority,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Empty, or with a slash in front and none at the end.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority, self.path)
    }
}

/// A server that is asked over TLS.
#[derive(Clone)]
pub(crate) struct HttpsPeer {
    pub(crate) url: HttpsUrl,
    /// What its certificate must lead to.
    pub(crate) anchors: TrustAnchors,
    /// What is shown to it: end-entity certificate with its chain, and key.
    pub(crate) identity: Option<(Vec<Certificate>, SigningKey)>,
}

/// What is sent to it.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// The whole path.
    pub(crate) path: String,
    pub(crate) headers: Vec<(header::HeaderName, HeaderValue)>,
    /// POSTed; none: the request is a GET.
    pub(crate) body: Option<Vec<u8>>,
    /// Octets of the answer that are taken.
    pub(crate) max_answer: usize,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl HttpsPeer {
    /// One request on a connection of its own. How long it may take is the caller's to say.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Reply, OutsideError> {
        let request = Self::request(&outgoing).map_err(|error| OutsideError::Unreachable {
            peer: self.url.to_string(),
            reason: error.to_string(),
        })?;
        self.exchange(request, outgoing.max_answer).await
    }

    /// The same with any method; of the answer, `limit` octets are taken.
    pub(crate) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Reply, OutsideError> {
        let unreachable = |reason: &dyn fmt::Display| OutsideError::Unreachable {
            peer: self.url.to_string(),
            reason: reason.to_string(),
        };
        let host = self.url.host().to_owned();
        let trust = ServerTrust::Anchors {
            anchors: self.anchors.clone(),
            host: host.clone(),
            clock: WallClock::Trusted(UnixTime::from_system_time(SystemTime::now())),
        };
        let identity = self.identity.as_ref();
        let identity = identity.map(|(chain, key)| (chain.as_slice(), key));
        let config = client_config(ServerVerifier::new(trust), identity)
            .map_err(|error| unreachable(&error))?;
        let name = ServerName::try_from(host.clone()).map_err(|error| unreachable(&error))?;
        let port = self.url.authority.port_u16().unwrap_or(443);
        let stream = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| unreachable(&error))?;
        let _ = stream.set_nodelay(true);
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = TokioIo::new(stream.await.map_err(|error| unreachable(&error))?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| unreachable(&error))?;
        let connection = Aborting(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let authority = HeaderValue::from_str(self.url.authority.as_str())
            .map_err(|error| unreachable(&error))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, authority);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(OutsideError::Answer {
                    peer: self.url.to_string(),
                    problem: format!("an answer of more than {limit} octets"),
                });
            }
            Err(error) => return Err(unreachable(&error)),
        };
        drop(connection);
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    fn request(outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, http::Error> {
        let request = match outgoing.body {
            Some(_) => Request::post(&outgoing.path),
            None => Request::get(&outgoing.path),
        };
        let mut request = request.body(Full::from(outgoing.body.clone().unwrap_or_default()))?;
        for (name, value) in &outgoing.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for HttpsPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsPeer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// The media type without its parameters, in lower case.
    pub(crate) fn media_type(&self) -> String {
        let text = self.headers.get(header::CONTENT_TYPE);
        let text = text.and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = text.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }
}

/// Nobody waits any more for what the task does.
struct Aborting(tokio::task::JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = HttpsUrl::parse("https://masa.example:8443/a/b/").unwrap();
        assert_eq!((url.host(), url.path()), ("masa.example", "/a/b"));
        assert_eq!(url.to_string(), "https://masa.example:8443/a/b");
        assert_eq!(HttpsUrl::parse("https://[::1]").unwrap().host(), "::1");
        for bad in [
            "http://a.example",
            "https://",
            "https:///x",
            "https://u@a.example",
            "https://a.example:70000",
            "https://a.example/x?y",
            "https://a.example/\n",
            "a.example",
        ] {
            assert!(HttpsUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
