//! `[delivery]`, `[[webhooks]]` and `[onboarding]`: who is told of devices, and which systems
//! manage them in the end.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sztp_core::lifecycle::State;

use super::ConfigError;

/// How deliveries are made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Attempts after which a delivery is given up.
    pub max_attempts: u32,
    /// Seconds after which a delivery is given up, however often it was tried.
    pub max_age_secs: u64,
    /// Seconds until the second attempt; doubled with each one more.
    pub first_retry_secs: u64,
    /// Seconds between attempts at most.
    pub max_retry_secs: u64,
    /// Deliveries to one target at a time.
    pub parallel: usize,
    /// Seconds for a request to a target.
    pub timeout_secs: u64,
    /// Seconds after which a delivery of an instance that was lost is taken over.
    pub lease_secs: u64,
    /// Seconds after which a delivery that was given up is forgotten.
    pub keep_failed_secs: u64,
}

/// Somebody who is told what happens to devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// What it is called here.
    pub name: String,
    /// Where it is told; an https:// URL.
    pub url: String,
    /// Certificates that its own must lead to.
    pub anchors: Vec<PathBuf>,
    /// File with the key that signs what it is told.
    pub secret_file: PathBuf,
    /// `state`: changes of state; `all`; or events by their names in histories.
    #[serde(default = "changes_of_state")]
    pub events: Vec<String>,
    /// Only what leads to these states; none: to any.
    #[serde(default)]
    pub states: Vec<String>,
    /// Whether it hears messages, reasons and addresses of devices.
    #[serde(default)]
    pub details: bool,
}

/// Systems that manage devices once they are provisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnboardingConfig {
    /// Targets for devices whose profile names none.
    pub default: Vec<String>,
    /// The systems.
    pub targets: Vec<TargetConfig>,
}

/// A system that manages devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "system", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TargetConfig {
    /// Anything that takes a JSON document.
    Webhook(WebhookTarget),
    /// Cisco NSO, by RESTCONF.
    Nso(NsoTarget),
    /// `NetBox`, by its REST API.
    Netbox(NetboxTarget),
}

/// Anything that takes a JSON document, signed as webhooks are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// What it is called here.
    pub name: String,
    /// Where it is; an https:// URL.
    pub url: String,
    /// Certificates that its own must lead to.
    pub anchors: Vec<PathBuf>,
    /// File with the key that signs what it is told.
    pub secret_file: PathBuf,
    /// Whether the address that a device reported from may stand for one that is set or reported.
    #[serde(default)]
    pub peer_address: bool,
}

/// Cisco NSO.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NsoTarget {
    /// What it is called here.
    pub name: String,
    /// The server, `https://host[:port]`.
    pub url: String,
    /// Certificates that its own must lead to.
    pub anchors: Vec<PathBuf>,
    /// Who logs in.
    pub user: String,
    /// File with their password.
    pub password_file: PathBuf,
    /// By whose credentials NSO logs in to devices.
    pub authgroup: String,
    /// By which protocol.
    pub device_type: NsoDeviceType,
    /// The NED, with its module: `cisco-iosxr-cli-7.52:cisco-iosxr-cli-7.52`.
    pub ned_id: String,
    /// Where devices are managed; none: as NSO has it.
    #[serde(default)]
    pub port: Option<u16>,
    /// Others than the above for some devices; the first that fits counts.
    #[serde(default)]
    pub platforms: Vec<NsoPlatform>,
    /// Whether NSO may ask the device itself for host keys that it has not reported.
    #[serde(default = "yes")]
    pub fetch_host_keys: bool,
    /// Whether the address that a device reported from may stand for one that is set or reported.
    #[serde(default)]
    pub peer_address: bool,
}

/// How NSO talks to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NsoDeviceType {
    /// A CLI NED.
    Cli,
    /// A NETCONF NED.
    Netconf,
    /// A generic NED.
    Generic,
}

