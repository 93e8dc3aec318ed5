//! Rows of devices and lines of their histories, within a transaction of the writer.

use std::str::FromStr as _;

use serde_json::{Map, Value};
use sztp_cms::UnixTime;
use sztp_core::lifecycle::{self, Event, Policy, State, Status};

use super::connection::{Connection, params};
use super::database::outbox;
use super::{
    Effect, Occurrence, Put, PutDevice, PutMode, PutOutcome, Recorded, Served, StoredDevice,
    inventory,
};
use crate::StoreError;
use crate::model::{Device, DeviceSpec, HistoryEntry, Reported};

pub(super) fn put_device(
    connection: &Connection,
    put: &PutDevice,
) -> Result<PutOutcome, StoreError> {
    let there = load_row(connection, &put.serial_number)?;
    if there.is_some() && put.write == PutMode::Add {
        return Ok(PutOutcome::Exists);
    }
    if let Some((alias, device)) = inventory::taken(connection, &put.serial_number, &put.spec)? {
        return Ok(PutOutcome::SerialNumberTaken { alias, device });
    }
    if let Some(profile) = inventory::missing_profile(connection, &put.spec)? {
        return Ok(PutOutcome::ProfileMissing { profile });
    }
    let added = there.is_none();
    let row = there.unwrap_or(DeviceRow {
        status: Status::default(),
        promoted_at: None,
        deadline: None,
        progress_timeout: None,
        served_timeout: None,
        served_profile: None,
        served_dialect: None,
        bootstrap: None,
        reported: Reported::default(),
        created_at: put.time,
        updated_at: put.time,
    });
    let row = DeviceRow {
        updated_at: put.time,
        ..row
    };
    connection.execute_later(
        "INSERT INTO device (serial_number, state, answer_kind, has_voucher, image,
                created_at, updated_at, progress_timeout, host_name, profile)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9)
             ON CONFLICT (serial_number) DO UPDATE SET answer_kind = excluded.answer_kind,
                has_voucher = excluded.has_voucher, image = excluded.image,
                updated_at = excluded.updated_at, progress_timeout = excluded.progress_timeout,
                host_name = excluded.host_name, profile = excluded.profile",
        params![
            put.serial_number,
            row.status.state.as_str(),
            put.spec.answer.kind(),
            put.spec.voucher.is_some()
                || inventory::has_voucher(connection, &put.serial_number, &put.spec)?,
            put.spec.answer.image(),
            put.time.secs(),
            put.spec
                .progress_timeout_secs
                .map(|secs| i64::try_from(secs).unwrap_or(i64::MAX)),
            put.spec.host_name,
            put.spec.profile,
        ],
    )?;
    inventory::put(connection, &put.serial_number, &put.spec, added)?;
    let json = serde_json::to_string(&put.spec).map_err(|error| StoreError::Database {
        reason: error.to_string(),
    })?;
    connection.execute_later(
        "INSERT INTO device_spec (serial_number, spec) VALUES (?1, ?2)
             ON CONFLICT (serial_number) DO UPDATE SET spec = excluded.spec",
        params![put.serial_number, json],
    )?;
    let line = Line {
        event: if added { "added" } else { "updated" },
        message: put.message.clone(),
        ..Line::new(put.time, row.status.state)
    };
    let entry = append(connection, &put.serial_number, &line)?;
    let device = device_of(put.serial_number.clone(), put.spec.clone(), &row);
    Ok(PutOutcome::Put(Box::new(Put {
        device,
        added,
        entry,
    })))
}

