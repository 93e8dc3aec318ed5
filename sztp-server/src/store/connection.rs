//! A connection to either database. Rows are read and written by one SQL text for both; where the
//! databases differ is in `connection/` and in [`dialect`], and nowhere else.
//!
//! Statements are written as SQLite takes them, parameters as `?1`. What to keep to, so that
//! PostgreSQL takes them too:
//!
//! - `ON CONFLICT … DO …` and `RETURNING id` in the place of `INSERT OR …` and the last row id; in
//!   `DO UPDATE` columns of the row that is there are named with their table;
//! - truth is an INTEGER of 0 or 1, so `CASE WHEN … THEN 1 ELSE 0 END` where a condition is written
//!   into a column;
//! - a parameter that may be absent is `CAST(?2 AS TEXT) IS NULL OR name = ?2` (BIGINT for numbers):
//!   with `?2 IS NULL` alone its type is not known;
//! - a subquery in `FROM` has a name; a sum of integers is cast; JSON is taken apart in Rust.

mod dialect;
pub(super) mod postgres;
mod sqlite;
mod value;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use crate::StoreError;

pub(super) use value::{FromValue, ToValue, Value};

/// Parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::connection::ToValue::to_value(&$value)),*]
    };
}
pub(super) use params;

/// A connection to a database, and the transaction that it is in.
pub(super) struct Connection {
    session: Session,
    changes: Cell<u64>,
    changes_before: Cell<u64>,
}

enum Session {
    Sqlite(sqlite::Session),
    Postgres(postgres::Session),
}

/// A row of an answer.
pub(super) enum Row<'a> {
    /// Of SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// Of PostgreSQL.
    Postgres(&'a tokio_postgres::Row),
}

