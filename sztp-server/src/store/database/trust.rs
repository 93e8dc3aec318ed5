//! [`TrustStore`] in a database.

use sztp_cms::{Certificate, CertificateRevocationList, UnixTime};

use super::changes::next_trust_revision;
use super::{Database, limit_and_one, listed};
use crate::StoreError;
use crate::model::{Listed, Page, Reported, RevocationList, TrustAnchor, UnknownDevice};
use crate::store::connection::{Connection, Row, params};
use crate::store::{StoreFuture, StoredTrust, TrustStore, inventory};

impl TrustStore for Database {
    fn trust(&self) -> StoreFuture<'_, StoredTrust> {
        self.read_snapshot(|connection| {
            let anchors = connection.query_all(
                "SELECT id, purpose, name, serial_source, allow_sha1, subject, sha256, not_after,
                    created_at, certificate FROM trust_anchor ORDER BY id",
                &[],
                |row| {
                    let der: Vec<u8> = row.get(9)?;
                    let certificate =
                        Certificate::from_der(&der).map_err(|_| StoreError::Damaged {
                            what: "trust_anchor.certificate",
                        })?;
                    Ok((read_anchor(row)?, certificate))
                },
            )?;
            let lists = connection.query_all(
                "SELECT id, issuer, this_update, next_update, created_at, crl
                 FROM revocation_list ORDER BY id",
                &[],
                |row| {
                    let der: Vec<u8> = row.get(5)?;
                    let crl = CertificateRevocationList::from_der(&der).map_err(|_| {
                        StoreError::Damaged {
                            what: "revocation_list.crl",
                        }
                    })?;
                    Ok((read_list(row)?, crl))
                },
            )?;
            Ok(StoredTrust { anchors, lists })
        })
    }

    fn put_trust_anchors(
        &self,
        anchors: Vec<(TrustAnchor, Certificate)>,
    ) -> StoreFuture<'_, Vec<TrustAnchor>> {
        self.write(move |connection| {
            next_trust_revision(connection)?;
            anchors
                .iter()
                .map(|(anchor, certificate)| put_anchor(connection, anchor, certificate))
                .collect()
        })
    }

    fn delete_trust_anchor(&self, id: i64) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let count =
                connection.execute("DELETE FROM trust_anchor WHERE id = ?1", params![id])?;
            if count > 0 {
                next_trust_revision(connection)?;
            }
            Ok(count > 0)
        })
    }

    fn put_revocation_lists(
        &self,
        lists: Vec<CertificateRevocationList>,
        time: UnixTime,
    ) -> StoreFuture<'_, Vec<RevocationList>> {
        self.write(move |connection| {
            next_trust_revision(connection)?;
            lists
                .iter()
                .map(|list| put_list(connection, list, time))
                .collect()
        })
    }

    fn delete_revocation_list(&self, id: i64) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let count =
                connection.execute("DELETE FROM revocation_list WHERE id = ?1", params![id])?;
            if count > 0 {
                next_trust_revision(connection)?;
            }
            Ok(count > 0)
        })
    }

    fn record_unknown(&self, device: UnknownDevice) -> StoreFuture<'_, ()> {
        self.write(move |connection| record_unknown(connection, &device))
    }

    fn unknown_devices(&self, page: Page) -> StoreFuture<'_, Listed<UnknownDevice>> {
        self.read(move |connection| {
            let items = connection.query_all(
                "SELECT serial_number, source, subject, anchor, peer, times, first_seen, last_seen,
                    vendor, hw_model, os_name, os_version
                 FROM unknown_device AS u WHERE serial_number > ?1
                    AND NOT EXISTS (SELECT 1 FROM device WHERE serial_number = u.serial_number)
                    AND NOT EXISTS (SELECT 1 FROM device_alias WHERE alias = u.serial_number)
                 ORDER BY serial_number LIMIT ?2",
                params![
                    page.after.as_deref().unwrap_or_default(),
                    limit_and_one(page.limit)
                ],
                read_unknown,
            )?;
            Ok(listed(items, page.limit, |device| {
                device.serial_number.clone()
            }))
        })
    }

    fn is_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            connection.query_one(
                "SELECT EXISTS (SELECT 1 FROM unknown_device WHERE serial_number = ?1)",
                params![serial_number],
                |row| row.get(0),
            )
        })
    }

    fn forget_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| {
            let count = connection.execute(
                "DELETE FROM unknown_device WHERE serial_number = ?1",
                params![serial_number],
            )?;
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
                None => serial_number.clone(),
            };
            let there: bool = connection.query_one(
                "SELECT EXISTS (SELECT 1 FROM device WHERE serial_number = ?1)",
                params![filed],
                |row| row.get(0),
            )?;
            if !there {
                return Ok(false);
            }
            let count = match sha256 {
                Some(sha256) => connection.execute(
                    "INSERT INTO activation_code (serial_number, code, created_at)
                         VALUES (?1, ?2, ?3) ON CONFLICT (serial_number) DO UPDATE
                         SET code = excluded.code, created_at = excluded.created_at",
                    params![filed, sha256, time.secs()],
                )?,
                None => connection.execute(
                    "DELETE FROM activation_code WHERE serial_number = ?1",
                    params![filed],
                )?,
            };
            Ok(count > 0)
        })
    }

    fn activation_code(&self, serial_number: &str) -> StoreFuture<'_, Option<[u8; 32]>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            let filed = match inventory::device_of_alias(connection, &serial_number)? {
                Some(filed) => filed,
                None => serial_number.clone(),
            };
            connection.query_optional(
                "SELECT code FROM activation_code WHERE serial_number = ?1",
                params![filed],
                |row| row.get(0),
            )
        })
    }
}

