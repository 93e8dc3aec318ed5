//! `/configurations`: configurations and scripts, their versions, variables and results; and
//! `/variables`, which hold for all devices.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::body::{receive, receive_json};
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, PageQuery, answer, page};
use crate::model::{NeededVariable, Role, Syntax, TemplateKind, TemplateRef, Variables};

pub(super) fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("configurations")
        .get(
            "/configurations",
            Viewer,
            "Configurations and scripts by name",
            list,
        )
        .query::<PageQuery>()
        .get(
            "/configurations/{name}",
            Viewer,
            "One of them, with its versions",
            show,
        )
        .put(
            "/configurations/{name}",
            Operator,
            "Adds a version of a configuration or script",
            put,
        )
        .query::<PutQuery>()
        .takes("application/octet-stream")
        .delete(
            "/configurations/{name}",
            Operator,
            "Deletes one that no profile names, with all its versions",
            delete,
        )
        .get(
            "/configurations/{name}/content",
            Viewer,
            "The content of a version, as uploaded",
            content,
        )
        .query::<VersionQuery>()
        .get(
            "/configurations/{name}/variables",
            Viewer,
            "The variables that a version looks up",
            variables,
        )
        .query::<VersionQuery>()
        .post(
            "/configurations/{name}/render",
            Viewer,
            "Fills a version in, as it would be for a device",
            render,
        )
        .json::<RenderRequest>()
        .read_only()
        .get(
            "/variables",
            Viewer,
            "The variables that hold for all devices",
            defaults,
        )
        .put(
            "/variables",
            Operator,
            "Replaces the variables that hold for all devices",
            put_defaults,
        )
        .takes("application/json")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    kind: TemplateKind,
    syntax: Option<Syntax>,
    description: Option<String>,
}

async fn put(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<PutQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let content = receive(request, api.limits.max_admin_body_bytes).await?;
    let syntax = query.syntax.unwrap_or(Syntax::Jinja);
    let (template, new) = api
        .service
        .put_template(
            &name?,
            query.kind,
            syntax,
            query.description,
            content.to_vec(),
        )
        .await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(answer(status, &template))
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.templates(page).await?))
}

async fn show(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let template = api.service.template(&name?).await?;
    Ok(answer(StatusCode::OK, &template))
}

async fn delete(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_template(&name?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionQuery {
    version: Option<u32>,
}

async fn content(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<VersionQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let reference = reference(name, query?.version)?;
    let (version, octets) = api.service.template_content(&reference).await?;
    let mut response = octets.into_response();
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", version.sha256)) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

#[derive(Serialize)]
struct NeededVariables {
    items: Vec<NeededVariable>,
}

async fn variables(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<VersionQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let reference = reference(name, query?.version)?;
    let items = api.service.template_variables(&reference).await?;
    Ok(answer(StatusCode::OK, &NeededVariables { items }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RenderRequest {
    serial_number: Option<String>,
    profile: Option<String>,
    version: Option<u32>,
    variables: Variables,
}

async fn render(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let wanted: RenderRequest = serde_json::from_value(document)
        .map_err(|error| ApiError::bad_request(&error.to_string()))?;
    let rendered = api
        .service
        .render_template(
            &reference(name, wanted.version)?,
            wanted.serial_number.as_deref(),
            wanted.profile.as_deref(),
            &wanted.variables,
        )
        .await?;
    Ok(answer(StatusCode::OK, &rendered))
}

async fn defaults(State(api): State<Api>) -> Result<Response<Body>, ApiError> {
    Ok(answer(
        StatusCode::OK,
        &api.service.default_variables().await?,
    ))
}

async fn put_defaults(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let variables: Variables = serde_json::from_value(document)
        .map_err(|error| ApiError::bad_request(&error.to_string()))?;
    api.service.put_default_variables(variables.clone()).await?;
    Ok(answer(StatusCode::OK, &variables))
}

fn reference(
    name: Result<Path<String>, PathRejection>,
    version: Option<u32>,
) -> Result<TemplateRef, ApiError> {
    let Path(name) = name?;
    Ok(TemplateRef { name, version })
}
