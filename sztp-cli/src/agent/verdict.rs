//! What failures mean to whoever called `sztp agent bootstrap`: try again later, or a refusal with a
//! typed reason.

use sztp_core::artifacts::ArtifactError;
use sztp_core::device::{Failure, FailureKind, Obstacle};

/// Why something was refused for the sake of security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Server and device did not authenticate each other.
    Mtls,
    /// They have no version of TLS in common.
    Version,
    /// The ownership voucher.
    Voucher,
    /// The signature of conveyed information or its chain, or there is none where there must be.
    Cms,
    /// What was signed or came from a trusted server cannot be understood.
    Payload,
    /// A redirect without end.
    Redirect,
    /// There are scripts, and they are not allowed.
    Scripts,
    /// The agent itself: its options, files and state.
    Setup,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "MTLS",
            Self::Version => "VERSION",
            Self::Voucher => "VOUCHER",
            Self::Cms => "CMS",
            Self::Payload => "PAYLOAD",
            Self::Redirect => "REDIRECT",
            Self::Scripts => "SCRIPTS",
            Self::Setup => "SETUP",
        }
    }

    /// The reason why a source was refused; none: it had nothing, or nothing that was meant for a
    /// device, and may have it later.
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        match &failure.kind {
            FailureKind::Unreachable(why) => of_connection(&why.obstacle),
            FailureKind::Artifacts(error) => Some(match error {
                ArtifactError::Voucher(_) | ArtifactError::VoucherAbsent => Self::Voucher,
                ArtifactError::Content(_) => Self::Payload,
                _ => Self::Cms,
            }),
            FailureKind::Message(_) => Some(Self::Payload),
            FailureKind::Redirect(_) => Some(Self::Redirect),
            // A status, a login page, options and records of nobody in particular: none of it is
            // authenticated, and RFC 8572 passes over it.
            _ => None,
        }
    }
}

/// Where only the network is at fault, it may be better later.
fn of_connection(obstacle: &Obstacle) -> Option<Reason> {
    match obstacle {
        Obstacle::NoAnswer | Obstacle::NotTls => None,
        Obstacle::TlsVersion => Some(Reason::Version),
        _ => Some(Reason::Mtls),
    }
}
