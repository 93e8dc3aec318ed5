//! Errors of the admin API: `{"code": .., "message": .., "hint": ..}`.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::IntoResponse;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{
    AccessError, BearerError, DeliveryError, InventoryError, ServiceError, StoreError, TrustError,
};

/// A request that is refused.
#[derive(Debug, Serialize)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    #[serde(skip)]
    retry_after_secs: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, fault: Fault, message: &str) -> Self {
        Self {
            status,
            code: fault.code(),
            message: message.to_owned(),
            hint: None,
            retry_after_secs: None,
        }
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Fault::Malformed, message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} octets");
        Self {
            hint: Some("limits.max_admin_body_bytes sets the limit"),
            ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, Fault::TooLarge, &message)
        }
    }

    pub(super) fn unauthorized() -> Self {
        ServiceError::from(AccessError::Unauthenticated).into()
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Fault::NoSuchResource,
            "there is no such resource",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the resource does not have this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Fault::Method, message)
    }
}

/// What is wrong with a request as such.
#[derive(Clone, Copy)]
enum Fault {
    Malformed,
    Method,
    NoSuchResource,
    TooLarge,
}

impl Fault {
    fn code(self) -> &'static str {
        match self {
            Self::Malformed => "request.malformed",
            Self::Method => "request.method",
            Self::NoSuchResource => "request.no-such-resource",
            Self::TooLarge => "request.too-large",
        }
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(&rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(&rejection.body_text())
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let status = http_status(&error);
        if status.is_server_error() && !matches!(error, ServiceError::Overloaded { .. }) {
            tracing::error!(code = error.code(), %error, "an operator's request failed");
        }
        Self {
            status,
            code: error.code(),
            message: error.to_string(),
            hint: error.hint(),
            retry_after_secs: retry_after_secs(&error),
        }
    }
}

/// The status of an error, and when to come again.
pub(crate) fn status_of(error: &ServiceError) -> (StatusCode, Option<u64>) {
    (http_status(error), retry_after_secs(error))
}

fn http_status(error: &ServiceError) -> StatusCode {
    use ServiceError as E;
    match error {
        E::DeviceExists { .. } | E::ImageExists { .. } | E::ImageInUse { .. } | E::Lifecycle(_) => {
            StatusCode::CONFLICT
        }
        E::ImageTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        E::SerialNumber { .. } | E::ImageName { .. } | E::Upload { .. } => StatusCode::BAD_REQUEST,
        // Well-formed, and not to be done.
        E::Artifacts(_)
        | E::ArtifactGrouping(_)
        | E::Content(_)
        | E::Spec { .. }
        | E::NothingToGive
        | E::NothingSigned
        | E::UnsignedForbidden => StatusCode::UNPROCESSABLE_ENTITY,
        E::DeviceMissing { .. } | E::DeviceUnknown | E::ImageMissing { .. } => {
            StatusCode::NOT_FOUND
        }
        E::CertificateMissing
        | E::CertificateRefused(_)
        | E::SerialNumberMissing
        | E::OtherDevice => StatusCode::FORBIDDEN,
        E::Inventory(error) => inventory_status(error),
        E::Access(error) => access_status(error),
        E::Trust(error) => trust_status(error),
        E::Delivery(error) => delivery_status(error),
        E::VoucherUnavailable { .. }
        | E::VoucherRefused(_)
        | E::Ldevid { .. }
        | E::Overloaded { .. }
        | E::TooManyReports { .. }
        | E::Stopping
        | E::Store(StoreError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
        E::Store(error) if error.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
        E::Signing(_) | E::File { .. } | E::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<InventoryError> for ApiError {
    fn from(error: InventoryError) -> Self {
        ServiceError::from(error).into()
    }
}

fn inventory_status(error: &InventoryError) -> StatusCode {
    use InventoryError as E;
    match error {
        E::ProfileMissing { .. } | E::TemplateMissing { .. } | E::VoucherMissing { .. } => {
            StatusCode::NOT_FOUND
        }
        E::SerialNumberTaken { .. }
        | E::ProfileInUse { .. }
        | E::ImageInUse { .. }
        | E::TemplateInUse { .. }
        | E::TemplateIsOther { .. } => StatusCode::CONFLICT,
        E::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        E::Name { .. }
        | E::Format { .. }
        | E::Column { .. }
        | E::Row { .. }
        | E::Archive { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn access_status(error: &AccessError) -> StatusCode {
    use AccessError as E;
    match error {
        E::Unauthenticated | E::TokenRefused | E::CertificateRefused { .. } => {
            StatusCode::UNAUTHORIZED
        }
        E::Bearer(BearerError::KeysUnavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        E::Bearer(_) => StatusCode::UNAUTHORIZED,
        E::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        E::Forbidden { .. } => StatusCode::FORBIDDEN,
        E::TokenName { .. } | E::TokenLifetime { .. } => StatusCode::BAD_REQUEST,
        E::TokenExists { .. } | E::LastAdminToken { .. } => StatusCode::CONFLICT,
        E::TokenMissing { .. } => StatusCode::NOT_FOUND,
        E::Randomness { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn trust_status(error: &TrustError) -> StatusCode {
    use TrustError as E;
    match error {
        E::AnchorMissing { .. }
        | E::ListMissing { .. }
        | E::UnknownDeviceMissing { .. }
        | E::ActivationCodeMissing { .. } => StatusCode::NOT_FOUND,
        E::ActivationRefused => StatusCode::UNAUTHORIZED,
        E::ActivationAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        E::Certificates(_) | E::AnchorValue { .. } | E::Lists(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}

fn delivery_status(error: &DeliveryError) -> StatusCode {
    use DeliveryError as E;
    match error {
        E::Missing { .. } => StatusCode::NOT_FOUND,
        E::UnderWay { .. } => StatusCode::CONFLICT,
        E::TargetUnknown { .. } | E::NoTarget => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn retry_after_secs(error: &ServiceError) -> Option<u64> {
    match error {
        ServiceError::Overloaded { retry_after_secs }
        | ServiceError::TooManyReports { retry_after_secs }
        | ServiceError::Access(AccessError::TooManyAttempts { retry_after_secs }) => {
            Some(*retry_after_secs)
        }
        // The database may be back by then.
        ServiceError::Store(error) if error.is_passing() => Some(5),
        _ => None,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (status, retry_after_secs) = (self.status, self.retry_after_secs);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        if let Some(secs) = retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
