//! What is told to other systems: deliveries that wait or have failed, and how a device is reached.

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::{Blob, optional_rfc3339, rfc3339};

/// What a delivery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// Somebody is told what happened to a device.
    Webhook,
    /// A system is to manage the device from now on.
    Onboarding,
}

/// How far a delivery is; those that have arrived are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// To be tried, at once or later.
    Pending,
    /// Given up.
    Failed,
}

/// Something that is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Grows with time.
    pub id: i64,
    /// What it is for.
    pub kind: DeliveryKind,
    /// The name of the webhook or onboarding target.
    pub target: String,
    /// Which device.
    pub serial_number: String,
    /// What happened to it.
    pub event: String,
    /// The same at each attempt.
    pub idempotency_key: String,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// RFC 3339: when it is tried next, or was to be.
    #[serde(serialize_with = "rfc3339")]
    pub due_at: UnixTime,
    /// RFC 3339: somebody is at it until then.
    #[serde(serialize_with = "optional_rfc3339")]
    pub leased_until: Option<UnixTime>,
    /// What was in the way at the last attempt.
    pub error: Option<String>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// Only those that are so far.
    pub state: Option<DeliveryState>,
    /// Only those to this target.
    pub target: Option<String>,
    /// Only those of this device.
    pub serial_number: Option<String>,
}

/// How many deliveries of a target are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryCount {
    /// The target.
    pub target: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest: UnixTime,
}

/// A system that is told, as operators see it: nothing of how it is authenticated to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryTarget {
    /// Its name.
    pub name: String,
    /// What it is told for.
    pub kind: DeliveryKind,
    /// `webhook`, `nso` or `netbox`.
    pub system: &'static str,
    /// Its host.
    pub host: String,
    /// Whether devices are onboarded there whose profile names no target.
    pub is_default: bool,
}

/// How a device says that it is reached from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Its address; a prefix length may follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address that its report came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Its SSH host keys (RFC 8572 §7.3 ssh-host-keys).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_host_keys: Vec<HostKey>,
    /// By which protocols it is to be managed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connectivity: Vec<Connectivity>,
}

/// A public key of an SSH server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// As in the IANA registry (`ssh-ed25519`).
    pub algorithm: String,
    /// The key blob of RFC 4253 §6.6.
    pub key_data: Blob,
}

/// A protocol by which a device is managed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connectivity {
    /// `SSH`, `SNMPv3`, ...
    pub protocol: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// At which port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Seconds that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
}

impl Contact {
    /// What is newly said takes the place of what was said before.
    #[must_use]
    pub fn updated_by(self, newer: Self) -> Self {
        let keys = if newer.ssh_host_keys.is_empty() {
            self.ssh_host_keys
        } else {
            newer.ssh_host_keys
        };
        Self {
            host_name: newer.host_name.or(self.host_name),
            address: newer.address.or(self.address),
            peer: newer.peer.or(self.peer),
            ssh_host_keys: keys,
            connectivity: if newer.connectivity.is_empty() {
                self.connectivity
            } else {
                newer.connectivity
            },
        }
    }
}

impl DeliveryKind {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Onboarding => "onboarding",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Onboarding]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

impl DeliveryState {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}
