//! Profiles: what many devices have in common, and which devices those are.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sztp_cms::UnixTime;

use super::{
    Answer, BootImageSpec, ContentTypeChoice, ConveyedEncoding, Handling, LdevidSpec, Level,
    RedirectSpec, VouchersOnDemand, rfc3339,
};

/// Values by name, for templates.
pub type Variables = BTreeMap<String, Value>;

/// A profile as stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// By which devices name it.
    pub name: String,
    /// What the operator set.
    #[serde(flatten)]
    pub spec: ProfileSpec,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub updated_at: UnixTime,
}

/// What an operator sets for a profile: onboarding information, or with `redirect` redirect
/// information.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileSpec {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which devices get it without being assigned to it; none: no device does.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub rule: Option<MatchRule>,
    /// Of the profiles that match a device the one with the highest priority is taken, and among
    /// equals the first by name.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// The image to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_image: Option<BootImageSpec>,
    /// How the configuration is put in place; needed with a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_handling: Option<Handling>,
    /// Run before the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_configuration_script: Option<TemplateRef>,
    /// The configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<TemplateRef>,
    /// Run after the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_configuration_script: Option<TemplateRef>,
    /// Where its devices are sent instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectSpec>,
    /// Overrides the server's `answers.promote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<bool>,
    /// Overrides the server's `answers.sign`. `false` on redirect information leaves it unsigned
    /// for every device, `true` makes a voucher necessary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<bool>,
    /// Overrides the server's `answers.reprovision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<bool>,
    /// Overrides the server's `answers.progress_timeout_secs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout_secs: Option<u64>,
    /// Overrides the server's `vouchers_on_demand.when`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vouchers_on_demand: Option<VouchersOnDemand>,
    /// Certificates for its devices (RFC 9646).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldevid: Option<LdevidSpec>,
    /// How much devices are asked to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_level: Option<Level>,
    /// Encoding inside the conveyed information, whatever the RPC's encoding is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conveyed_encoding: Option<ConveyedEncoding>,
    /// Whether generated CMS names the SZTP content types or id-data (RFC 8572 §3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentTypeChoice>,
    /// Overrides the server's `answers.activation_codes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_codes: Option<bool>,
    /// The dialect that its devices speak, or `auto`; none: as the server's `answers.dialect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Names of the onboarding targets of its devices; none: as the server's `onboarding.default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onboarding: Option<Vec<String>>,
    /// For templates, where a device has none of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: Variables,
}

/// Which devices a profile is for: all that is set must match. In patterns `*` stands for any
/// text and `?` for one character; case counts in serial numbers and tags alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchRule {
    /// Pattern for the vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Pattern for the hardware model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Pattern for the operating system's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// Pattern for the operating system's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Pattern for any of the device's serial numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Tags that the device must have, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Groups of which the device must be in one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A configuration or script by name: `NAME`, its newest version, or `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateRef {
    /// Which one.
    pub name: String,
    /// None: the newest.
    pub version: Option<u32>,
}

/// What a profile needs that can be in the way of deleting it, or of changing it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProfileUsers {
    /// How many devices.
    pub count: u64,
    /// Some of them.
    pub serial_numbers: Vec<String>,
}

/// What became of one profile of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileChange {
    /// Which one.
    pub name: String,
    /// What was done, or would be.
    pub action: ChangeAction,
    /// Member by member, of a profile that is changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<MemberChange>,
}

/// What is done with a declared object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeAction {
    /// It was not there.
    Create,
    /// It was different.
    Change,
    /// It is as declared.
    Unchanged,
}

/// One member of a document before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// With dots.
    pub path: String,
    /// `null`: it was not there.
    pub from: Value,
    /// `null`: it is gone.
    pub to: Value,
}

/// Which profile a device gets, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The device.
    pub serial_number: String,
    /// Where its answer comes from.
    pub source: AnswerSource,
    /// The profile that is taken.
    pub profile: Option<String>,
    /// In a sentence.
    pub why: String,
    /// What is known of the device.
    pub facts: Facts,
    /// Every profile with a rule, in the order in which they are asked.
    pub considered: Vec<Considered>,
    /// Variables that its templates need and that nothing provides.
    pub missing_variables: Vec<String>,
}

/// Where a device's answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerSource {
    /// The device's own `answer`.
    Device,
    /// The profile that it is assigned to.
    Assigned,
    /// The first profile whose rule matches.
    Rule,
    /// There is nothing to give.
    Nothing,
}

/// What rules are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Facts {
    /// As the operator set, or else as its certificate says.
    pub vendor: Option<String>,
    /// As the device says, or else as the operator set.
    pub model: Option<String>,
    /// As the device says.
    pub os_name: Option<String>,
    /// As the device says.
    pub os_version: Option<String>,
    /// All of them.
    pub serial_numbers: Vec<String>,
    /// As the operator set.
    pub tags: Vec<String>,
    /// As the operator set.
    pub groups: Vec<String>,
}

/// A profile that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Which one.
    pub profile: String,
    /// Its priority.
    pub priority: i32,
    /// Whether its rule holds.
    pub matches: bool,
    /// What in its rule does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<String>,
}

impl ProfileSpec {
    /// The configurations and scripts that it names.
    pub fn templates(&self) -> impl Iterator<Item = &TemplateRef> {
        [
            &self.pre_configuration_script,
            &self.configuration,
            &self.post_configuration_script,
        ]
        .into_iter()
        .flatten()
    }

    /// The uploaded image that it needs.
    pub fn image(&self) -> Option<&str> {
        self.boot_image.as_ref()?.image.as_deref()
    }

    /// Whether it has anything to be given to a device.
    pub fn gives_something(&self) -> bool {
        self.redirect.is_some() || self.boot_image.is_some() || self.templates().next().is_some()
    }
}

impl Answer {
    /// Whether the device has an answer of its own, which wins over any profile.
    pub fn is_own(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Profile)
    }
}

impl fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for TemplateRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => {
                let version = version.parse().ok().filter(|version| *version > 0);
                (name, Some(version.ok_or("a version is a number from 1")?))
            }
            None => (text, None),
        };
        if name.is_empty() {
            return Err("a configuration's name is needed");
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

impl Serialize for TemplateRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TemplateRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_with_and_without_a_version() {
        let read = |text: &str| text.parse::<TemplateRef>();
        assert_eq!(read("base").unwrap().version, None);
        assert_eq!(read("base@3").unwrap().version, Some(3));
        assert_eq!(read("base@3").unwrap().to_string(), "base@3");
        for bad in ["", "@1", "base@", "base@0", "base@x", "base@-1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_members_are_errors() {
        assert!(serde_json::from_str::<ProfileSpec>(r#"{"colour":1}"#).is_err());
        assert!(serde_json::from_str::<ProfileSpec>(r#"{"match":{"colour":1}}"#).is_err());
        let spec: ProfileSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), "{}");
    }
}
