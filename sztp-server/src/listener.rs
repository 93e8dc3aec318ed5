//! TLS connections: accepted, bounded in number and time, and drained when the server stops.
//!
//! Whom to answer what is the [`Handler`]'s business.

mod addresses;
mod stall;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use sztp_cms::Certificate;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::addresses::network;
use self::addresses::{Addresses, Place};
use self::stall::Stalling;
use crate::ServerError;
use crate::config::ServerLimits;
use crate::metrics::{ListenerMetrics, add_one};
use crate::service::Peer;

/// Answers the requests of one listener.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// The TLS configuration for the next connection.
    fn tls(&self) -> Arc<ServerConfig>;

    /// Where to count.
    fn metrics(&self) -> &ListenerMetrics;

    /// Answers one request.
    fn handle(
        &self,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A socket that is bound.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: ServerLimits,
}

impl Listener {
    pub(crate) async fn bind(
        address: SocketAddr,
        limits: &ServerLimits,
    ) -> Result<Self, ServerError> {
        let bound = async {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // A server that starts again takes its port over, as TcpListener::bind has it too.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            let address = socket.local_addr()?;
            Ok(Self {
                socket,
                address,
                limits: limits.clone(),
            })
        };
        bound
            .await
            .map_err(|error: std::io::Error| ServerError::Listen {
                address,
                reason: error.to_string(),
            })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, and then until open requests have ended or the time for that
    /// is over.
    pub(crate) async fn run(self, handler: impl Handler, mut stop: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(self.limits.max_connections));
        let waiting = Arc::new(Semaphore::new(self.limits.max_connections));
        let addresses = Addresses::new(self.limits.max_connections_per_address);
        let graceful = GracefulShutdown::new();
        let (cut, is_cut) = watch::channel(false);
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&permits) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, address, permit)) => {
                    add_one(&handler.metrics().accepted);
                    let connection = Connection {
                        handler: handler.clone(),
                        limits: self.limits.clone(),
                        watcher: graceful.watcher(),
                        is_cut: is_cut.clone(),
                    };
                    if let Some(place) = addresses.try_enter(address.ip()) {
                        tokio::spawn(connection.serve(stream, address, permit, place));
                    } else if let Ok(waits) = waiting.clone().try_acquire_owned() {
                        // The place among all connections is for somebody else meanwhile.
                        drop(permit);
                        let places = (addresses.clone(), permits.clone());
                        tokio::spawn(connection.wait(stream, address, waits, places));
                    } else {
                        add_one(&handler.metrics().turned_away);
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely: some will close.
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.socket);
        let drain = Duration::from_secs(self.limits.drain_secs);
        if tokio::time::timeout(drain, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were cut off, as they did not end in time");
            let _ = cut.send(true);
        }
    }

    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
    ) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        // Before accepting: who does not fit in waits in the system's queue.
        let permit = permits
            .clone()
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let (stream, address) = self.socket.accept().await?;
        Ok((stream, address, permit))
    }
}

struct Connection<H> {
    handler: H,
    limits: ServerLimits,
    watcher: Watcher,
    is_cut: watch::Receiver<bool>,
}

impl<H: Handler> Connection<H> {
    /// Waits for a place of the address, and then for one among all connections, as long as a
    /// handshake may take.
    async fn wait(
        self,
        stream: TcpStream,
        address: SocketAddr,
        waits: OwnedSemaphorePermit,
        (addresses, permits): (Arc<Addresses>, Arc<Semaphore>),
    ) {
        let patience = Duration::from_secs(self.limits.handshake_timeout_secs);
        let entered = async {
            let place = addresses.enter(address.ip()).await;
            Some((permits.acquire_owned().await.ok()?, place))
        };
        match tokio::time::timeout(patience, entered).await {
            Ok(Some((permit, place))) => {
                drop(waits);
                self.serve(stream, address, permit, place).await;
            }
            Ok(None) => {}
            Err(_) => {
                add_one(&self.handler.metrics().turned_away);
                tracing::debug!(%address, "too many connections of this address");
            }
        }
    }

    async fn serve(
        self,
        stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        place: Place,
    ) {
        let Self {
            handler,
            limits,
            watcher,
            mut is_cut,
        } = self;
        let metrics = handler.metrics();
        let open = metrics.open.enter();
        let begun = Instant::now();
        let _ = stream.set_nodelay(true);
        let stream = Stalling::new(stream, Duration::from_secs(limits.stall_timeout_secs));
        let handshake = TlsAcceptor::from(handler.tls()).accept(stream);
        let patience = Duration::from_secs(limits.handshake_timeout_secs);
        let stream = match tokio::time::timeout(patience, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                add_one(&metrics.handshakes_failed);
                return tracing::debug!(%address, %error, "TLS handshake");
            }
            Err(_) => {
                add_one(&metrics.handshakes_timed_out);
                return tracing::debug!(%address, "TLS handshake took too long");
            }
        };
        add_one(&metrics.handshakes_done);
        metrics
            .handshake_time
            .observe(begun.elapsed().as_secs_f64());
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Arc::new(Peer {
            address,
            certificates: read_certificates(shown),
        });
        let answers = handler.clone();
        let service = service_fn(move |request| {
            let (handler, peer) = (answers.clone(), peer.clone());
            async move {
                let asked = Instant::now();
                let response = handler.handle(peer, request).await;
                let metrics = handler.metrics();
                metrics.answered(response.status(), asked.elapsed().as_secs_f64());
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(limits.header_timeout_secs))
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = watcher.watch(connection) => {
                if let Err(error) = ended {
                    tracing::debug!(%address, %error, "connection");
                }
            }
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        drop((permit, place, open));
    }
}

/// The client's own certificate first; without that one, none.
fn read_certificates(shown: &[rustls::pki_types::CertificateDer<'_>]) -> Vec<Certificate> {
    let mut certificates = shown
        .iter()
        .take(MAX_CHAIN)
        .map(|der| Certificate::from_der(der));
    match certificates.next() {
        Some(Ok(own)) => std::iter::once(own).chain(certificates.flatten()).collect(),
        _ => Vec::new(),
    }
}

/// Connections that the system keeps until they are accepted, as far as it allows
/// (net.core.somaxconn). A device that finds no place there knocks again only after a second, then
/// two, then four: after a power cut all of them come at once.
const BACKLOG: u32 = 4096;

/// Octets of a request's header.
const MAX_BUFFER: usize = 64 * 1024;

/// The most certificates of a client that are looked at.
const MAX_CHAIN: usize = 16;
