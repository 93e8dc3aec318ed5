//! `/devices/{serial}/status-token`: by what a script proves whose it is, for those that are not
//! filled in by this server.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::{Response, StatusCode};
use serde::Serialize;

use super::error::ApiError;
use super::routes::Routes;
use super::{Api, answer};
use crate::model::Role;

pub(super) fn routes() -> Routes {
    Routes::new("devices").get(
        "/devices/{serial}/status-token",
        Role::Operator,
        "The token by which a script of the device tells its status",
        show,
    )
}

#[derive(Serialize)]
struct StatusToken {
    token: String,
    url: String,
}

async fn show(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    match api.service.status_token(&serial?).await? {
        Some((token, url)) => Ok(answer(StatusCode::OK, &StatusToken { token, url })),
        None => Err(ApiError::not_found()),
    }
}
