//! Configurations and scripts: named, in versions that never change.

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::rfc3339;

/// A configuration or script, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// By which profiles name it.
    pub name: String,
    /// What it is.
    pub kind: TemplateKind,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Oldest first.
    pub versions: Vec<TemplateVersion>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateVersion {
    /// From 1.
    pub version: u32,
    /// How it is read.
    pub syntax: Syntax,
    /// In octets.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// In the database; never used twice.
    #[serde(skip)]
    pub id: i64,
}

/// What a device does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateKind {
    /// RFC 8572 §6.3 configuration.
    Configuration,
    /// RFC 8572 §6.3 script.
    Script,
}

/// How the content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Syntax {
    /// A strict Jinja template.
    Jinja,
    /// Octets, given as they are.
    Verbatim,
}

/// A version to be added.
#[derive(Debug, Clone)]
pub struct NewTemplate {
    /// By which profiles will name it.
    pub name: String,
    /// What it is; the kind of a name never changes.
    pub kind: TemplateKind,
    /// None: as it was.
    pub description: Option<String>,
    /// How it is read.
    pub syntax: Syntax,
    /// Octets.
    pub content: Vec<u8>,
    /// Lower-case hex.
    pub sha256: String,
    /// When.
    pub time: UnixTime,
}

/// A variable that a template looks up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeededVariable {
    /// With dots.
    pub name: String,
    /// Whether it comes from the device's own members and not from variables.
    pub of_device: bool,
    /// Whether the server's defaults have it.
    pub has_default: bool,
}

/// A template, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rendered {
    /// Which one.
    pub name: String,
    /// Which version of it.
    pub version: u32,
    /// As text; what is no UTF-8 has replacement characters.
    pub content: String,
    /// In octets.
    pub size: u64,
}

impl TemplateKind {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Script => "script",
        }
    }
}

impl Syntax {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jinja => "jinja",
            Self::Verbatim => "verbatim",
        }
    }
}

impl Template {
    /// The newest, or the one that is asked for.
    pub fn version(&self, version: Option<u32>) -> Option<&TemplateVersion> {
        match version {
            None => self.versions.last(),
            Some(number) => self.versions.iter().find(|known| known.version == number),
        }
    }
}
