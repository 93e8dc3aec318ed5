//! [`TrustStore`] in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sztp_cms::{Certificate, CertificateRevocationList, UnixTime};

use super::{SqliteStore, limit_and_one, listed};
use crate::StoreError;
use crate::model::{
    AnchorPurpose, Listed, Page, Reported, RevocationList, SerialNumberFrom, TrustAnchor,
    UnknownDevice,
};
use crate::store::{StoreFuture, StoredTrust, TrustStore, inventory};

impl TrustStore for SqliteStore {
    fn trust(&self) -> StoreFuture<'_, StoredTrust> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, purpose, name, serial_source, allow_sha1, subject, sha256, not_after,
                    created_at, certificate FROM trust_anchor ORDER BY id",
            )?;
            let rows = statement
                .query_map([], |row| Ok((read_anchor(row)?, row.get::<_, Vec<u8>>(9)?)))?;
            let mut anchors = Vec::new();
            for row in rows {
                let (anchor, der) = row?;
                let certificate = Certificate::from_der(&der).map_err(|_| StoreError::Damaged {
                    what: "trust_anchor.certificate",
                })?;
                anchors.push((anchor?, certificate));
            }
            let mut statement = connection.prepare_cached(
                "SELECT id, issuer, this_update, next_update, created_at, crl
                 FROM revocation_list ORDER BY id",
            )?;
            let rows =
                statement.query_map([], |row| Ok((read_list(row)?, row.get::<_, Vec<u8>>(5)?)))?;
            let mut lists = Vec::new();
            for row in rows {
                let (list, der) = row?;
                let crl =
                    CertificateRevocationList::from_der(&der).map_err(|_| StoreError::Damaged {
                        what: "revocation_list.crl",
                    })?;
                lists.push((list, crl));
            }
            Ok(StoredTrust { anchors, lists })
        })
    }

    fn put_trust_anchors(
        &self,
        anchors: Vec<(TrustAnchor, Certificate)>,
    ) -> StoreFuture<'_, Vec<TrustAnchor>> {
        self.write(move |connection| {
            anchors
                .iter()
                .map(|(anchor, certificate)| put_anchor(connection, anchor, certificate))
                .collect()
        })
    }

    fn delete_trust_anchor(&self, id: i64) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let count = connection
                .prepare_cached("DELETE FROM trust_anchor WHERE id = ?1")?
                .execute([id])?;
            Ok(count > 0)
        })
    }

    fn put_revocation_lists(
        &self,
        lists: Vec<CertificateRevocationList>,
        time: UnixTime,
    ) -> StoreFuture<'_, Vec<RevocationList>> {
        self.write(move |connection| {
            lists
                .iter()
                .map(|list| put_list(connection, list, time))
                .collect()
        })
    }

    fn delete_revocation_list(&self, id: i64) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let count = connection
                .prepare_cached("DELETE FROM revocation_list WHERE id = ?1")?
                .execute([id])?;
            Ok(count > 0)
        })
    }

    fn record_unknown(&self, device: UnknownDevice) -> StoreFuture<'_, ()> {
        self.write(move |connection| record_unknown(connection, &device))
    }

    fn unknown_devices(&self, page: Page) -> StoreFuture<'_, Listed<UnknownDevice>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT serial_number, source, subject, anchor, peer, times, first_seen, last_seen,
                    vendor, hw_model, os_name, os_version
                 FROM unknown_device AS u WHERE serial_number > ?1
                    AND NOT EXISTS (SELECT 1 FROM device WHERE serial_number = u.serial_number)
                    AND NOT EXISTS (SELECT 1 FROM device_alias WHERE alias = u.serial_number)
                 ORDER BY serial_number LIMIT ?2",
            )?;
            let rows = statement.query_map(
                params![page.after.unwrap_or_default(), limit_and_one(page.limit)],
                read_unknown,
            )?;
            let items = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(listed(items, page.limit, |device| {
                device.serial_number.clone()
            }))
        })
    }

    fn is_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM unknown_device WHERE serial_number = ?1)",
                )?
                .query_row([serial_number], |row| row.get(0))?)
        })
    }

    fn forget_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| {
            let count = connection
                .prepare_cached("DELETE FROM unknown_device WHERE serial_number = ?1")?
                .execute([serial_number])?;
            Ok(count > 0)
        })
    }

    fn set_activation_code(
        &self,
        serial_number: &str,
        sha256: Option<[u8; 32]>,
        time: UnixTime,
    ) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| {
            let filed = match inventory::device_of_alias(connection, &serial_number)? {
                Some(filed) => filed,
                None => serial_number,
            };
            let there: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM device WHERE serial_number = ?1)")?
                .query_row([&filed], |row| row.get(0))?;
            if !there {
                return Ok(false);
            }
            let count = match sha256 {
                Some(sha256) => connection
                    .prepare_cached(
                        "INSERT INTO activation_code (serial_number, code, created_at)
                         VALUES (?1, ?2, ?3) ON CONFLICT (serial_number) DO UPDATE
                         SET code = excluded.code, created_at = excluded.created_at",
                    )?
                    .execute(params![filed, sha256, time.secs()])?,
                None => connection
                    .prepare_cached("DELETE FROM activation_code WHERE serial_number = ?1")?
                    .execute([filed])?,
            };
            Ok(count > 0)
        })
    }

    fn activation_code(&self, serial_number: &str) -> StoreFuture<'_, Option<[u8; 32]>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            let filed = match inventory::device_of_alias(connection, &serial_number)? {
                Some(filed) => filed,
                None => serial_number,
            };
            Ok(connection
                .prepare_cached("SELECT code FROM activation_code WHERE serial_number = ?1")?
                .query_row([filed], |row| row.get(0))
                .optional()?)
        })
    }
}

