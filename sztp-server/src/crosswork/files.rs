//! Configurations, scripts and images: listed and uploaded as clients of Crosswork do before they
//! make a profile. Their ids are their names.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest as _, Multipart, Path, Query, State};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::reply::{Reply, receive_json, text};
use crate::model::{Page, Syntax, Template, TemplateKind, TemplateRef};
use crate::{Service, ServiceError};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Named {
    confname: Option<String>,
    image_title: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Configurations and scripts, perhaps of one name.
pub(super) async fn configurations(
    State(api): State<Api>,
    query: Result<Query<Named>, QueryRejection>,
) -> Result<Reply, Reply> {
    let Query(named) = query.map_err(|error| Reply::refused(400, &error.body_text()))?;
    let mut found = Vec::new();
    let mut page = all();
    loop {
        let listed = api.service.templates(page.clone()).await?;
        let wanted = listed
            .items
            .iter()
            .filter(|one| named.confname.as_ref().is_none_or(|name| *name == one.name));
        found.extend(wanted.map(shown));
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(content(&found));
        }
    }
}

/// A form with a file, named in the query. `type` says whether it is a configuration or a script.
pub(super) async fn upload(
    State(api): State<Api>,
    query: Result<Query<Named>, QueryRejection>,
    request: Request<Body>,
) -> Result<Reply, Reply> {
    let Query(named) = query.map_err(|error| Reply::refused(400, &error.body_text()))?;
    let name = named
        .confname
        .ok_or_else(|| Reply::refused(400, "confname is needed"))?;
    let kind = match named.kind.as_deref() {
        None | Some("Day0-config") => TemplateKind::Configuration,
        Some("Pre-config" | "Post-config") => TemplateKind::Script,
        Some(other) => {
            let message = format!("type {other:?} is none of Day0-config, Pre-config, Post-config");
            return Err(Reply::refused(400, &message));
        }
    };
    let bad = |problem: &dyn std::fmt::Display| {
        Reply::refused(400, &format!("not a form with a file: {problem}"))
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| bad(&error))?;
    let mut field = form
        .next_field()
        .await
        .map_err(|error| bad(&error))?
        .ok_or_else(|| bad(&"there is none"))?;
    let file_name = field.file_name().unwrap_or(&name).to_owned();
    let mut octets = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| bad(&error))? {
        octets.extend_from_slice(&piece);
        if octets.len() > api.limits.max_configuration_bytes {
            let limit = api.limits.max_configuration_bytes;
            let message = format!("the file is larger than {limit} octets");
            return Err(Reply::refused(413, &message));
        }
    }
    // Crosswork's variables are written as Jinja's are.
    let description = Some(file_name);
    let (template, _) = api
        .service
        .put_template(&name, kind, Syntax::Jinja, description, octets)
        .await?;
    let mut members = shown(&template);
    members["message"] = json!("Uploaded Successfully");
    Ok(Reply::with(200, members))
}

pub(super) async fn delete(State(api): State<Api>, Path(id): Path<String>) -> Result<Reply, Reply> {
    api.service.delete_template(&id).await?;
    Ok(Reply::done(200, "Deleted Successfully"))
}

/// Images, perhaps of one title.
pub(super) async fn images(
    State(api): State<Api>,
    query: Result<Query<Named>, QueryRejection>,
) -> Result<Reply, Reply> {
    let Query(named) = query.map_err(|error| Reply::refused(400, &error.body_text()))?;
    let mut found = Vec::new();
    let mut page = all();
    loop {
        let listed = api.service.images(page.clone()).await?;
        for image in listed.items {
            if named
                .image_title
                .as_ref()
                .is_none_or(|title| *title == image.name)
            {
                found.push(json!({
                    "id": image.name,
                    "imageTitle": image.name,
                    "fileName": image.name,
                    "size": image.size,
                    "sha256": image.sha256,
                }));
            }
        }
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(content(&found));
        }
    }
}

/// The variables that a configuration, or the files of a profile, need.
pub(super) async fn variables(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let mut files: Vec<TemplateRef> = Vec::new();
    for name in ["config", "configId", "confId", "configName", "confname"] {
        if let Some(id) = text(&document[name]) {
            let parsed = id.parse();
            files.push(parsed.map_err(|_| Reply::refused(400, "no such configuration"))?);
        }
    }
    if let Some(name) = text(&document["profileName"]) {
        let profile = api.service.profile(&name).await?;
        files.extend(profile.spec.templates().cloned());
    }
    if files.is_empty() {
        return Err(Reply::refused(400, "config or profileName is needed"));
    }
    let attributes = needed(&api.service, &files).await?;
    Ok(Reply::with(200, json!({"configAttributes": attributes})))
}

/// Those that the operator has to give; Crosswork wants them with empty values.
async fn needed(service: &Service, files: &[TemplateRef]) -> Result<Value, ServiceError> {
    let mut attributes = json!({});
    for file in files {
        for variable in service.template_variables(file).await? {
            let is_ours = variable.name.starts_with("crosswork.");
            if !variable.of_device && !variable.has_default && !is_ours {
                attributes[variable.name] = json!("");
            }
        }
    }
    Ok(attributes)
}

fn shown(template: &Template) -> Value {
    let newest = template.versions.last();
    json!({
        "confId": template.name,
        "confName": template.name,
        "fileName": template.description.as_ref().unwrap_or(&template.name),
        "type": match template.kind {
            TemplateKind::Configuration => "Day0-config",
            TemplateKind::Script => "Pre-config",
        },
        "size": newest.map(|version| version.size),
    })
}

fn content(found: &[Value]) -> Reply {
    let total = found.len();
    Reply::with(
        200,
        json!({"content": found, "pageNumber": 1, "totalElements": total}),
    )
}

fn all() -> Page {
    Page {
        after: None,
        limit: Page::MAX_LIMIT,
    }
}
