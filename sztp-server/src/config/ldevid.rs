//! `[ldevid]`: certificates that the owner issues to devices (RFC 9646), and who issues them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::vouchers_on_demand::MAX_TIMEOUT_SECS;
use crate::model::{KeyAlgorithm, LdevidIssuer, LdevidKey};
use crate::outside::HttpsUrl;

/// What devices are asked for, and who issues: one of `ca`, `est` and `program`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdevidConfig {
    /// For devices whose profile does not say.
    pub enabled: bool,
    /// Which key is certified.
    pub key: LdevidKey,
    /// Kinds of keys that are certified, the preferred first.
    pub key_algorithms: Vec<KeyAlgorithm>,
    /// The smallest RSA key.
    pub min_rsa_bits: usize,
    /// Days for which the built-in CA's certificates hold.
    pub validity_days: u32,
    /// A program with its arguments that issues certificates.
    pub program: Vec<String>,
    /// Seconds for EST or the program, waiting included.
    pub timeout_secs: u64,
    /// How many of these are asked at a time; four times as many wait.
    pub max_parallel: usize,
    /// Seconds after which a device is told to come again if no certificate could be had.
    pub retry_after_secs: u64,
    /// The built-in CA.
    pub ca: LdevidCaConfig,
    /// A CA that speaks EST (RFC 7030).
    pub est: EstConfig,
}

/// The built-in CA's own certificate and key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdevidCaConfig {
    /// The issuing certificate, then those that devices need to know up to its root.
    pub certificate: Option<PathBuf>,
    /// Its private key: a file, or a `pkcs11:` URI (RFC 7512).
    pub key: Option<PathBuf>,
    /// File with the passphrase of the private key, or the PIN of its token; or else the
    /// environment variable `SZTP_LDEVID_CA_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// The PKCS#11 module of the token, if the URI does not name it.
    pub pkcs11_module: Option<PathBuf>,
}

/// A server of RFC 7030, and how one proves to it who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EstConfig {
    /// `https://host[:port]`, or with a path to a certain CA:
    /// `https://host/.well-known/est/LABEL`.
    pub url: Option<String>,
    /// Certificates that the server's TLS certificate must lead to.
    pub anchors: Vec<PathBuf>,
    /// Shown to it in TLS: end-entity certificate, then intermediates.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// File with the passphrase of the private key; or else the environment variable
    /// `SZTP_EST_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// HTTP Basic.
    pub user: Option<String>,
    /// File with the password for it.
    pub password_file: Option<PathBuf>,
}

impl LdevidConfig {
    /// Who issues; none: nobody does.
    pub(crate) fn issuer(&self) -> Option<LdevidIssuer> {
        if self.ca.certificate.is_some() {
            Some(LdevidIssuer::BuiltIn)
        } else if self.est.url.is_some() {
            Some(LdevidIssuer::Est)
        } else if self.program.is_empty() {
            None
        } else {
            Some(LdevidIssuer::Program)
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, problem: &str| {
            let problem = problem.to_owned();
            Err(ConfigError::Value { key, problem })
        };
        if self.ca.certificate.is_some() != self.ca.key.is_some() {
            return Err(ConfigError::Incomplete {
                have: "one of ldevid.ca.certificate and ldevid.ca.key",
                need: "both",
            });
        }
        if self.est.certificate.is_some() != self.est.key.is_some() {
            return Err(ConfigError::Incomplete {
                have: "one of ldevid.est.certificate and ldevid.est.key",
                need: "both",
            });
        }
        if self.est.user.is_some() != self.est.password_file.is_some() {
            return Err(ConfigError::Incomplete {
                have: "one of ldevid.est.user and ldevid.est.password_file",
                need: "both",
            });
        }
        if let Some(url) = &self.est.url {
            HttpsUrl::parse(url).map_err(|problem| ConfigError::Value {
                key: "ldevid.est.url",
                problem: format!("`{url}` {problem}"),
            })?;
            if self.est.anchors.is_empty() {
                return Err(ConfigError::Incomplete {
                    have: "ldevid.est.url",
                    need: "ldevid.est.anchors too",
                });
            }
        }
        let issuers = [
            self.ca.certificate.is_some(),
            self.est.url.is_some(),
            !self.program.is_empty(),
        ];
        match issuers.into_iter().filter(|is_set| *is_set).count() {
            0 if self.enabled => {
                return Err(ConfigError::Incomplete {
                    have: "ldevid.enabled",
                    need: "one of ldevid.ca.certificate, ldevid.est.url and ldevid.program",
                });
            }
            0 | 1 => {}
            _ => return value("ldevid", "more than one of ca, est and program"),
        }
        if self.key_algorithms.is_empty() {
            return value("ldevid.key_algorithms", "must not be empty");
        }
        if !(2048..=8192).contains(&self.min_rsa_bits) {
            return value("ldevid.min_rsa_bits", "is from 2048 to 8192");
        }
        if self.validity_days == 0 {
            return value("ldevid.validity_days", "must not be 0");
        }
        if self.timeout_secs == 0 || self.timeout_secs > MAX_TIMEOUT_SECS {
            return value("ldevid.timeout_secs", "is from 1 to 120");
        }
        if self.max_parallel == 0 {
            return value("ldevid.max_parallel", "must not be 0");
        }
        Ok(())
    }
}

impl Default for LdevidConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            key: LdevidKey::default(),
            key_algorithms: vec![
                KeyAlgorithm::EcP256,
                KeyAlgorithm::EcP384,
                KeyAlgorithm::EcP521,
                KeyAlgorithm::Ed25519,
                KeyAlgorithm::Rsa,
            ],
            min_rsa_bits: 2048,
            validity_days: 365,
            program: Vec::new(),
            timeout_secs: 20,
            max_parallel: 8,
            retry_after_secs: 60,
            ca: LdevidCaConfig::default(),
            est: EstConfig::default(),
        }
    }
}
