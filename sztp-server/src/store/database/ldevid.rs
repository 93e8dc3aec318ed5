//! [`LdevidStore`] in a database.

use sztp_cms::UnixTime;

use super::{Database, cursor, limit_and_one, listed};
use crate::StoreError;
use crate::model::{Ldevid, LdevidFilter, Listed, Page};
use crate::store::connection::{Connection, Row, params};
use crate::store::{LdevidStore, NewLdevid, StoreFuture};

impl LdevidStore for Database {
    fn ldevid(&self, serial_number: &str, csr_sha256: &str) -> StoreFuture<'_, Option<Ldevid>> {
        let (serial_number, csr_sha256) = (serial_number.to_owned(), csr_sha256.to_owned());
        self.read(move |connection| find(connection, &serial_number, &csr_sha256))
    }

    fn keep_ldevid(&self, new: NewLdevid) -> StoreFuture<'_, Ldevid> {
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO ldevid (serial_number, csr_sha256, issuer, profile, subject,
                    certificate_serial, not_after, created_at, chain)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (serial_number, csr_sha256) DO UPDATE SET issuer = excluded.issuer,
                    profile = excluded.profile, subject = excluded.subject,
                    certificate_serial = excluded.certificate_serial,
                    not_after = excluded.not_after, created_at = excluded.created_at,
                    chain = excluded.chain
                 WHERE ldevid.not_after <= excluded.created_at",
                params![
                    new.serial_number,
                    new.csr_sha256,
                    new.issuer,
                    new.profile,
                    new.subject,
                    new.certificate_serial,
                    new.not_after.secs(),
                    new.created_at.secs(),
                    new.chain,
                ],
            )?;
            let kept = find(connection, &new.serial_number, &new.csr_sha256)?;
            kept.ok_or(StoreError::Damaged { what: "ldevid" })
        })
    }

    fn ldevids(&self, filter: LdevidFilter, page: Page) -> StoreFuture<'_, Listed<Ldevid>> {
        self.read(move |connection| {
            let after = cursor(&page).unwrap_or(0);
            let items = connection.query_all(
                "SELECT id, serial_number, csr_sha256, issuer, profile, subject,
                    certificate_serial, not_after, created_at, chain
                 FROM ldevid WHERE id > ?1 AND (CAST(?2 AS TEXT) IS NULL OR serial_number = ?2)
                 ORDER BY id LIMIT ?3",
                params![after, filter.serial_number, limit_and_one(page.limit)],
                read,
            )?;
            Ok(listed(items, page.limit, |item| item.id.to_string()))
        })
    }
}

fn find(
    connection: &Connection,
    serial_number: &str,
    csr_sha256: &str,
) -> Result<Option<Ldevid>, StoreError> {
    connection.query_optional(
        "SELECT id, serial_number, csr_sha256, issuer, profile, subject, certificate_serial,
            not_after, created_at, chain
         FROM ldevid WHERE serial_number = ?1 AND csr_sha256 = ?2",
        params![serial_number, csr_sha256],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<Ldevid, StoreError> {
    Ok(Ldevid {
        id: row.get(0)?,
        serial_number: row.get(1)?,
        csr_sha256: row.get(2)?,
        issuer: row.get(3)?,
        profile: row.get(4)?,
        subject: row.get(5)?,
        certificate_serial: row.get(6)?,
        not_after: UnixTime::from_secs(row.get(7)?),
        created_at: UnixTime::from_secs(row.get(8)?),
        chain: row.get(9)?,
    })
}
