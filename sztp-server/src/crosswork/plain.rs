//! `deviceinfo/status` over plain HTTP, for scripts that know nothing else. Operators are not heard
//! here, so that their tokens are not sent in the clear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::CrossworkApi;
use super::reply::Reply;
use crate::config::ServerLimits;
use crate::service::Peer;

/// Serves until the server stops.
pub(crate) async fn run(
    listener: TcpListener,
    api: CrossworkApi,
    limits: ServerLimits,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.max_connections.min(CONNECTIONS)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (api, limits) = (api.clone(), limits.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(&api, address, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(limits.header_timeout_secs))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let secs = limits.header_timeout_secs + limits.body_timeout_secs + ANSWER_SECS;
            // A script has one thing to say.
            let _ = timeout(Duration::from_secs(secs), connection).await;
            drop(place);
        });
    }
}

async fn answer(
    api: &CrossworkApi,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.uri().path() != STATUS {
        let message = "over plain HTTP there is deviceinfo/status and nothing else";
        return Reply::refused(403, message).in_http().into_response();
    }
    let peer = Peer {
        address,
        certificates: Vec::new(),
    };
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Plain);
    api.answer(Arc::new(peer), request).await
}

/// Of a request that anybody on the way can read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

const STATUS: &str = "/crosswork/ztp/v1/deviceinfo/status";
const CONNECTIONS: usize = 256;
const ANSWER_SECS: u64 = 15;