fn put_anchor(
    connection: &Connection,
    anchor: &TrustAnchor,
    certificate: &Certificate,
) -> Result<TrustAnchor, StoreError> {
    let id = connection.query_one(
        "INSERT INTO trust_anchor (purpose, sha256, name, serial_source, allow_sha1, subject,
                not_after, created_at, certificate)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (purpose, sha256) DO UPDATE SET name = excluded.name,
                serial_source = excluded.serial_source, allow_sha1 = excluded.allow_sha1
             RETURNING id",
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
    kept.id = connection.query_one(
        "INSERT INTO revocation_list (issuer, this_update, next_update, created_at, crl)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (issuer) DO UPDATE SET this_update = excluded.this_update,
                next_update = excluded.next_update, created_at = excluded.created_at,
                crl = excluded.crl
             RETURNING id",
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
    connection.execute(
        "INSERT INTO unknown_device (serial_number, first_seen, last_seen, times, peer, source,
                subject, anchor, vendor, hw_model, os_name, os_version)
             VALUES (?1, ?2, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (serial_number) DO UPDATE SET last_seen = excluded.last_seen,
                times = unknown_device.times + 1, peer = excluded.peer, source = excluded.source,
                subject = excluded.subject, anchor = excluded.anchor,
                vendor = coalesce(excluded.vendor, unknown_device.vendor),
                hw_model = coalesce(excluded.hw_model, unknown_device.hw_model),
                os_name = coalesce(excluded.os_name, unknown_device.os_name),
                os_version = coalesce(excluded.os_version, unknown_device.os_version)",
        params![
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
        ],
    )?;
    // The newest of them, whatever the number of rows: OFFSET wants a LIMIT.
    connection.execute(
        "DELETE FROM unknown_device WHERE serial_number IN (
            SELECT serial_number FROM unknown_device ORDER BY last_seen DESC, serial_number DESC
            LIMIT 1000000 OFFSET ?1)",
        params![MAX_UNKNOWN],
    )?;
    Ok(())
}

fn read_anchor(row: &Row<'_>) -> Result<TrustAnchor, StoreError> {
    let (purpose, source): (String, String) = (row.get(1)?, row.get(3)?);
    let damaged = |what| move |_| StoreError::Damaged { what };
    Ok(TrustAnchor {
        id: Some(row.get(0)?),
        purpose: serde_json::from_value(purpose.into()).map_err(damaged("trust_anchor.purpose"))?,
        name: row.get(2)?,
        serial_number_from: serde_json::from_value(source.into())
            .map_err(damaged("trust_anchor.serial_source"))?,
        allow_sha1: row.get(4)?,
        subject: row.get(5)?,
        sha256: row.get(6)?,
        not_after: UnixTime::from_secs(row.get(7)?),
        created_at: Some(UnixTime::from_secs(row.get(8)?)),
    })
}

fn read_list(row: &Row<'_>) -> Result<RevocationList, StoreError> {
    Ok(RevocationList {
        id: row.get(0)?,
        issuer: row.get(1)?,
        this_update: UnixTime::from_secs(row.get(2)?),
        next_update: row.get::<Option<i64>>(3)?.map(UnixTime::from_secs),
        created_at: UnixTime::from_secs(row.get(4)?),
    })
}

fn read_unknown(row: &Row<'_>) -> Result<UnknownDevice, StoreError> {
    Ok(UnknownDevice {
        serial_number: row.get(0)?,
        serial_number_from: row.get(1)?,
        subject: row.get(2)?,
        anchor: row.get(3)?,
        peer: row.get(4)?,
        times: u64::try_from(row.get::<i64>(5)?).unwrap_or(0),
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
