//! One HTTP connection, over TLS or, for images, without.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sztp_cms::{ServerTrust, ServerVerifier, client_config_with_key};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::fault::{Fault, explain};
use super::{Client, Settings};

/// An open connection; closed when dropped.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Its end tells the connection to close.
    _alive: oneshot::Sender<()>,
    /// Host and port as they stand in a Host header.
    authority: String,
}

/// An answer that was read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Connection {
    /// Connects to an address of a host; with `trust`, over TLS.
    pub(super) async fn open(
        client: &Client,
        address: SocketAddr,
        host: &str,
        trust: Option<ServerTrust>,
    ) -> Result<Self, Fault> {
        let settings = &client.settings;
        let tcp = within(
            "connecting",
            settings.connect_timeout,
            TcpStream::connect(address),
        )
        .await?
        .map_err(|error| Fault::Connect(address, explain(&error)))?;
        tcp.set_nodelay(true).ok();
        let default_port = if trust.is_some() { 443 } else { 80 };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut authority = if bare.contains(':') {
            format!("[{}]", bare.split('%').next().unwrap_or(bare))
        } else {
            bare.to_owned()
        };
        if address.port() != default_port {
            authority = format!("{authority}:{}", address.port());
        }
        match trust {
            None => Self::speak(tcp, authority).await,
            Some(trust) => {
                let identity = client
                    .identity
                    .as_ref()
                    .map(|identity| (identity.chain.as_slice(), &identity.key));
                let verifier = ServerVerifier::new(trust);
                let config = client_config_with_key(settings.tls_versions, verifier, identity)
                    .map_err(|error| Fault::tls(&address, &error))?;
                let name = ServerName::try_from(bare.to_owned())
                    .unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
                let handshake = TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp);
                let tls = within("the TLS handshake", settings.handshake_timeout, handshake)
                    .await?
                    .map_err(|error| Fault::tls(&address, &error))?;
                Self::speak(tls, authority).await
            }
        }
    }

    async fn speak(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        authority: String,
    ) -> Result<Self, Fault> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_OCTETS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::Http(explain(&error)))?;
        let (alive, dropped) = oneshot::channel();
        // What becomes of the connection is seen by the requests on it.
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                _ = dropped => {
                    tokio::time::timeout(CLOSING, connection).await.ok();
                }
            }
        });
        Ok(Self {
            sender,
            _alive: alive,
            authority,
        })
    }

    /// Whether another request may be sent.
    pub(super) async fn is_usable(&mut self) -> bool {
        matches!(
            tokio::time::timeout(CLOSING, self.sender.ready()).await,
            Ok(Ok(()))
        )
    }

    /// Sends a request and gives the head of the answer.
    pub(super) async fn send(
        &mut self,
        settings: &Settings,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Fault> {
        let host = self
            .authority
            .parse()
            .map_err(|_| Fault::Http("the host cannot stand in a request".to_owned()))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, USER_AGENT);
        within(
            "the answer",
            settings.answer_timeout,
            self.sender.send_request(request),
        )
        .await?
        .map_err(|error| Fault::exchange(&self.authority, &error))
    }

    /// Sends a request and reads its answer whole.
    pub(super) async fn exchange(
        &mut self,
        settings: &Settings,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Fault> {
        let (head, body) = self.send(settings, request).await?.into_parts();
        let limit = settings.max_answer_octets;
        let body = within(
            "the body of the answer",
            settings.body_timeout,
            Limited::new(body, limit).collect(),
        )
        .await?
        .map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Fault::TooLarge {
                limit: limit as u64,
            },
            Err(error) => Fault::exchange(&self.authority, &*error),
        })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// The addresses of a host, in the order in which they are to be tried.
pub(super) async fn addresses_of(
    settings: &Settings,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Fault> {
    let no_address = |reason: String| Fault::NoAddress {
        host: host.to_owned(),
        reason,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let mut found = match settings.addresses.get(bare) {
        Some(known) => known.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
        None => within(
            "looking up the host",
            settings.connect_timeout,
            look_up(settings, bare, port),
        )
        .await?
        .map_err(|error| no_address(explain(&error)))?,
    };
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        return Err(no_address("the name is known and has none".to_owned()));
    }
    Ok(found)
}

/// Asks who may know the host, and otherwise the system.
async fn look_up(settings: &Settings, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(hosts) = &settings.hosts {
        let mut found = hosts.addresses(host).await;
        if !found.is_empty() {
            for address in &mut found {
                address.set_port(port);
            }
            return Ok(found);
        }
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

pub(super) async fn within<T>(
    what: &'static str,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Fault> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Fault::TimedOut { what, limit })
}

/// Of the head of an answer.
const MAX_HEAD_OCTETS: usize = 64 * 1024;

/// For a connection to become idle, or to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Of one host name.
const MAX_ADDRESSES: usize = 16;

const USER_AGENT: http::HeaderValue =
    http::HeaderValue::from_static(concat!("sztp/", env!("CARGO_PKG_VERSION")));
