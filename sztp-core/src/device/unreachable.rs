//! Why a bootstrap server gave no answer, or not one over a connection that may be used.

use sztp_cms::{PathError, Rule};

/// What stood in the way of an answer, for programs and in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreachable {
    /// What kind of thing it was.
    pub obstacle: Obstacle,
    /// For people.
    pub reason: String,
}

impl From<String> for Unreachable {
    /// Nothing but a network that does not work.
    fn from(reason: String) -> Self {
        Self {
            obstacle: Obstacle::NoAnswer,
            reason,
        }
    }
}

/// The kinds of obstacles that make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// No address, no connection, no answer in time or none that ends: it may go away by itself.
    NoAnswer,
    /// No version of TLS in common.
    TlsVersion,
    /// What answers does not speak TLS, like a captive portal.
    NotTls,
    /// TLS failed in another way: no algorithm in common, a message that was tampered with.
    Tls,
    /// The server broke the handshake off with an alert that does not say why.
    Alert,
    /// The server does not accept the device's certificate, and says so in an alert.
    DeviceRefused,
    /// The server's certificate does not lead to what the device was told to trust.
    ServerUntrusted(PathError),
    /// A certificate on the way there has expired, or is not valid yet.
    ServerValidity,
    /// The server's certificate is for another host (RFC 9525).
    ServerName,
    /// The server's certificate cannot be read, or the server does not have its key.
    ServerCertificate,
}

impl Obstacle {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer => "device.unreachable",
            Self::TlsVersion => "tls.version",
            Self::NotTls => "tls.not-spoken",
            Self::Tls => "tls.handshake",
            Self::Alert => "tls.alert",
            Self::DeviceRefused => "tls.device-refused",
            Self::ServerUntrusted(_) => "tls.server-untrusted",
            Self::ServerValidity => "tls.server-validity",
            Self::ServerName => "tls.server-name",
            Self::ServerCertificate => "tls.server-certificate",
        }
    }

    /// The clause that asks for what is not there.
    pub fn rule(&self) -> Rule {
        match self {
            Self::ServerUntrusted(inner) => inner.rule(),
            Self::ServerValidity => Rule::new(5280, "6.1.3", "validity"),
            Self::ServerName => Rule::new(9525, "6", "server identity"),
            _ => Rule::new(8572, "5.3", "TLS connection"),
        }
    }

    /// How telling it is beside others, where a server has several addresses.
    #[cfg(feature = "client")]
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::NoAnswer => 0,
            Self::NotTls | Self::Tls | Self::Alert => 1,
            Self::TlsVersion => 2,
            Self::DeviceRefused => 3,
            Self::ServerUntrusted(_)
            | Self::ServerValidity
            | Self::ServerName
            | Self::ServerCertificate => 4,
        }
    }
}
