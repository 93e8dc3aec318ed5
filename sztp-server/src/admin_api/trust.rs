//! `/trust-anchors`, `/revocation-lists`, `/unknown-devices`, activation codes, and what expires.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::body::{receive, receive_json};
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, PageQuery, answer, page, spec_of};
use crate::model::{Expiry, Role, TrustAnchorSpec};

pub(super) fn routes() -> Routes {
    use Role::{Admin, Operator, Viewer};
    Routes::new("trust")
        .post(
            "/trust-anchors",
            Admin,
            "Adds anchors for IDevID certificates or for signers of vouchers",
            add_anchors,
        )
        .json::<TrustAnchorSpec>()
        .get("/trust-anchors", Viewer, "Trust anchors", list_anchors)
        .query::<PageQuery>()
        .delete(
            "/trust-anchors/{id}",
            Admin,
            "Forgets an anchor that was uploaded",
            delete_anchor,
        )
        .post(
            "/revocation-lists",
            Operator,
            "Keeps certificate revocation lists (PEM or DER)",
            add_lists,
        )
        .takes("application/pkix-crl")
        .get(
            "/revocation-lists",
            Viewer,
            "Certificate revocation lists",
            list_lists,
        )
        .query::<PageQuery>()
        .delete(
            "/revocation-lists/{id}",
            Admin,
            "Forgets a revocation list",
            delete_list,
        )
        .get(
            "/unknown-devices",
            Viewer,
            "Devices that have proved who they are and are not known",
            list_unknown,
        )
        .query::<PageQuery>()
        .post(
            "/unknown-devices/{serial}/adopt",
            Operator,
            "Adds the device",
            adopt,
        )
        .json::<crate::model::DeviceSpec>()
        .delete(
            "/unknown-devices/{serial}",
            Operator,
            "Forgets that the device was here",
            forget,
        )
        .post(
            "/devices/{serial}/activation-code",
            Operator,
            "Makes an activation code, which is shown this once",
            make_code,
        )
        .delete(
            "/devices/{serial}/activation-code",
            Operator,
            "Takes the activation code away",
            delete_code,
        )
        .get(
            "/expiries",
            Viewer,
            "What ends within 30 days, or has ended",
            expiries,
        )
}

#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
}

async fn add_anchors(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let spec: TrustAnchorSpec = serde_json::from_value(document)
        .map_err(|error| ApiError::bad_request(&error.to_string()))?;
    let items = api.service.add_trust_anchors(spec).await?;
    Ok(answer(StatusCode::CREATED, &Items { items }))
}

async fn list_anchors(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.trust_anchors(&page)))
}

async fn delete_anchor(
    State(api): State<Api>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    api.service.delete_trust_anchor(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_lists(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let octets = receive(request, api.limits.max_admin_body_bytes).await?;
    let items = api.service.add_revocation_lists(&octets).await?;
    Ok(answer(StatusCode::CREATED, &Items { items }))
}

async fn list_lists(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    let listed = api.service.revocation_lists(&page).await?;
    Ok(answer(StatusCode::OK, &listed))
}

async fn delete_list(
    State(api): State<Api>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    api.service.delete_revocation_list(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_unknown(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    let listed = api.service.unknown_devices(page).await?;
    Ok(answer(StatusCode::OK, &listed))
}

/// The body is what is set for the device; it may be absent.
async fn adopt(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Path(serial) = serial?;
    let octets = receive(request, api.limits.max_admin_body_bytes).await?;
    let spec = if octets.trim_ascii().is_empty() {
        crate::model::DeviceSpec::default()
    } else {
        let document = serde_json::from_slice(&octets)
            .map_err(|error| ApiError::bad_request(&error.to_string()))?;
        spec_of(document)?
    };
    let device = api.service.adopt_device(&serial, spec).await?;
    Ok(answer(StatusCode::CREATED, &device))
}

async fn forget(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.forget_unknown_device(&serial?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Code {
    serial_number: String,
    activation_code: String,
}

async fn make_code(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let Path(serial_number) = serial?;
    let activation_code = api.service.make_activation_code(&serial_number).await?;
    let code = Code {
        serial_number,
        activation_code,
    };
    Ok(answer(StatusCode::CREATED, &code))
}

async fn delete_code(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_activation_code(&serial?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn expiries(State(api): State<Api>) -> Response<Body> {
    let items: Vec<Expiry> = api.service.expiries();
    answer(StatusCode::OK, &Items { items })
}
