//! SQLite: one file, write-ahead log, `synchronous=FULL`.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, ToSql, params_from_iter};

use super::{Row, Value};
use crate::StoreError;

/// A connection to a file.
pub(super) struct Session(rusqlite::Connection);

impl Session {
    pub(super) fn writer(path: &Path) -> Result<Self, StoreError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self(connection))
    }

    pub(super) fn reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self(connection))
    }

    pub(super) fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let changed = statement.execute(params_from_iter(parameters))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    pub(super) fn query<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut found = statement.query(params_from_iter(parameters))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(read(&Row::Sqlite(row))?);
        }
        Ok(rows)
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        if sql.contains(';') {
            return Ok(self.0.execute_batch(sql)?);
        }
        self.0.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    pub(super) fn abandon(&self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "rolling back");
        }
    }

    pub(super) fn version(&self) -> Result<i64, StoreError> {
        Ok(self
            .0
            .pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    pub(super) fn set_version(&self, version: i64) -> Result<(), StoreError> {
        Ok(self.0.pragma_update(None, "user_version", version)?)
    }
}

pub(super) fn value<'a>(row: &'a rusqlite::Row<'_>, index: usize) -> Result<Value<'a>, StoreError> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => return Err(StoreError::Damaged { what: "a text" }),
        },
        ValueRef::Blob(octets) => Value::Blob(octets.into()),
        ValueRef::Real(_) => return Err(StoreError::Damaged { what: "a number" }),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(octets) => ValueRef::Blob(octets),
        }))
    }
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

/// Statements that are kept ready.
const STATEMENTS: usize = 128;
