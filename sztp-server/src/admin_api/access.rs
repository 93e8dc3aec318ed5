//! `/tokens`, `/audit`, and who one is.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::body::receive_json;
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, PageQuery, answer, page};
use crate::access::Principal;
use crate::model::{AuditFilter, Role, TokenSpec};
use crate::store::audit;

pub(super) fn routes() -> Routes {
    Routes::new("access")
        .get(
            "/whoami",
            Role::Viewer,
            "Who one is, and in which role",
            whoami,
        )
        .post(
            "/tokens",
            Role::Admin,
            "Makes a token; its secret is shown this once",
            create,
        )
        .json::<TokenSpec>()
        .get(
            "/tokens",
            Role::Admin,
            "Tokens, without their secrets",
            list,
        )
        .query::<PageQuery>()
        .delete(
            "/tokens/{name}",
            Role::Admin,
            "Revokes a token at once",
            revoke,
        )
        .get(
            "/audit",
            Role::Admin,
            "Who changed what, newest first",
            audit_log,
        )
        .query::<AuditQuery>()
}

#[derive(Serialize)]
struct Who {
    name: String,
    role: Role,
    by: &'static str,
}

async fn whoami(Extension(principal): Extension<Principal>) -> Response<Body> {
    let Principal { name, role, by } = principal;
    answer(StatusCode::OK, &Who { name, role, by })
}

async fn create(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let spec: TokenSpec = serde_json::from_value(document)
        .map_err(|error| ApiError::bad_request(&error.to_string()))?;
    audit::note(&format!(
        "token {:?} with the role {}",
        spec.name, spec.role
    ));
    let token = api.service.create_token(spec, &principal.name).await?;
    Ok(answer(StatusCode::CREATED, &token))
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.tokens(page).await?))
}

async fn revoke(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.revoke_token(&name?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    actor: Option<String>,
    object: Option<String>,
    outcome: Option<String>,
    since: Option<String>,
    until: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

async fn audit_log(
    State(api): State<Api>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    let filter = AuditFilter {
        actor: query.actor,
        object_prefix: query.object,
        outcome: query.outcome,
        since: time("since", query.since)?,
        until: time("until", query.until)?,
    };
    Ok(answer(
        StatusCode::OK,
        &api.service.audit(filter, page).await?,
    ))
}

fn time(name: &str, text: Option<String>) -> Result<Option<UnixTime>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    UnixTime::parse_rfc3339(&text)
        .map(Some)
        .map_err(|_| ApiError::bad_request(&format!("{name} is no RFC 3339 time")))
}