impl Connection {
    /// The connection that writes to a file, which is made if need be.
    pub(super) fn sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlite::Session::writer(path).map(|session| Self::new(Session::Sqlite(session)))
    }

    /// One of the connections that only read a file.
    pub(super) fn sqlite_reader(path: &Path) -> Result<Self, StoreError> {
        sqlite::Session::reader(path).map(|session| Self::new(Session::Sqlite(session)))
    }

    /// A connection to a database server.
    pub(super) fn postgres(options: Arc<postgres::Options>) -> Result<Self, StoreError> {
        postgres::Session::open(options).map(|session| Self::new(Session::Postgres(session)))
    }

    fn new(session: Session) -> Self {
        Self {
            session,
            changes: Cell::new(0),
            changes_before: Cell::new(0),
        }
    }

    /// Carries out a statement, and answers how many rows it changed.
    pub(super) fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError> {
        let changed = match &self.session {
            Session::Sqlite(session) => session.execute(sql, parameters),
            Session::Postgres(session) => session.execute(sql, parameters),
        }?;
        self.changes.set(self.changes.get() + changed);
        Ok(changed)
    }

    /// Carries out a statement that certainly changes something. It may be on its way only: should it
    /// fail, the next one does.
    pub(super) fn execute_later(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
    ) -> Result<(), StoreError> {
        self.changes.set(self.changes.get() + 1);
        match &self.session {
            Session::Sqlite(session) => session.execute(sql, parameters).map(drop),
            Session::Postgres(session) => session.execute_later(sql, parameters),
        }
    }

    /// Reads the rows of an answer.
    pub(super) fn query_all<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = match &self.session {
            Session::Sqlite(session) => session.query(sql, parameters, read),
            Session::Postgres(session) => session.query(sql, parameters, read),
        }?;
        if !sql.starts_with("SELECT") {
            let changed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            self.changes.set(self.changes.get().saturating_add(changed));
        }
        Ok(rows)
    }

    /// Reads an answer of at most one row.
    pub(super) fn query_optional<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.query_all(sql, parameters, read)?.pop())
    }

    /// Reads an answer of one row.
    pub(super) fn query_one<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_optional(sql, parameters, read)?
            .ok_or(StoreError::Damaged { what: "a row" })
    }

    /// Reads the answer to `SELECT EXISTS …`.
    pub(super) fn exists(&self, sql: &str, parameters: &[Value<'_>]) -> Result<bool, StoreError> {
        self.query_one(sql, parameters, |row| row.get(0))
    }

    /// Reads from one state of the database.
    pub(super) fn snapshot<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.begin(dialect::SNAPSHOT)?;
        let result = read(self);
        // Nothing was written, so it is all the same how it ends.
        let ended = match &self.session {
            Session::Sqlite(session) => session.batch("COMMIT"),
            Session::Postgres(session) => session.end(),
        };
        result.and_then(|result| ended.map(|()| result))
    }

    /// Begins a transaction that writes. Only one does at a time, whatever the instance.
    pub(super) fn begin_writing(&self) -> Result<(), StoreError> {
        self.changes_before.set(self.changes.get());
        self.begin(dialect::WRITE)
    }

    /// Makes durable what was written.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        match &self.session {
            Session::Sqlite(session) => session.batch("COMMIT"),
            Session::Postgres(session) => {
                session.commit(self.changes.get() != self.changes_before.get())
            }
        }
    }

    /// Leaves the transaction, whatever it has come to.
    pub(super) fn abandon(&self) {
        match &self.session {
            Session::Sqlite(session) => session.abandon(),
            Session::Postgres(session) => session.abandon(),
        }
    }

    /// Whether it can be used for something else.
    pub(super) fn is_usable(&self) -> bool {
        match &self.session {
            Session::Sqlite(_) => true,
            Session::Postgres(session) => session.is_usable(),
        }
    }

    /// How many jobs may share a transaction.
    pub(super) fn jobs_in_transaction(&self) -> usize {
        match &self.session {
            Session::Sqlite(_) => 256,
            // Beyond 64 savepoints a transaction costs all others.
            Session::Postgres(_) => 60,
        }
    }

    /// Writes, or leaves all as it was if that fails or `keep` says so. One within another has
    /// another name.
    pub(super) fn nested<T>(
        &self,
        name: &str,
        write: impl FnOnce(&Self) -> Result<T, StoreError>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T, StoreError> {
        self.defer(&format!("SAVEPOINT {name}"))?;
        let result = write(self).and_then(|written| self.settle().map(|()| written));
        if result.as_ref().is_err_and(StoreError::ends_transaction) {
            return result;
        }
        if !result.as_ref().is_ok_and(keep) {
            self.defer(&format!("ROLLBACK TO {name}"))?;
        }
        self.defer(&format!("RELEASE {name}"))?;
        result
    }

    /// How many rows were changed so far, also by what was taken back since.
    pub(super) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Copies a file of SQLite, as it is at one moment, over an empty one.
    pub(super) fn copy(&self, into: &Path) -> Result<(), StoreError> {
        // VACUUM INTO is one transaction that reads.
        let into = into.to_str().ok_or(StoreError::Damaged {
            what: "the name of the copy",
        })?;
        self.execute("VACUUM INTO ?1", params![into]).map(drop)
    }

    /// The version of the tables; 0: there are none.
    pub(super) fn version(&self) -> Result<i64, StoreError> {
        match &self.session {
            Session::Sqlite(session) => session.version(),
            Session::Postgres(session) => session.version(),
        }
    }

    /// Makes the tables of the next version.
    pub(super) fn make_tables(&self, step: &str, version: i64) -> Result<(), StoreError> {
        match &self.session {
            Session::Sqlite(session) => {
                session.batch(step)?;
                session.set_version(version)
            }
            Session::Postgres(session) => session.make_tables(step, version),
        }
    }

    fn begin(&self, kind: dialect::Begin) -> Result<(), StoreError> {
        match &self.session {
            Session::Sqlite(session) => session.batch(kind.sqlite),
            Session::Postgres(session) => {
                session.begin(kind.postgres);
                Ok(())
            }
        }
    }

    fn settle(&self) -> Result<(), StoreError> {
        match &self.session {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(session) => session.settle(),
        }
    }

    /// Carries out what has neither parameters nor an answer, at the latest with the next statement.
    fn defer(&self, sql: &str) -> Result<(), StoreError> {
        match &self.session {
            Session::Sqlite(session) => session.batch(sql),
            Session::Postgres(session) => {
                session.defer(sql);
                Ok(())
            }
        }
    }
}

impl Row<'_> {
    /// The value of a column, counted from 0.
    pub(super) fn get<T: FromValue>(&self, index: usize) -> Result<T, StoreError> {
        let value = match self {
            Self::Sqlite(row) => sqlite::value(row, index)?,
            Self::Postgres(row) => postgres::value(row, index)?,
        };
        T::from_value(value).ok_or(StoreError::Damaged { what: "a column" })
    }
}
