//! What operators see: JSON under `/api/v1`, with a bearer token; `/healthz` and `/readyz` without.

mod access;
mod body;
mod configurations;
mod deliveries;
mod devices;
mod error;
mod events;
mod fields;
mod guard;
mod ldevids;
mod metrics;
mod openapi;
mod profiles;
mod routes;
mod status_tokens;
mod trust;
mod vouchers;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::middleware;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sztp_core::lifecycle::State as LifecycleState;
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::Service;
use crate::access::Access;
use crate::config::{AccessConfig, ServerLimits};
use crate::listener::Handler;
use crate::metrics::ListenerMetrics;
use crate::model::{DeviceFilter, DeviceSpec, Page, Role};
use crate::service::{Peer, READ_ONLY};

pub(crate) use self::error::status_of;

use self::body::{BodyReader, receive_json};
use self::error::ApiError;
use self::guard::RequestId;
use self::routes::{Routes, Table};

/// The handler of the admin listener.
#[derive(Debug, Clone)]
pub(crate) struct AdminApi {
    service: Service,
    router: TowerToHyperService<Router>,
}

#[derive(Debug, Clone)]
struct Api {
    service: Service,
    access: Access,
    limits: ServerLimits,
    stopping: watch::Receiver<bool>,
    table: Arc<Table>,
}

/// Everything beneath `/api/v1`.
fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("devices")
        .post("/devices", Operator, "Adds a device", add_device)
        .json::<DeviceSpec>()
        .get("/devices", Viewer, "Devices by serial number", list_devices)
        .query::<DevicesQuery>()
        .get("/devices/{serial}", Viewer, "One device", device)
        .put(
            "/devices/{serial}",
            Operator,
            "Sets a device, or adds it",
            put_device,
        )
        .json::<DeviceSpec>()
        .delete(
            "/devices/{serial}",
            Operator,
            "Forgets a device; its history stays",
            delete_device,
        )
        .post(
            "/devices/{serial}/reset",
            Operator,
            "Starts a device over",
            reset_device,
        )
        .get(
            "/devices/{serial}/history",
            Viewer,
            "What happened to a device",
            history,
        )
        .query::<PageQuery>()
        .merge(
            Routes::new("images")
                .post("/images", Operator, "Uploads an image", add_image)
                .query::<ImageQuery>()
                .takes("application/octet-stream")
                .get("/images", Viewer, "Images by name", list_images)
                .query::<PageQuery>()
                .delete("/images/{name}", Operator, "Deletes an image", delete_image),
        )
        .merge(access::routes())
        .merge(configurations::routes())
        .merge(deliveries::routes())
        .merge(events::routes())
        .merge(openapi::routes())
        .merge(devices::routes())
        .merge(ldevids::routes())
        .merge(profiles::routes())
        .merge(status_tokens::routes())
        .merge(trust::routes())
        .merge(vouchers::routes())
}

impl AdminApi {
    pub(crate) fn new(
        service: Service,
        limits: ServerLimits,
        access: AccessConfig,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let (v1, table) = routes().finish();
        let api = Api {
            service: service.clone(),
            access: Access::new(access),
            limits,
            stopping,
            table: Arc::new(table),
        };
        let v1 = v1
            .fallback(no_such_resource)
            .layer(middleware::from_fn_with_state(api.clone(), guard::admit));
        let router = Router::new()
            .nest(PREFIX, v1)
            .route(
                "/healthz",
                get(|| async { answer(StatusCode::OK, &Health { status: "ok" }) }),
            )
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics::metrics))
            .fallback(no_such_resource)
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
            .with_state(api);
        Self {
            service,
            router: TowerToHyperService::new(router),
        }
    }
}

impl Handler for AdminApi {
    fn tls(&self) -> Arc<ServerConfig> {
        self.service.materials().admin_tls.clone()
    }

    fn metrics(&self) -> &ListenerMetrics {
        &self.service.metrics().operators
    }

