//! `/profiles`, and which of them a device gets.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::{receive, receive_json};
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, PageQuery, answer, page};
use crate::InventoryError;
use crate::model::{ChangeAction, ProfileChange, ProfileSpec, Reported, Role};

pub(super) fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("profiles")
        .get("/profiles", Viewer, "Profiles by name", list)
        .query::<PageQuery>()
        .post(
            "/profiles/apply",
            Operator,
            "Adds and changes profiles as declared in YAML or JSON, all or none",
            apply,
        )
        .query::<ApplyQuery>()
        .takes("application/yaml")
        .get("/profiles/{name}", Viewer, "One profile", show)
        .put(
            "/profiles/{name}",
            Operator,
            "Sets a profile, or adds it",
            put,
        )
        .json::<ProfileSpec>()
        .delete(
            "/profiles/{name}",
            Operator,
            "Deletes a profile that no device needs",
            delete,
        )
        .get(
            "/devices/{serial}/explain",
            Viewer,
            "Which profile a device gets, and why",
            explain,
        )
        .query::<ExplainQuery>()
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.profiles(page).await?))
}

async fn show(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    Ok(answer(StatusCode::OK, &api.service.profile(&name?).await?))
}

async fn put(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Path(name) = name?;
    let mut document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let given = take_name(&mut document)?;
    if given.is_some_and(|given| given != name) {
        return Err(ApiError::bad_request("name is not the one of the path"));
    }
    let spec = spec_of(document)?;
    let changes = api
        .service
        .apply_profiles(vec![(name.clone(), spec)], false)
        .await?;
    let created = changes
        .iter()
        .any(|change| change.action == ChangeAction::Create);
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(answer(status, &api.service.profile(&name).await?))
}

async fn delete(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_profile(&name?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Applied {
    dry_run: bool,
    profiles: Vec<ProfileChange>,
}

/// One profile, a list of them, `{"profiles": [..]}`, or several YAML documents of these.
async fn apply(
    State(api): State<Api>,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Query(ApplyQuery { dry_run }) = query?;
    let octets = receive(request, api.limits.max_admin_body_bytes).await?;
    let profiles = declared(&octets)?;
    let profiles = api.service.apply_profiles(profiles, dry_run).await?;
    Ok(answer(StatusCode::OK, &Applied { dry_run, profiles }))
}

/// YAML is read, of which JSON is a part.
fn declared(octets: &[u8]) -> Result<Vec<(String, ProfileSpec)>, ApiError> {
    let format = |problem: String| ApiError::from(InventoryError::Format { problem });
    let mut profiles = Vec::new();
    for document in serde_norway::Deserializer::from_slice(octets) {
        let document =
            Value::deserialize(document).map_err(|error| format(format!("not YAML: {error}")))?;
        let listed = match document {
            Value::Null => continue,
            Value::Array(list) => list,
            Value::Object(mut members)
                if members.len() == 1 && members.contains_key("profiles") =>
            {
                match members.remove("profiles") {
                    Some(Value::Array(list)) => list,
                    _ => return Err(format("`profiles` is no list".to_owned())),
                }
            }
            single => vec![single],
        };
        for (number, mut profile) in listed.into_iter().enumerate() {
            let number = number + 1;
            let Some(name) = take_name(&mut profile)? else {
                return Err(format(format!(
                    "profile {number} of the list has no `name`"
                )));
            };
            let spec = serde_json::from_value(profile)
                .map_err(|error| format(format!("profile {name:?}: {error}")))?;
            profiles.push((name, spec));
        }
    }
    if profiles.is_empty() {
        return Err(format("no profile is declared".to_owned()));
    }
    Ok(profiles)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExplainQuery {
    vendor: Option<String>,
    model: Option<String>,
    os_name: Option<String>,
    os_version: Option<String>,
}

async fn explain(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let reported = Reported {
        vendor: query.vendor,
        hw_model: query.model,
        os_name: query.os_name,
        os_version: query.os_version,
    };
    let explanation = api.service.explain(&serial?, reported).await?;
    Ok(answer(StatusCode::OK, &explanation))
}

/// The name is apart from what is set; what GET answers can be put back.
fn take_name(document: &mut Value) -> Result<Option<String>, ApiError> {
    let Some(members) = document.as_object_mut() else {
        return Err(ApiError::bad_request("a profile is an object"));
    };
    for name in ["created_at", "updated_at"] {
        members.remove(name);
    }
    match members.remove("name") {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(ApiError::bad_request("name is a string")),
    }
}

fn spec_of(document: Value) -> Result<ProfileSpec, ApiError> {
    serde_json::from_value(document).map_err(|error| ApiError::bad_request(&error.to_string()))
}
