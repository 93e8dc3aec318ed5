//! `devices`: entries added, changed, listed, imported and exported; totals; onboarding.

use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Map, Value, json};
use sztp_core::lifecycle::State as LifecycleState;

use super::Api;
use super::nodes::{is_only_a_number, members_of, node_of};
use super::reply::{Asked, Reply, receive_json, text, texts};
use super::table;
use crate::model::{Device, DeviceFilter, Existing, ImportOptions, ImportResult, Page};
use crate::{ImportFormat, Service, ServiceError};

/// POST adds, PUT changes what is Unprovisioned, PATCH the rest, DELETE forgets.
pub(super) async fn change(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let method = request.method().clone();
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    if method == Method::DELETE {
        return delete(&api.service, &document).await;
    }
    let nodes = document["nodes"].as_array().cloned().unwrap_or_default();
    if nodes.is_empty() {
        return Err(Reply::refused(400, "nodes not provided"));
    }
    match method {
        Method::POST => add(&api.service, &nodes, false).await,
        Method::PUT | Method::PATCH => update(&api.service, &nodes, method == Method::PUT).await,
        _ => Err(Reply::refused(
            405,
            "devices takes POST, PUT, PATCH and DELETE",
        )),
    }
}

pub(super) async fn query(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let asked = Asked::of(&document)?;
    let nodes = nodes(&api.service, &asked).await?;
    Ok(asked.page(&["ztpnodes"], nodes))
}

/// `{"b64Content": CSV, "isDryRun": ..}`.
pub(super) async fn import(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let csv = content(&document)?;
    let nodes = table::entries(&csv).map_err(|problem| Reply::refused(400, &problem))?;
    let is_dry_run = text(&document["isDryRun"]).as_deref() == Some("true");
    add(&api.service, &nodes, is_dry_run).await?;
    // Clients of this call look for 200, and not for 201.
    let message = if is_dry_run {
        format!("{} devices can be added", nodes.len())
    } else {
        format!("{} devices added", nodes.len())
    };
    Ok(Reply::done(200, &message))
}

pub(super) async fn export(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let mut document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    if document["filter"].is_null() {
        document["filter"] = json!({});
    }
    let asked = Asked::of(&document)?;
    let mut csv = table::header();
    for node in nodes(&api.service, &asked).await? {
        csv.push_str(&table::row(&node));
    }
    Ok(file("ztp_devices.csv", &csv))
}

pub(super) async fn template() -> Reply {
    file("ztp_devices_template.csv", &table::header())
}

