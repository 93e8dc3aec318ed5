//! `/deliveries`: what is to be told to other systems; handing devices over to them.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::body::receive;
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, answer, page};
use crate::model::{Delivery, DeliveryFilter, DeliveryState, DeliveryTarget, Role};

pub(super) fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("deliveries")
        .get(
            "/deliveries",
            Viewer,
            "What is still to be told to other systems, and what was given up",
            list,
        )
        .query::<DeliveriesQuery>()
        .get("/deliveries/{id}", Viewer, "One delivery", show)
        .post(
            "/deliveries/{id}/retry",
            Operator,
            "Begins a delivery anew, at once",
            retry,
        )
        .delete("/deliveries/{id}", Operator, "Forgets a delivery", discard)
        .get(
            "/delivery-targets",
            Viewer,
            "Webhooks and onboarding targets",
            targets,
        )
        .post(
            "/devices/{serial}/onboard",
            Operator,
            "Hands a device over to the systems that manage it, again if need be",
            onboard,
        )
        .json::<OnboardBody>()
        .get(
            "/devices/{serial}/contact",
            Viewer,
            "How a device says that it is reached, with its SSH host keys",
            contact,
        )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    state: Option<DeliveryState>,
    target: Option<String>,
    serial: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OnboardBody {
    targets: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<DeliveriesQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    let filter = DeliveryFilter {
        state: query.state,
        target: query.target,
        serial_number: query.serial,
    };
    let listed = api.service.deliveries(filter, page).await?;
    Ok(answer(StatusCode::OK, &listed))
}

async fn show(
    State(api): State<Api>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let Path(id) = id?;
    Ok(answer(StatusCode::OK, &api.service.delivery(id).await?))
}

async fn retry(
    State(api): State<Api>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let Path(id) = id?;
    let delivery = api.service.retry_delivery(id).await?;
    Ok(answer(StatusCode::ACCEPTED, &delivery))
}

async fn discard(
    State(api): State<Api>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    api.service.discard_delivery(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn targets(State(api): State<Api>) -> Response<Body> {
    let items: Vec<DeliveryTarget> = api.service.delivery_targets();
    answer(StatusCode::OK, &Items { items })
}

async fn onboard(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let octets = receive(request, MAX_BODY).await?;
    let body: OnboardBody = if octets.is_empty() {
        OnboardBody::default()
    } else {
        serde_json::from_slice(&octets)
            .map_err(|error| ApiError::bad_request(&error.to_string()))?
    };
    let items: Vec<Delivery> = api.service.onboard_device(&serial?, body.targets).await?;
    Ok(answer(StatusCode::ACCEPTED, &Items { items }))
}

async fn contact(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let contact = api.service.contact(&serial?).await?;
    Ok(answer(StatusCode::OK, &contact))
}

const MAX_BODY: usize = 64 * 1024;
