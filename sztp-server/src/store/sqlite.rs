//! The store in one SQLite file: write-ahead log, `synchronous=FULL`, one writer, several readers.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use sztp_cms::UnixTime;
use sztp_core::lifecycle::{self, Event, Policy, State, Status};
use tokio::sync::Semaphore;

use super::writer::Writer;
use super::{
    DeletedImage, Effect, Occurrence, Put, PutDevice, PutMode, Recorded, Store, StoreFuture,
    StoredDevice, schema,
};
use crate::StoreError;
use crate::model::{
    Device, DeviceFilter, DeviceSpec, DeviceSummary, HistoryEntry, Image, Listed, Page,
};

/// A [`Store`] in a file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// None once it is closed.
    writer: Mutex<Option<Writer>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens a database, makes it if need be, and brings its tables up to date.
    ///
    /// Blocks while it does.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        let (writer, thread) = Writer::start(connection).map_err(|error| StoreError::Database {
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS)),
        })
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Box::pin(async move { writer.ok_or(StoreError::Closed)?.write(work).await })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let (path, readers, reading) = (
            self.path.clone(),
            self.readers.clone(),
            self.reading.clone(),
        );
        Box::pin(async move {
            let permit = reading
                .acquire_owned()
                .await
                .map_err(|_| StoreError::Closed)?;
            let reader = move || {
                let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = match idle {
                    Some(connection) => connection,
                    None => open_reader(&path)?,
                };
                let result = work(&connection);
                readers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(connection);
                drop(permit);
                result
            };
            tokio::task::spawn_blocking(reader)
                .await
                .map_err(|_| StoreError::Closed)?
        })
    }
}

