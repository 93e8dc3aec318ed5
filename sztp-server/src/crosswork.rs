//! The calls of Cisco Crosswork ZTP under `/crosswork/…`, for the scripts and programs that speak
//! it: translated into calls of [`Service`], with no rules of its own.
//!
//! Answers have the HTTP status 200 and the verdict in their member `code`, as Crosswork's have;
//! only who is not let in, and a device's script, is told by the HTTP status too.

mod devices;
mod files;
mod guard;
mod login;
mod nodes;
mod plain;
mod profiles;
mod reply;
mod serial_numbers;
mod status;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware;
use axum::routing::{any, delete, get, post};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde_json::Value;
use tracing::Instrument as _;

use crate::Service;
use crate::access::Access;
use crate::config::{AccessConfig, ServerLimits};
use crate::listener::Handler;
use crate::metrics::ListenerMetrics;
use crate::service::{Peer, new_id};

pub(crate) use plain::run as run_plain;

use self::login::Sessions;
use self::reply::Reply;

/// The handler of the listener for these calls.
#[derive(Debug, Clone)]
pub(crate) struct CrossworkApi {
    service: Service,
    router: TowerToHyperService<Router>,
}

#[derive(Debug, Clone)]
struct Api {
    service: Service,
    access: Access,
    limits: ServerLimits,
    sessions: Arc<Sessions>,
    status_without_proof: bool,
}

impl CrossworkApi {
    pub(crate) fn new(
        service: Service,
        limits: ServerLimits,
        access: AccessConfig,
        status_without_proof: bool,
    ) -> Self {
        let api = Api {
            service: service.clone(),
            access: Access::new(access),
            limits,
            sessions: Arc::default(),
            status_without_proof,
        };
        let operators = Router::new()
            .route("/ztp/v1/devices", any(devices::change))
            .route("/ztp/v1/devices/query", post(devices::query))
            .route("/ztp/v1/devices/import", post(devices::import))
            .route("/ztp/v1/devices/export", post(devices::export))
            .route("/ztp/v1/devices/csvtemplate", any(devices::template))
            .route("/ztp/v1/query/count", post(devices::count))
            .route("/ztp/v1/query/config", post(files::variables))
            .route("/ztp/v1/onboarding", post(devices::onboard))
            .route("/ztp/v1/profiles", any(profiles::change))
            .route("/ztp/v1/profiles/query", post(profiles::query))
            .route("/ztp/v1/serialnumbers", any(serial_numbers::change))
            .route("/ztp/v1/serialnumbers/query", post(serial_numbers::query))
            .route("/ztp/v1/serialnumbers/import", post(serial_numbers::import))
            .route("/ztp/v1/ovs/import", post(serial_numbers::vouchers))
            .route("/ztp/v1/ovdata/export", post(serial_numbers::request_list))
            .route("/configsvc/v1/configs", get(files::configurations))
            .route("/configsvc/v1/configs/upload", post(files::upload))
            .route("/configsvc/v1/configs/{id}", delete(files::delete))
            .route("/imagesvc/v1/images", get(files::images))
            .layer(middleware::from_fn_with_state(api.clone(), guard::admit));
        let router = Router::new()
            .nest("/crosswork", operators)
            .route("/crosswork/ztp/v1/deviceinfo/status", any(status::report))
            .route("/crosswork/sso/v1/tickets", post(login::ticket))
            .route(
                "/crosswork/sso/v1/tickets/{ticket}",
                post(login::token).delete(login::end),
            )
            .fallback(no_such_call)
            .method_not_allowed_fallback(no_such_call)
            .with_state(api);
        Self {
            service,
            router: TowerToHyperService::new(router),
        }
    }

    /// Answers one request, however it came.
    async fn answer(&self, peer: Arc<Peer>, mut request: Request<Body>) -> Response<Body> {
        let span = tracing::info_span!(
            "crosswork",
            request = new_id(),
            actor = tracing::field::Empty
        );
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        request.extensions_mut().insert(peer.clone());
        let response = self.router.call(request).instrument(span.clone()).await;
        let mut response = match response {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        // A ticket is part of some paths.
        let path = match path.split_once("/tickets/") {
            Some((before, _)) => format!("{before}/tickets/.."),
            None => path,
        };
        span.in_scope(|| tracing::debug!(peer = %peer.address, %method, path, status, "crosswork"));
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    }
}

impl Handler for CrossworkApi {
    fn tls(&self) -> Arc<ServerConfig> {
        self.service.materials().device_tls.clone()
    }

    fn metrics(&self) -> &ListenerMetrics {
        &self.service.metrics().operators
    }

    async fn handle(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        self.answer(peer, request.map(Body::new)).await
    }
}

/// What is in a CSV file of Crosswork.
#[derive(Debug, Default)]
pub(crate) struct CsvRows {
    /// Members of devices.
    pub(crate) good: Vec<Value>,
    /// Numbers of other rows, and what is wrong with them.
    pub(crate) bad: Vec<(u64, String)>,
}

/// Device entries or serial numbers in Crosswork's CSV, as rows for an import. Rows that cannot be
/// mapped are said with their number.
pub(crate) fn rows_of_csv(octets: &[u8]) -> Result<CsvRows, String> {
    let mut rows = CsvRows::default();
    for (number, entry) in (1..).zip(table::entries(octets)?) {
        match nodes::members_of(&entry) {
            Ok(members) => rows.good.push(Value::Object(members)),
            Err(problem) => rows.bad.push((number, problem)),
        }
    }
    Ok(rows)
}

async fn no_such_call() -> Reply {
    Reply::refused(404, "this call of Crosswork is not served here")
}
