//! How bootstrapping ends, and what went wrong on the way.

use std::fmt;

use super::{Origin, Unreachable};
use crate::artifacts::ArtifactError;
use crate::conveyed_info::OnboardingInformation;
use crate::csr::CsrError;
use crate::dhcp::DhcpError;
use crate::dns::DnsError;
use crate::restconf::Errors;
use crate::rpc::{MessageError, ProgressType};

/// What became of it all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// The device is bootstrapped.
    Bootstrapped {
        /// Where the data came from.
        origin: Origin,
        /// Whether the owner had signed it.
        signed: bool,
    },
    /// A boot image is installed and the device is about to reboot; bootstrapping begins anew after
    /// that (RFC 8572 §5.6), with [`Device::installed_images`](super::Device::installed_images) in
    /// the configuration.
    Rebooting {
        /// Where the data came from.
        origin: Origin,
    },
    /// There is onboarding information that may be trusted, and nothing of it was applied
    /// ([`DeviceConfig::validate_only`](super::DeviceConfig::validate_only)).
    Validated {
        /// Where the data came from.
        origin: Origin,
        /// Whether the owner had signed it.
        signed: bool,
        /// What the device is to become.
        info: Box<OnboardingInformation>,
    },
    /// Bootstrapping is not enabled: the device boots as usual (RFC 8572 §5.2).
    Disabled,
    /// No source had anything that worked, and the machine was not told to begin anew. Nothing is left active, unless the last failure is
    /// [`FailureKind::NotRolledBack`].
    Failed(Vec<Failure>),
}

/// Why one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed: a server as `host:port`, or another source.
    pub origin: String,
    /// What happened.
    pub kind: FailureKind,
}

/// What can go wrong with one source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer, or not one that may be listened to.
    #[error("{0}")]
    Unreachable(Unreachable),
    /// It refused.
    #[error("status {status}{}", errors.as_ref().map(describe).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        errors: Option<Errors>,
    },
    /// What DHCP gave is not usable.
    #[error("DHCP: {0}")]
    Dhcp(#[from] DhcpError),
    /// What DNS gave is not usable.
    #[error("DNS: {0}")]
    Dns(#[from] DnsError),
    /// The server asked for a certificate signing request that it cannot have.
    #[error("certificate signing request: {0}")]
    Csr(#[from] CsrError),
    /// What answered is no RESTCONF server, but perhaps a login page.
    #[error("answered with {content_type}, which is no RESTCONF answer")]
    NotRestconf {
        /// The Content-Type.
        content_type: String,
    },
    /// Its answer could not be read.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// Its data was not accepted.
    #[error("{0}")]
    Artifacts(#[from] ArtifactError),
    /// The redirect is one too many, or leads in a circle.
    #[error("redirect not followed: {0}")]
    Redirect(&'static str),
    /// A stage of onboarding failed.
    #[error("{stage}: {reason}")]
    Onboarding {
        /// As reported.
        stage: ProgressType,
        /// Why.
        reason: String,
    },
    /// The server did not acknowledge a report that it has to (RFC 8572 §5.6).
    #[error("{report} was not acknowledged: {reason}")]
    NotAcknowledged {
        /// bootstrap-initiated or bootstrap-complete.
        report: ProgressType,
        /// What came instead of status 204.
        reason: String,
    },
    /// What a failed attempt had done could not be undone: nothing more is tried before it is.
    #[error("rollback failed: {0}")]
    NotRolledBack(String),
}

impl FailureKind {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(why) => why.obstacle.code(),
            Self::Refused { .. } => "device.refused-by-server",
            Self::Dhcp(inner) => inner.code(),
            Self::Dns(inner) => inner.code(),
            Self::Csr(inner) => inner.code(),
            Self::NotRestconf { .. } => "device.not-restconf",
            Self::Message(inner) => inner.code(),
            Self::Artifacts(inner) => inner.code(),
            Self::Redirect(_) => "device.redirect",
            Self::Onboarding { .. } => "device.onboarding",
            Self::NotAcknowledged { .. } => "device.not-acknowledged",
            Self::NotRolledBack(_) => "device.not-rolled-back",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.kind)
    }
}

fn describe(errors: &Errors) -> String {
    let Some(first) = errors.errors.first() else {
        return String::new();
    };
    let tag = first.error_tag.as_str();
    match &first.message {
        Some(message) => {
            // As much as fits into a line.
            let message: String = message.chars().take(300).collect();
            format!(" ({tag}: {message})")
        }
        None => format!(" ({tag})"),
    }
}
