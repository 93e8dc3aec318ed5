//! The configuration of a MASA: a TOML file. What has no default is the vendor's to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::{ServerLimits, TlsConfig};

/// Everything that can be set for a MASA. Relative paths start at the working directory, those in
/// the sales list at the list's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasaConfig {
    /// Where registrars connect.
    pub listen: SocketAddr,
    /// Who may have which device: CSV with the columns `serial-number`, `pinned-domain-cert` and,
    /// if need be, `registrar-anchor`.
    pub sales_list: Option<PathBuf>,
    /// What was decided, one JSON object a line; written and synced before the answer goes out.
    pub audit_log: PathBuf,
    /// The certificate that registrars see.
    pub tls: MasaTlsConfig,
    /// What vouchers are signed with.
    pub signer: MasaSignerConfig,
    /// What is granted.
    pub policy: MasaPolicy,
    /// How much a registrar may ask.
    pub limits: MasaLimits,
}

/// The TLS identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasaTlsConfig {
    /// End-entity certificate, then intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// File with the passphrase of the private key; or else the environment variable
    /// `SZTP_TLS_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
}

/// The voucher signer's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasaSignerConfig {
    /// The signer's certificate, then intermediates up to the devices' voucher anchor.
    pub certificate: PathBuf,
    /// Its private key: a file, or a `pkcs11:` URI (RFC 7512).
    pub key: PathBuf,
    /// File with the passphrase of the private key, or the PIN of its token; or else the
    /// environment variable `SZTP_MASA_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// The PKCS#11 module of the token, if the URI does not name it.
    pub pkcs11_module: Option<PathBuf>,
}

/// The rules by which vouchers are granted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasaPolicy {
    /// Certificates that IDevIDs must lead to, for requests that hold the pledge's own.
    pub idevid_anchors: Vec<PathBuf>,
    /// Every request must hold the pledge's own signed request (RFC 8995 §5.5.5). SZTP devices make
    /// none.
    pub pledge_request_required: bool,
    /// Devices that are not on the sales list go to the registrar that the pledge's own signed
    /// request names, as RFC 8995 §5.5.2 has it; otherwise to nobody.
    pub unlisted_by_pledge_request: bool,
    /// Vouchers are bound to one exchange: no request without a nonce.
    pub nonce_required: bool,
    /// The registrar's certificate must say that it is one (id-kp-cmcRA, RFC 8995 §5.5.4).
    pub registrar_usage_required: bool,
    /// What vouchers assert for devices on the sales list.
    pub assertion: AssertionRule,
    /// Days after which vouchers without a nonce end; 0: never.
    pub validity_days: u32,
    /// Devices have a clock; those that have none get no voucher that ends (RFC 8366 §7.1).
    pub device_has_clock: bool,
    /// Seconds for which a request that says when it was made is taken; 0: for ever.
    pub max_request_age_secs: u32,
}

/// What a voucher asserts (RFC 8366 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionRule {
    /// `verified`, as the sales list says so.
    Verified,
    /// `proximity` where the pledge's own request proves it, else `logged`.
    Evidence,
    /// `logged`.
    Logged,
}

/// Bounds on registrars.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasaLimits {
    /// Octets of a request.
    pub max_body_bytes: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Of these, from one address (of IPv6, from one /64); 0: any number.
    pub max_connections_per_address: usize,
    /// Requests that are worked on at a time; more are to come again (503).
    pub max_requests: usize,
    /// Seconds for a TLS handshake, for a request's header, and for its body.
    pub timeout_secs: u64,
    /// Seconds for open requests to end when the service stops.
    pub drain_secs: u64,
}

