//! What hangs on a device's row: labels, other serial numbers, vouchers.

use super::connection::{Connection, params};
use super::devices;
use crate::StoreError;
use crate::model::{Blob, DeviceSpec};

/// Writes labels and other serial numbers.
pub(super) fn put(
    connection: &Connection,
    serial_number: &str,
    spec: &DeviceSpec,
    added: bool,
) -> Result<(), StoreError> {
    if !added {
        for table in [
            "DELETE FROM device_label WHERE serial_number = ?1",
            "DELETE FROM device_alias WHERE serial_number = ?1",
        ] {
            connection.execute_later(table, params![serial_number])?;
        }
    }
    let tags = spec.tags.iter().map(|tag| (TAG, tag));
    let groups = spec.groups.iter().map(|group| (GROUP, group));
    for (kind, label) in tags.chain(groups) {
        connection.execute_later(
            "INSERT INTO device_label (serial_number, kind, label) VALUES (?1, ?2, ?3)",
            params![serial_number, kind, label],
        )?;
    }
    for alias in &spec.serial_numbers {
        connection.execute_later(
            "INSERT INTO device_alias (alias, serial_number) VALUES (?1, ?2)",
            params![alias, serial_number],
        )?;
    }
    Ok(())
}

/// A serial number of the device that leads to another one already, and that other one.
pub(super) fn taken(
    connection: &Connection,
    serial_number: &str,
    spec: &DeviceSpec,
) -> Result<Option<(String, String)>, StoreError> {
    if let Some(device) = device_of_alias(connection, serial_number)? {
        return Ok(Some((serial_number.to_owned(), device)));
    }
    for alias in &spec.serial_numbers {
        let is_device: bool = connection.query_one(
            "SELECT EXISTS (SELECT 1 FROM device WHERE serial_number = ?1)",
            params![alias],
            |row| row.get(0),
        )?;
        if is_device {
            return Ok(Some((alias.clone(), alias.clone())));
        }
        let device = device_of_alias(connection, alias)?;
        if let Some(device) = device.filter(|device| device != serial_number) {
            return Ok(Some((alias.clone(), device)));
        }
    }
    Ok(None)
}

/// The profile that the device is assigned to, if there is none of that name.
pub(super) fn missing_profile(
    connection: &Connection,
    spec: &DeviceSpec,
) -> Result<Option<String>, StoreError> {
    let Some(profile) = &spec.profile else {
        return Ok(None);
    };
    let known: bool = connection.query_one(
        "SELECT EXISTS (SELECT 1 FROM profile WHERE name = ?1)",
        params![profile],
        |row| row.get(0),
    )?;
    Ok((!known).then(|| profile.clone()))
}

/// The device that has another serial number beside its own.
pub(super) fn device_of_alias(
    connection: &Connection,
    alias: &str,
) -> Result<Option<String>, StoreError> {
    connection.query_optional(
        "SELECT serial_number FROM device_alias WHERE alias = ?1",
        params![alias],
        |row| row.get(0),
    )
}

/// Whether a voucher for any of a device's serial numbers came without it.
pub(super) fn has_voucher(
    connection: &Connection,
    serial_number: &str,
    spec: &DeviceSpec,
) -> Result<bool, StoreError> {
    for name in std::iter::once(serial_number).chain(spec.serial_numbers.iter().map(String::as_str))
    {
        if connection.exists(
            "SELECT EXISTS (SELECT 1 FROM voucher WHERE serial_number = ?1)",
            params![name],
        )? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The voucher for a device that shows one of its serial numbers. A device holds a voucher against
/// the serial number of its own certificate, so that one's comes first.
pub(super) fn voucher_for(
    connection: &Connection,
    presented: &str,
    serial_number: &str,
    spec: &DeviceSpec,
) -> Result<Option<Blob>, StoreError> {
    let kept = |name: &str| -> Result<Option<Blob>, StoreError> {
        let octets: Option<Vec<u8>> = connection.query_optional(
            "SELECT voucher FROM voucher WHERE serial_number = ?1",
            params![name],
            |row| row.get(0),
        )?;
        Ok(octets.map(Blob))
    };
    if presented != serial_number
        && let Some(voucher) = kept(presented)?
    {
        return Ok(Some(voucher));
    }
    if let Some(voucher) = &spec.voucher {
        return Ok(Some(voucher.clone()));
    }
    if let Some(voucher) = kept(serial_number)? {
        return Ok(Some(voucher));
    }
    for alias in &spec.serial_numbers {
        if let Some(voucher) = kept(alias)? {
            return Ok(Some(voucher));
        }
    }
    Ok(None)
}

/// Grows with each change of the catalog.
pub(super) fn generation(connection: &Connection) -> Result<i64, StoreError> {
    connection.query_one("SELECT generation FROM catalog WHERE id = 1", &[], |row| {
        row.get(0)
    })
}

/// Devices that have a voucher, as one for a serial number comes or goes. Answers the device.
pub(super) fn note_voucher(
    connection: &Connection,
    serial_number: &str,
) -> Result<Option<String>, StoreError> {
    let is_device: bool = connection.query_one(
        "SELECT EXISTS (SELECT 1 FROM device WHERE serial_number = ?1)",
        params![serial_number],
        |row| row.get(0),
    )?;
    let device = if is_device {
        Some(serial_number.to_owned())
    } else {
        device_of_alias(connection, serial_number)?
    };
    let Some(device) = device else {
        return Ok(None);
    };
    let has_its_own = devices::load_spec(connection, &device)?.is_some_and(|spec| {
        spec.get("voucher")
            .is_some_and(|voucher| !voucher.is_null())
    });
    connection.execute(
        "UPDATE device SET has_voucher = CASE WHEN ?2 = 1
                OR EXISTS (SELECT 1 FROM voucher WHERE serial_number = ?1)
                OR EXISTS (SELECT 1 FROM device_alias AS a
                    JOIN voucher AS v ON v.serial_number = a.alias WHERE a.serial_number = ?1)
            THEN 1 ELSE 0 END
         WHERE serial_number = ?1",
        params![device, has_its_own],
    )?;
    Ok(Some(device))
}

pub(super) const TAG: &str = "tag";
pub(super) const GROUP: &str = "group";