fn put_anchor(
    connection: &Connection,
    anchor: &TrustAnchor,
    certificate: &Certificate,
) -> Result<TrustAnchor, StoreError> {
    let id = connection
        .prepare_cached(
            "INSERT INTO trust_anchor (purpose, sha256, name, serial_source, allow_sha1, subject,
                not_after, created_at, certificate)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (purpose, sha256) DO UPDATE SET name = excluded.name,
                serial_source = excluded.serial_source, allow_sha1 = excluded.allow_sha1
             RETURNING id",
        )?
        .query_row(
            params![
                text_of(&anchor.purpose)?,
                anchor.sha256,
                anchor.name,
                text_of(&anchor.serial_number_from)?,
                anchor.allow_sha1,
                anchor.subject,
                anchor.not_after.secs(),
                anchor.created_at.map(UnixTime::secs),
                certificate.as_der(),
            ],
            |row| row.get(0),
        )?;
    Ok(TrustAnchor {
        id: Some(id),
        ..anchor.clone()
    })
}

fn put_list(
    connection: &Connection,
    list: &CertificateRevocationList,
    time: UnixTime,
) -> Result<RevocationList, StoreError> {
    let mut kept = RevocationList {
        id: 0,
        issuer: list.issuer(),
        this_update: list.this_update(),
        next_update: list.next_update(),
        created_at: time,
    };
    kept.id = connection
        .prepare_cached(
            "INSERT INTO revocation_list (issuer, this_update, next_update, created_at, crl)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (issuer) DO UPDATE SET this_update = excluded.this_update,
                next_update = excluded.next_update, created_at = excluded.created_at,
                crl = excluded.crl
             RETURNING id",
        )?
        .query_row(
            params![
                kept.issuer,
                kept.this_update.secs(),
                kept.next_update.map(UnixTime::secs),
                time.secs(),
                list.as_der(),
            ],
            |row| row.get(0),
        )?;
    Ok(kept)
}

