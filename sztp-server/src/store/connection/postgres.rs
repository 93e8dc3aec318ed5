//! PostgreSQL: a connection that blocks, as rows' logic wants it, and that comes back after the
//! database was away.
//!
//! What needs no answer (savepoints, the begin of a transaction) waits and is sent along with the
//! next statement, so that it costs no round trip of its own; writes whose outcome is plain are sent
//! one behind the other.

mod listen;
mod options;
mod tls;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::{Row, Value, dialect};
use crate::StoreError;

pub(in crate::store) use listen::listen;
pub(in crate::store) use options::Options;

/// A statement that was sent, and whose answer nobody waits for yet.
type UnderWay = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

type Refused = Box<dyn std::error::Error + Sync + Send>;

/// A connection to a database server.
pub(super) struct Session {
    options: Arc<Options>,
    /// Present until it is dropped. The connection makes progress only while somebody waits.
    runtime: Option<Runtime>,
    /// None: it has to be made anew.
    client: RefCell<Option<Arc<Client>>>,
    statements: RefCell<HashMap<Box<str>, Statement>>,
    /// Sent along with the next statement.
    deferred: RefCell<String>,
    /// Sent before the next statement.
    under_way: RefCell<Vec<UnderWay>>,
    is_in_transaction: Cell<bool>,
}

