//! `NetBox`: the device that has the serial number becomes active, and gets its primary address.
//!
//! `NetBox` is where networks are planned, so the device has to be there already; none is made.
//! Each step looks first and changes only what is different, so that all can be done again.

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::secret::{Secret, SecretFile};
use super::subject::{Address, Subject};
use super::system::{Open, Place, Undelivered, must_be_readable, percent_encoded, sensitive};
use crate::ConfigError;
use crate::config::NetboxTarget;

/// A server of `NetBox`.
#[derive(Debug)]
pub(super) struct Netbox {
    config: NetboxTarget,
    place: Place,
    token: SecretFile,
}

impl Netbox {
    pub(super) fn new(config: NetboxTarget, timeout_secs: u64) -> Result<Self, ConfigError> {
        must_be_readable("onboarding.targets.token_file", &config.token_file)?;
        let url = ("onboarding.targets.url", config.url.as_str());
        Ok(Self {
            place: Place::new(url, &config.anchors, timeout_secs)?,
            token: SecretFile::new(&config.token_file),
            config,
        })
    }

    pub(super) fn host(&self) -> String {
        self.place.host()
    }

    /// Finds the device and sets its status and primary address.
    pub(super) async fn onboard(&self, subject: &Subject) -> Result<String, Undelivered> {
        let token = self.token.read().await?;
        let done = self.carry_out(subject, &token).await;
        done.map_err(|failure| failure.hiding(|text| token.hidden_in(text)))
    }

    async fn carry_out(&self, subject: &Subject, token: &Secret) -> Result<String, Undelivered> {
        let open = self.place.open(headers(token)?).await?;
        let (id, device) = find_device(&open, subject).await?;
        let mut changes = json!({"status": self.config.status});
        let address = subject
            .address(self.config.peer_address)
            .filter(|_| !self.config.interface.is_empty());
        if let Some(address) = address {
            let address_id = self.address(&open, id, address).await?;
            let primary = if address.ip.is_ipv4() {
                "primary_ip4"
            } else {
                "primary_ip6"
            };
            changes[primary] = json!(address_id);
        }
        let path = format!("/api/dcim/devices/{id}/");
        let reply = open.ask(Method::PATCH, &path, Some(&changes)).await?;
        open.accepted("changing the device", &reply)?;
        let name = device["name"].as_str().unwrap_or("without a name");
        Ok(match address {
            Some(address) => format!("device {name} with address {}", address.text()),
            None => format!("device {name} without an address"),
        })
    }

    /// The id of an address that is assigned to the device.
    async fn address(
        &self,
        open: &Open<'_>,
        device: i64,
        address: Address,
    ) -> Result<i64, Undelivered> {
        let text = address.with_prefix();
        let found = list(open, "ipam/ip-addresses", &[("address", &text)]).await?;
        let owner = |entry: &Value| entry["assigned_object"]["device"]["id"].as_i64();
        if let Some(ours) = found.iter().find(|entry| owner(entry) == Some(device)) {
            return id_of(ours);
        }
        let interface = self.interface(open, device).await?;
        let assignment = json!({
            "assigned_object_type": "dcim.interface",
            "assigned_object_id": interface,
        });
        let free = |entry: &&Value| entry["assigned_object_id"].is_null();
        if let Some(free) = found.iter().find(free) {
            let id = id_of(free)?;
            let path = format!("/api/ipam/ip-addresses/{id}/");
            let reply = open.ask(Method::PATCH, &path, Some(&assignment)).await?;
            open.accepted("assigning the address", &reply)?;
            return Ok(id);
        }
        if !found.is_empty() {
            let reason = format!("the address {text} is assigned to something else");
            return Err(Undelivered::refused(reason));
        }
        let mut new = assignment;
        new["address"] = json!(text);
        new["status"] = json!("active");
        let reply = open
            .ask(Method::POST, "/api/ipam/ip-addresses/", Some(&new))
            .await?;
        id_of(&open.accepted("adding the address", &reply)?)
    }

    /// The id of the interface that has the address.
    async fn interface(&self, open: &Open<'_>, device: i64) -> Result<i64, Undelivered> {
        let name = &self.config.interface;
        let device_id = device.to_string();
        let query = [("device_id", device_id.as_str()), ("name", name)];
        if let Some(there) = list(open, "dcim/interfaces", &query).await?.first() {
            return id_of(there);
        }
        let new = json!({
            "device": device,
            "name": name,
            "type": "other",
            "mgmt_only": true,
        });
        let reply = open
            .ask(Method::POST, "/api/dcim/interfaces/", Some(&new))
            .await?;
        id_of(&open.accepted("adding the interface", &reply)?)
    }
}

/// By any of its serial numbers.
async fn find_device(open: &Open<'_>, subject: &Subject) -> Result<(i64, Value), Undelivered> {
    let first = std::iter::once(&subject.device.serial_number);
    for serial_number in first.chain(&subject.device.spec.serial_numbers) {
        let mut found = list(open, "dcim/devices", &[("serial", serial_number)]).await?;
        match found.len() {
            0 => {}
            1 => {
                let device = found.remove(0);
                return Ok((id_of(&device)?, device));
            }
            count => {
                let reason = format!("{count} devices have the serial number {serial_number}");
                return Err(Undelivered::refused(reason));
            }
        }
    }
    Err(Undelivered::refused("no device has its serial number"))
}

/// The first page of a list, which is enough here.
async fn list(
    open: &Open<'_>,
    what: &str,
    query: &[(&str, &str)],
) -> Result<Vec<Value>, Undelivered> {
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
        .collect();
    let path = format!("/api/{what}/?{}", query.join("&"));
    let reply = open.ask(Method::GET, &path, None).await?;
    let mut answer = open.accepted(what, &reply)?;
    match answer["results"].take() {
        Value::Array(results) => Ok(results),
        _ => Err(Undelivered::refused(format!("{what}: that is no list"))),
    }
}

fn id_of(entry: &Value) -> Result<i64, Undelivered> {
    entry["id"]
        .as_i64()
        .ok_or_else(|| Undelivered::refused("an entry without id"))
}

/// Tokens of the second version are bearer tokens.
fn headers(token: &Secret) -> Result<HeaderMap, Undelivered> {
    let scheme = if token.expose().starts_with("nbt_") {
        "Bearer"
    } else {
        "Token"
    };
    let credentials = format!("{scheme} {}", token.expose());
    let json = HeaderValue::from_static("application/json");
    Ok([
        sensitive(header::AUTHORIZATION, &credentials)?,
        (header::CONTENT_TYPE, json.clone()),
        (header::ACCEPT, json),
    ]
    .into_iter()
    .collect())
}