impl Store for SqliteStore {
    fn put_device(&self, put: PutDevice) -> StoreFuture<'_, Option<Put>> {
        self.write(move |connection| put_device(connection, put))
    }

    fn device(&self, serial_number: &str) -> StoreFuture<'_, Option<StoredDevice>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| load_device(connection, &serial_number))
    }

    fn devices(&self, filter: DeviceFilter, page: Page) -> StoreFuture<'_, Listed<DeviceSummary>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT serial_number, state, stage, reason, answer_kind, has_voucher, updated_at
                 FROM device
                 WHERE serial_number > ?1 AND (?2 IS NULL OR state = ?2)
                   AND (?3 IS NULL OR substr(serial_number, 1, length(?3)) = ?3)
                 ORDER BY serial_number LIMIT ?4",
            )?;
            let rows = statement.query_map(
                params![
                    page.after.unwrap_or_default(),
                    filter.state,
                    filter.serial_number_prefix,
                    limit_and_one(page.limit),
                ],
                |row| {
                    Ok(DeviceSummary {
                        serial_number: row.get(0)?,
                        state: row.get(1)?,
                        stage: row.get(2)?,
                        reason: row.get(3)?,
                        answer_kind: row.get(4)?,
                        has_voucher: row.get(5)?,
                        updated_at: UnixTime::from_secs(row.get(6)?),
                    })
                },
            )?;
            let items = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(listed(items, page.limit, |device| {
                device.serial_number.clone()
            }))
        })
    }

    fn delete_device(
        &self,
        serial_number: &str,
        time: UnixTime,
    ) -> StoreFuture<'_, Option<HistoryEntry>> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| {
            let Some(row) = load_row(connection, &serial_number)? else {
                return Ok(None);
            };
            connection
                .prepare_cached("DELETE FROM device WHERE serial_number = ?1")?
                .execute([&serial_number])?;
            let entry = Line {
                event: "deleted",
                ..Line::new(time, row.status.state)
            };
            append(connection, &serial_number, &entry).map(Some)
        })
    }

    fn record(&self, occurrence: Occurrence) -> StoreFuture<'_, Option<Recorded>> {
        self.write(move |connection| record(connection, occurrence))
    }

    fn overdue(&self, time: UnixTime) -> StoreFuture<'_, Vec<String>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT serial_number FROM device WHERE deadline <= ?1 ORDER BY deadline LIMIT 100",
            )?;
            let rows = statement.query_map([time.secs()], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn history(&self, serial_number: &str, page: Page) -> StoreFuture<'_, Listed<HistoryEntry>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            let after: i64 = page.after.and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut statement = connection.prepare_cached(
                "SELECT id, time, peer, event, progress_type, message, state FROM history
                 WHERE serial_number = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let rows = statement.query_map(
                params![serial_number, after, limit_and_one(page.limit)],
                |row| {
                    Ok(HistoryEntry {
                        id: row.get(0)?,
                        time: UnixTime::from_secs(row.get(1)?),
                        peer: row.get(2)?,
                        event: row.get(3)?,
                        progress_type: row.get(4)?,
                        message: row.get(5)?,
                        state: row.get(6)?,
                    })
                },
            )?;
            let items = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(listed(items, page.limit, |entry| entry.id.to_string()))
        })
    }

    fn add_image(&self, image: Image) -> StoreFuture<'_, Image> {
        self.write(move |connection| {
            if let Some(there) = load_image(connection, &image.name)? {
                return Ok(there);
            }
            connection
                .prepare_cached(
                    "INSERT INTO image (name, sha256, size, created_at) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    image.name,
                    image.sha256,
                    i64::try_from(image.size).unwrap_or(i64::MAX),
                    image.created_at.secs(),
                ])?;
            Ok(image)
        })
    }

    fn image(&self, name: &str) -> StoreFuture<'_, Option<Image>> {
        let name = name.to_owned();
        self.read(move |connection| load_image(connection, &name))
    }

    fn images(&self, page: Page) -> StoreFuture<'_, Listed<Image>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, sha256, size, created_at FROM image
                 WHERE name > ?1 ORDER BY name LIMIT ?2",
            )?;
            let rows = statement.query_map(
                params![page.after.unwrap_or_default(), limit_and_one(page.limit)],
                read_image,
            )?;
            let items = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(listed(items, page.limit, |image| image.name.clone()))
        })
    }

    fn delete_image(&self, name: &str) -> StoreFuture<'_, DeletedImage> {
        let name = name.to_owned();
        self.write(move |connection| {
            let Some(image) = load_image(connection, &name)? else {
                return Ok(DeletedImage::Missing);
            };
            let user: Option<String> = connection
                .prepare_cached("SELECT serial_number FROM device WHERE image = ?1 LIMIT 1")?
                .query_row([&name], |row| row.get(0))
                .optional()?;
            if let Some(serial_number) = user {
                return Ok(DeletedImage::InUse { serial_number });
            }
            connection
                .prepare_cached("DELETE FROM image WHERE name = ?1")?
                .execute([&name])?;
            Ok(DeletedImage::Deleted {
                sha256: image.sha256,
            })
        })
    }

    fn has_content(&self, sha256: &str) -> StoreFuture<'_, bool> {
        let sha256 = sha256.to_owned();
        self.write(move |connection| {
            Ok(connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM image WHERE sha256 = ?1)")?
                .query_row([sha256], |row| row.get(0))?)
        })
    }

    fn add_token(&self, name: &str, sha256: [u8; 32], time: UnixTime) -> StoreFuture<'_, ()> {
        let name = name.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT INTO token (name, sha256, created_at) VALUES (?1, ?2, ?3)")?
                .execute(params![name, sha256, time.secs()])?;
            Ok(())
        })
    }

    fn tokens(&self) -> StoreFuture<'_, Vec<[u8; 32]>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT sha256 FROM token")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.reading.close();
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Box::pin(async move {
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
            Ok(())
        })
    }
}

