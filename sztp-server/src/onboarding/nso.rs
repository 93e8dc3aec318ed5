//! Cisco NSO over RESTCONF: an entry in its device list, the device's SSH host keys, and the first
//! `sync-from`.
//!
//! The entry is merged into the list (a PATCH of `/devices`), which adds it or changes what we say
//! of it, and keeps whatever else NSO has of it. Host keys that the device has reported in its
//! bootstrap-complete go along, so that NSO's first connection to it is one to the right device;
//! `ssh/fetch-host-keys` would trust whoever answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::object;
use super::secret::{Secret, SecretFile};
use super::subject::Subject;
use super::system::{Open, Place, Undelivered, must_be_readable, percent_encoded, sensitive};
use crate::ConfigError;
use crate::config::{NsoDeviceType, NsoPlatform, NsoTarget};

/// A server of NSO.
#[derive(Debug)]
pub(super) struct Nso {
    config: NsoTarget,
    place: Place,
    password: SecretFile,
}

impl Nso {
    pub(super) fn new(config: NsoTarget, timeout_secs: u64) -> Result<Self, ConfigError> {
        must_be_readable("onboarding.targets.password_file", &config.password_file)?;
        let url = ("onboarding.targets.url", config.url.as_str());
        Ok(Self {
            place: Place::new(url, &config.anchors, timeout_secs)?,
            password: SecretFile::new(&config.password_file),
            config,
        })
    }

    pub(super) fn host(&self) -> String {
        self.place.host()
    }

    /// Adds the device or changes it, and reads its configuration.
    pub(super) async fn onboard(&self, subject: &Subject) -> Result<String, Undelivered> {
        let password = self.password.read().await?;
        let done = self.carry_out(subject, &password).await;
        // A server may repeat what it was sent.
        let credentials = self.credentials(&password);
        done.map_err(|failure| {
            failure.hiding(|text| password.hidden_in(&text.replace(&credentials, "***")))
        })
    }

    async fn carry_out(&self, subject: &Subject, password: &Secret) -> Result<String, Undelivered> {
        let entry = self.entry(subject)?;
        let open = self.place.open(self.headers(password)?).await?;
        let body = json!({"tailf-ncs:devices": {"device": [entry]}});
        let reply = open.ask(Method::PATCH, DEVICES, Some(&body)).await?;
        open.accepted("adding the device", &reply)?;
        let keys = &subject.contact.ssh_host_keys;
        if keys.is_empty() && self.config.fetch_host_keys {
            let output = action(&open, subject, "ssh/fetch-host-keys").await?;
            let result = output["result"].as_str().unwrap_or_default();
            if !["updated", "unchanged"].contains(&result) {
                return Err(said_no("ssh/fetch-host-keys", &output));
            }
        }
        let output = action(&open, subject, "sync-from").await?;
        if output["result"] != json!(true) {
            return Err(said_no("sync-from", &output));
        }
        Ok(format!(
            "device {} with {}",
            subject.name(),
            match keys.len() {
                0 if self.config.fetch_host_keys => "host keys that NSO has fetched".to_owned(),
                0 => "no host key".to_owned(),
                count => format!("{count} host keys that it has reported"),
            }
        ))
    }

    /// The device in NSO's list.
    fn entry(&self, subject: &Subject) -> Result<Value, Undelivered> {
        let address = subject.address(self.config.peer_address);
        let address = address
            .ok_or_else(|| Undelivered::refused("it is not known where the device is managed"))?;
        let platform = self.config.platforms.iter().find(|one| fits(one, subject));
        let device_type = match subject.attribute("nso_device_type") {
            Some("cli") => NsoDeviceType::Cli,
            Some("netconf") => NsoDeviceType::Netconf,
            Some("generic") => NsoDeviceType::Generic,
            Some(other) => {
                let reason = format!("attribute nso_device_type: {other:?} is none");
                return Err(Undelivered::refused(reason));
            }
            None => platform.map_or(self.config.device_type, |one| one.device_type),
        };
        let device_type = match device_type {
            NsoDeviceType::Cli => "cli",
            NsoDeviceType::Netconf => "netconf",
            NsoDeviceType::Generic => "generic",
        };
        let ned_id = subject
            .attribute("nso_ned_id")
            .unwrap_or_else(|| platform.map_or(&self.config.ned_id, |one| &one.ned_id));
        let authgroup = subject
            .attribute("nso_authgroup")
            .or(platform.and_then(|one| one.authgroup.as_deref()))
            .unwrap_or(&self.config.authgroup);
        let port = platform.and_then(|one| one.port).or(self.config.port);
        let keys: Vec<Value> = subject
            .contact
            .ssh_host_keys
            .iter()
            .map(|key| {
                let key_data = STANDARD.encode(&key.key_data.0);
                json!({"algorithm": key.algorithm, "key-data": key_data})
            })
            .collect();
        Ok(Value::Object(object([
            ("name", Some(json!(subject.name()))),
            ("address", Some(json!(address.ip.to_string()))),
            ("port", port.map(|port| json!(port))),
            ("authgroup", Some(json!(authgroup))),
            (
                "device-type",
                Some(json!({device_type: {"ned-id": ned_id}})),
            ),
            ("state", Some(json!({"admin-state": "unlocked"}))),
            ("ssh", (!keys.is_empty()).then(|| json!({"host-key": keys}))),
        ])))
    }

    /// RFC 7617.
    fn credentials(&self, password: &Secret) -> String {
        STANDARD.encode(format!("{}:{}", self.config.user, password.expose()))
    }

    fn headers(&self, password: &Secret) -> Result<HeaderMap, Undelivered> {
        let basic = format!("Basic {}", self.credentials(password));
        let yang_data = HeaderValue::from_static("application/yang-data+json");
        Ok([
            sensitive(header::AUTHORIZATION, &basic)?,
            (header::CONTENT_TYPE, yang_data.clone()),
            (header::ACCEPT, yang_data),
        ]
        .into_iter()
        .collect())
    }
}

/// An action of the device's entry; its answer says in a document with status 200 whether it
/// succeeded.
async fn action(open: &Open<'_>, subject: &Subject, name: &str) -> Result<Value, Undelivered> {
    let path = format!(
        "{DEVICES}/device={}/{name}",
        percent_encoded(subject.name())
    );
    let reply = open.ask(Method::POST, &path, None).await?;
    let mut answer = open.accepted(name, &reply)?;
    Ok(answer["tailf-ncs:output"].take())
}

/// It may be that the device is still busy, or not reached yet.
fn said_no(what: &str, output: &Value) -> Undelivered {
    let info = ["info", "error"]
        .iter()
        .find_map(|name| output[name].as_str())
        .unwrap_or("no reason given");
    let info: String = info.chars().filter(|c| !c.is_control()).take(300).collect();
    Undelivered::later(format!("{what} failed: {info}"))
}

fn fits(platform: &NsoPlatform, subject: &Subject) -> bool {
    let begins = |text: Option<&str>, with: &Option<String>| match (text, with) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(text), Some(with)) => text.to_lowercase().starts_with(&with.to_lowercase()),
    };
    begins(subject.vendor(), &platform.vendor)
        && begins(subject.os_name(), &platform.os_name)
        && begins(subject.model(), &platform.model)
}

const DEVICES: &str = "/restconf/data/tailf-ncs:devices";