pub(super) fn record(
    connection: &Connection,
    occurrence: &Occurrence,
) -> Result<Option<Recorded>, StoreError> {
    let Some((serial_number, row)) = find_row(connection, occurrence.serial_number.clone())? else {
        return Ok(None);
    };
    if let Some(served) = &occurrence.served {
        remember(connection, &serial_number, served)?;
    }
    let served_timeout = match &occurrence.served {
        Some(served) => served.progress_timeout_secs,
        None => row.served_timeout,
    };
    let dialect = match &occurrence.served {
        Some(served) => served.dialect.clone(),
        None => row.served_dialect.clone(),
    };
    let time = occurrence.time;
    let mut refusal = None;
    let mut next = None;
    match &occurrence.effect {
        Effect::Noted => {}
        Effect::Lifecycle {
            event,
            policy,
            default_timeout_secs,
            expects_word,
            promoted_at,
        } => match lifecycle::apply(&row.status, event, *policy) {
            Ok(status) => {
                let timeout = row.progress_timeout.or(served_timeout);
                let timeout = timeout.unwrap_or(*default_timeout_secs);
                let timeout = i64::try_from(timeout).unwrap_or(i64::MAX);
                let deadline = (status.state == State::InProgress && *expects_word && timeout > 0)
                    .then(|| time.plus_secs(timeout));
                next = Some((status, deadline, *promoted_at));
            }
            Err(error) => refusal = Some(error),
        },
        Effect::NotAuthenticated { reason } => {
            if row.status.state == State::Unprovisioned {
                let event = Event::ValidationFailed {
                    reason: reason.clone(),
                };
                let status = lifecycle::apply(&row.status, &event, Policy::default());
                next = status.ok().map(|status| (status, None, None));
            }
        }
        Effect::TimedOut => {
            if row.deadline.is_none_or(|deadline| deadline > time) {
                return Ok(Some(Recorded {
                    serial_number,
                    entry: None,
                    status: row.status,
                    refusal: None,
                    bootstrap: row.bootstrap,
                    dialect: row.served_dialect,
                    is_outgoing: false,
                }));
            }
            match lifecycle::apply(&row.status, &Event::TimedOut, Policy::default()) {
                Ok(status) => next = Some((status, None, None)),
                Err(error) => refusal = Some(error),
            }
        }
    }
    let before = row.status.state;
    let status = match next {
        Some((status, deadline, promoted_at)) => {
            connection.execute_later(
                "UPDATE device SET state = ?2, stage = ?3, parsed = ?4, reason = ?5,
                        deadline = ?6, promoted_at = ?7, updated_at = ?8
                     WHERE serial_number = ?1",
                params![
                    serial_number,
                    status.state.as_str(),
                    status.stage,
                    status.parsed,
                    status.reason,
                    deadline.map(UnixTime::secs),
                    promoted_at.map(UnixTime::secs),
                    time.secs(),
                ],
            )?;
            status
        }
        None => row.status,
    };
    let line = Line {
        peer: occurrence.peer.clone(),
        event: if refusal.is_some() {
            "refused"
        } else {
            occurrence.event
        },
        progress_type: occurrence.progress_type.clone(),
        message: match (
            &refusal,
            under_other_name(
                &occurrence.serial_number,
                &serial_number,
                occurrence.message.clone(),
            ),
        ) {
            (Some(refusal), Some(message)) => Some(format!("{refusal}: {message}")),
            (Some(refusal), None) => Some(refusal.to_string()),
            (None, message) => message,
        },
        ..Line::new(time, status.state)
    };
    let entry = append(connection, &serial_number, &line)?;
    let begins = status.state == State::InProgress && before != State::InProgress;
    let bootstrap = if begins {
        Some(entry.id)
    } else {
        row.bootstrap
    };
    if begins {
        connection.execute_later(
            "UPDATE device SET bootstrap = ?2 WHERE serial_number = ?1",
            params![serial_number, bootstrap],
        )?;
    }
    let is_outgoing = outbox::enqueue(
        connection,
        &serial_number,
        &entry,
        before,
        &status,
        occurrence,
    )?;
    Ok(Some(Recorded {
        serial_number,
        entry: Some(entry),
        status,
        refusal,
        bootstrap,
        dialect,
        is_outgoing,
    }))
}

