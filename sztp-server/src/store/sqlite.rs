//! The store in one SQLite file: write-ahead log, `synchronous=FULL`, one writer, several readers.

mod access;
mod catalog;
mod inventory;
mod trust;
mod vouchers;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use sztp_cms::UnixTime;
use tokio::sync::Semaphore;

use super::writer::Writer;
use super::{
    Commits, DeletedImage, Occurrence, PutDevice, PutOutcome, Recorded, Store, StoreFuture,
    StoredDevice, audit, devices, schema,
};
use crate::StoreError;
use crate::model::{DeviceFilter, DeviceSummary, HistoryEntry, Image, Listed, Page};

/// A [`Store`] in a file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// None once it is closed.
    writer: Mutex<Option<Writer>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    commits: Arc<Commits>,
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
        let commits = Arc::<Commits>::default();
        let (writer, thread) =
            Writer::start(connection, commits.clone()).map_err(|error| StoreError::Database {
                reason: error.to_string(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS)),
            commits,
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
        let scope = audit::Scope::current();
        Box::pin(async move {
            let writer = writer.ok_or(StoreError::Closed)?;
            let Some((scope, record)) = scope.and_then(audit::Scope::take) else {
                return writer.write(work).await;
            };
            let line = record.clone();
            let audited = move |connection: &Connection| {
                let before = connection.total_changes();
                let result = work(connection)?;
                let is_changed = connection.total_changes() != before;
                if is_changed {
                    access::append(connection, &line)?;
                }
                Ok((result, is_changed))
            };
            let result = writer.write(audited).await;
            if !matches!(result, Ok((_, true))) {
                scope.put_back(record);
            }
            result.map(|(result, _)| result)
        })
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
    fn put_device(&self, put: PutDevice) -> StoreFuture<'_, PutOutcome> {
        self.write(move |connection| devices::put_device(connection, put))
    }

    fn device(&self, serial_number: &str) -> StoreFuture<'_, Option<StoredDevice>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| devices::load_device(connection, &serial_number))
    }

    fn devices(&self, filter: DeviceFilter, page: Page) -> StoreFuture<'_, Listed<DeviceSummary>> {
        self.read(move |connection| inventory::list(connection, &filter, &page))
    }

    fn delete_device(
        &self,
        serial_number: &str,
        time: UnixTime,
    ) -> StoreFuture<'_, Option<HistoryEntry>> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| devices::delete_device(connection, &serial_number, time))
    }

    fn record(&self, occurrence: Occurrence) -> StoreFuture<'_, Option<Recorded>> {
        self.write(move |connection| devices::record(connection, occurrence))
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
            let user: Option<String> = connection
                .prepare_cached("SELECT name FROM profile WHERE image = ?1 LIMIT 1")?
                .query_row([&name], |row| row.get(0))
                .optional()?;
            if let Some(profile) = user {
                return Ok(DeletedImage::InUseByProfile { profile });
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