fn put_device(connection: &Connection, put: PutDevice) -> Result<Option<Put>, StoreError> {
    let there = load_row(connection, &put.serial_number)?;
    if there.is_some() && put.write == PutMode::Add {
        return Ok(None);
    }
    let added = there.is_none();
    let row = there.unwrap_or(DeviceRow {
        status: Status::default(),
        promoted_at: None,
        deadline: None,
        progress_timeout: None,
        created_at: put.time,
        updated_at: put.time,
    });
    let row = DeviceRow {
        updated_at: put.time,
        ..row
    };
    connection
        .prepare_cached(
            "INSERT INTO device (serial_number, state, answer_kind, has_voucher, image,
                created_at, updated_at, progress_timeout) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)
             ON CONFLICT (serial_number) DO UPDATE SET answer_kind = excluded.answer_kind,
                has_voucher = excluded.has_voucher, image = excluded.image,
                updated_at = excluded.updated_at, progress_timeout = excluded.progress_timeout",
        )?
        .execute(params![
            put.serial_number,
            row.status.state.as_str(),
            put.spec.answer.kind(),
            put.spec.voucher.is_some(),
            put.spec.answer.image(),
            put.time.secs(),
            put.spec
                .progress_timeout_secs
                .map(|secs| i64::try_from(secs).unwrap_or(i64::MAX)),
        ])?;
    let json = serde_json::to_string(&put.spec).map_err(|error| StoreError::Database {
        reason: error.to_string(),
    })?;
    connection
        .prepare_cached(
            "INSERT INTO device_spec (serial_number, spec) VALUES (?1, ?2)
             ON CONFLICT (serial_number) DO UPDATE SET spec = excluded.spec",
        )?
        .execute(params![put.serial_number, json])?;
    let line = Line {
        event: if added { "added" } else { "updated" },
        message: put.message,
        ..Line::new(put.time, row.status.state)
    };
    let entry = append(connection, &put.serial_number, &line)?;
    let device = device_of(put.serial_number, put.spec, &row);
    Ok(Some(Put {
        device,
        added,
        entry,
    }))
}

fn record(connection: &Connection, occurrence: Occurrence) -> Result<Option<Recorded>, StoreError> {
    let serial_number = occurrence.serial_number;
    let Some(row) = load_row(connection, &serial_number)? else {
        return Ok(None);
    };
    let time = occurrence.time;
    let mut refusal = None;
    let mut next = None;
    match occurrence.effect {
        Effect::Noted => {}
        Effect::Lifecycle {
            event,
            policy,
            default_timeout_secs,
            expects_word,
            promoted_at,
        } => match lifecycle::apply(&row.status, &event, policy) {
            Ok(status) => {
                let timeout = row.progress_timeout.unwrap_or(default_timeout_secs);
                let timeout = i64::try_from(timeout).unwrap_or(i64::MAX);
                let deadline = (status.state == State::InProgress && expects_word && timeout > 0)
                    .then(|| time.plus_secs(timeout));
                next = Some((status, deadline, promoted_at));
            }
            Err(error) => refusal = Some(error),
        },
        Effect::NotAuthenticated { reason } => {
            if row.status.state == State::Unprovisioned {
                let event = Event::ValidationFailed { reason };
                let status = lifecycle::apply(&row.status, &event, Policy::default());
                next = status.ok().map(|status| (status, None, None));
            }
        }
        Effect::TimedOut => {
            if row.deadline.is_none_or(|deadline| deadline > time) {
                return Ok(Some(Recorded {
                    entry: None,
                    status: row.status,
                    refusal: None,
                }));
            }
            match lifecycle::apply(&row.status, &Event::TimedOut, Policy::default()) {
                Ok(status) => next = Some((status, None, None)),
                Err(error) => refusal = Some(error),
            }
        }
    }
    let status = match next {
        Some((status, deadline, promoted_at)) => {
            connection
                .prepare_cached(
                    "UPDATE device SET state = ?2, stage = ?3, parsed = ?4, reason = ?5,
                        deadline = ?6, promoted_at = ?7, updated_at = ?8
                     WHERE serial_number = ?1",
                )?
                .execute(params![
                    serial_number,
                    status.state.as_str(),
                    status.stage,
                    status.parsed,
                    status.reason,
                    deadline.map(UnixTime::secs),
                    promoted_at.map(UnixTime::secs),
                    time.secs(),
                ])?;
            status
        }
        None => row.status,
    };
    let line = Line {
        peer: occurrence.peer,
        event: if refusal.is_some() {
            "refused"
        } else {
            occurrence.event
        },
        progress_type: occurrence.progress_type,
        message: match (&refusal, occurrence.message) {
            (Some(refusal), Some(message)) => Some(format!("{refusal}: {message}")),
            (Some(refusal), None) => Some(refusal.to_string()),
            (None, message) => message,
        },
        ..Line::new(time, status.state)
    };
    let entry = append(connection, &serial_number, &line)?;
    Ok(Some(Recorded {
        entry: Some(entry),
        status,
        refusal,
    }))
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
    connection
        .prepare_cached(
            "INSERT INTO history (serial_number, time, peer, event, progress_type, message, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            serial_number,
            line.time.secs(),
            line.peer,
            line.event,
            line.progress_type,
            message,
            line.state.as_str(),
        ])?;
    Ok(HistoryEntry {
        id: connection.last_insert_rowid(),
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
    created_at: UnixTime,
    updated_at: UnixTime,
}

fn load_row(connection: &Connection, serial_number: &str) -> Result<Option<DeviceRow>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT state, stage, parsed, reason, promoted_at, deadline, created_at, updated_at,
                progress_timeout
             FROM device WHERE serial_number = ?1",
        )?
        .query_row([serial_number], |row| {
            let state: String = row.get(0)?;
            let time = |index| -> rusqlite::Result<Option<UnixTime>> {
                Ok(row.get::<_, Option<i64>>(index)?.map(UnixTime::from_secs))
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
                    .get::<_, Option<i64>>(8)?
                    .and_then(|secs| u64::try_from(secs).ok()),
                created_at: UnixTime::from_secs(row.get(6)?),
                updated_at: UnixTime::from_secs(row.get(7)?),
            };
            Ok((state, stored))
        })
        .optional()?;
    let Some((state, mut row)) = found else {
        return Ok(None);
    };
    row.status.state = State::from_str(&state).map_err(|_| StoreError::Damaged {
        what: "device.state",
    })?;
    Ok(Some(row))
}