/// What is different for some devices, by everything that is named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NsoPlatform {
    /// What the vendor's name begins with, in any case.
    #[serde(default)]
    pub vendor: Option<String>,
    /// What the operating system's name begins with, in any case.
    #[serde(default)]
    pub os_name: Option<String>,
    /// What the model's name begins with, in any case.
    #[serde(default)]
    pub model: Option<String>,
    /// By whose credentials NSO logs in.
    #[serde(default)]
    pub authgroup: Option<String>,
    /// By which protocol.
    pub device_type: NsoDeviceType,
    /// The NED.
    pub ned_id: String,
    /// Where they are managed.
    #[serde(default)]
    pub port: Option<u16>,
}

/// `NetBox`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NetboxTarget {
    /// What it is called here.
    pub name: String,
    /// The server, `https://host[:port]`.
    pub url: String,
    /// Certificates that its own must lead to.
    pub anchors: Vec<PathBuf>,
    /// File with an API token.
    pub token_file: PathBuf,
    /// What the device's status becomes.
    #[serde(default = "active")]
    pub status: String,
    /// The interface that has the primary address; made if need be. Empty: no address is set.
    #[serde(default = "management")]
    pub interface: String,
    /// Whether the address that a device reported from may stand for one that is set or reported.
    #[serde(default)]
    pub peer_address: bool,
}

impl TargetConfig {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Webhook(target) => &target.name,
            Self::Nso(target) => &target.name,
            Self::Netbox(target) => &target.name,
        }
    }
}

impl DeliveryConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("delivery.max_attempts", u64::from(self.max_attempts)),
            ("delivery.first_retry_secs", self.first_retry_secs),
            ("delivery.max_retry_secs", self.max_retry_secs),
            ("delivery.parallel", self.parallel as u64),
            ("delivery.timeout_secs", self.timeout_secs),
        ] {
            if value == 0 {
                return Err(value_error(key, "must not be 0"));
            }
        }
        // It is extended three times within itself.
        if self.lease_secs < 3 {
            return Err(value_error("delivery.lease_secs", "must be at least 3"));
        }
        Ok(())
    }
}

/// What types cannot say of all who are told.
pub(super) fn check_targets(
    webhooks: &[WebhookConfig],
    onboarding: &OnboardingConfig,
) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    let of_webhooks = webhooks.iter().map(|webhook| webhook.name.as_str());
    let of_targets = onboarding.targets.iter().map(TargetConfig::name);
    for name in of_webhooks.chain(of_targets) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            let problem = format!("{name:?} is not 1 to 64 letters, digits and `.`, `_`, `-`");
            return Err(value_error("webhooks.name", &problem));
        }
        if !names.insert(name) {
            let problem = format!("{name:?} is there twice");
            return Err(value_error("webhooks.name", &problem));
        }
    }
    for name in &onboarding.default {
        if !onboarding
            .targets
            .iter()
            .any(|target| target.name() == name)
        {
            let problem = format!("there is no target {name:?}");
            return Err(value_error("onboarding.default", &problem));
        }
    }
    for webhook in webhooks {
        if webhook.events.is_empty() {
            return Err(value_error("webhooks.events", "must not be empty"));
        }
        for state in &webhook.states {
            if state.parse::<State>().is_err() {
                let problem = format!("{state:?} is not the exact name of a state");
                return Err(value_error("webhooks.states", &problem));
            }
        }
    }
    Ok(())
}

fn value_error(key: &'static str, problem: &str) -> ConfigError {
    ConfigError::Value {
        key,
        problem: problem.to_owned(),
    }
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 30,
            max_age_secs: 3 * 24 * 60 * 60,
            first_retry_secs: 5,
            max_retry_secs: 60 * 60,
            parallel: 4,
            timeout_secs: 30,
            lease_secs: 30,
            keep_failed_secs: 30 * 24 * 60 * 60,
        }
    }
}

fn changes_of_state() -> Vec<String> {
    vec!["state".to_owned()]
}

fn yes() -> bool {
    true
}

fn active() -> String {
    "active".to_owned()
}

fn management() -> String {
    "mgmt".to_owned()
}
