//! [`ChangeStore`] in a database.

use tokio::sync::watch;

use super::{Database, Place};
use crate::StoreError;
use crate::store::connection::postgres::listen;
use crate::store::connection::{Connection, params};
use crate::store::{ChangeStore, StoreFuture};

impl ChangeStore for Database {
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        let Place::Server(options) = self.readers.place() else {
            return None;
        };
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(listen(options.clone(), sender));
        Some(receiver)
    }

    fn trust_revision(&self) -> StoreFuture<'_, i64> {
        self.read(|connection| {
            connection.query_one(
                "SELECT number FROM revision WHERE subject = ?1",
                params![TRUST],
                |row| row.get(0),
            )
        })
    }
}

/// Trust anchors or revocation lists have changed.
pub(super) fn next_trust_revision(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE revision SET number = number + 1 WHERE subject = ?1",
        params![TRUST],
    )?;
    Ok(())
}

const TRUST: &str = "trust";
