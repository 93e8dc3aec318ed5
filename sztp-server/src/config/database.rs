//! `[database]`: where the server remembers what it knows.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Where the server remembers what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://USER@HOST/DATABASE`; none: a file of SQLite in the data directory.
    pub url: Option<DatabaseUrl>,
    /// File with the password, if the URL has none; or else the environment variable `PGPASSWORD`
    /// has it.
    pub password_file: Option<PathBuf>,
    /// Connections to PostgreSQL that read; two more write and listen.
    pub connections: usize,
}

/// A URL that may have a password in it, which [`fmt::Debug`] leaves out.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl DatabaseConfig {
    /// The password that the URL does not have.
    pub(crate) fn password(&self) -> Result<Option<String>, StoreError> {
        let Some(path) = &self.password_file else {
            return Ok(std::env::var("PGPASSWORD").ok());
        };
        let text = std::fs::read_to_string(path).map_err(|error| StoreError::Address {
            problem: format!("password_file {}: {error}", path.display()),
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            connections: 8,
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.split_once('@').map_or("", |(_, host)| host);
        write!(f, "postgres://…@{host}")
    }
}
