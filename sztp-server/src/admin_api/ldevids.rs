//! `/ldevids`: certificates that were issued to devices.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::{Response, StatusCode};
use serde::Deserialize;

use super::error::ApiError;
use super::routes::Routes;
use super::{Api, answer, page};
use crate::model::{LdevidFilter, Role};

pub(super) fn routes() -> Routes {
    Routes::new("ldevids")
        .get(
            "/ldevids",
            Role::Viewer,
            "Certificates that were issued to devices (RFC 9646)",
            list,
        )
        .query::<ListQuery>()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    serial_number: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let filter = LdevidFilter {
        serial_number: query.serial_number,
    };
    let page = page(query.after, query.limit);
    let listed = api.service.ldevids(filter, page).await?;
    Ok(answer(StatusCode::OK, &listed))
}
