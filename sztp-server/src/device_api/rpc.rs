//! The two operations (RFC 8572 §7), from HTTP to the service and back.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use sztp_core::restconf::{ErrorTag, ErrorType, encoding_of, negotiate};
use sztp_core::rpc::{GetBootstrappingDataInput, ProgressReport};
use sztp_voucher::yang::Encoding;

use super::discovery::not_acceptable;
use super::reply::{Refused, method_not_allowed, no_content, options, with_body};
use super::{DeviceApi, basic_auth, header_text, leniency};
use crate::ServiceError;
use crate::listener::Handler as _;
use crate::metrics::add_one;
use crate::service::DeviceIdentity;

#[derive(Debug, Clone, Copy)]
enum Operation {
    GetBootstrappingData,
    ReportProgress,
}

/// Runs the operation that a path names.
pub(super) async fn call(
    api: &DeviceApi,
    device: &mut DeviceIdentity,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    // LEDGER: 8572-5.3-06, 8572-4.4-02
    let user = basic_auth::user_name(&request);
    let has_user = user.is_some();
    if user.is_some_and(|user| user != device.serial_number()) {
        return Err(ServiceError::OtherDevice.into());
    }
    let operation = operation(name, device)?;
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return Ok(options(ALLOW)),
        _ => return Err(method_not_allowed(ALLOW)),
    }
    let content_type = header_text(&request, &header::CONTENT_TYPE);
    let sent = match content_type {
        Some(text) => encoding_of(text).ok_or_else(unsupported_media_type)?,
        // RFC 8040 §3.6: without input there need be no body, and then it has no type.
        None if request.body().is_end_stream() => Encoding::Json,
        None => return Err(unsupported_media_type()),
    };
    let accept = header_text(&request, &header::ACCEPT);
    let dotted = [content_type, accept]
        .into_iter()
        .flatten()
        .any(|text| text.to_ascii_lowercase().contains("application/yang.data+"));
    if dotted {
        device.note("media type application/yang.data+.. for application/yang-data+..");
    }
    let observed = device.observed_mut();
    observed.xml = sent == Encoding::Xml;
    observed.accept = accept.is_some();
    observed.basic = has_user;
    observed.dotted_media_type = dotted;
    // LEDGER: 8040-5.2-03
    let wanted = negotiate(accept, sent).ok_or_else(not_acceptable)?;
    let body = receive(api, request).await?;
    // Not before: who sends slowly shall not have a place meanwhile.
    let _place = api
        .service
        .begin_request()
        .inspect_err(|_| add_one(&api.metrics().overloaded))?;
    match operation {
        Operation::GetBootstrappingData => {
            let (input, notes) =
                leniency::decode(&body, sent, GetBootstrappingDataInput::decode_noting)?;
            for note in notes {
                device.note(note);
            }
            let answered = api.service.answer(device, &input).await?;
            let document = answered.output().encode(wanted);
            let media_type = answered.media_type(wanted);
            Ok(with_body(StatusCode::OK, media_type, document, false))
        }
        Operation::ReportProgress => {
            let (report, notes) = leniency::decode(&body, sent, ProgressReport::decode_noting)?;
            for note in notes {
                device.note(note);
            }
            let status = api.service.report_progress(device, &report).await?;
            let mut response = no_content();
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NO_CONTENT);
            Ok(response)
        }
    }
}

/// LEDGER: 8572-4.4-01
fn operation(name: &str, device: &mut DeviceIdentity) -> Result<Operation, Refused> {
    let decoded = name.replace("%3A", ":").replace("%3a", ":");
    if decoded != name {
        device.note("the colon in the operation's name was percent-encoded");
    }
    match decoded.as_str() {
        "ietf-sztp-bootstrap-server:get-bootstrapping-data" => Ok(Operation::GetBootstrappingData),
        "ietf-sztp-bootstrap-server:report-progress" => Ok(Operation::ReportProgress),
        "ietf-sztp-bootstrap-server:get-bootstrap-data" => {
            device.note("the operation was called get-bootstrap-data");
            device.observed_mut().short_operation = true;
            Ok(Operation::GetBootstrappingData)
        }
        _ => {
            let name: String = name.chars().take(100).collect();
            Err(Refused::new(
                StatusCode::NOT_FOUND,
                ErrorType::Protocol,
                ErrorTag::InvalidValue,
                format!("there is no operation {name:?}"),
            ))
        }
    }
}

/// LEDGER: 8040-5.2-01, 8040-5.2-02
fn unsupported_media_type() -> Refused {
    Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorType::Protocol,
        ErrorTag::InvalidValue,
        "Content-Type must be application/yang-data+json or application/yang-data+xml, in UTF-8",
    )
}

/// The whole body, within the limits.
async fn receive(api: &DeviceApi, request: Request<Incoming>) -> Result<Vec<u8>, Refused> {
    let limit = api.limits.max_body_bytes;
    let too_big = || {
        let message = format!("the body is larger than {limit} octets");
        Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorType::Transport,
            ErrorTag::TooBig,
            message,
        )
        .closing()
    };
    let waits = expects_continue(request.headers());
    let announced = request.body().size_hint().lower();
    let mut body = request.into_body();
    if announced > limit as u64 {
        if !waits {
            discard(&mut body).await;
        }
        return Err(too_big());
    }
    let patience = Duration::from_secs(api.limits.body_timeout_secs);
    let collected = Limited::new(&mut body, limit).collect();
    match tokio::time::timeout(patience, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(too_big())
        }
        Ok(Err(_)) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            ErrorType::Transport,
            ErrorTag::MalformedMessage,
            "the body broke off",
        )
        .closing()),
        Err(_) => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorType::Transport,
            ErrorTag::OperationFailed,
            "the body took too long",
        )
        .closing()),
    }
}

/// A client that is still sending reads no answer, and a connection closed on it is reset: a
/// little more is taken, so that it learns why.
async fn discard(body: &mut Incoming) {
    let some = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let taken = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(taken) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, some).await;
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

const ALLOW: &str = "POST, OPTIONS";
const DISCARD_BYTES: usize = 8 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(3);