/// Which of its serial numbers a device used is part of its history.
fn under_other_name(used: &str, serial_number: &str, message: Option<String>) -> Option<String> {
    if used == serial_number {
        return message;
    }
    let note = format!("as serial number {used}");
    Some(match message {
        Some(message) => format!("{message}; {note}"),
        None => note,
    })
}

/// What a device says of itself and what it was given, kept where it can be searched.
fn remember(
    connection: &Connection,
    serial_number: &str,
    served: &Served,
) -> Result<(), StoreError> {
    connection.execute_later(
        "UPDATE device SET served_profile = ?2, served_timeout = ?3, vendor = ?4,
                hw_model = ?5, os_name = ?6, os_version = ?7, served_dialect = ?8
             WHERE serial_number = ?1",
        params![
            serial_number,
            served.profile,
            served
                .progress_timeout_secs
                .map(|secs| i64::try_from(secs).unwrap_or(i64::MAX)),
            served.reported.vendor,
            served.reported.hw_model,
            served.reported.os_name,
            served.reported.os_version,
            served.dialect,
        ],
    )?;
    Ok(())
}

/// A line to be appended to a history.
struct Line {
    time: UnixTime,
    peer: Option<String>,
    event: &'static str,
    progress_type: Option<String>,
    message: Option<String>,
    state: State,
}

impl Line {
    fn new(time: UnixTime, state: State) -> Self {
        Self {
            time,
            peer: None,
            event: "",
            progress_type: None,
            message: None,
            state,
        }
    }
}

fn append(
    connection: &Connection,
    serial_number: &str,
    line: &Line,
) -> Result<HistoryEntry, StoreError> {
    let message = line.message.as_deref().map(shortened);
    let id = connection.query_one(
        "INSERT INTO history (serial_number, time, peer, event, progress_type, message, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
        params![
            serial_number,
            line.time.secs(),
            line.peer,
            line.event,
            line.progress_type,
            message,
            line.state.as_str(),
        ],
        |row| row.get(0),
    )?;
    Ok(HistoryEntry {
        id,
        time: line.time,
        peer: line.peer.clone(),
        event: line.event.to_owned(),
        progress_type: line.progress_type.clone(),
        message: message.map(str::to_owned),
        state: line.state.to_string(),
    })
}

/// A row of the table `device`, without what the operator set.
struct DeviceRow {
    status: Status,
    promoted_at: Option<UnixTime>,
    deadline: Option<UnixTime>,
    progress_timeout: Option<u64>,
    served_timeout: Option<u64>,
    served_profile: Option<String>,
    served_dialect: Option<String>,
    bootstrap: Option<i64>,
    reported: Reported,
    created_at: UnixTime,
    updated_at: UnixTime,
}

/// The row of a device, found by any of its serial numbers, with the one that it is filed under.
fn find_row(
    connection: &Connection,
    serial_number: String,
) -> Result<Option<(String, DeviceRow)>, StoreError> {
    if let Some(row) = load_row(connection, &serial_number)? {
        return Ok(Some((serial_number, row)));
    }
    let Some(serial_number) = inventory::device_of_alias(connection, &serial_number)? else {
        return Ok(None);
    };
    Ok(load_row(connection, &serial_number)?.map(|row| (serial_number, row)))
}

