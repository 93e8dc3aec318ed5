//! Copies of the database: made while the server runs, put back while it does not.

use std::path::Path;

use super::{Server, data_dir, joined};
use crate::store::Database;
use crate::{Config, ServerError};

impl Server {
    /// Copies the database, as it is at one moment, into a file, which must not be there. A server
    /// may be running on it. Images, keys and the lab PKI are files of their own.
    pub async fn backup(config: Config, file: &Path) -> Result<(), ServerError> {
        let file = file.to_owned();
        joined(tokio::task::spawn_blocking(move || backup(&config, &file)).await)
    }

    /// Puts a copy in the place of the database, after a look at whether it is whole. No server
    /// may be running on it; what was there is kept beside it as `sztp.db.before-restore`.
    pub async fn restore(config: Config, file: &Path) -> Result<(), ServerError> {
        let file = file.to_owned();
        joined(tokio::task::spawn_blocking(move || restore(&config, &file)).await)
    }
}

fn backup(config: &Config, file: &Path) -> Result<(), ServerError> {
    on_sqlite(config)?;
    let database = data_dir::existing_database(&config.data_dir)?;
    data_dir::create_private(file, b"").map_err(|error| data_dir::file_error(file, &error))?;
    let copied = Database::copy(&database, file).map_err(ServerError::from);
    copied.and_then(|()| data_dir::sync(file)).inspect_err(|_| {
        // Half a copy is none.
        let _ = std::fs::remove_file(file);
    })
}

fn restore(config: &Config, file: &Path) -> Result<(), ServerError> {
    on_sqlite(config)?;
    data_dir::make(config)?;
    let _lock = data_dir::lock(&config.data_dir)?;
    Database::examine(file)?;
    data_dir::replace_database(&config.data_dir, file)
}

fn on_sqlite(config: &Config) -> Result<(), ServerError> {
    match config.database.url {
        None => Ok(()),
        Some(_) => Err(ServerError::NotSqlite),
    }
}
