//! Answers and refusals: one `match` from our errors to RESTCONF error-tags and HTTP statuses.

use std::fmt;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use sztp_core::restconf::{ErrorTag, ErrorType, Errors, RestconfError, media_type};
use sztp_core::rpc::MessageError;
use sztp_voucher::yang::Encoding;

use crate::error::Fault;
use crate::{LdevidError, ServiceError, TrustError};

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: Box<RestconfError>,
    /// Of a 405, or of the size of a file.
    header: Option<(header::HeaderName, HeaderValue)>,
    recorded: bool,
    close: bool,
}

impl Refused {
    /// A refusal with a status that the tag may go with (RFC 8040 §7).
    pub(super) fn new(
        status: StatusCode,
        error_type: ErrorType,
        tag: ErrorTag,
        message: impl Into<String>,
    ) -> Self {
        debug_assert!(
            tag.statuses().contains(&status.as_u16()) || PARTICULAR.contains(&status),
            "{status} with {tag:?}"
        );
        Self {
            status,
            error: Box::new(RestconfError::new(error_type, tag).with_message(message)),
            header: None,
            recorded: false,
            close: false,
        }
    }

    pub(super) fn with_header(mut self, name: header::HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// The rest of the request is not going to be read.
    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Whether the history has it already, or it has no place there.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded
    }

    pub(super) fn into_response(self, encoding: Encoding, is_head: bool) -> Response<Body> {
        let body = Errors::from(*self.error).encode(encoding);
        // LEDGER: 8040-7.1-01
        let mut response = with_body(self.status, media_type(encoding), body, is_head);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2 wants a challenge. No device shall be led to send a password.
            let challenge = HeaderValue::from_static("ClientCertificate realm=\"restconf\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.status.as_u16(),
            self.error.error_tag.as_str()
        )?;
        for text in [&self.error.app_tag, &self.error.message]
            .into_iter()
            .flatten()
        {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        use ServiceError as E;
        let (status, tag) = match &error {
            // LEDGER: 8040-2.5-01, 8572-5.3-06
            E::CertificateMissing
            | E::CertificateRefused(_)
            | E::SerialNumberMissing
            | E::Trust(TrustError::ActivationRefused)
            | E::OtherDevice => (StatusCode::UNAUTHORIZED, ErrorTag::AccessDenied),
            E::Trust(TrustError::ActivationAttempts { .. }) => {
                (StatusCode::FORBIDDEN, ErrorTag::AccessDenied)
            }
            // LEDGER: 8572-7.3-21, 8040-4.4.2-01
            E::DeviceUnknown => (StatusCode::FORBIDDEN, ErrorTag::AccessDenied),
            // LEDGER: 8572-7.3-07, 8572-7.3-02
            E::Ldevid { cause, .. } => match cause.fault() {
                // LEDGER: 9646-2.3-02
                Fault::None => (StatusCode::BAD_REQUEST, ErrorTag::MissingAttribute),
                Fault::Device => (StatusCode::BAD_REQUEST, ErrorTag::InvalidValue),
                Fault::Passing => (StatusCode::SERVICE_UNAVAILABLE, ErrorTag::ResourceDenied),
                Fault::Operator => (StatusCode::INTERNAL_SERVER_ERROR, ErrorTag::OperationFailed),
            },
            E::VoucherRefused(_) => (StatusCode::NOT_FOUND, ErrorTag::InvalidValue),
            E::NothingToGive | E::NothingSigned | E::UnsignedForbidden | E::ImageMissing { .. } => {
                (StatusCode::NOT_FOUND, ErrorTag::InvalidValue)
            }
            E::Lifecycle(_) => (StatusCode::PRECONDITION_FAILED, ErrorTag::OperationFailed),
            E::Overloaded { .. } | E::TooManyReports { .. } | E::VoucherUnavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorTag::ResourceDenied)
            }
            E::Store(error) if error.is_passing() => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorTag::ResourceDenied)
            }
            // The operator's or the machine's fault.
            E::DeviceMissing { .. }
            | E::DeviceExists { .. }
            | E::SerialNumber { .. }
            | E::Artifacts(_)
            | E::ArtifactGrouping(_)
            | E::Content(_)
            | E::Spec { .. }
            | E::ImageExists { .. }
            | E::ImageInUse { .. }
            | E::ImageName { .. }
            | E::ImageTooLarge { .. }
            | E::Upload { .. }
            | E::Signing(_)
            | E::Inventory(_)
            | E::Access(_)
            | E::Trust(_)
            | E::Delivery(_)
            | E::File { .. }
            | E::Store(_)
            | E::Stopping => (StatusCode::INTERNAL_SERVER_ERROR, ErrorTag::OperationFailed),
        };
        let error_type = match tag {
            ErrorTag::AccessDenied => ErrorType::Protocol,
            _ => ErrorType::Application,
        };
        // What is wrong inside is for the operator only.
        let message = if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = error.code(), %error, "a request failed");
            "the server cannot answer at present".to_owned()
        } else {
            match &error {
                // Whom the operator asks is nobody's business.
                E::VoucherUnavailable { .. } | E::Store(_) => "come again later".to_owned(),
                E::Ldevid { cause, .. } if cause.fault() == Fault::Passing => {
                    "come again later".to_owned()
                }
                E::Ldevid { cause, .. } => cause.to_string(),
                E::VoucherRefused(_) => "there is no ownership voucher for this device".to_owned(),
                error => error.to_string(),
            }
        };
        let mut refused = Self::new(status, error_type, tag, message);
        refused.error.app_tag = Some(error.code().to_owned());
        if let E::Ldevid {
            cause: LdevidError::Wanted(request),
            ..
        } = &error
        {
            refused.error.info = RestconfError::csr_request(request).info;
        }
        // The service records what it refuses itself, other than a name.
        refused.recorded = !matches!(error, E::OtherDevice);
        match error {
            E::Overloaded { retry_after_secs }
            | E::TooManyReports { retry_after_secs }
            | E::VoucherUnavailable {
                retry_after_secs, ..
            } => refused.with_header(header::RETRY_AFTER, &retry_after_secs.to_string()),
            E::Store(error) if error.is_passing() => {
                tracing::warn!(code = error.code(), %error, "a device is to come again");
                refused.with_header(header::RETRY_AFTER, DATABASE_RETRY_SECS)
            }
            E::Ldevid {
                cause,
                retry_after_secs,
            } if cause.fault() == Fault::Passing => {
                refused.with_header(header::RETRY_AFTER, &retry_after_secs.to_string())
            }
            _ => refused,
        }
    }
}

