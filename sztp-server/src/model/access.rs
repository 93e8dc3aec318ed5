//! Who may do what, and the record of what they did.

use std::fmt;

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::{optional_rfc3339, rfc3339};

/// What somebody may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look at everything but tokens and the audit log.
    Viewer,
    /// Change devices, profiles, configurations, images and vouchers.
    Operator,
    /// Decide whom to trust: tokens, anchors, the owner's identity. Reads the audit log.
    Admin,
}

impl Role {
    /// From the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As in configurations and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// What it is called, and what the audit log calls who shows it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Seconds after which it is no longer taken; none: never.
    #[serde(default)]
    pub expires_in_secs: Option<u64>,
}

/// A token, without its secret, which is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// Who made it; none: the server at its first start.
    pub created_by: Option<String>,
    /// RFC 3339; none: never.
    #[serde(serialize_with = "optional_rfc3339")]
    pub expires_at: Option<UnixTime>,
}

/// A token with its secret, which is shown this once.
#[derive(Serialize)]
pub struct NewToken {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// What goes after `Authorization: Bearer`.
    pub secret: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A line of the audit log that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub time: UnixTime,
    /// Name of the token, subject of the certificate or of the bearer token.
    pub actor: String,
    /// In which role.
    pub role: Role,
    /// How it was proved: `token`, `certificate`, `oidc`.
    pub by: String,
    /// Where from.
    pub address: String,
    /// Of the request, as in the log.
    pub request_id: String,
    /// The operation, by method and route: `PUT /api/v1/devices/{serial}`.
    pub action: String,
    /// The path that was asked for.
    pub object: String,
    /// The query and whatever else tells what was done.
    pub detail: Option<String>,
    /// `done`, or `refused` to somebody without the role for it.
    pub outcome: String,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Grows with time.
    pub id: i64,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixTime,
    /// See [`AuditRecord::actor`].
    pub actor: String,
    /// See [`AuditRecord::role`].
    pub role: String,
    /// See [`AuditRecord::by`].
    pub by: String,
    /// See [`AuditRecord::address`].
    pub address: String,
    /// See [`AuditRecord::request_id`].
    pub request_id: String,
    /// See [`AuditRecord::action`].
    pub action: String,
    /// See [`AuditRecord::object`].
    pub object: String,
    /// See [`AuditRecord::detail`].
    pub detail: Option<String>,
    /// See [`AuditRecord::outcome`].
    pub outcome: String,
}

/// Which lines of the audit log to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Only what this one did.
    pub actor: Option<String>,
    /// Only paths that begin so.
    pub object_prefix: Option<String>,
    /// Only with this outcome.
    pub outcome: Option<String>,
    /// Only from then on.
    pub since: Option<UnixTime>,
    /// Only before then.
    pub until: Option<UnixTime>,
}

/// Which device events to follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Only of this device.
    pub serial_number: Option<String>,
    /// Only those after which the device is in this state.
    pub state: Option<String>,
}
