//! Entries of devices as Crosswork writes them, and what they are here.
//!
//! What means something here is a member of the device; the rest is kept in its attribute
//! `crosswork`, so that it comes back as it was sent.

use serde_json::{Map, Value, json};

use super::reply::{text, texts};
use super::status::address;
use crate::model::Device;

/// Members of a device here that an entry sets. The error is for people.
pub(super) fn members_of(node: &Value) -> Result<Map<String, Value>, String> {
    let Value::Object(node) = node else {
        return Err("an entry is no JSON object".to_owned());
    };
    let mut members = Map::new();
    let mut kept = Map::new();
    for (name, value) in node {
        match name.as_str() {
            "serialNumber" => {
                let mut all = texts(value).into_iter();
                let first = all.next().ok_or("serialNumber is needed")?;
                members.insert("serial_number".to_owned(), json!(first));
                let others: Vec<String> = all.collect();
                if !others.is_empty() {
                    members.insert("serial_numbers".to_owned(), json!(others));
                }
            }
            "hostName" => set(&mut members, "host_name", text(value)),
            "profileName" => set(&mut members, "profile", text(value)),
            "deviceFamily" => {
                set(&mut members, "model", text(value));
                kept.insert(name.clone(), value.clone());
            }
            "vendor" => set(&mut members, "vendor", text(value)),
            "ipAddress" => set(&mut members, "management_address", address(value)),
            "configAttributes" => {
                let variables = value.as_object().cloned().unwrap_or_default();
                if !variables.is_empty() {
                    members.insert("variables".to_owned(), Value::Object(variables));
                }
            }
            "status" => match text(value).as_deref() {
                None | Some("Unprovisioned") => {}
                Some(other) => {
                    return Err(format!(
                        "status {other:?} is not to be set; deviceinfo/status tells it"
                    ));
                }
            },
            "enableOption82" if text(value).as_deref() == Some("true") => {
                return Err(
                    "enableOption82: devices are known by their certificate here, not by where \
                     they are plugged in"
                        .to_owned(),
                );
            }
            // Ours to say.
            "uuid" | "lastUpdated" | "message" | "configName" | "imageName" => {}
            _ if is_empty(value) => {}
            _ => {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    if !members.contains_key("serial_number") {
        return Err("serialNumber is needed".to_owned());
    }
    for name in ["config", "image"] {
        if kept.contains_key(name) && !members.contains_key("profile") {
            return Err(format!(
                "{name} without profileName: make a profile with it, and name that"
            ));
        }
    }
    members.insert("attributes".to_owned(), json!({"crosswork": kept}));
    Ok(members)
}

/// A device as an entry.
pub(super) fn node_of(device: &Device) -> Value {
    let spec = &device.spec;
    let mut node = match spec.attributes.get("crosswork") {
        Some(Value::Object(kept)) => kept.clone(),
        _ => Map::new(),
    };
    node.remove(ONLY_A_NUMBER);
    let mut serial_numbers = vec![device.serial_number.clone()];
    serial_numbers.extend(spec.serial_numbers.iter().cloned());
    let mut put = |name: &str, value: Value| {
        node.insert(name.to_owned(), value);
    };
    put("uuid", json!(device.serial_number));
    put("serialNumber", json!(serial_numbers));
    put("status", json!(device.state));
    put("ipAddress", ip_address(spec.management_address.as_deref()));
    put("isSecureZtp", json!("true"));
    put("enableOption82", json!("false"));
    let millis = device.updated_at.secs().saturating_mul(1000);
    put("lastUpdated", json!(millis.to_string()));
    for (name, value) in [
        ("hostName", &spec.host_name),
        ("profileName", &spec.profile),
        ("vendor", &spec.vendor),
        ("message", &device.reason),
    ] {
        if let Some(value) = value {
            put(name, json!(value));
        }
    }
    let reported = &device.reported;
    for (name, said, set) in [
        ("deviceFamily", &reported.hw_model, &spec.model),
        ("osPlatform", &reported.os_name, &None),
        ("version", &reported.os_version, &None),
    ] {
        if !node.contains_key(name)
            && let Some(value) = said.as_ref().or(set.as_ref())
        {
            node.insert(name.to_owned(), json!(value));
        }
    }
    if !spec.variables.is_empty() {
        node.insert("configAttributes".to_owned(), json!(spec.variables));
    }
    for name in ["providerInfo", "secureZtpInfo"] {
        node.entry(name).or_insert_with(|| json!({}));
    }
    Value::Object(node)
}

/// Whether a device is there only because its serial number was loaded.
pub(super) fn is_only_a_number(device: &Device) -> bool {
    device
        .spec
        .attributes
        .get("crosswork")
        .is_some_and(|kept| kept[ONLY_A_NUMBER] == json!(true))
}

/// The members of a device that is only a serial number.
pub(super) fn only_a_number(serial_number: &str) -> Value {
    json!({
        "serial_number": serial_number,
        "attributes": {"crosswork": {ONLY_A_NUMBER: true}},
    })
}

fn ip_address(address: Option<&str>) -> Value {
    let Some(address) = address else {
        return json!({});
    };
    let (ip, prefix) = match address.split_once('/') {
        Some((ip, prefix)) => (ip, prefix.parse::<u8>().ok()),
        None => (address, None),
    };
    let family = if ip.contains(':') { "IPV6" } else { "IPV4" };
    let mut value = json!({"inetAddressFamily": family, "ipaddrs": ip});
    if let Some(prefix) = prefix {
        value["mask"] = json!(prefix);
    }
    value
}

fn set(members: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), Value::String(value));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        _ => false,
    }
}

