//! [`AccessStore`] in a database.

use sztp_cms::UnixTime;

use super::{Database, cursor, history_entry, limit_and_one, listed};
use crate::StoreError;
use crate::model::{
    AuditEntry, AuditFilter, AuditRecord, DeviceEvent, EventFilter, Listed, Page, Role, Token,
};
use crate::store::connection::{Connection, Row, params};
use crate::store::{AccessStore, Commits, StoreFuture};

impl AccessStore for Database {
    fn add_token(&self, token: Token, sha256: [u8; 32]) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let added = connection.execute(
                "INSERT INTO token (name, sha256, created_at, role, expires_at, created_by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING",
                params![
                    token.name,
                    sha256,
                    token.created_at.secs(),
                    token.role.as_str(),
                    token.expires_at.map(UnixTime::secs),
                    token.created_by,
                ],
            )?;
            Ok(added == 1)
        })
    }

    fn token_hashes(&self) -> StoreFuture<'_, Vec<(Token, [u8; 32])>> {
        self.read(|connection| {
            connection.query_all(
                "SELECT name, role, created_at, expires_at, created_by, sha256 FROM token
                 ORDER BY name",
                &[],
                |row| Ok((token(row)?, row.get(5)?)),
            )
        })
    }

    fn revoke_token(&self, name: &str) -> StoreFuture<'_, bool> {
        let name = name.to_owned();
        self.write(move |connection| {
            let revoked = connection.execute("DELETE FROM token WHERE name = ?1", params![name])?;
            Ok(revoked == 1)
        })
    }

    fn append_audit(&self, record: AuditRecord) -> StoreFuture<'_, ()> {
        self.write(move |connection| append(connection, &record))
    }

    fn audit(&self, filter: AuditFilter, page: Page) -> StoreFuture<'_, Listed<AuditEntry>> {
        self.read(move |connection| {
            let before = cursor(&page).unwrap_or(i64::MAX);
            let items = connection.query_all("SELECT id, time, actor, role, proved_by, address, request_id, action, object, detail,
                    outcome
                 FROM audit
                 WHERE id < ?1
                    AND (CAST(?2 AS TEXT) IS NULL OR actor = ?2)
                    AND (CAST(?3 AS TEXT) IS NULL OR substr(object, 1, length(?3)) = ?3)
                    AND (CAST(?4 AS TEXT) IS NULL OR outcome = ?4)
                    AND (CAST(?5 AS BIGINT) IS NULL OR time >= ?5)
                    AND (CAST(?6 AS BIGINT) IS NULL OR time < ?6)
                 ORDER BY id DESC LIMIT ?7", params![
                    before,
                    filter.actor,
                    filter.object_prefix,
                    filter.outcome,
                    filter.since.map(UnixTime::secs),
                    filter.until.map(UnixTime::secs),
                    limit_and_one(page.limit),
                ], |row| {
                    Ok(AuditEntry {
                        id: row.get(0)?,
                        time: UnixTime::from_secs(row.get(1)?),
                        actor: row.get(2)?,
                        role: row.get(3)?,
                        by: row.get(4)?,
                        address: row.get(5)?,
                        request_id: row.get(6)?,
                        action: row.get(7)?,
                        object: row.get(8)?,
                        detail: row.get(9)?,
                        outcome: row.get(10)?,
                    })
                })?;
                        Ok(listed(items, page.limit, |entry| entry.id.to_string()))
        })
    }

    fn events_after(
        &self,
        after: i64,
        upto: i64,
        filter: EventFilter,
    ) -> StoreFuture<'_, (Vec<DeviceEvent>, i64)> {
        self.read(move |connection| {
            // Rows are bounded by id, not by number: a filter that matches little shall not make
            // one query walk through the whole history.
            let upto = upto.min(after.saturating_add(EVENTS_AT_A_TIME));
            let items = connection.query_all(
                "SELECT id, time, peer, event, progress_type, message, state, serial_number
                 FROM history WHERE id > ?1 AND id <= ?2
                    AND (CAST(?3 AS TEXT) IS NULL OR serial_number = ?3)
                    AND (CAST(?4 AS TEXT) IS NULL OR state = ?4)
                 ORDER BY id",
                params![after, upto, filter.serial_number, filter.state],
                |row| {
                    Ok(DeviceEvent {
                        serial_number: row.get(7)?,
                        entry: history_entry(row)?,
                    })
                },
            )?;
            Ok((items, upto))
        })
    }

    fn last_event(&self) -> StoreFuture<'_, i64> {
        self.read(|connection| {
            connection.query_one("SELECT coalesce(max(id), 0) FROM history", &[], |row| {
                row.get(0)
            })
        })
    }

    fn commits(&self) -> Option<&Commits> {
        Some(&self.commits)
    }

    fn states(&self) -> StoreFuture<'_, Vec<(String, u64)>> {
        self.read(|connection| {
            connection.query_all(
                "SELECT state, count(*) FROM device GROUP BY state",
                &[],
                |row| {
                    let count: i64 = row.get(1)?;
                    Ok((row.get(0)?, u64::try_from(count).unwrap_or(0)))
                },
            )
        })
    }
}

/// Within whatever transaction the connection is in.
pub(super) fn append(connection: &Connection, record: &AuditRecord) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO audit (time, actor, role, proved_by, address, request_id, action, object,
                detail, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            record.time.secs(),
            record.actor,
            record.role.as_str(),
            record.by,
            record.address,
            record.request_id,
            record.action,
            record.object,
            record.detail,
            record.outcome,
        ],
    )?;
    Ok(())
}

fn token(row: &Row<'_>) -> Result<Token, StoreError> {
    let role: String = row.get(1)?;
    let Some(role) = Role::from_name(&role) else {
        return Err(StoreError::Damaged { what: "token.role" });
    };
    Ok(Token {
        name: row.get(0)?,
        role,
        created_at: UnixTime::from_secs(row.get(2)?),
        expires_at: row.get::<Option<i64>>(3)?.map(UnixTime::from_secs),
        created_by: row.get(4)?,
    })
}

/// Ids that one query looks at.
const EVENTS_AT_A_TIME: i64 = 1000;
