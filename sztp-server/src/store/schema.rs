//! The tables, as a list of steps from one version to the next. A step that was released is never
//! changed.

use super::connection::Connection;
use crate::StoreError;

/// Brings a database up to date.
pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.begin_writing()?;
    let found = check(connection)?;
    for (version, step) in (1..).zip(STEPS) {
        if version > found {
            connection.make_tables(step, version)?;
        }
    }
    connection.commit()
}

/// The version of a database, unless a later server wrote it.
pub(super) fn check(connection: &Connection) -> Result<i64, StoreError> {
    let found = connection.version()?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    Ok(found)
}

const STEPS: [&str; 7] = [
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
    // Inventory, profiles, configurations and vouchers that need no device. `catalog.generation`
    // grows with each change of a profile, configuration or default.
    "ALTER TABLE device ADD COLUMN host_name TEXT;
     ALTER TABLE device ADD COLUMN profile TEXT;
     ALTER TABLE device ADD COLUMN served_profile TEXT;
     ALTER TABLE device ADD COLUMN served_timeout INTEGER;
     ALTER TABLE device ADD COLUMN vendor TEXT;
     ALTER TABLE device ADD COLUMN hw_model TEXT;
     ALTER TABLE device ADD COLUMN os_name TEXT;
     ALTER TABLE device ADD COLUMN os_version TEXT;
     CREATE INDEX device_by_host_name ON device (host_name) WHERE host_name IS NOT NULL;
     CREATE INDEX device_by_profile ON device (profile, serial_number) WHERE profile IS NOT NULL;
     CREATE INDEX device_by_served_profile ON device (served_profile, serial_number)
        WHERE served_profile IS NOT NULL;
     CREATE TABLE device_label (
        serial_number TEXT NOT NULL REFERENCES device (serial_number) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        label TEXT NOT NULL,
        PRIMARY KEY (serial_number, kind, label)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX device_by_label ON device_label (kind, label, serial_number);
     CREATE TABLE device_alias (
        alias TEXT PRIMARY KEY NOT NULL,
        serial_number TEXT NOT NULL REFERENCES device (serial_number) ON DELETE CASCADE
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX alias_of_device ON device_alias (serial_number);
     CREATE TABLE catalog (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        generation INTEGER NOT NULL,
        variables TEXT NOT NULL
     ) STRICT;
     INSERT INTO catalog (id, generation, variables) VALUES (1, 1, '{}');
     CREATE TABLE profile (
        name TEXT PRIMARY KEY NOT NULL,
        spec TEXT NOT NULL,
        image TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX profile_by_image ON profile (image) WHERE image IS NOT NULL;
     CREATE TABLE template (
        name TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL,
        description TEXT
     ) STRICT;
     CREATE TABLE template_version (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL REFERENCES template (name) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        syntax TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        content BLOB NOT NULL,
        UNIQUE (name, version)
     ) STRICT;
     CREATE TABLE profile_template (
        profile TEXT NOT NULL REFERENCES profile (name) ON DELETE CASCADE,
        template TEXT NOT NULL REFERENCES template (name),
        PRIMARY KEY (profile, template)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX profile_by_template ON profile_template (template);
     -- No reference to the device: a voucher may come first.
     CREATE TABLE voucher (
        serial_number TEXT PRIMARY KEY NOT NULL,
        sha256 TEXT NOT NULL,
        verified INTEGER NOT NULL,
        expires_on INTEGER,
        notes TEXT,
        created_at INTEGER NOT NULL,
        voucher BLOB NOT NULL
     ) STRICT;",
    // Tokens have a role and an end; who changed what; which bootstrap a device is in.
    "ALTER TABLE token ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';
     ALTER TABLE token ADD COLUMN expires_at INTEGER;
     ALTER TABLE token ADD COLUMN created_by TEXT;
     CREATE UNIQUE INDEX token_by_name ON token (name);
     CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time INTEGER NOT NULL,
        actor TEXT NOT NULL,
        role TEXT NOT NULL,
        proved_by TEXT NOT NULL,
        address TEXT NOT NULL,
        request_id TEXT NOT NULL,
        action TEXT NOT NULL,
        object TEXT NOT NULL,
        detail TEXT,
        outcome TEXT NOT NULL
     ) STRICT;
     CREATE INDEX audit_by_actor ON audit (actor, id);
     ALTER TABLE device ADD COLUMN bootstrap INTEGER;",
    // How devices were answered; manufacturers' anchors and revocation lists; who knocked and is
    // not known.
    "ALTER TABLE device ADD COLUMN served_dialect TEXT;
     CREATE TABLE trust_anchor (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        purpose TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        name TEXT,
        serial_source TEXT NOT NULL,
        allow_sha1 INTEGER NOT NULL,
        subject TEXT NOT NULL,
        not_after INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        certificate BLOB NOT NULL,
        UNIQUE (purpose, sha256)
     ) STRICT;
     CREATE TABLE revocation_list (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        issuer TEXT NOT NULL UNIQUE,
        this_update INTEGER NOT NULL,
        next_update INTEGER,
        created_at INTEGER NOT NULL,
        crl BLOB NOT NULL
     ) STRICT;
     CREATE TABLE unknown_device (
        serial_number TEXT PRIMARY KEY NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        times INTEGER NOT NULL,
        peer TEXT NOT NULL,
        source TEXT NOT NULL,
        subject TEXT NOT NULL,
        anchor TEXT,
        vendor TEXT,
        hw_model TEXT,
        os_name TEXT,
        os_version TEXT
     ) STRICT;
     CREATE INDEX unknown_device_by_last_seen ON unknown_device (last_seen);
     CREATE TABLE activation_code (
        serial_number TEXT PRIMARY KEY NOT NULL
            REFERENCES device (serial_number) ON DELETE CASCADE,
        code BLOB NOT NULL,
        created_at INTEGER NOT NULL
     ) STRICT;",
    // What is to be told to other systems, and how devices say that they are reached. No reference
    // from the outbox to the device: that it was removed is told, too.
    "CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        serial_number TEXT NOT NULL,
        event TEXT NOT NULL,
        idempotency_key TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        leased_by TEXT,
        leased_until INTEGER,
        error TEXT
     ) STRICT;
     CREATE INDEX outbox_by_due ON outbox (target, state, due_at, id);
     CREATE INDEX outbox_by_device ON outbox (target, serial_number, state, id);
     CREATE INDEX outbox_of_device ON outbox (serial_number, kind);
     CREATE INDEX outbox_by_owner ON outbox (leased_by) WHERE leased_by IS NOT NULL;
     CREATE TABLE device_contact (
        serial_number TEXT PRIMARY KEY NOT NULL
            REFERENCES device (serial_number) ON DELETE CASCADE,
        contact TEXT NOT NULL
     ) STRICT;",
    // Numbers by which several instances notice changes.
    "CREATE TABLE revision (
        subject TEXT PRIMARY KEY NOT NULL,
        number INTEGER NOT NULL
     ) STRICT;
     INSERT INTO revision (subject, number) VALUES ('trust', 1);",
    // Certificates that were issued. No reference to the device: they outlive it.
    "CREATE TABLE ldevid (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        serial_number TEXT NOT NULL,
        csr_sha256 TEXT NOT NULL,
        issuer TEXT NOT NULL,
        profile TEXT,
        subject TEXT NOT NULL,
        certificate_serial TEXT NOT NULL,
        not_after INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        chain TEXT NOT NULL,
        UNIQUE (serial_number, csr_sha256)
     ) STRICT;",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_later_version_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::sqlite(&directory.path().join("db")).unwrap();
        migrate(&connection).unwrap();
        migrate(&connection).unwrap();
        connection.make_tables("SELECT 1;", 99).unwrap();
        let refused = migrate(&connection);
        connection.abandon();
        assert_eq!(
            refused,
            Err(StoreError::NewerSchema {
                found: 99,
                known: i64::try_from(STEPS.len()).unwrap()
            })
        );
    }
}