impl Session {
    pub(super) fn open(options: Arc<Options>) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Database {
                reason: error.to_string(),
            })?;
        let session = Self {
            options,
            runtime: Some(runtime),
            client: RefCell::default(),
            statements: RefCell::default(),
            deferred: RefCell::default(),
            under_way: RefCell::default(),
            is_in_transaction: Cell::new(false),
        };
        session.client()?;
        Ok(session)
    }

    /// Whether it can be used again.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_in_transaction.get()
            && self.under_way.borrow().is_empty()
            && self
                .client
                .borrow()
                .as_ref()
                .is_some_and(|client| !client.is_closed())
    }

    pub(super) fn execute(&self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError> {
        let client = self.client()?;
        let statement = self.statement(&client, sql)?;
        let parameters = borrowed(parameters);
        self.send(&client, client.execute(&statement, &parameters))
    }

    /// Sends a statement and does not wait: should it fail, the next one does.
    pub(super) fn execute_later(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
    ) -> Result<(), StoreError> {
        let client = self.client()?;
        let statement = self.statement(&client, sql)?;
        let deferred = self.deferred.take();
        if !deferred.is_empty() {
            let client = client.clone();
            self.send_off(async move { client.batch_execute(&deferred).await });
        }
        let parameters: Vec<Value<'static>> =
            parameters.iter().cloned().map(Value::into_owned).collect();
        self.send_off(async move {
            let parameters = borrowed(&parameters);
            client.execute(&statement, &parameters).await.map(drop)
        });
        Ok(())
    }

    /// Waits for what was sent.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        if self.under_way.borrow().is_empty() {
            return Ok(());
        }
        let client = self.client()?;
        self.wait(&client, std::future::ready(Ok(())))
    }

    pub(super) fn query<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let client = self.client()?;
        let statement = self.statement(&client, sql)?;
        let parameters = borrowed(parameters);
        let rows = self.send(&client, client.query(&statement, &parameters))?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// Sends `sql` with the next statement.
    pub(super) fn defer(&self, sql: &str) {
        let mut deferred = self.deferred.borrow_mut();
        if !deferred.is_empty() {
            deferred.push_str("; ");
        }
        deferred.push_str(sql);
    }

    /// Sends `sql` now, with what is waiting, and waits until all of it is done.
    pub(super) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.defer(sql);
        let client = self.client()?;
        let sql = self.deferred.take();
        self.wait(&client, client.batch_execute(&sql))
    }

    pub(super) fn begin(&self, sql: &str) {
        self.is_in_transaction.set(true);
        self.defer(sql);
    }

    /// Ends a transaction that reads.
    pub(super) fn end(&self) -> Result<(), StoreError> {
        self.batch("COMMIT")?;
        self.is_in_transaction.set(false);
        Ok(())
    }

    /// Makes durable what was written, and says so to who listens.
    pub(super) fn commit(&self, is_changed: bool) -> Result<(), StoreError> {
        if is_changed {
            self.defer(dialect::NOTIFY);
        }
        self.defer("COMMIT");
        let client = self.client()?;
        let sql = self.deferred.take();
        match self.wait(&client, client.batch_execute(&sql)) {
            Err(StoreError::Unavailable { reason }) => Err(StoreError::InDoubt { reason }),
            Ok(()) => {
                self.is_in_transaction.set(false);
                Ok(())
            }
            failed => failed,
        }
    }

    /// Leaves the transaction, whatever it has come to.
    pub(super) fn abandon(&self) {
        self.deferred.take();
        self.under_way.take();
        if self.is_in_transaction.replace(false)
            && self.client.borrow().is_some()
            && self.batch("ROLLBACK").is_err()
        {
            self.client.take();
        }
        self.deferred.take();
    }

    pub(super) fn version(&self) -> Result<i64, StoreError> {
        let encoding: Vec<String> =
            self.query("SELECT current_setting('server_encoding')", &[], |row| {
                row.get(0)
            })?;
        if encoding != ["UTF8"] {
            return Err(StoreError::Address {
                problem: format!("the database keeps text as {encoding:?}, and not as UTF8"),
            });
        }
        self.batch(dialect::VERSION_TABLE)?;
        let found = self.query(
            "SELECT coalesce(max(version), 0) FROM schema_version",
            &[],
            |row| row.get(0),
        )?;
        Ok(found.first().copied().unwrap_or(0))
    }

    pub(super) fn make_tables(&self, step: &str, version: i64) -> Result<(), StoreError> {
        self.batch(&dialect::tables(step))?;
        self.execute(
            "INSERT INTO schema_version (version) VALUES (?1)",
            &[Value::Integer(version)],
        )?;
        Ok(())
    }

    /// The connection, made anew if the last one broke and no transaction was under way on it.
    fn client(&self) -> Result<Arc<Client>, StoreError> {
        if let Some(client) = &*self.client.borrow() {
            return Ok(client.clone());
        }
        if self.is_in_transaction.get() && !self.deferred.borrow().starts_with("BEGIN") {
            return Err(StoreError::Unavailable {
                reason: "the connection was lost in the middle of a transaction".to_owned(),
            });
        }
        self.statements.borrow_mut().clear();
        let client = Arc::new(self.options.connect(self.runtime()?)?);
        *self.client.borrow_mut() = Some(client.clone());
        Ok(client)
    }

    fn runtime(&self) -> Result<&Runtime, StoreError> {
        self.runtime.as_ref().ok_or(StoreError::Closed)
    }

    fn statement(&self, client: &Client, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        // A transaction that has failed prepares nothing until it is back at its savepoint.
        let deferred = self.deferred.take();
        if !deferred.is_empty() {
            self.wait(client, client.batch_execute(&deferred))?;
        }
        let statement = self.wait(client, client.prepare(&dialect::numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Sends a statement behind what is waiting.
    fn send<T>(
        &self,
        client: &Client,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let deferred = self.deferred.take();
        if deferred.is_empty() {
            return self.wait(client, statement);
        }
        self.wait(client, async {
            let mut before = pin!(client.batch_execute(&deferred));
            // Polled once, it is on its way.
            let first = poll_fn(|context| Poll::Ready(before.as_mut().poll(context))).await;
            let answer = statement.await;
            match first {
                Poll::Ready(done) => done,
                Poll::Pending => before.await,
            }?;
            answer
        })
    }

    fn send_off(
        &self,
        statement: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    ) {
        let mut statement: UnderWay = Box::pin(statement);
        // Polled once, it is on its way.
        let polled = statement
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(done) = polled {
            statement = Box::pin(std::future::ready(done));
        }
        self.under_way.borrow_mut().push(statement);
    }

    /// Waits for the answer, and for those of what was sent before.
    fn wait<T>(
        &self,
        client: &Client,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let under_way = self.under_way.take();
        let all = async {
            let answer = work.await;
            // The first failure is the one that says why.
            for earlier in under_way {
                earlier.await?;
            }
            answer
        };
        let patient = async { tokio::time::timeout(PATIENCE, all).await };
        let error = match self.runtime()?.block_on(patient) {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => judged(&error),
            Err(_) => StoreError::Unavailable {
                reason: "no answer in time".to_owned(),
            },
        };
        if client.is_closed() || matches!(error, StoreError::Unavailable { .. }) {
            self.client.take();
        }
        Err(error)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Where it is dropped, it may be forbidden to wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether an error is of the database's passing condition, of the transaction, or of the statement.
pub(super) fn judged(error: &tokio_postgres::Error) -> StoreError {
    let Some(database) = error.as_db_error() else {
        let reason = causes(error);
        // What was asked cannot be asked; all else concerns the connection.
        return if reason.contains("serializing parameter") || reason.contains("deserializing") {
            StoreError::Database { reason }
        } else {
            StoreError::Unavailable { reason }
        };
    };
    let code = database.code();
    let reason = format!("{} ({})", database.message(), code.code());
    if [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
    {
        return StoreError::BrokenOff { reason };
    }
    // Connection exceptions, insufficient resources, operator intervention (of which a statement's
    // timeout is one), a lock's timeout, and a server that has become a standby.
    let is_passing = ["08", "53", "57"]
        .iter()
        .any(|class| code.code().starts_with(class))
        || [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code);
    if is_passing {
        StoreError::Unavailable { reason }
    } else {
        StoreError::Database { reason }
    }
}

/// An error with what is behind it.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    reason
}

fn borrowed<'a>(parameters: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

pub(super) fn value(row: &tokio_postgres::Row, index: usize) -> Result<Value<'_>, StoreError> {
    row.try_get(index).map_err(|error| StoreError::Database {
        reason: causes(&error),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        match (self, of) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (Self::Integer(integer), &Type::INT8) => integer.to_sql(of, out)?,
            (Self::Integer(integer), &Type::INT4) => i32::try_from(*integer)?.to_sql(of, out)?,
            (Self::Integer(integer), &Type::BOOL) => (*integer != 0).to_sql(of, out)?,
            // PostgreSQL has no text with NUL, and nothing that we store is found by one.
            (Self::Text(text), &Type::TEXT) if text.contains('\0') => {
                text.replace('\0', "\u{FFFD}").to_sql(of, out)?
            }
            (Self::Text(text), &Type::TEXT) => text.as_ref().to_sql(of, out)?,
            (Self::Blob(octets), &Type::BYTEA) => octets.as_ref().to_sql(of, out)?,
            _ => return Err(format!("a parameter of another type is wanted: {of}").into()),
        };
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Refused> {
        Ok(match *of {
            Type::INT8 => Self::Integer(i64::from_sql(of, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(of, raw)?.into()),
            Type::BOOL => Self::Integer(bool::from_sql(of, raw)?.into()),
            Type::TEXT => Self::Text(<&str>::from_sql(of, raw)?.into()),
            _ => Self::Blob(<&[u8]>::from_sql(of, raw)?.into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Refused> {
        Ok(Self::Null)
    }

    fn accepts(of: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::BOOL, Type::TEXT, Type::BYTEA].contains(of)
    }
}

/// How long one waits for an answer: longer than the server lets a statement take.
const PATIENCE: Duration = Duration::from_secs(45);

/// Statements that are kept ready.
const STATEMENTS: usize = 256;