impl From<MessageError> for Refused {
    fn from(error: MessageError) -> Self {
        let tag = ErrorTag::of_message_error(&error);
        let status = match tag {
            // The constraint of the schema is broken by the input, not by the server.
            ErrorTag::OperationFailed => StatusCode::PRECONDITION_FAILED,
            _ => StatusCode::from_u16(tag.status()).unwrap_or(StatusCode::BAD_REQUEST),
        };
        let error_type = match tag {
            ErrorTag::MalformedMessage | ErrorTag::TooBig => ErrorType::Rpc,
            _ => ErrorType::Application,
        };
        let mut refused = Self::new(status, error_type, tag, error.to_string());
        refused.error.app_tag = Some(error.code().to_owned());
        refused
    }
}

/// Seconds after which the database may be back.
const DATABASE_RETRY_SECS: &str = "5";

/// Statuses of RFC 8040 §5.2 and of HTTP itself, for which §7 has no tag of their own.
const PARTICULAR: [StatusCode; 4] = [
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::RANGE_NOT_SATISFIABLE,
];

pub(super) fn not_found() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        ErrorType::Protocol,
        ErrorTag::InvalidValue,
        "there is no such resource",
    )
}

/// LEDGER: 8572-7.2-01
pub(super) fn method_not_allowed(allow: &str) -> Refused {
    let refused = Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorType::Protocol,
        ErrorTag::OperationNotSupported,
        format!("only {allow}"),
    );
    refused.with_header(header::ALLOW, allow)
}

/// The answer to OPTIONS.
pub(super) fn options(allow: &'static str) -> Response<Body> {
    let mut response = no_content();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// LEDGER: 8040-3.6-01, 8572-7.3-11
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(super) fn with_body(
    status: StatusCode,
    media_type: &'static str,
    body: Vec<u8>,
    is_head: bool,
) -> Response<Body> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(if is_head { Body::empty() } else { body.into() });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, length);
    response
}
