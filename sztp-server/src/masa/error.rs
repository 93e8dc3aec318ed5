//! Why a MASA grants no voucher, and by which HTTP status it says so (RFC 8995 §5.6).

use http::StatusCode;
use sztp_cms::{PathError, Rule};
use sztp_voucher::VoucherError;
use sztp_voucher::request::VoucherRequestError;
use thiserror::Error;

/// A request that is not answered with a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MasaError {
    /// The client showed no certificate.
    #[error("a registrar's client certificate is needed")]
    CertificateMissing,
    /// The client's certificate leads to none of those who may have the device.
    #[error("the client certificate is not accepted for this request: {0}")]
    CertificateRefused(#[source] PathError),
    /// The request, its signatures, or what it asks for.
    #[error(transparent)]
    Request(VoucherRequestError),
    /// Nobody that this MASA knows asks.
    #[error("this registrar is not known here")]
    RegistrarUnknown,
    /// No device of this manufacturer.
    #[error("there is no device {serial_number:?}")]
    DeviceUnknown {
        /// As asked for.
        serial_number: String,
    },
    /// Somebody else's device.
    #[error("the device {serial_number:?} is not this registrar's")]
    NotTheOwner {
        /// As asked for.
        serial_number: String,
    },
    /// Vouchers are for one exchange only.
    #[error("a nonce is needed")]
    NonceMissing,
    /// Made long ago, or in the future.
    #[error("the request was made at another time: {created_on}")]
    Stale {
        /// As it says.
        created_on: String,
    },
    /// The voucher could not be made.
    #[error("the voucher cannot be issued: {0}")]
    Issue(#[source] VoucherError),
    /// No such resource.
    #[error("there is no such resource; vouchers are requested at {}", super::PATH)]
    NoSuchResource,
    /// Another method than POST.
    #[error("only POST")]
    Method,
    /// The body is something else.
    #[error("Content-Type must be application/voucher-cms+json")]
    MediaType,
    /// The client takes no voucher that could be made.
    #[error("vouchers are application/voucher-cms+json, which Accept excludes")]
    NotAcceptable,
    /// Larger than limits.max_body_bytes.
    #[error("the request is larger than {limit} octets")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body did not come, or broke off.
    #[error("the request did not arrive")]
    Incomplete,
    /// As much is under way as limits allow.
    #[error("the MASA has enough to do; come again")]
    Overloaded,
    /// What was decided could not be written down, and so is not done.
    #[error("the audit log cannot be written")]
    Audit,
}

impl MasaError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CertificateMissing => "masa.certificate-missing",
            Self::CertificateRefused(_) => "masa.certificate-refused",
            Self::Request(inner) => inner.code(),
            Self::RegistrarUnknown => "masa.registrar-unknown",
            Self::DeviceUnknown { .. } => "masa.device-unknown",
            Self::NotTheOwner { .. } => "masa.not-the-owner",
            Self::NonceMissing => "masa.nonce-missing",
            Self::Stale { .. } => "masa.stale-request",
            Self::Issue(inner) => inner.code(),
            Self::NoSuchResource => "masa.no-such-resource",
            Self::Method => "masa.method",
            Self::MediaType => "masa.media-type",
            Self::NotAcceptable => "masa.not-acceptable",
            Self::TooLarge { .. } => "masa.too-large",
            Self::Incomplete => "masa.incomplete",
            Self::Overloaded => "masa.overloaded",
            Self::Audit => "masa.audit",
        }
    }

    /// The clause that was broken, where there is one.
    pub fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::CertificateMissing | Self::CertificateRefused(_) => {
                Rule::new(8995, "5.4", "registrar authentication")
            }
            Self::Request(inner) => inner.rule(),
            Self::RegistrarUnknown | Self::NotTheOwner { .. } => {
                Rule::new(8995, "5.5.4", "domain registrar")
            }
            Self::NonceMissing => Rule::new(8995, "5.5.6", "nonce"),
            Self::Stale { .. } | Self::DeviceUnknown { .. } => {
                Rule::new(8995, "5.6", "voucher response")
            }
            Self::Issue(inner) => inner.rule(),
            Self::NoSuchResource | Self::Method | Self::MediaType | Self::NotAcceptable => {
                Rule::new(8995, "5.5", "registrar requests voucher from MASA")
            }
            _ => return None,
        })
    }

    /// RFC 8995 §5.6 names 403, 404, 406 and 415; the rest is HTTP's (RFC 9110 §15).
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Request(error) => match error {
                // What could not even be read.
                VoucherRequestError::IsVoucher => StatusCode::BAD_REQUEST,
                VoucherRequestError::Voucher(inner) if is_malformed(inner) => {
                    StatusCode::BAD_REQUEST
                }
                _ => StatusCode::FORBIDDEN,
            },
            Self::CertificateMissing
            | Self::CertificateRefused(_)
            | Self::RegistrarUnknown
            | Self::NotTheOwner { .. }
            | Self::NonceMissing
            | Self::Stale { .. } => StatusCode::FORBIDDEN,
            Self::DeviceUnknown { .. } | Self::NoSuchResource => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Issue(_) | Self::Audit => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is wrong inside is for the vendor's log only.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Issue(_) => "the voucher cannot be issued at present".to_owned(),
            other => other.to_string(),
        }
    }
}

fn is_malformed(error: &VoucherError) -> bool {
    use sztp_cms::CmsError as C;
    match error {
        VoucherError::UntrustedSigner(_) => false,
        VoucherError::Cms(inner) => matches!(
            inner,
            C::Malformed { .. }
                | C::TooLarge { .. }
                | C::TooDeep { .. }
                | C::Pem
                | C::TextModeDamage
                | C::NotSignedData(_)
                | C::WrongContentType { .. }
                | C::NoContent
                | C::Certificate(_)
        ),
        _ => true,
    }
}
