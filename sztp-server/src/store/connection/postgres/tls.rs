//! TLS to the database server, with the same judge of certificates as everywhere.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use sztp_cms::{ServerTrust, ServerVerifier, TrustAnchors, UnixTime, WallClock, client_config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{AsyncMessage, Connection, Socket};
use tokio_rustls::TlsConnector;

/// How much TLS is to prove.
#[derive(Debug, Clone)]
pub(super) enum Security {
    /// There is none.
    None,
    /// Against who only listens.
    Unverified,
    /// The server's certificate leads to one of these and names its host.
    Verified(TrustAnchors),
}

/// Makes connections secure.
#[derive(Debug, Clone)]
pub(super) struct Connector(Security);

impl Connector {
    pub(super) fn new(security: Security) -> Self {
        Self(security)
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = ToHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<ToHost> {
        let trust = match &self.0 {
            Security::Verified(anchors) => ServerTrust::Anchors {
                anchors: anchors.clone(),
                host: host.to_owned(),
                clock: WallClock::Trusted(UnixTime::from_system_time(SystemTime::now())),
            },
            Security::None | Security::Unverified => ServerTrust::Provisional,
        };
        let config = client_config(ServerVerifier::new(trust), None);
        Ok(ToHost {
            config: Arc::new(config.map_err(io::Error::other)?),
            name: ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        })
    }
}

/// Makes one connection secure.
pub(super) struct ToHost {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for ToHost {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.name, socket);
        Box::pin(async { connecting.await.map(|stream| Stream(Box::new(stream))) })
    }
}

/// A secure connection.
pub(super) struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

/// What comes over a connection unasked. It is what makes the connection go on, too.
pub(super) struct Messages(Pin<Box<dyn Poller + Send>>);

trait Poller {
    fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>>;
}

impl<S, T> Poller for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> {
        self.poll_message(context)
    }
}

impl Messages {
    pub(super) fn of<S, T>(connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self(Box::pin(connection))
    }

    /// The next message; none: the connection has ended.
    pub(super) async fn next(&mut self) -> Option<AsyncMessage> {
        poll_fn(|context| self.0.as_mut().poll(context))
            .await
            .and_then(Result::ok)
    }
}
