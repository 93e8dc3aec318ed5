//! `[crosswork]`: the calls of Cisco Crosswork ZTP, for scripts and programs that speak it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The calls of Crosswork ZTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossworkConfig {
    /// Where they are answered, over TLS; none: they are not.
    pub listen: Option<SocketAddr>,
    /// Where `deviceinfo/status` is answered over plain HTTP too, so that everybody on the way can
    /// read it and the tokens with it; none: it is not.
    pub plain_http_listen: Option<SocketAddr>,
    /// Whether anybody may say of any device that it is provisioned, or is not.
    pub status_without_proof: bool,
    /// A file with the key of the tokens by which devices prove themselves; none: one is made in
    /// the data directory. Instances that share a database share it too.
    pub token_key_file: Option<PathBuf>,
}

impl CrossworkConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.plain_http_listen.is_some() && self.listen.is_none() {
            return Err(ConfigError::Incomplete {
                have: "crosswork.plain_http_listen",
                need: "crosswork.listen too",
            });
        }
        Ok(())
    }
}