fn load_device(
    connection: &Connection,
    serial_number: &str,
) -> Result<Option<StoredDevice>, StoreError> {
    // Both halves from the same state of the database.
    let snapshot = connection.unchecked_transaction()?;
    let Some(row) = load_row(&snapshot, serial_number)? else {
        return Ok(None);
    };
    let json: String = snapshot
        .prepare_cached("SELECT spec FROM device_spec WHERE serial_number = ?1")?
        .query_row([serial_number], |row| row.get(0))?;
    let spec: DeviceSpec = serde_json::from_str(&json).map_err(|_| StoreError::Damaged {
        what: "device_spec.spec",
    })?;
    let device = device_of(serial_number.to_owned(), spec, &row);
    Ok(Some(StoredDevice {
        device,
        status: row.status,
        promoted_at: row.promoted_at,
    }))
}

fn device_of(serial_number: String, spec: DeviceSpec, row: &DeviceRow) -> Device {
    Device {
        serial_number,
        state: row.status.state.to_string(),
        stage: row.status.stage.clone(),
        parsed: row.status.parsed,
        reason: row.status.reason.clone(),
        spec,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn load_image(connection: &Connection, name: &str) -> Result<Option<Image>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT name, sha256, size, created_at FROM image WHERE name = ?1")?
        .query_row([name], read_image)
        .optional()?)
}

fn read_image(row: &Row<'_>) -> rusqlite::Result<Image> {
    Ok(Image {
        name: row.get(0)?,
        sha256: row.get(1)?,
        size: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
        created_at: UnixTime::from_secs(row.get(3)?),
    })
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// One more than wanted tells whether there is a next page.
fn limit_and_one(limit: u32) -> i64 {
    i64::from(limit.clamp(1, Page::MAX_LIMIT)) + 1
}

fn listed<T>(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Listed<T> {
    let limit = limit.clamp(1, Page::MAX_LIMIT) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(cursor) } else { None };
    Listed { items, next }
}

/// What a device or its script says may be long.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database {
            reason: error.to_string(),
        }
    }
}

/// How long one waits for another process that holds the database, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// Connections that read at the same time.
const READERS: usize = 4;

/// Octets of a message that are kept.
const MAX_MESSAGE: usize = 16 * 1024;
