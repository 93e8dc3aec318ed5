//! `[vouchers_on_demand]`: who is asked for the vouchers that are not there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::model::VouchersOnDemand;
use crate::outside::HttpsUrl;

/// Vouchers that are fetched when a device asks: from a MASA (RFC 8995 §5.5), or from a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct VouchersOnDemandConfig {
    /// For devices whose profile does not say.
    pub when: VouchersOnDemand,
    /// The MASA: `https://host[:port]`; a path in front of the well-known one is kept.
    pub url: Option<String>,
    /// Certificates that the MASA's TLS certificate must lead to.
    pub anchors: Vec<PathBuf>,
    /// The registrar's certificate, then those up to the domain's authority: shown in TLS, and
    /// requests are signed with it.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// File with the passphrase of the private key; or else the environment variable
    /// `SZTP_REGISTRAR_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// A program with its arguments instead of a MASA.
    pub program: Vec<String>,
    /// Seconds for all of it, waiting included.
    pub timeout_secs: u64,
    /// How many are fetched at a time; four times as many wait, and more are to come again.
    pub max_parallel: usize,
    /// Seconds after which a device is told to come again if none could be had.
    pub retry_after_secs: u64,
}

impl VouchersOnDemandConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, problem: &str| {
            let problem = problem.to_owned();
            Err(ConfigError::Value { key, problem })
        };
        if let Some(url) = &self.url {
            HttpsUrl::parse(url).map_err(|problem| ConfigError::Value {
                key: "vouchers_on_demand.url",
                problem: format!("`{url}` {problem}"),
            })?;
            if self.certificate.is_none() || self.key.is_none() || self.anchors.is_empty() {
                return Err(ConfigError::Incomplete {
                    have: "vouchers_on_demand.url",
                    need: "certificate, key and anchors too",
                });
            }
            if !self.program.is_empty() {
                return value("vouchers_on_demand.program", "there is a url already");
            }
        } else if self.program.is_empty() && self.when != VouchersOnDemand::Never {
            return Err(ConfigError::Incomplete {
                have: "vouchers_on_demand.when",
                need: "url or program",
            });
        }
        if self.timeout_secs == 0 || self.timeout_secs > MAX_TIMEOUT_SECS {
            return value("vouchers_on_demand.timeout_secs", "is from 1 to 120");
        }
        if self.max_parallel == 0 {
            return value("vouchers_on_demand.max_parallel", "must not be 0");
        }
        Ok(())
    }
}

impl Default for VouchersOnDemandConfig {
    fn default() -> Self {
        Self {
            when: VouchersOnDemand::Never,
            url: None,
            anchors: Vec::new(),
            certificate: None,
            key: None,
            key_passphrase_file: None,
            program: Vec::new(),
            timeout_secs: 10,
            max_parallel: 16,
            retry_after_secs: 60,
        }
    }
}

/// A device does not wait for ever either.
pub(super) const MAX_TIMEOUT_SECS: u64 = 120;