fn load_row(connection: &Connection, serial_number: &str) -> Result<Option<DeviceRow>, StoreError> {
    let found = connection.query_optional(
        "SELECT state, stage, parsed, reason, promoted_at, deadline, created_at, updated_at,
                progress_timeout, served_timeout, served_profile, vendor, hw_model, os_name,
                os_version, served_dialect, bootstrap
             FROM device WHERE serial_number = ?1",
        params![serial_number],
        |row| {
            let state: String = row.get(0)?;
            let time = |index| -> Result<Option<UnixTime>, StoreError> {
                Ok(row.get::<Option<i64>>(index)?.map(UnixTime::from_secs))
            };
            let stored = DeviceRow {
                status: Status {
                    state: State::default(),
                    stage: row.get(1)?,
                    parsed: row.get(2)?,
                    reason: row.get(3)?,
                },
                promoted_at: time(4)?,
                deadline: time(5)?,
                progress_timeout: row
                    .get::<Option<i64>>(8)?
                    .and_then(|secs| u64::try_from(secs).ok()),
                served_timeout: row
                    .get::<Option<i64>>(9)?
                    .and_then(|secs| u64::try_from(secs).ok()),
                served_profile: row.get(10)?,
                served_dialect: row.get(15)?,
                bootstrap: row.get(16)?,
                reported: Reported {
                    vendor: row.get(11)?,
                    hw_model: row.get(12)?,
                    os_name: row.get(13)?,
                    os_version: row.get(14)?,
                },
                created_at: UnixTime::from_secs(row.get(6)?),
                updated_at: UnixTime::from_secs(row.get(7)?),
            };
            Ok((state, stored))
        },
    )?;
    let Some((state, mut row)) = found else {
        return Ok(None);
    };
    row.status.state = State::from_str(&state).map_err(|_| StoreError::Damaged {
        what: "device.state",
    })?;
    Ok(Some(row))
}

/// A device; all its parts are of one state of the database within a transaction.
pub(super) fn load_device(
    connection: &Connection,
    presented: &str,
) -> Result<Option<StoredDevice>, StoreError> {
    let Some((serial_number, row)) = find_row(connection, presented.to_owned())? else {
        return Ok(None);
    };
    let json: String = connection.query_one(
        "SELECT spec FROM device_spec WHERE serial_number = ?1",
        params![serial_number],
        |row| row.get(0),
    )?;
    let spec: DeviceSpec = serde_json::from_str(&json).map_err(|_| damaged_spec())?;
    let voucher = inventory::voucher_for(connection, presented, &serial_number, &spec)?;
    let device = device_of(serial_number, spec, &row);
    Ok(Some(StoredDevice {
        device,
        status: row.status,
        promoted_at: row.promoted_at,
        served_timeout: row.served_timeout,
        served_dialect: row.served_dialect.clone(),
        voucher,
        generation: inventory::generation(connection)?,
    }))
}

/// What is set for a device, member by member.
pub(super) fn load_spec(
    connection: &Connection,
    serial_number: &str,
) -> Result<Option<Map<String, Value>>, StoreError> {
    let json: Option<String> = connection.query_optional(
        "SELECT spec FROM device_spec WHERE serial_number = ?1",
        params![serial_number],
        |row| row.get(0),
    )?;
    json.map(|json| serde_json::from_str(&json).map_err(|_| damaged_spec()))
        .transpose()
}

fn damaged_spec() -> StoreError {
    StoreError::Damaged {
        what: "device_spec.spec",
    }
}

/// Removes a device; its history stays.
pub(super) fn delete_device(
    connection: &Connection,
    serial_number: &str,
    time: UnixTime,
) -> Result<Option<HistoryEntry>, StoreError> {
    let Some((serial_number, row)) = find_row(connection, serial_number.to_owned())? else {
        return Ok(None);
    };
    connection.execute(
        "DELETE FROM device WHERE serial_number = ?1",
        params![serial_number],
    )?;
    let line = Line {
        event: "deleted",
        ..Line::new(time, row.status.state)
    };
    append(connection, &serial_number, &line).map(Some)
}

fn device_of(serial_number: String, spec: DeviceSpec, row: &DeviceRow) -> Device {
    Device {
        serial_number,
        state: row.status.state.to_string(),
        stage: row.status.stage.clone(),
        parsed: row.status.parsed,
        reason: row.status.reason.clone(),
        reported: row.reported.clone(),
        served_profile: row.served_profile.clone(),
        spec,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// What a device or its script says may be long.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// Octets of a message that are kept.
const MAX_MESSAGE: usize = 16 * 1024;