fn record_unknown(connection: &Connection, device: &UnknownDevice) -> Result<(), StoreError> {
    let reported = &device.reported;
    connection
        .prepare_cached(
            "INSERT INTO unknown_device (serial_number, first_seen, last_seen, times, peer, source,
                subject, anchor, vendor, hw_model, os_name, os_version)
             VALUES (?1, ?2, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (serial_number) DO UPDATE SET last_seen = excluded.last_seen,
                times = times + 1, peer = excluded.peer, source = excluded.source,
                subject = excluded.subject, anchor = excluded.anchor,
                vendor = coalesce(excluded.vendor, vendor),
                hw_model = coalesce(excluded.hw_model, hw_model),
                os_name = coalesce(excluded.os_name, os_name),
                os_version = coalesce(excluded.os_version, os_version)",
        )?
        .execute(params![
            device.serial_number,
            device.last_seen.secs(),
            device.peer,
            device.serial_number_from,
            device.subject,
            device.anchor,
            reported.vendor,
            reported.hw_model,
            reported.os_name,
            reported.os_version,
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM unknown_device WHERE serial_number IN (
                SELECT serial_number FROM unknown_device ORDER BY last_seen, serial_number
                LIMIT max(0, (SELECT count(*) FROM unknown_device) - ?1))",
        )?
        .execute([MAX_UNKNOWN])?;
    Ok(())
}

fn read_anchor(row: &Row<'_>) -> rusqlite::Result<Result<TrustAnchor, StoreError>> {
    let (purpose, source): (String, String) = (row.get(1)?, row.get(3)?);
    let anchor = TrustAnchor {
        id: Some(row.get(0)?),
        purpose: AnchorPurpose::Idevid,
        name: row.get(2)?,
        serial_number_from: SerialNumberFrom::Auto,
        allow_sha1: row.get(4)?,
        subject: row.get(5)?,
        sha256: row.get(6)?,
        not_after: UnixTime::from_secs(row.get(7)?),
        created_at: Some(UnixTime::from_secs(row.get(8)?)),
    };
    let damaged = |what| move |_| StoreError::Damaged { what };
    Ok(serde_json::from_value(purpose.into())
        .map_err(damaged("trust_anchor.purpose"))
        .and_then(|purpose| {
            let serial_number_from = serde_json::from_value(source.into())
                .map_err(damaged("trust_anchor.serial_source"))?;
            Ok(TrustAnchor {
                purpose,
                serial_number_from,
                ..anchor
            })
        }))
}

fn read_list(row: &Row<'_>) -> rusqlite::Result<RevocationList> {
    Ok(RevocationList {
        id: row.get(0)?,
        issuer: row.get(1)?,
        this_update: UnixTime::from_secs(row.get(2)?),
        next_update: row.get::<_, Option<i64>>(3)?.map(UnixTime::from_secs),
        created_at: UnixTime::from_secs(row.get(4)?),
    })
}

fn read_unknown(row: &Row<'_>) -> rusqlite::Result<UnknownDevice> {
    Ok(UnknownDevice {
        serial_number: row.get(0)?,
        serial_number_from: row.get(1)?,
        subject: row.get(2)?,
        anchor: row.get(3)?,
        peer: row.get(4)?,
        times: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        first_seen: UnixTime::from_secs(row.get(6)?),
        last_seen: UnixTime::from_secs(row.get(7)?),
        reported: Reported {
            vendor: row.get(8)?,
            hw_model: row.get(9)?,
            os_name: row.get(10)?,
            os_version: row.get(11)?,
        },
    })
}

/// The name of an enumerator in JSON.
fn text_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_value(value).ok();
    let text = text.and_then(|text| text.as_str().map(str::to_owned));
    text.ok_or(StoreError::Damaged {
        what: "trust_anchor",
    })
}

/// Devices that are remembered though they are not known.
const MAX_UNKNOWN: i64 = 10_000;
