//! A client of a server's admin API (`/api/v1`): JSON over TLS, with a bearer token.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use sztp_cms::{ServerTrust, ServerVerifier, TrustAnchors, WallClock, client_config};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::arguments::{self, now};
use crate::failure::Failure;
use crate::files;

/// A server's admin API, and what is needed to be let in.
#[derive(Clone)]
pub(crate) struct AdminApi {
    host: String,
    port: u16,
    token: String,
    anchors: TrustAnchors,
}

impl AdminApi {
    /// `url` is that of the option `--admin`.
    pub(crate) fn new(url: &str, token: &str, anchors: TrustAnchors) -> Result<Self, Failure> {
        let (host, port) = arguments::https_url("--admin", url)?;
        let token = token.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Failure::usage(
                "usage.value",
                "the token is empty or has characters that no token has",
            ));
        }
        Ok(Self {
            host,
            port: port.unwrap_or(9443),
            token,
            anchors,
        })
    }

    /// A connection, for one request after the other.
    pub(crate) async fn connect(&self) -> Result<Session<'_>, Failure> {
        let unreachable = |error: &dyn fmt::Display| {
            Failure::new("admin.unreachable", error).within(self.to_string())
        };
        let trust = ServerTrust::Anchors {
            anchors: self.anchors.clone(),
            host: self.host.clone(),
            clock: WallClock::Trusted(now()),
        };
        let config =
            client_config(ServerVerifier::new(trust), None).map_err(|error| unreachable(&error))?;
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            let name = match ServerName::try_from(self.host.clone()) {
                Ok(name) => name,
                Err(_) => ServerName::IpAddress(tcp.peer_addr()?.ip().into()),
            };
            TlsConnector::from(Arc::new(config))
                .connect(name, tcp)
                .await
        };
        let tls = tokio::time::timeout(CONNECTING, connecting)
            .await
            .map_err(|_| unreachable(&"connecting took too long"))?
            .map_err(|error| unreachable(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|error| unreachable(&error))?;
        // What becomes of it is seen by the requests.
        tokio::spawn(connection);
        Ok(Session { api: self, sender })
    }
}

impl fmt::Display for AdminApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

/// An open connection to an admin API.
pub(crate) struct Session<'a> {
    api: &'a AdminApi,
    sender: SendRequest<Full<Bytes>>,
}

impl Session<'_> {
    /// Calls the resource at `path`, below `/api/v1`; all but success is a failure.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<Value, Failure> {
        let place = format!("{method} {}/api/v1{path}", self.api);
        let lost = |what: &dyn fmt::Display| Failure::new("admin.unreachable", what);
        let body = document.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, format!("{}:{}", self.api.host, self.api.port))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| lost(&error).within(place.clone()))?;
        let exchange = async {
            self.sender.ready().await.map_err(|error| lost(&error))?;
            let answer = self.sender.send_request(request).await;
            let (head, body) = answer.map_err(|error| lost(&error))?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| lost(&error))?.to_bytes();
            Ok::<_, Failure>((head.status, body))
        };
        let (status, body) = tokio::time::timeout(ANSWERING, exchange)
            .await
            .map_err(|_| lost(&"no answer in time").within(place.clone()))?
            .map_err(|failure| failure.within(place.clone()))?;
        let document = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(document);
        }
        Err(refusal(status, &document).within(place))
    }
}

/// The admin token: from a file, else as given.
pub(crate) fn token(given: Option<&str>, file: Option<&Path>) -> Result<String, Failure> {
    match (file, given) {
        (Some(file), _) => files::read_text(file),
        (None, Some(given)) => Ok(given.to_owned()),
        (None, None) => Err(Failure::usage(
            "usage.missing-option",
            "--token-file or --token is needed",
        )
        .hint("a new server writes its first token to admin-token in its data directory")),
    }
}

fn refusal(status: StatusCode, document: &Value) -> Failure {
    let member = |name: &str| document.get(name).and_then(Value::as_str);
    let what = match (member("code"), member("message")) {
        (Some(code), Some(message)) => format!("{status}: {code}: {message}"),
        _ => status.to_string(),
    };
    let failure = Failure::new("admin.refused", what);
    match member("hint") {
        Some(hint) => failure.hint(hint.to_owned()),
        None => failure,
    }
}

const CONNECTING: Duration = Duration::from_secs(10);
const ANSWERING: Duration = Duration::from_secs(60);
/// Octets of an answer.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
