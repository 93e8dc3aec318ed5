//! [`Store`] in a database: one writer, several readers.

mod access;
mod catalog;
mod changes;
mod history;
mod inventory;
mod ldevid;
pub(super) mod outbox;
mod trust;
mod vouchers;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use sztp_cms::UnixTime;

use super::connection::postgres::Options;
use super::connection::{Connection, Row, params};
use super::readers::Readers;
use super::writer::Writer;
use super::{
    Commits, DeletedImage, FileWork, Occurrence, PutDevice, PutOutcome, Recorded, Store,
    StoreFuture, StoredDevice, audit, devices, schema,
};
use crate::StoreError;
use crate::config::DatabaseConfig;
use crate::model::{DeviceFilter, DeviceSummary, HistoryEntry, Image, Listed, Page};

/// A [`Store`] in a database.
#[derive(Debug)]
pub struct Database {
    /// None once it is closed.
    writer: Mutex<Option<Writer>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
    commits: Arc<Commits>,
}

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file of SQLite.
    File(PathBuf),
    /// A server of PostgreSQL.
    Server(Arc<Options>),
}

impl Database {
    /// Opens a file of SQLite, makes it if need be, and brings its tables up to date.
    ///
    /// Blocks while it does.
    pub fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Self::open(Place::File(path.to_owned()), SQLITE_READERS)
    }

    /// Connects to a database of PostgreSQL and brings its tables up to date.
    ///
    /// Blocks while it does.
    pub fn postgres(url: &str, config: &DatabaseConfig) -> Result<Self, StoreError> {
        let options = Options::new(url, config)?;
        Self::open(Place::Server(Arc::new(options)), config.connections)
    }

    /// Copies a file of SQLite, as it is at one moment, over an empty one. Others may write to it.
    pub fn copy(path: &Path, into: &Path) -> Result<(), StoreError> {
        Connection::sqlite_reader(path)?.copy(into)
    }

    /// Whether a file is a whole database of a version that is known.
    pub fn examine(path: &Path) -> Result<(), StoreError> {
        let connection = Connection::sqlite_reader(path)?;
        schema::check(&connection)?;
        let verdict: String =
            connection.query_one("PRAGMA integrity_check(1)", &[], |row| row.get(0))?;
        if verdict == "ok" {
            Ok(())
        } else {
            Err(StoreError::Database { reason: verdict })
        }
    }

    /// What is wrong with the URL of a database, its password file or its anchors; nothing is
    /// connected to.
    pub fn check(url: &str, config: &DatabaseConfig) -> Result<(), StoreError> {
        Options::new(url, config).map(drop)
    }

    fn open(place: Place, readers: usize) -> Result<Self, StoreError> {
        let connection = match &place {
            Place::File(path) => Connection::sqlite(path)?,
            Place::Server(options) => Connection::postgres(options.clone())?,
        };
        schema::migrate(&connection)?;
        let commits = Arc::<Commits>::default();
        let (writer, thread) =
            Writer::start(connection, commits.clone()).map_err(|error| StoreError::Database {
                reason: error.to_string(),
            })?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(thread)),
            readers: Readers::new(place, readers),
            commits,
        })
    }

    /// Work that writes may be carried out more than once, until it is committed.
    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
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
                let before = connection.changes();
                let result = work(connection)?;
                let is_changed = connection.changes() != before;
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
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        Box::pin(self.readers.read(work))
    }

    /// As [`Self::read`], all from one state of the database.
    fn read_snapshot<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        self.read(move |connection| connection.snapshot(&work))
    }
}