impl MasaConfig {
    /// Reads and checks a configuration file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::from_toml(&text)
    }

    /// Parses and checks the text of a configuration file.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::from_toml(&error))?;
        config.check()?;
        Ok(config)
    }

    /// What types cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, path) in [
            ("tls.certificate", &self.tls.certificate),
            ("tls.key", &self.tls.key),
            ("signer.certificate", &self.signer.certificate),
            ("signer.key", &self.signer.key),
        ] {
            if path.as_os_str().is_empty() {
                return Err(ConfigError::Value {
                    key,
                    problem: "is not set".to_owned(),
                });
            }
        }
        let policy = &self.policy;
        let by_pledge = policy.unlisted_by_pledge_request || policy.pledge_request_required;
        if by_pledge && policy.idevid_anchors.is_empty() {
            return Err(ConfigError::Incomplete {
                have: "one of policy.unlisted_by_pledge_request and policy.pledge_request_required",
                need: "policy.idevid_anchors",
            });
        }
        if self.sales_list.is_none() && !policy.unlisted_by_pledge_request {
            return Err(ConfigError::Incomplete {
                have: "neither sales_list nor policy.unlisted_by_pledge_request",
                need: "one of them",
            });
        }
        if policy.validity_days > 0 && !policy.device_has_clock {
            return Err(ConfigError::Incomplete {
                have: "policy.validity_days",
                need: "policy.device_has_clock too",
            });
        }
        for (key, value) in [
            ("limits.max_body_bytes", self.limits.max_body_bytes),
            ("limits.max_connections", self.limits.max_connections),
            ("limits.max_requests", self.limits.max_requests),
            (
                "limits.timeout_secs",
                usize::from(self.limits.timeout_secs > 0),
            ),
        ] {
            if value == 0 {
                return Err(ConfigError::Value {
                    key,
                    problem: "must not be 0".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// What the listener needs to know.
    pub(super) fn server_limits(&self) -> ServerLimits {
        let limits = &self.limits;
        ServerLimits {
            max_body_bytes: limits.max_body_bytes,
            max_connections: limits.max_connections,
            max_connections_per_address: limits.max_connections_per_address,
            handshake_timeout_secs: limits.timeout_secs,
            header_timeout_secs: limits.timeout_secs,
            body_timeout_secs: limits.timeout_secs,
            drain_secs: limits.drain_secs,
            ..ServerLimits::default()
        }
    }

    pub(super) fn tls_config(&self) -> TlsConfig {
        TlsConfig {
            certificate: Some(self.tls.certificate.clone()),
            key: Some(self.tls.key.clone()),
            key_passphrase_file: self.tls.key_passphrase_file.clone(),
            ..TlsConfig::default()
        }
    }
}

impl Default for MasaConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9444)),
            sales_list: None,
            audit_log: PathBuf::from("masa-audit.jsonl"),
            tls: MasaTlsConfig::default(),
            signer: MasaSignerConfig::default(),
            policy: MasaPolicy::default(),
            limits: MasaLimits::default(),
        }
    }
}

impl Default for MasaPolicy {
    fn default() -> Self {
        Self {
            idevid_anchors: Vec::new(),
            pledge_request_required: false,
            unlisted_by_pledge_request: false,
            nonce_required: false,
            registrar_usage_required: true,
            assertion: AssertionRule::Verified,
            validity_days: 0,
            device_has_clock: true,
            max_request_age_secs: 24 * 60 * 60,
        }
    }
}

impl Default for MasaLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 * 1024,
            max_connections: 256,
            max_connections_per_address: 64,
            max_requests: 64,
            timeout_secs: 15,
            drain_secs: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str = "sales_list = \"sales.csv\"\n[tls]\ncertificate = \"tls.crt\"\n\
        key = \"tls.key\"\n[signer]\ncertificate = \"masa.crt\"\nkey = \"masa.key\"\n";

    #[test]
    fn what_is_needed_and_what_is_not() {
        let config = MasaConfig::from_toml(NEEDED).unwrap();
        assert_eq!(config.policy, MasaPolicy::default());
        for (text, code) in [
            ("", "config.value"),
            (
                &NEEDED.replace("sales_list = \"sales.csv\"", ""),
                "config.incomplete",
            ),
            (
                &format!("{NEEDED}[policy]\nunlisted_by_pledge_request = true"),
                "config.incomplete",
            ),
            (
                &format!("{NEEDED}[policy]\nvalidity_days = 3\ndevice_has_clock = false"),
                "config.incomplete",
            ),
            (
                &format!("{NEEDED}[limits]\nmax_requests = 0"),
                "config.value",
            ),
            (
                &format!("{NEEDED}[limits]\nmax_request = 1"),
                "config.unknown-key",
            ),
        ] {
            assert_eq!(
                MasaConfig::from_toml(text).unwrap_err().code(),
                code,
                "{text}"
            );
        }
    }
}