const ONLY_A_NUMBER: &str = "onlySerialNumber";

#[cfg(test)]
mod tests {
    use sztp_cms::UnixTime;

    use super::*;
    use crate::model::DeviceSpec;

    #[test]
    fn an_entry_comes_back_as_it_was_sent() {
        let entry = json!({
            "uuid": "", "hostName": "edge-1", "serialNumber": ["FOC1", "FOC1-RP1"],
            "credentialProfile": "lab", "osPlatform": "IOS XR", "version": "7.5.2",
            "deviceFamily": "Cisco NCS 540", "profileName": "ncs540", "status": "Unprovisioned",
            "ipAddress": {"inetAddressFamily": "IPV4", "ipaddrs": "192.0.2.7", "mask": 24},
            "providerInfo": {"providerName": "nso"}, "configAttributes": {"loopback": "10.0.0.1"},
            "additionalAttributes": {"routingInfo.teRouterid": ""}, "connectivityDetails": [],
            "enableOption82": "false", "isSecureZtp": "true",
        });
        let mut members = members_of(&entry).unwrap();
        let serial_number = members.remove("serial_number").unwrap();
        assert_eq!(serial_number, "FOC1");
        let spec: DeviceSpec = serde_json::from_value(Value::Object(members)).unwrap();
        let node = node_of(&Device::new("FOC1", spec, UnixTime::from_secs(1)));
        for name in [
            "hostName",
            "serialNumber",
            "credentialProfile",
            "osPlatform",
            "version",
            "deviceFamily",
            "profileName",
            "status",
            "ipAddress",
            "providerInfo",
            "configAttributes",
            "isSecureZtp",
        ] {
            assert_eq!(node[name], entry[name], "{name}");
        }
        assert_eq!(node["uuid"], "FOC1");
        assert_eq!(node["lastUpdated"], "1000");
    }

    #[test]
    fn what_cannot_be_mapped_is_said() {
        for (entry, word) in [
            (json!({"hostName": "x"}), "serialNumber"),
            (json!({"serialNumber": []}), "serialNumber"),
            (
                json!({"serialNumber": "A", "enableOption82": "true"}),
                "enableOption82",
            ),
            (
                json!({"serialNumber": "A", "status": "Onboarded"}),
                "Onboarded",
            ),
            (json!({"serialNumber": "A", "config": "x"}), "profileName"),
            (json!(3), "object"),
        ] {
            let error = members_of(&entry).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
