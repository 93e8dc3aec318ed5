//! `/vouchers`: those that come without their device, and the list by which a vendor makes them.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest as _, Multipart, Path, Query, State};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::body::{BodyReader, streamed};
use super::error::ApiError;
use super::routes::Routes;
use super::{Api, PageQuery, answer, page};
use crate::model::{Page, Role, VoucherUploads};
use crate::{Service, ServiceError};

pub(super) fn routes() -> Routes {
    use Role::{Operator, Viewer};
    Routes::new("vouchers")
        .get(
            "/vouchers",
            Viewer,
            "Vouchers that came without their device",
            list,
        )
        .query::<PageQuery>()
        .post(
            "/vouchers",
            Operator,
            "Takes a voucher, a tar or a zip, or a form with any number of these",
            upload,
        )
        .query::<UploadQuery>()
        .takes("application/octet-stream")
        .get(
            "/vouchers/request-list",
            Viewer,
            "Serial numbers and pinned-domain-cert, for the vendor",
            request_list,
        )
        .query::<RequestListQuery>()
        .get(
            "/vouchers/{serial}",
            Viewer,
            "The voucher for a serial number",
            show,
        )
        .delete(
            "/vouchers/{serial}",
            Operator,
            "Forgets the voucher for a serial number",
            delete,
        )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    name: Option<String>,
}

/// One voucher or archive as the body, or any number of either as a form.
async fn upload(
    State(api): State<Api>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    if !is_form {
        let name = query.name.as_deref().unwrap_or("voucher");
        let body = BodyReader::new(request.into_body());
        let uploads = api.service.upload_vouchers(name, body).await?;
        return Ok(answer(StatusCode::OK, &uploads));
    }
    let bad = |problem: &dyn std::fmt::Display| {
        ApiError::bad_request(&format!("not a form with files: {problem}"))
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| bad(&error))?;
    let mut uploads = VoucherUploads::default();
    while let Some(mut field) = form.next_field().await.map_err(|error| bad(&error))? {
        let name = field.file_name().or(field.name()).unwrap_or("voucher");
        let name = name.to_owned();
        let (pieces, body) = mpsc::channel(2);
        let reading = async {
            loop {
                match field.chunk().await {
                    Ok(Some(piece)) => {
                        if pieces.send(Ok(piece)).await.is_err() {
                            break;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let reason = error.to_string();
                        let _ = pieces.send(Err(ServiceError::Upload { reason })).await;
                        break;
                    }
                }
            }
            drop(pieces);
        };
        let body = BodyReader::new(streamed(body));
        let ((), uploaded) = tokio::join!(reading, api.service.upload_vouchers(&name, body));
        uploads.append(uploaded?);
    }
    Ok(answer(StatusCode::OK, &uploads))
}

async fn list(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    let page = page(query.after, query.limit);
    Ok(answer(StatusCode::OK, &api.service.vouchers(page).await?))
}

async fn show(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<Response<Body>, ApiError> {
    let voucher = api.service.voucher(&serial?).await?;
    let mut response = voucher.0.into_response();
    let cms = HeaderValue::from_static("application/voucher-cms+json");
    response.headers_mut().insert(header::CONTENT_TYPE, cms);
    Ok(response)
}

async fn delete(
    State(api): State<Api>,
    serial: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    api.service.delete_voucher(&serial?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestListQuery {
    #[serde(default)]
    all: bool,
}

async fn request_list(
    State(api): State<Api>,
    query: Result<Query<RequestListQuery>, QueryRejection>,
) -> Result<Response<Body>, ApiError> {
    let Query(RequestListQuery { all }) = query?;
    let (pieces, body) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(error) = write_list(&api.service, all, &pieces).await {
            tracing::error!(%error, "a list broke off");
            let _ = pieces.send(Err(error)).await;
        }
    });
    let mut response = Response::new(streamed(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

async fn write_list(
    service: &Service,
    all: bool,
    pieces: &mpsc::Sender<Result<Bytes, ServiceError>>,
) -> Result<(), ServiceError> {
    let certificate = STANDARD.encode(service.pinned_domain_cert());
    let mut text = format!("{{\n\"pinned_domain_cert\": \"{certificate}\",\n\"serial_numbers\": [");
    let mut page = Page {
        after: None,
        limit: Page::MAX_LIMIT,
    };
    let mut separator = "\n";
    loop {
        let listed = service.request_list(all, page.clone()).await?;
        for serial_number in listed.items {
            text.push_str(separator);
            text.push_str(&Value::String(serial_number).to_string());
            separator = ",\n";
        }
        page.after = listed.next;
        if page.after.is_none() {
            text.push_str("\n]\n}\n");
        }
        let piece = Bytes::from(std::mem::take(&mut text));
        if pieces.send(Ok(piece)).await.is_err() || page.after.is_none() {
            return Ok(());
        }
    }
}
