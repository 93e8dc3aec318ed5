//! Many devices in one write.

use serde_json::{Map, Value};
use sztp_cms::UnixTime;

use super::{StoreFuture, StoredDevice};
use crate::model::{Device, DeviceFilter, Existing, HistoryEntry, ImportOptions};

/// The part of a database that reads and writes devices in numbers.
pub trait DeviceStore {
    /// Writes rows, in one transaction. The answers are in their order; with
    /// [`ImportOptions::all_or_nothing`] a refusal among them means that nothing was written.
    fn import(
        &self,
        rows: Vec<ImportDevice>,
        options: ImportOptions,
        time: UnixTime,
    ) -> StoreFuture<'_, Vec<ImportOutcome>>;

    /// What is set for those of these devices that are there, by serial number.
    fn specs(&self, serial_numbers: Vec<String>) -> StoreFuture<'_, Vec<(String, StoredDevice)>>;

    /// Devices as a whole, in the order of their serial numbers.
    fn full_devices(
        &self,
        filter: DeviceFilter,
        after: Option<String>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<Device>>;
}

/// A row to be written.
#[derive(Debug, Clone)]
pub struct ImportDevice {
    /// Which device.
    pub serial_number: String,
    /// Members of a [`DeviceSpec`](crate::model::DeviceSpec); `null` takes one away.
    pub members: Map<String, Value>,
    /// For its history.
    pub message: Option<String>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The device is new.
    Added(HistoryEntry),
    /// The device was changed.
    Updated(HistoryEntry),
    /// The device was left as it was.
    Skipped,
    /// The device is there, and must not be.
    Exists,
    /// One of its serial numbers leads to another device.
    SerialNumberTaken {
        /// The serial number.
        alias: String,
        /// The other device.
        device: String,
    },
    /// The profile that it is assigned to is not there.
    ProfileMissing {
        /// Its name.
        profile: String,
    },
}

impl ImportOutcome {
    /// Whether it makes a row a bad one.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Exists | Self::SerialNumberTaken { .. } | Self::ProfileMissing { .. }
        )
    }
}

/// What is set for a device after a row was applied to what was set before.
pub(crate) fn merged(
    before: Option<Map<String, Value>>,
    members: &Map<String, Value>,
    existing: Existing,
) -> Map<String, Value> {
    let mut merged = match existing {
        Existing::Update => before.unwrap_or_default(),
        Existing::Replace | Existing::Skip | Existing::Refuse => Map::new(),
    };
    for (name, value) in members {
        match (value, merged.get_mut(name)) {
            (Value::Object(given), Some(Value::Object(there)))
                if ["variables", "attributes"].contains(&name.as_str()) =>
            {
                for (name, value) in given {
                    set(there, name, value);
                }
            }
            _ => set(&mut merged, name, value),
        }
    }
    for name in ["variables", "attributes"] {
        if let Some(Value::Object(values)) = merged.get_mut(name) {
            values.retain(|_, value| !value.is_null());
        }
    }
    merged
}

fn set(object: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_changes_what_it_names() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let before = || {
            object(
                json!({"host_name": "a", "location": "x", "variables": {"vlan": 1, "mtu": 9000}}),
            )
        };
        let row = object(
            json!({"host_name": "b", "location": null, "variables": {"vlan": 2, "mtu": null}}),
        );
        assert_eq!(
            merged(Some(before()), &row, Existing::Update),
            object(json!({"host_name": "b", "variables": {"vlan": 2}}))
        );
        assert_eq!(
            merged(Some(before()), &row, Existing::Replace),
            object(json!({"host_name": "b", "variables": {"vlan": 2}}))
        );
        assert_eq!(
            merged(Some(before()), &Map::new(), Existing::Replace),
            Map::new()
        );
    }
}
