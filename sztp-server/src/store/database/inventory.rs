//! Lists of devices, and many devices at once.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use sztp_cms::UnixTime;

use super::{Database, limit_and_one, listed};
use crate::StoreError;
use crate::model::{
    Device, DeviceFilter, DeviceSpec, DeviceSummary, Existing, ImportOptions, Listed, Page,
};
use crate::store::connection::{self, Connection, ToValue};
use crate::store::import::merged;
use crate::store::{
    DeviceStore, ImportDevice, ImportOutcome, PutDevice, PutMode, PutOutcome, StoreFuture,
    StoredDevice, devices, inventory,
};

impl DeviceStore for Database {
    fn import(
        &self,
        rows: Vec<ImportDevice>,
        options: ImportOptions,
        time: UnixTime,
    ) -> StoreFuture<'_, Vec<ImportOutcome>> {
        self.write(move |connection| {
            let import = |connection: &Connection| {
                rows.iter()
                    .map(|row| import_row(connection, row, options.existing, time))
                    .collect::<Result<Vec<_>, _>>()
            };
            connection.nested("import", import, |outcomes| {
                let refused = outcomes.iter().any(ImportOutcome::is_refusal);
                !(options.dry_run || options.all_or_nothing && refused)
            })
        })
    }

    fn specs(&self, serial_numbers: Vec<String>) -> StoreFuture<'_, Vec<(String, StoredDevice)>> {
        self.read_snapshot(move |connection| {
            let mut found = Vec::new();
            for serial_number in &serial_numbers {
                if let Some(device) = devices::load_device(connection, serial_number)? {
                    found.push((serial_number.clone(), device));
                }
            }
            Ok(found)
        })
    }

    fn full_devices(
        &self,
        filter: DeviceFilter,
        after: Option<String>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<Device>> {
        let page = Page { after, limit };
        self.read_snapshot(move |connection| {
            let query = ListQuery::new(&filter, &page);
            let serial_numbers: Vec<String> = connection.query_all(
                &query.sql("d.serial_number", false),
                &query.parameters,
                |row| row.get(0),
            )?;
            let mut found = Vec::new();
            for serial_number in serial_numbers {
                if let Some(stored) = devices::load_device(connection, &serial_number)? {
                    found.push(stored.device);
                }
            }
            Ok(found)
        })
    }
}

pub(super) fn list(
    connection: &Connection,
    filter: &DeviceFilter,
    page: &Page,
) -> Result<Listed<DeviceSummary>, StoreError> {
    let query = ListQuery::new(filter, page);
    let columns = "d.serial_number, d.state, d.stage, d.reason, d.answer_kind, d.has_voucher,
        d.updated_at, d.host_name, d.profile, d.served_profile";
    let items = connection.query_all(&query.sql(columns, true), &query.parameters, |row| {
        Ok(DeviceSummary {
            serial_number: row.get(0)?,
            state: row.get(1)?,
            stage: row.get(2)?,
            reason: row.get(3)?,
            answer_kind: row.get(4)?,
            has_voucher: row.get(5)?,
            updated_at: UnixTime::from_secs(row.get(6)?),
            host_name: row.get(7)?,
            profile: row.get(8)?,
            served_profile: row.get(9)?,
        })
    })?;
    Ok(listed(items, page.limit, |device| {
        device.serial_number.clone()
    }))
}

/// A list's conditions. Only what is asked for is part of the statement, so that the index for it
/// is used.
struct ListQuery {
    tables: String,
    conditions: Vec<String>,
    parameters: Vec<connection::Value<'static>>,
    limit: u32,
}