impl Store for Database {
    fn put_device(&self, put: PutDevice) -> StoreFuture<'_, PutOutcome> {
        self.write(move |connection| devices::put_device(connection, &put))
    }

    fn device(&self, serial_number: &str) -> StoreFuture<'_, Option<StoredDevice>> {
        let serial_number = serial_number.to_owned();
        self.read_snapshot(move |connection| devices::load_device(connection, &serial_number))
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
        self.write(move |connection| devices::record(connection, &occurrence))
    }

    fn overdue(&self, time: UnixTime) -> StoreFuture<'_, Vec<String>> {
        self.read(move |connection| {
            let items = connection.query_all(
                "SELECT serial_number FROM device WHERE deadline <= ?1 ORDER BY deadline LIMIT 100",
                params![time.secs()],
                |row| row.get(0),
            )?;
            Ok(items)
        })
    }

    fn history(&self, serial_number: &str, page: Page) -> StoreFuture<'_, Listed<HistoryEntry>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            let after = cursor(&page).unwrap_or(0);
            let items = connection.query_all(
                "SELECT id, time, peer, event, progress_type, message, state FROM history
                 WHERE serial_number = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                params![serial_number, after, limit_and_one(page.limit)],
                history_entry,
            )?;
            Ok(listed(items, page.limit, |entry| entry.id.to_string()))
        })
    }

    fn add_image(&self, image: Image, place: FileWork) -> StoreFuture<'_, Image> {
        self.write(move |connection| {
            if let Some(there) = load_image(connection, &image.name)?
                && there.sha256 != image.sha256
            {
                return Ok(there);
            }
            place().map_err(|error| StoreError::File {
                reason: error.to_string(),
            })?;
            connection.execute(
                "INSERT INTO image (name, sha256, size, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO NOTHING",
                params![
                    image.name,
                    image.sha256,
                    i64::try_from(image.size).unwrap_or(i64::MAX),
                    image.created_at.secs(),
                ],
            )?;
            Ok(load_image(connection, &image.name)?.unwrap_or_else(|| image.clone()))
        })
    }

    fn image(&self, name: &str) -> StoreFuture<'_, Option<Image>> {
        let name = name.to_owned();
        self.read(move |connection| load_image(connection, &name))
    }

    fn images(&self, page: Page) -> StoreFuture<'_, Listed<Image>> {
        self.read(move |connection| {
            let items = connection.query_all(
                "SELECT name, sha256, size, created_at FROM image
                 WHERE name > ?1 ORDER BY name LIMIT ?2",
                params![
                    page.after.as_deref().unwrap_or_default(),
                    limit_and_one(page.limit)
                ],
                read_image,
            )?;
            Ok(listed(items, page.limit, |image| image.name.clone()))
        })
    }

    fn delete_image(&self, name: &str) -> StoreFuture<'_, DeletedImage> {
        let name = name.to_owned();
        self.write(move |connection| {
            let Some(image) = load_image(connection, &name)? else {
                return Ok(DeletedImage::Missing);
            };
            let user: Option<String> = connection.query_optional(
                "SELECT serial_number FROM device WHERE image = ?1 LIMIT 1",
                params![name],
                |row| row.get(0),
            )?;
            if let Some(serial_number) = user {
                return Ok(DeletedImage::InUse { serial_number });
            }
            let user: Option<String> = connection.query_optional(
                "SELECT name FROM profile WHERE image = ?1 LIMIT 1",
                params![name],
                |row| row.get(0),
            )?;
            if let Some(profile) = user {
                return Ok(DeletedImage::InUseByProfile { profile });
            }
            connection.execute("DELETE FROM image WHERE name = ?1", params![name])?;
            Ok(DeletedImage::Deleted {
                sha256: image.sha256,
            })
        })
    }

    fn drop_content(&self, sha256: &str, remove: FileWork) -> StoreFuture<'_, ()> {
        let sha256 = sha256.to_owned();
        self.write(move |connection| {
            let is_needed = connection.exists(
                "SELECT EXISTS (SELECT 1 FROM image WHERE sha256 = ?1)",
                params![sha256],
            )?;
            if is_needed {
                return Ok(());
            }
            remove().map_err(|error| StoreError::File {
                reason: error.to_string(),
            })
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.readers.close();
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
    connection.query_optional(
        "SELECT name, sha256, size, created_at FROM image WHERE name = ?1",
        params![name],
        read_image,
    )
}

fn read_image(row: &Row<'_>) -> Result<Image, StoreError> {
    Ok(Image {
        name: row.get(0)?,
        sha256: row.get(1)?,
        size: u64::try_from(row.get::<i64>(2)?).unwrap_or(0),
        created_at: UnixTime::from_secs(row.get(3)?),
    })
}

/// One more than wanted tells whether there is a next page.
/// A line of a history: `id, time, peer, event, progress_type, message, state`.
fn history_entry(row: &Row<'_>) -> Result<HistoryEntry, StoreError> {
    Ok(HistoryEntry {
        id: row.get(0)?,
        time: UnixTime::from_secs(row.get(1)?),
        peer: row.get(2)?,
        event: row.get(3)?,
        progress_type: row.get(4)?,
        message: row.get(5)?,
        state: row.get(6)?,
    })
}

/// Where the page before ended, in a list by numbers.
fn cursor(page: &Page) -> Option<i64> {
    page.after.as_deref()?.parse().ok()
}

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

/// Connections that read at the same time.
const SQLITE_READERS: usize = 4;
