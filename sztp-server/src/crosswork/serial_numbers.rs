//! `serialnumbers`, `ovs` and `ovdata`: serial numbers that are expected, and their ownership
//! vouchers.
//!
//! A serial number that was loaded is a device of which nothing else is known yet, until an entry
//! for it is added.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Value, json};

use super::Api;
use super::devices::content;
use super::nodes::{is_only_a_number, only_a_number};
use super::reply::{Asked, Reply, receive_json, text, texts};
use super::table;
use crate::model::{DeviceFilter, Existing, ImportOptions, Page, VoucherResult};
use crate::{ImportFormat, InventoryError, Service, ServiceError};

/// POST adds, DELETE forgets.
pub(super) async fn change(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let method = request.method().clone();
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let mut serial_numbers = Vec::new();
    for entry in document["data"].as_array().into_iter().flatten() {
        serial_numbers.extend(text(&entry["serialNumber"]).or_else(|| text(entry)));
    }
    for name in ["serialNumber", "serialNumbers"] {
        serial_numbers.extend(texts(&document[name]));
    }
    if serial_numbers.is_empty() {
        return Err(Reply::refused(400, "data with serialNumber not provided"));
    }
    match method {
        Method::POST => add(&api.service, serial_numbers).await,
        Method::DELETE => delete(&api.service, serial_numbers).await,
        _ => Err(Reply::refused(405, "serialnumbers takes POST and DELETE")),
    }
}

pub(super) async fn import(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let csv = content(&document)?;
    let entries = table::entries(&csv).map_err(|problem| Reply::refused(400, &problem))?;
    let serial_numbers = entries
        .iter()
        .flat_map(|entry| texts(&entry["serialNumber"]));
    add(&api.service, serial_numbers.collect()).await
}

pub(super) async fn query(State(api): State<Api>, request: Request<Body>) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let asked = Asked::of(&document)?;
    let mut found = Vec::new();
    let mut vouchers = serial_numbers_of_vouchers(&api.service).await?;
    let mut after = None;
    loop {
        let devices = api
            .service
            .full_devices(DeviceFilter::default(), after.take())
            .await?;
        let Some(last) = devices.last() else { break };
        after = Some(last.serial_number.clone());
        for device in &devices {
            let is_kept = vouchers.remove(&device.serial_number);
            let is_linked = is_kept || device.spec.voucher.is_some();
            let entry = json!({
                "serialNumber": device.serial_number,
                "isOVLinked": is_linked.to_string(),
                "isInUse": (!is_only_a_number(device)).to_string(),
                "modifiedDate": device.updated_at.secs().to_string(),
            });
            found.extend(asked.wants(&entry).then_some(entry));
        }
    }
    for serial_number in vouchers {
        let entry = json!({"serialNumber": serial_number, "isOVLinked": "true",
            "isInUse": "false", "ovFilename": format!("{serial_number}.vcj")});
        found.extend(asked.wants(&entry).then_some(entry));
    }
    found.sort_by(|one, other| {
        let key = |entry: &Value| text(&entry["serialNumber"]);
        key(one).cmp(&key(other))
    });
    Ok(asked.page(&["data"], found))
}

/// `{"b64Content": voucher or tar, "fileName": ..}`.
pub(super) async fn vouchers(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let octets = content(&document)?;
    let name = text(&document["fileName"]).unwrap_or_else(|| "voucher".to_owned());
    let uploads = api
        .service
        .upload_vouchers(&name, octets.as_slice())
        .await?;
    let failed: Vec<Value> = uploads
        .files
        .iter()
        .filter(|file| file.result == VoucherResult::Refused)
        .map(|file| {
            json!({"fileName": file.file, "serialNumber": file.serial_number,
                "errorMsg": file.message})
        })
        .collect();
    let code = if uploads.accepted == 0 { 422 } else { 200 };
    let message = if failed.is_empty() {
        "Imported Successfully".to_owned()
    } else {
        Value::Array(failed.clone()).to_string()
    };
    Ok(Reply::with(
        code,
        json!({
            "message": message,
            "processedRecordCount": uploads.accepted,
            "failedRecordCount": failed.len(),
        }),
    ))
}

/// Serial numbers with the pinned-domain-cert, for the vendor who makes vouchers of them.
pub(super) async fn request_list(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Reply, Reply> {
    let document = receive_json(request, api.limits.max_admin_body_bytes).await?;
    let wanted = texts(&document["serialNumber"]);
    let certificate = STANDARD.encode(api.service.pinned_domain_cert());
    let mut page = Page {
        after: None,
        limit: Page::MAX_LIMIT,
    };
    let mut data = Vec::new();
    loop {
        let listed = api.service.request_list(false, page.clone()).await?;
        for serial_number in listed.items {
            if wanted.is_empty() || wanted.contains(&serial_number) {
                data.push(json!({
                    "serial-number": serial_number,
                    "pinned-domain-cert": certificate,
                }));
            }
        }
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    let content = STANDARD.encode(Value::Array(data.clone()).to_string());
    Ok(Reply::with(
        200,
        json!({"data": data, "fileName": "ov_request.json", "b64Content": content}),
    ))
}

async fn add(service: &Service, serial_numbers: Vec<String>) -> Result<Reply, Reply> {
    let rows: Vec<Value> = serial_numbers
        .iter()
        .map(|serial_number| only_a_number(serial_number))
        .collect();
    let options = ImportOptions {
        existing: Existing::Skip,
        ..ImportOptions::default()
    };
    let document = Value::Array(rows).to_string();
    let report = service
        .import_devices(document.as_bytes(), ImportFormat::Json, options)
        .await?;
    if report.refused > 0 {
        let first = report.results.iter().find_map(|row| row.message.clone());
        return Err(Reply::refused(400, &first.unwrap_or_default()));
    }
    let mut members = json!({"message": "Created Successfully"});
    if report.added > 0 {
        members["processedRecordCount"] = json!(report.added);
    }
    if report.skipped > 0 {
        members["duplicateRecordCount"] = json!(report.skipped);
    }
    Ok(Reply::with(201, members))
}

/// None is forgotten if one is in use.
async fn delete(service: &Service, serial_numbers: Vec<String>) -> Result<Reply, Reply> {
    let mut devices = Vec::new();
    for serial_number in &serial_numbers {
        match service.device(serial_number).await {
            Ok(device) if is_only_a_number(&device) => devices.push(serial_number),
            Ok(_) => {
                let message =
                    format!("Serial Number {{{serial_number}}} is in use, cannot be deleted.");
                return Err(Reply::refused(400, &message));
            }
            Err(ServiceError::DeviceMissing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for serial_number in devices {
        service.delete_device(serial_number).await?;
    }
    for serial_number in &serial_numbers {
        match service.delete_voucher(serial_number).await {
            Ok(()) | Err(ServiceError::Inventory(InventoryError::VoucherMissing { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reply::done(204, "Deleted Successfully"))
}

/// Serial numbers of vouchers that came without their device.
async fn serial_numbers_of_vouchers(service: &Service) -> Result<BTreeSet<String>, ServiceError> {
    let mut found = BTreeSet::new();
    let mut page = Page {
        after: None,
        limit: Page::MAX_LIMIT,
    };
    loop {
        let listed = service.vouchers(page.clone()).await?;
        found.extend(listed.items.into_iter().map(|one| one.serial_number));
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(found);
        }
    }
}
