//! [`HistoryStore`] in a database.

use super::Database;
use crate::StoreError;
use crate::store::connection::{Connection, params};
use crate::store::{HistoryStore, StoreFuture};

impl HistoryStore for Database {
    fn trim_history(
        &self,
        serial_number: &str,
        max_entries: u32,
        max_octets: u64,
    ) -> StoreFuture<'_, u64> {
        let serial_number = serial_number.to_owned();
        Box::pin(async move {
            let read = serial_number.clone();
            let oldest = self
                .read(move |connection| oldest(connection, &read, max_entries, max_octets))
                .await?;
            let Some(oldest) = oldest else { return Ok(0) };
            self.write(move |connection| {
                connection.execute(
                    "DELETE FROM history WHERE serial_number = ?1 AND id < ?2",
                    params![serial_number, oldest],
                )
            })
            .await
        })
    }
}

/// The id of the oldest line that is kept; none: all are.
fn oldest(
    connection: &Connection,
    serial_number: &str,
    max_entries: u32,
    max_octets: u64,
) -> Result<Option<i64>, StoreError> {
    let (mut kept, mut octets) = (0_u32, 0_u64);
    let (mut oldest, mut is_full) = (None, false);
    connection.query_all(
        "SELECT id, octet_length(coalesce(message, '')) FROM history
         WHERE serial_number = ?1 ORDER BY id DESC",
        params![serial_number],
        |row| {
            let size = u64::try_from(row.get::<i64>(1)?).unwrap_or(0);
            octets = octets.saturating_add(size);
            // The newest is kept however long it is.
            is_full = is_full || kept >= max_entries || (kept > 0 && octets > max_octets);
            if !is_full {
                kept += 1;
                oldest = Some(row.get::<i64>(0)?);
            }
            Ok(())
        },
    )?;
    Ok(oldest.filter(|_| is_full))
}