impl ListQuery {
    fn new(filter: &DeviceFilter, page: &Page) -> Self {
        let mut query = Self {
            tables: "device AS d".to_owned(),
            conditions: Vec::new(),
            parameters: Vec::new(),
            limit: page.limit,
        };
        if let Some(after) = &page.after {
            let after = query.bind(after);
            query.conditions.push(format!("d.serial_number > {after}"));
        }
        if let Some(state) = &filter.state {
            let state = query.bind(state);
            query.conditions.push(format!("d.state = {state}"));
        }
        if let Some(prefix) = &filter.serial_number_prefix {
            let range = query.begins("d.serial_number", prefix);
            query.conditions.push(range);
        }
        if let Some(text) = &filter.search {
            let (serial, host, alias) = (
                query.begins("serial_number", text),
                query.begins("host_name", text),
                query.begins("alias", text),
            );
            query.conditions.push(format!(
                "d.serial_number IN (SELECT serial_number FROM device WHERE {serial}
                    UNION SELECT serial_number FROM device WHERE {host}
                    UNION SELECT serial_number FROM device_alias WHERE {alias})"
            ));
        }
        for (kind, label) in [
            (inventory::TAG, &filter.tag),
            (inventory::GROUP, &filter.group),
        ] {
            let Some(label) = label else { continue };
            let label = query.bind(label);
            let _ = write!(
                query.tables,
                " JOIN device_label AS {kind}_of ON {kind}_of.serial_number = d.serial_number
                    AND {kind}_of.kind = '{kind}' AND {kind}_of.label = {label}"
            );
        }
        if let Some(profile) = &filter.profile {
            let profile = query.bind(profile);
            query.conditions.push(format!(
                "d.serial_number IN (SELECT serial_number FROM device WHERE profile = {profile}
                    UNION SELECT serial_number FROM device WHERE served_profile = {profile})"
            ));
        }
        if let Some(has_voucher) = filter.has_voucher {
            let has_voucher = query.bind(&has_voucher);
            query
                .conditions
                .push(format!("d.has_voucher = {has_voucher}"));
        }
        query
    }

    /// The statement; with `and_one` a row more than wanted tells whether there is a next page.
    fn sql(&self, columns: &str, and_one: bool) -> String {
        let conditions = if self.conditions.is_empty() {
            "1 = 1".to_owned()
        } else {
            self.conditions.join(" AND ")
        };
        let limit = limit_and_one(self.limit) - i64::from(!and_one);
        format!(
            "SELECT {columns} FROM {} WHERE {conditions} ORDER BY d.serial_number LIMIT {limit}",
            self.tables
        )
    }

    fn bind(&mut self, value: &(impl ToValue + ?Sized)) -> String {
        self.parameters.push(value.to_value().into_owned());
        format!("?{}", self.parameters.len())
    }

    /// A range and not a function of the column, so that an index serves it.
    fn begins(&mut self, column: &str, prefix: &str) -> String {
        let from = self.bind(prefix);
        let upper = self.bind(&format!("{prefix}\u{10FFFF}"));
        format!("{column} >= {from} AND {column} < {upper}")
    }
}

fn import_row(
    connection: &Connection,
    row: &ImportDevice,
    existing: Existing,
    time: UnixTime,
) -> Result<ImportOutcome, StoreError> {
    let before = devices::load_spec(connection, &row.serial_number)?;
    match (&before, existing) {
        (Some(_), Existing::Skip) => return Ok(ImportOutcome::Skipped),
        (Some(_), Existing::Refuse) => return Ok(ImportOutcome::Exists),
        _ => {}
    }
    let spec = spec_of(merged(before, &row.members, existing))?;
    let outcome = devices::put_device(
        connection,
        &PutDevice {
            serial_number: row.serial_number.clone(),
            spec,
            time,
            message: row.message.clone(),
            write: PutMode::AddOrReplace,
        },
    )?;
    Ok(match outcome {
        PutOutcome::Put(put) if put.added => ImportOutcome::Added(put.entry),
        PutOutcome::Put(put) => ImportOutcome::Updated(put.entry),
        PutOutcome::Exists => ImportOutcome::Exists,
        PutOutcome::SerialNumberTaken { alias, device } => {
            ImportOutcome::SerialNumberTaken { alias, device }
        }
        PutOutcome::ProfileMissing { profile } => ImportOutcome::ProfileMissing { profile },
    })
}

fn spec_of(members: Map<String, Value>) -> Result<DeviceSpec, StoreError> {
    serde_json::from_value(Value::Object(members)).map_err(|_| StoreError::Damaged {
        what: "device_spec.spec",
    })
}
