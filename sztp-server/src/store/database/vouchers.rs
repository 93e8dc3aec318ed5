//! [`VoucherStore`] in a database.

use sztp_cms::UnixTime;

use super::{Database, limit_and_one, listed};
use crate::StoreError;
use crate::model::{Blob, Listed, NewVoucher, Page, VoucherResult, VoucherSummary};
use crate::store::connection::{Connection, params};
use crate::store::{KeptVoucher, StoreFuture, VoucherStore, inventory};

impl VoucherStore for Database {
    fn keep_vouchers(&self, vouchers: Vec<NewVoucher>) -> StoreFuture<'_, Vec<KeptVoucher>> {
        self.write(move |connection| {
            vouchers
                .iter()
                .map(|voucher| keep(connection, voucher))
                .collect()
        })
    }

    fn vouchers(&self, page: Page) -> StoreFuture<'_, Listed<VoucherSummary>> {
        self.read(move |connection| {
            let items = connection.query_all(
                "SELECT v.serial_number,
                    coalesce(
                        (SELECT serial_number FROM device WHERE serial_number = v.serial_number),
                        (SELECT serial_number FROM device_alias WHERE alias = v.serial_number)),
                    v.verified, v.sha256, v.expires_on, v.notes, v.created_at
                 FROM voucher AS v WHERE v.serial_number > ?1 ORDER BY v.serial_number LIMIT ?2",
                params![
                    page.after.as_deref().unwrap_or_default(),
                    limit_and_one(page.limit)
                ],
                |row| {
                    Ok(VoucherSummary {
                        serial_number: row.get(0)?,
                        device: row.get(1)?,
                        verified: row.get(2)?,
                        sha256: row.get(3)?,
                        expires_on: row.get::<Option<i64>>(4)?.map(UnixTime::from_secs),
                        notes: row.get(5)?,
                        created_at: UnixTime::from_secs(row.get(6)?),
                    })
                },
            )?;
            Ok(listed(items, page.limit, |voucher| {
                voucher.serial_number.clone()
            }))
        })
    }

    fn voucher(&self, serial_number: &str) -> StoreFuture<'_, Option<Blob>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| {
            let voucher: Option<Vec<u8>> = connection.query_optional(
                "SELECT voucher FROM voucher WHERE serial_number = ?1",
                params![serial_number],
                |row| row.get(0),
            )?;
            Ok(voucher.map(Blob))
        })
    }

    fn delete_voucher(&self, serial_number: &str) -> StoreFuture<'_, bool> {
        let serial_number = serial_number.to_owned();
        self.write(move |connection| {
            let deleted = connection.execute(
                "DELETE FROM voucher WHERE serial_number = ?1",
                params![serial_number],
            )?;
            inventory::note_voucher(connection, &serial_number)?;
            Ok(deleted > 0)
        })
    }

    fn serial_numbers(&self, without_voucher: bool, page: Page) -> StoreFuture<'_, Listed<String>> {
        self.read(move |connection| {
            let items = connection.query_all(
                "SELECT serial_number FROM device
                 WHERE serial_number > ?1 AND (?2 = 0 OR has_voucher = 0)
                 ORDER BY serial_number LIMIT ?3",
                params![
                    page.after.as_deref().unwrap_or_default(),
                    without_voucher,
                    limit_and_one(page.limit)
                ],
                |row| row.get(0),
            )?;
            Ok(listed(items, page.limit, Clone::clone))
        })
    }
}

fn keep(connection: &Connection, new: &NewVoucher) -> Result<KeptVoucher, StoreError> {
    let before: Option<String> = connection.query_optional(
        "SELECT sha256 FROM voucher WHERE serial_number = ?1",
        params![new.serial_number],
        |row| row.get(0),
    )?;
    let result = match before {
        None => VoucherResult::Stored,
        Some(sha256) if sha256 == new.sha256 => VoucherResult::Unchanged,
        Some(_) => VoucherResult::Replaced,
    };
    connection.execute(
        "INSERT INTO voucher
                (serial_number, sha256, verified, expires_on, notes, created_at, voucher)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (serial_number) DO UPDATE SET sha256 = excluded.sha256,
                verified = excluded.verified, expires_on = excluded.expires_on,
                notes = excluded.notes, created_at = excluded.created_at,
                voucher = excluded.voucher",
        params![
            new.serial_number,
            new.sha256,
            new.verified,
            new.expires_on.map(UnixTime::secs),
            new.notes,
            new.time.secs(),
            new.voucher,
        ],
    )?;
    let device = inventory::note_voucher(connection, &new.serial_number)?;
    Ok(KeptVoucher { result, device })
}
