//! `profiles`: what Crosswork's profiles are here. What means nothing here is kept in the variable
//! `crosswork_profile`.

use axum::body::Body;
use axum::extract::State;
use http::{Method, Request};
use serde_json::{Map, Value, json};

use super::Api;
use super::reply::{Asked, Reply, receive_json, text, texts};
use crate::model::{BootImageSpec, Handling, Page, Profile, ProfileSpec, TemplateRef};
use crate::{InventoryError, Service, ServiceError};

/// POST adds, PUT changes, DELETE forgets.
pub(super) async fn change(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let method = request.method().clone();
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    match method {
        Method::POST => put(&api.service, &document, true).await,
        Method::PUT | Method::PATCH => put(&api.service, &document, false).await,
        Method::DELETE => delete(&api.service, &document).await,
        _ => Err(Reply::refused(405, "profiles takes POST, PUT and DELETE")),
    }
}

pub(super) async fn query(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let asked = Asked::of(&document)?;
    let mut found = Vec::new();
    let mut page = Page {
        after: None,
        limit: Page::MAX_LIMIT,
    };
    loop {
        let listed = api.service.profiles(page.clone()).await?;
        let shown = listed.items.iter().map(shown);
        found.extend(shown.filter(|profile| asked.wants(profile)));
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    // Clients of different age look for one or the other.
    Ok(asked.page(&["ztpProfiles", "profiles"], found))
}

async fn put(service: &Service, document: &Value, is_new: bool) -> Result<Reply, Reply> {
    let profiles = document["profiles"].as_array().cloned().unwrap_or_default();
    if profiles.is_empty() {
        return Err(Reply::refused(400, "profiles not provided"));
    }
    let mut specs = Vec::new();
    for profile in &profiles {
        let name = text(&profile["profileName"]);
        let name = name.ok_or_else(|| Reply::refused(400, "profileName is needed"))?;
        let there = match service.profile(&name).await {
            Ok(profile) => Some(profile.spec),
            Err(ServiceError::Inventory(InventoryError::ProfileMissing { .. })) => None,
            Err(error) => return Err(error.into()),
        };
        let before = match (there, is_new) {
            (Some(_), true) => {
                let message = format!("Profile with name already exist : {name}");
                return Err(Reply::refused(400, &message));
            }
            (None, false) => {
                let message = format!("Profile with name {name} does not exist");
                return Err(Reply::refused(404, &message));
            }
            (before, _) => before.unwrap_or_default(),
        };
        specs.push((name, spec(before, profile)?));
    }
    service.apply_profiles(specs, false).await?;
    Ok(if is_new {
        Reply::done(201, "Profile Created Successfully")
    } else {
        Reply::done(200, "Profile Updated Successfully")
    })
}

async fn delete(service: &Service, document: &Value) -> Result<Reply, Reply> {
    let mut names = Vec::new();
    for name in ["profileName", "profileNames", "profileId", "profileIds"] {
        names.extend(texts(&document[name]));
    }
    for profile in document["profiles"].as_array().into_iter().flatten() {
        let name = text(&profile["profileName"]).or_else(|| text(&profile["profileId"]));
        names.extend(name.or_else(|| text(profile)));
    }
    if names.is_empty() {
        return Err(Reply::refused(400, "profileName or profileId not provided"));
    }
    for name in names {
        match service.delete_profile(&name).await {
            Ok(()) => {}
            Err(ServiceError::Inventory(InventoryError::ProfileMissing { .. })) => {
                let message = format!("Profile with name {name} does not exist");
                return Err(Reply::refused(404, &message));
            }
            Err(ServiceError::Inventory(error @ InventoryError::ProfileInUse { .. })) => {
                return Err(Reply::refused(424, &error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reply::with(200, json!({})))
}

/// What a profile becomes; what is only known here stays.
fn spec(before: ProfileSpec, profile: &Value) -> Result<ProfileSpec, Reply> {
    let file = |name: &str| -> Result<Option<TemplateRef>, Reply> {
        let Some(id) = text(&profile[name]) else {
            return Ok(None);
        };
        let parsed = id.parse::<TemplateRef>();
        parsed
            .map(Some)
            .map_err(|_| Reply::refused(400, &format!("{name}: {id:?} is no configuration")))
    };
    let configuration = file("config")?;
    let handling = match text(&profile["configMode"]).as_deref() {
        Some("replace" | "REPLACE") => Handling::Replace,
        _ => before.configuration_handling.unwrap_or(Handling::Merge),
    };
    let mut kept = Map::new();
    for (name, value) in profile.as_object().into_iter().flatten() {
        if KEPT.contains(&name.as_str()) && text(value).is_some() {
            kept.insert(name.clone(), value.clone());
        }
    }
    let mut variables = before.variables;
    variables.insert("crosswork_profile".to_owned(), Value::Object(kept));
    Ok(ProfileSpec {
        description: text(&profile["profileDescription"]),
        boot_image: text(&profile["image"]).map(|image| BootImageSpec {
            image: Some(image),
            os_name: text(&profile["osPlatform"]),
            os_version: text(&profile["version"]),
            ..BootImageSpec::default()
        }),
        configuration_handling: configuration.is_some().then_some(handling),
        configuration,
        pre_configuration_script: file("preConfig")?,
        post_configuration_script: file("postConfig")?,
        variables,
        ..before
    })
}

fn shown(profile: &Profile) -> Value {
    let spec = &profile.spec;
    let mut shown = match spec.variables.get("crosswork_profile") {
        Some(Value::Object(kept)) => kept.clone(),
        _ => Map::new(),
    };
    let name = |reference: &Option<TemplateRef>| reference.as_ref().map(ToString::to_string);
    let image = spec
        .boot_image
        .as_ref()
        .and_then(|image| image.image.clone());
    for (member, value) in [
        ("profileId", Some(profile.name.clone())),
        ("profileName", Some(profile.name.clone())),
        ("profileDescription", spec.description.clone()),
        ("config", name(&spec.configuration)),
        ("configName", name(&spec.configuration)),
        ("preConfig", name(&spec.pre_configuration_script)),
        ("postConfig", name(&spec.post_configuration_script)),
        ("image", image),
        ("isSecureZtp", Some("true".to_owned())),
        (
            "lastUpdated",
            Some(profile.updated_at.secs().saturating_mul(1000).to_string()),
        ),
    ] {
        if let Some(value) = value {
            shown.insert(member.to_owned(), json!(value));
        }
    }
    Value::Object(shown)
}

/// What is kept as it was sent.
const KEPT: [&str; 5] = [
    "osPlatform",
    "deviceFamily",
    "version",
    "profileCategory",
    "vendor",
];