/// How many devices, profiles, and devices in each state.
pub(super) async fn count(State(api): State<Api>) -> Result<Reply, Reply> {
    let states = api.service.states().await?;
    let devices: u64 = states.iter().map(|(_, count)| count).sum();
    let by_state: Map<String, Value> = states
        .iter()
        .map(|(state, count)| (state.clone(), json!(count)))
        .collect();
    let mut profiles = 0;
    let mut page = Page {
        after: None,
        limit: Page::MAX_LIMIT,
    };
    loop {
        let listed = api.service.profiles(page.clone()).await?;
        profiles += listed.items.len();
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    Ok(Reply::with(
        200,
        json!({
            "data": {
                "deviceCount": devices,
                "profileCount": profiles,
                "deviceStatusCount": by_state,
            },
        }),
    ))
}

/// Hands one device over to the systems that manage it.
pub(super) async fn onboard(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let names = named(&document);
    let [serial_number] = names.as_slice() else {
        return Err(Reply::refused(
            400,
            "serialNumber or uuid of one device is needed",
        ));
    };
    let deliveries = api.service.onboard_device(serial_number, None).await?;
    let targets: Vec<&str> = deliveries.iter().map(|one| one.target.as_str()).collect();
    Ok(Reply::done(
        200,
        &format!("Onboarding to {}", targets.join(", ")),
    ))
}

/// All or nothing, as in Crosswork.
async fn add(service: &Service, nodes: &[Value], dry_run: bool) -> Result<Reply, Reply> {
    let mut rows = Vec::with_capacity(nodes.len());
    let mut problems = Vec::new();
    for node in nodes {
        let members = match members_of(node) {
            Ok(members) => members,
            Err(problem) => {
                problems.push(failed(node, &problem));
                continue;
            }
        };
        // One that was only a serial number becomes a device.
        let serial_number = text(&members["serial_number"]).unwrap_or_default();
        match service.device(&serial_number).await {
            Ok(device) if !is_only_a_number(&device) => {
                problems.push(failed(node, "Device already exists"));
            }
            Ok(_) | Err(ServiceError::DeviceMissing { .. }) => rows.push(Value::Object(members)),
            Err(error) => return Err(error.into()),
        }
    }
    if problems.is_empty() {
        problems = write(service, nodes, rows, Existing::Replace, dry_run).await?;
    }
    if problems.is_empty() {
        return Ok(Reply::done(201, "Device Added Successfully"));
    }
    Err(Reply::refused(422, &Value::Array(problems).to_string()))
}

async fn update(service: &Service, nodes: &[Value], is_put: bool) -> Result<Reply, Reply> {
    let mut rows = Vec::with_capacity(nodes.len());
    let mut problems = Vec::new();
    for node in nodes {
        let mut node = node.clone();
        if texts(&node["serialNumber"]).is_empty() {
            node["serialNumber"] = node["uuid"].clone();
        }
        // A record that was read, changed and put back has its status in it.
        if let Some(members) = node.as_object_mut() {
            members.remove("status");
        }
        let members = match members_of(&node) {
            Ok(members) => members,
            Err(problem) => {
                problems.push(failed(&node, &problem));
                continue;
            }
        };
        let serial_number = text(&members["serial_number"]).unwrap_or_default();
        match service.device(&serial_number).await {
            Ok(device) => {
                let is_fresh = device.state == LifecycleState::Unprovisioned.as_str();
                if is_fresh == is_put {
                    rows.push(Value::Object(members));
                } else {
                    let problem = if is_put {
                        format!(
                            "Device is {}; only what is Unprovisioned is replaced",
                            device.state
                        )
                    } else {
                        "Device is Unprovisioned; use PUT".to_owned()
                    };
                    problems.push(failed(&node, &problem));
                }
            }
            Err(ServiceError::DeviceMissing { .. }) => {
                let message = format!("Device with UUID : {serial_number} does not exist.");
                return Err(Reply::refused(404, &message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if problems.is_empty() {
        let existing = if is_put {
            Existing::Replace
        } else {
            Existing::Update
        };
        problems = write(service, nodes, rows, existing, false).await?;
    }
    if problems.is_empty() {
        return Ok(Reply::done(200, "Device Updated Successfully"));
    }
    Err(Reply::refused(422, &Value::Array(problems).to_string()))
}

async fn delete(service: &Service, document: &Value) -> Result<Reply, Reply> {
    let names = named(document);
    if names.is_empty() {
        return Err(Reply::refused(400, "uuid or serialNumber not provided"));
    }
    let mut problems = Vec::new();
    for (place, name) in names.iter().enumerate() {
        match service.delete_device(name).await {
            Ok(()) => {}
            Err(ServiceError::DeviceMissing { .. }) => {
                let number = place + 1;
                problems.push(format!(
                    "{number}) Device with UUID : {name} does not exist."
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if problems.is_empty() {
        return Ok(Reply::with(200, json!({})));
    }
    Ok(Reply::done(200, &problems.join(" ")))
}

/// Rows into the database, all or none; what is wrong with them.
async fn write(
    service: &Service,
    nodes: &[Value],
    rows: Vec<Value>,
    existing: Existing,
    dry_run: bool,
) -> Result<Vec<Value>, Reply> {
    let options = ImportOptions {
        dry_run,
        all_or_nothing: true,
        existing,
        require_variables: false,
    };
    let document = Value::Array(rows).to_string();
    let report = service
        .import_devices(document.as_bytes(), ImportFormat::Json, options)
        .await?;
    let refused = report
        .results
        .iter()
        .filter(|row| row.result == ImportResult::Refused);
    Ok(refused
        .map(|row| {
            let message = row.message.as_deref().unwrap_or("refused");
            let place = usize::try_from(row.row.saturating_sub(1)).unwrap_or(0);
            failed(nodes.get(place).unwrap_or(&Value::Null), message)
        })
        .collect())
}

/// All entries that are asked for.
async fn nodes(service: &Service, asked: &Asked) -> Result<Vec<Value>, ServiceError> {
    if let Some(serial_number) = asked.exactly("serialNumber").or(asked.exactly("uuid")) {
        return match service.device(&serial_number).await {
            Ok(device) => Ok(listed(&device, asked).into_iter().collect()),
            Err(ServiceError::DeviceMissing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
    }
    let state = asked.exactly("status");
    let filter = DeviceFilter {
        state: state.filter(|state| state.parse::<LifecycleState>().is_ok()),
        ..DeviceFilter::default()
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let devices = service.full_devices(filter.clone(), after.take()).await?;
        let Some(last) = devices.last() else {
            return Ok(found);
        };
        after = Some(last.serial_number.clone());
        found.extend(devices.iter().filter_map(|device| listed(device, asked)));
    }
}

fn listed(device: &Device, asked: &Asked) -> Option<Value> {
    if is_only_a_number(device) {
        return None;
    }
    let node = node_of(device);
    asked.wants(&node).then_some(node)
}

/// Serial numbers, however a request names devices.
fn named(document: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for name in ["uuid", "uuids", "serialNumber", "serialNumbers"] {
        names.extend(texts(&document[name]));
    }
    for node in document["nodes"].as_array().into_iter().flatten() {
        let first = texts(&node["serialNumber"]).into_iter().next();
        names.extend(first.or_else(|| text(&node["uuid"])));
    }
    names
}

fn failed(node: &Value, problem: &str) -> Value {
    let name = text(&node["hostName"]).or_else(|| text(&node["serialNumber"]));
    json!({"hostName": name.unwrap_or_default(), "errorMsg": problem})
}

/// The octets of `b64Content`.
pub(super) fn content(document: &Value) -> Result<Vec<u8>, Reply> {
    let encoded = document["b64Content"].as_str().unwrap_or_default();
    let compact: String = encoded.split_ascii_whitespace().collect();
    match STANDARD.decode(compact) {
        Ok(octets) if !octets.is_empty() => Ok(octets),
        _ => Err(Reply::refused(400, "b64Content is needed, in base64")),
    }
}

fn file(name: &str, text: &str) -> Reply {
    let content = STANDARD.encode(text);
    Reply::with(200, json!({"fileName": name, "b64Content": content}))
}
