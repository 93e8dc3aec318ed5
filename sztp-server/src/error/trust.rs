//! Why anchors, revocation lists, unknown devices and activation codes are refused.

use sztp_cms::{CertificateError, CrlError};
use thiserror::Error;

/// What is wrong with something about whom to trust.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// What was given as trust anchors is no list of certificates.
    #[error("no certificates: {0}")]
    Certificates(#[source] CertificateError),
    /// A setting that has no meaning for anchors of this purpose.
    #[error("{member}: {problem}")]
    AnchorValue {
        /// Which one.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no such anchor.
    #[error("there is no trust anchor {id}")]
    AnchorMissing {
        /// As asked for.
        id: i64,
    },
    /// What was given as revocation lists is none.
    #[error("no certificate revocation list: {0}")]
    Lists(#[source] CrlError),
    /// There is no such revocation list.
    #[error("there is no revocation list {id}")]
    ListMissing {
        /// As asked for.
        id: i64,
    },
    /// No device of this serial number has asked in vain.
    #[error("no unknown device {serial_number:?} was here")]
    UnknownDeviceMissing {
        /// As asked for.
        serial_number: String,
    },
    /// The device has no activation code.
    #[error("there is no device {serial_number:?} with an activation code")]
    ActivationCodeMissing {
        /// As asked for.
        serial_number: String,
    },
    /// Serial number and activation code that do not go together, or are not taken; which of
    /// these, the device is not told.
    #[error("a client certificate, or serial number and activation code, are needed")]
    ActivationRefused,
    /// Too many activation codes that were wrong.
    #[error("too many attempts; try again in {retry_after_secs} s")]
    ActivationAttempts {
        /// When to try again.
        retry_after_secs: u64,
    },
}

impl TrustError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificates(inner) => inner.code(),
            Self::AnchorValue { .. } => "trust-anchor.value",
            Self::AnchorMissing { .. } => "trust-anchor.missing",
            Self::Lists(inner) => inner.code(),
            Self::ListMissing { .. } => "revocation-list.missing",
            Self::UnknownDeviceMissing { .. } => "unknown-device.missing",
            Self::ActivationCodeMissing { .. } => "activation-code.missing",
            Self::ActivationRefused => "device.activation-refused",
            Self::ActivationAttempts { .. } => "device.activation-attempts",
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Certificates(_) => "give PEM as {\"text\": ..}, or DER in base64",
            Self::ActivationCodeMissing { .. } => "POST makes one",
            _ => return None,
        })
    }
}