    async fn handle(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let id = RequestId::of(request.headers());
        let span = tracing::info_span!("operator", request = id.0, actor = tracing::field::Empty);
        let mut request = request.map(Body::new);
        let shown_id = HeaderValue::from_str(&id.0);
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(peer.clone());
        let response = self.router.call(request).instrument(span.clone()).await;
        let mut response = match response {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        span.in_scope(|| tracing::debug!(peer = %peer.address, %method, path, status, "admin"));
        if let Ok(id) = shown_id {
            response.headers_mut().insert("x-request-id", id);
        }
        let headers = response.headers_mut();
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    /// Certificates and revocation lists that end soon; `/api/v1/expiries` says which.
    expiring: usize,
}

async fn ready(State(api): State<Api>) -> Result<Response<Body>, ApiError> {
    api.service.ready().await?;
    let ready = Ready {
        status: "ready",
        expiring: api.service.expiries().len(),
    };
    Ok(answer(StatusCode::OK, &ready))
}

async fn add_device(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let mut document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let serial_number = document
        .as_object_mut()
        .and_then(|members| members.remove("serial_number"));
    let Some(Value::String(serial_number)) = serial_number else {
        return Err(ApiError::bad_request(
            "serial_number is needed, as a string",
        ));
    };
    let device = api
        .service
        .add_device(&serial_number, spec_of(document)?)
        .await?;
    Ok(answer(StatusCode::CREATED, &device))
}

async fn put_device(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Path(serial_number) = serial?;
    let mut document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    if let Some(members) = document.as_object_mut() {
        if members
            .get("serial_number")
            .is_some_and(|given| *given != serial_number.as_str())
        {
            return Err(ApiError::bad_request(
                "serial_number is not the one of the path",
            ));
        }
        // What GET answers can be changed and put back.
        members.remove("serial_number");
        for name in READ_ONLY {
            members.remove(name);
        }
    }
    let (device, added) = api
        .service
        .put_device(&serial_number, spec_of(document)?)
        .await?;
    Ok(answer(
        if added {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
        &device,
    ))
}

async fn device(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    Ok(answer(StatusCode::OK, &api.service.device(&serial?).await?))
}

async fn delete_device(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_device(&serial?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_device(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    Ok(answer(
        StatusCode::OK,
        &api.service.reset_device(&serial?).await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DevicesQuery {
    state: Option<String>,
    prefix: Option<String>,
    search: Option<String>,
    tag: Option<String>,
    group: Option<String>,
    profile: Option<String>,
    has_voucher: Option<bool>,
    /// Of an export.
    format: Option<devices::Format>,
    after: Option<String>,
    limit: Option<u32>,
}

impl DevicesQuery {
    fn filter(self) -> Result<DeviceFilter, ApiError> {
        if let Some(state) = &self.state
            && state.parse::<LifecycleState>().is_err()
        {
            return Err(ApiError::bad_request(
                "state is not the exact name of a lifecycle state",
            ));
        }
        Ok(DeviceFilter {
            state: self.state,
            serial_number_prefix: self.prefix,
            search: self.search,
            tag: self.tag,
            group: self.group,
            profile: self.profile,
            has_voucher: self.has_voucher,
        })
    }
}

async fn list_devices(
    State(api): State<Api>,
    query: Result<Query<DevicesQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    if query.format.is_some() {
        return Err(ApiError::bad_request("only an export has a format"));
    }
    let page = page(query.after.clone(), query.limit);
    let filter = query.filter()?;
    Ok(answer(
        StatusCode::OK,
        &api.service.devices(filter, page).await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    after: Option<String>,
    limit: Option<u32>,
}

async fn history(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(
        StatusCode::OK,
        &api.service.history(&serial?, page).await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageQuery {
    name: Option<String>,
}

async fn add_image(
    State(api): State<Api>,
    query: Result<Query<ImageQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let in_header = || Some(headers.get("x-image-name")?.to_str().ok()?.to_owned());
    let name = query
        .name
        .or_else(in_header)
        .ok_or_else(|| ApiError::bad_request("name is needed, in the query or as X-Image-Name"))?;
    let image = api.service.add_image(&name, BodyReader::new(body)).await?;
    Ok(answer(StatusCode::CREATED, &image))
}

async fn list_images(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.images(page).await?))
}

async fn delete_image(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_image(&name?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn no_such_resource() -> ApiError {
    ApiError::not_found()
}

fn page(after: Option<String>, limit: Option<u32>) -> Page {
    Page {
        after,
        limit: limit.unwrap_or(Page::default().limit),
    }
}

fn spec_of(document: Value) -> Result<DeviceSpec, ApiError> {
    serde_json::from_value(document).map_err(|error| ApiError::bad_request(&error.to_string()))
}

fn answer(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    (status, axum::Json(document)).into_response()
}

/// Where the API begins.
const PREFIX: &str = "/api/v1";
