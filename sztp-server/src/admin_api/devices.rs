//! `/devices/import` and `/devices/export`: many devices at once, streamed.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::body::{BodyReader, receive, streamed};
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, DevicesQuery, answer};
use crate::crosswork::rows_of_csv;
use crate::model::{
    DeviceFilter, Existing, ImportOptions, ImportReport, ImportResult, ImportRow, Role,
};
use crate::service::{csv_header, csv_line};
use crate::{ImportFormat, InventoryError, Service, ServiceError};

pub(super) fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("devices")
        .post(
            "/devices/import",
            Operator,
            "Adds and changes many devices from CSV or JSON",
            import,
        )
        .query::<ImportQuery>()
        .takes("text/csv")
        .get(
            "/devices/import-template",
            Viewer,
            "The columns of an import, as CSV",
            template,
        )
        .get(
            "/devices/export",
            Viewer,
            "Devices as CSV or JSON, for an import",
            export,
        )
        .query::<DevicesQuery>()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    Csv,
    Json,
    /// Device entries or serial numbers as Crosswork exports them.
    CrossworkCsv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Results {
    #[default]
    All,
    /// Only rows about which there is something to say.
    Problems,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ImportQuery {
    format: Option<Format>,
    dry_run: bool,
    all_or_nothing: bool,
    existing: Existing,
    require_variables: bool,
    results: Results,
}

async fn import(
    State(api): State<Api>,
    query: Result<Query<ImportQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let format = match query.format {
        Some(Format::Csv) => ImportFormat::Csv,
        Some(Format::Json) => ImportFormat::Json,
        Some(Format::CrossworkCsv) => return from_crosswork(&api, query, body).await,
        None if media_type.starts_with("text/csv") => ImportFormat::Csv,
        None if media_type.contains("json") => ImportFormat::Json,
        None => {
            return Err(ApiError::bad_request(
                "format=csv or format=json is needed, or a Content-Type that says so",
            ));
        }
    };
    let options = query.options();
    let document = BodyReader::new(body);
    let mut report = api
        .service
        .import_devices(document, format, options)
        .await?;
    query.shorten(&mut report);
    Ok(answer(StatusCode::OK, &report))
}

/// Rows are numbered among those that can be mapped; those that cannot come first.
async fn from_crosswork(
    api: &Api,
    query: ImportQuery,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    let octets = receive(Request::new(body), api.limits.max_admin_body_bytes).await?;
    let rows = rows_of_csv(&octets).map_err(|problem| ApiError::bad_request(&problem))?;
    let mut report = ImportReport {
        dry_run: query.dry_run,
        ..ImportReport::default()
    };
    for (row, problem) in rows.bad {
        let error = InventoryError::Row { problem };
        report.push(ImportRow {
            row,
            serial_number: None,
            result: ImportResult::Refused,
            code: Some(error.code()),
            message: Some(error.to_string()),
        });
    }
    if report.refused == 0 || !query.all_or_nothing {
        let document = Value::Array(rows.good).to_string();
        let imported = api
            .service
            .import_devices(document.as_bytes(), ImportFormat::Json, query.options())
            .await?;
        for row in imported.results {
            report.push(row);
        }
    }
    query.shorten(&mut report);
    Ok(answer(StatusCode::OK, &report))
}

impl ImportQuery {
    fn options(&self) -> ImportOptions {
        ImportOptions {
            dry_run: self.dry_run,
            all_or_nothing: self.all_or_nothing,
            existing: self.existing,
            require_variables: self.require_variables,
        }
    }

    fn shorten(&self, report: &mut ImportReport) {
        if self.results == Results::Problems {
            report
                .results
                .retain(|row| row.result == ImportResult::Refused || row.message.is_some());
        }
    }
}

async fn template() -> Response<Body> {
    let mut response = csv_header().into_response();
    set_csv(&mut response);
    response
}

async fn export(
    State(api): State<Api>,
    query: Result<Query<DevicesQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    if query.after.is_some() || query.limit.is_some() {
        return Err(ApiError::bad_request("an export has no pages"));
    }
    let format = query.format.unwrap_or(Format::Json);
    if format == Format::CrossworkCsv {
        return Err(ApiError::bad_request("an export is csv or json"));
    }
    let filter = query.filter()?;
    let (pages, body) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(error) = write_out(&api.service, filter, format, &pages).await {
            tracing::error!(%error, "an export broke off");
            // Without its end the document is no document.
            let _ = pages.send(Err(error)).await;
        }
    });
    let mut response = Response::new(streamed(body));
    match format {
        Format::Csv | Format::CrossworkCsv => set_csv(&mut response),
        Format::Json => {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
        }
    }
    Ok(response)
}

/// Page by page, so that neither a client that reads slowly nor a million devices take memory.
async fn write_out(
    service: &Service,
    filter: DeviceFilter,
    format: Format,
    pages: &mpsc::Sender<Result<Bytes, ServiceError>>,
) -> Result<(), ServiceError> {
    let mut text = match format {
        Format::Csv | Format::CrossworkCsv => csv_header(),
        Format::Json => "[".to_owned(),
    };
    let mut after = None;
    let mut first = true;
    loop {
        let devices = service.full_devices(filter.clone(), after.clone()).await?;
        after = devices.last().map(|device| device.serial_number.clone());
        for device in &devices {
            let Ok(Value::Object(members)) = serde_json::to_value(device) else {
                continue;
            };
            match format {
                Format::Csv | Format::CrossworkCsv => text.push_str(&csv_line(&members)),
                Format::Json => {
                    text.push_str(if first { "\n" } else { ",\n" });
                    text.push_str(&Value::Object(members).to_string());
                }
            }
            first = false;
        }
        if after.is_none() && format == Format::Json {
            text.push_str("\n]\n");
        }
        let page = Bytes::from(std::mem::take(&mut text));
        if pages.send(Ok(page)).await.is_err() || after.is_none() {
            return Ok(());
        }
    }
}

fn set_csv(response: &mut Response<Body>) {
    let csv = HeaderValue::from_static("text/csv; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, csv);
}
