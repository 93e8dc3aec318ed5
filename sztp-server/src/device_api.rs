//! What devices see: the two RPCs of RFC 8572 §7 and the RESTCONF resources around them
//! (RFC 8040), and files.
//!
//! Nothing is decided here; requests become calls of [`Service`], its errors become
//! `ietf-restconf:errors`.

mod basic_auth;
mod discovery;
mod files;
mod leniency;
mod reply;
mod rpc;

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use rustls::ServerConfig;
use sztp_core::restconf::{encoding_of, negotiate};
use sztp_voucher::yang::Encoding;
use tracing::Instrument as _;

use crate::Service;
use crate::config::ServerLimits;
use crate::listener::Handler;
use crate::metrics::ListenerMetrics;
use crate::service::{Peer, new_id};

use self::reply::{Refused, not_found};

/// The handler of the device-facing listener.
#[derive(Debug, Clone)]
pub(crate) struct DeviceApi {
    service: Service,
    limits: ServerLimits,
}

impl DeviceApi {
    pub(crate) fn new(service: Service, limits: ServerLimits) -> Self {
        Self { service, limits }
    }

    async fn route(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refused> {
        let path = request.uri().path().to_owned();
        let trimmed = match path.strip_suffix('/') {
            Some(trimmed) if !trimmed.is_empty() => trimmed,
            _ => &path,
        };
        if let Some(file) = trimmed.strip_prefix("/files/") {
            return files::serve(self, file, &request).await;
        }
        if trimmed == "/.well-known/host-meta" {
            return discovery::host_meta(request.method());
        }
        let Some(resource) = trimmed.strip_prefix(ROOT) else {
            return Err(not_found());
        };
        // LEDGER: 8040-2.5-01
        let mut device = match basic_auth::credentials(&request) {
            Some((name, code)) if peer.certificates.is_empty() => {
                self.service.activate(peer, &name, &code).await?
            }
            _ => self.service.identify(peer).await?,
        };
        // The bootstrap is known once something of it is written.
        let span = tracing::info_span!(
            "device",
            serial_number = device.serial_number(),
            request = new_id(),
            bootstrap = tracing::field::Empty,
        );
        async {
            let result = match operation_in(resource) {
                Some((name, doubled)) => {
                    if doubled {
                        device.note("the path of the operation came after another path");
                    }
                    if trimmed.len() != path.len() {
                        device.note("the request's path ended in a slash");
                    }
                    rpc::call(self, &mut device, name, request).await
                }
                None => discovery::resource(resource, &request),
            };
            if let Err(refused) = &result
                && !refused.is_recorded()
            {
                self.service
                    .record_refused(&device, &refused.to_string())
                    .await?;
            }
            result
        }
        .instrument(span)
        .await
    }
}

impl Handler for DeviceApi {
    fn tls(&self) -> Arc<ServerConfig> {
        self.service.materials().device_tls.clone()
    }

    fn metrics(&self) -> &ListenerMetrics {
        &self.service.metrics().devices
    }

    async fn handle(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let encoding = error_encoding(&request);
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.route(&peer, request).await {
            Ok(response) => response,
            Err(refused) => {
                tracing::debug!(peer = %peer.address, %refused, "refused");
                refused.into_response(encoding, is_head)
            }
        };
        // LEDGER: 8040-5.5-01
        response
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(header::HeaderValue::from_static("no-cache"));
        response
    }
}

/// The name of an operation, and whether the path is one that was put together from two: a URL
/// with a path and what a device appends to the server's root.
fn operation_in(resource: &str) -> Option<(&str, bool)> {
    let name = resource.strip_prefix(OPERATIONS)?;
    let again = [ROOT, OPERATIONS].concat();
    match name.rsplit_once(again.as_str()) {
        Some((_, name)) => Some((name, true)),
        None => Some((name, false)),
    }
}

/// The encoding of an error: what the client accepts, else what it sent, else JSON.
fn error_encoding<B>(request: &Request<B>) -> Encoding {
    let sent = header_text(request, &header::CONTENT_TYPE).and_then(encoding_of);
    let sent = sent.unwrap_or(Encoding::Json);
    negotiate(header_text(request, &header::ACCEPT), sent).unwrap_or(sent)
}

fn header_text<'a, B>(request: &'a Request<B>, name: &header::HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The API root (RFC 8040 §3.1), which devices in the field take for granted.
const ROOT: &str = "/restconf";

const OPERATIONS: &str = "/operations/";
