//! The tables, as a list of steps from one version to the next. A step that was released is never
//! changed.

use rusqlite::Connection;

use crate::StoreError;

/// Brings a database up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let done = usize::try_from(found).unwrap_or(0);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    let transaction = connection.transaction()?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

const STEPS: [&str; 1] = [
    // What changes with each report is apart from what may be large.
    "CREATE TABLE device (
        serial_number TEXT PRIMARY KEY NOT NULL,
        state TEXT NOT NULL,
        stage TEXT,
        parsed INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        promoted_at INTEGER,
        deadline INTEGER,
        progress_timeout INTEGER,
        answer_kind TEXT NOT NULL,
        has_voucher INTEGER NOT NULL,
        image TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX device_by_state ON device (state, serial_number);
     CREATE INDEX device_by_deadline ON device (deadline) WHERE deadline IS NOT NULL;
     CREATE INDEX device_by_image ON device (image) WHERE image IS NOT NULL;
     CREATE TABLE device_spec (
        serial_number TEXT PRIMARY KEY NOT NULL
            REFERENCES device (serial_number) ON DELETE CASCADE,
        spec TEXT NOT NULL
     ) STRICT;
     -- No reference to the device: the record outlives it.
     CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        serial_number TEXT NOT NULL,
        time INTEGER NOT NULL,
        peer TEXT,
        event TEXT NOT NULL,
        progress_type TEXT,
        message TEXT,
        state TEXT NOT NULL
     ) STRICT;
     CREATE INDEX history_of_device ON history (serial_number, id);
     CREATE TABLE image (
        name TEXT PRIMARY KEY NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        created_at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX image_by_content ON image (sha256);
     CREATE TABLE token (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        sha256 BLOB NOT NULL UNIQUE,
        created_at INTEGER NOT NULL
     ) STRICT;",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_later_version_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(
            migrate(&mut connection),
            Err(StoreError::NewerSchema {
                found: 99,
                known: 1
            })
        );
    }
}
