//! The server's configuration: a TOML file in which every key has a default.
//!
//! A key that does not exist is an error that names the nearest key that does. Relative paths are
//! taken as they are, relative to the working directory.

mod access;
mod crosswork;
mod database;
mod delivery;
mod ldevid;
mod log;
mod vouchers_on_demand;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dialect::{AUTO, Dialects};

pub use crate::dialect::{DialectConfig, MediaTypeForm, Quirks, Signs};
pub use access::{AccessConfig, CertificateRole, OidcConfig, OidcRoles};
pub use crosswork::CrossworkConfig;
pub use database::{DatabaseConfig, DatabaseUrl};
pub use delivery::{
    DeliveryConfig, NetboxTarget, NsoDeviceType, NsoPlatform, NsoTarget, OnboardingConfig,
    TargetConfig, WebhookConfig, WebhookTarget,
};
pub use ldevid::{EstConfig, LdevidCaConfig, LdevidConfig};
pub use log::{LogConfig, LogFormat};
pub use vouchers_on_demand::VouchersOnDemandConfig;

/// Everything that can be set; `Config::default()` runs on `./sztp-data` with a lab PKI.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database, the images, the tokens and the lab PKI live.
    pub data_dir: PathBuf,
    /// Where images lie; none: in the data directory. Several instances share it.
    pub images_dir: Option<PathBuf>,
    /// Where devices connect.
    pub device_listen: SocketAddr,
    /// Where operators connect.
    pub admin_listen: SocketAddr,
    /// What devices call this server, `https://host[:port]`; without it `https://localhost:PORT`.
    pub public_url: Option<String>,
    /// Certificates that IDevID certificates must lead to; none: the lab vendor's.
    pub idevid_anchors: Vec<PathBuf>,
    /// IDevID anchors beneath which certificates may be signed with RSA and SHA-1, as those of
    /// devices made before 2020 are.
    pub idevid_sha1_anchors: Vec<PathBuf>,
    /// Certificates that voucher signers must lead to; none: vouchers are not checked, except
    /// with the lab PKI, whose own MASA is then the anchor.
    pub voucher_anchors: Vec<PathBuf>,
    /// Dialects beside the built-in ones.
    pub dialects: Vec<DialectConfig>,
    /// Who is told what happens to devices.
    pub webhooks: Vec<WebhookConfig>,
    /// Where the server remembers what it knows.
    pub database: DatabaseConfig,
    /// The certificate of both listeners.
    pub tls: TlsConfig,
    /// What conveyed information is signed with.
    pub owner: OwnerConfig,
    /// What devices are answered.
    pub answers: AnswerPolicy,
    /// Who is asked for vouchers that are not there.
    pub vouchers_on_demand: VouchersOnDemandConfig,
    /// Certificates for devices, and who issues them.
    pub ldevid: LdevidConfig,
    /// Who may use the admin API.
    pub access: AccessConfig,
    /// Which systems manage devices once they are provisioned.
    pub onboarding: OnboardingConfig,
    /// How webhooks and onboarding targets are told.
    pub delivery: DeliveryConfig,
    /// The calls of Crosswork ZTP.
    pub crosswork: CrossworkConfig,
    /// How the log is written.
    pub log: LogConfig,
    /// How much a client may ask of the server.
    pub limits: ServerLimits,
}

/// The TLS identity; all absent: the lab PKI's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// End-entity certificate, then intermediates (PEM).
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// File with the passphrase of the private key; or else the environment variable
    /// `SZTP_TLS_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// What devices need in order to trust it, handed out in redirects to this server.
    pub trust_anchor: Option<PathBuf>,
    /// Certificates of another kind for clients that cannot judge the first, as RSA beside ECDSA.
    pub additional: Vec<TlsPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsPair {
    /// End-entity certificate, then intermediates (PEM).
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The owner's signing identity (RFC 8572 §3.2); all absent: the lab PKI's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnerConfig {
    /// The owner certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key: a file, or a `pkcs11:` URI (RFC 7512).
    pub key: Option<PathBuf>,
    /// File with the passphrase of the private key, or the PIN of its token; or else the
    /// environment variable `SZTP_OWNER_KEY_PASSPHRASE` has it.
    pub key_passphrase_file: Option<PathBuf>,
    /// The PKCS#11 module of the token, if the URI does not name it.
    pub pkcs11_module: Option<PathBuf>,
    /// Intermediates up to the pinned-domain-cert.
    pub chain: Vec<PathBuf>,
}

/// Rules that hold for all devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerPolicy {
    /// A device that does not trust this server is sent back to it with its trust anchor
    /// (RFC 8572 Appendix B).
    pub promote: bool,
    /// Sign for trusting devices too, whenever the device has a voucher.
    pub sign: bool,
    /// Unsigned onboarding information may be given to a device that trusts this server.
    pub allow_unsigned: bool,
    /// Provisioned devices may ask again without a reset by the operator.
    pub reprovision: bool,
    /// Seconds without a word from a device that is `InProgress`, after which it counts as failed;
    /// 0: never.
    pub progress_timeout_secs: u64,
    /// Devices without certificate may prove who they are by serial number and activation code
    /// (HTTP Basic), if they have a code.
    pub activation_codes: bool,
    /// How devices want to be answered: the name of a dialect, or `auto`, which recognises it from
    /// the request.
    pub dialect: String,
}

/// Bounds on clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Largest request body on the device listener.
    pub max_body_bytes: usize,
    /// Connections at a time on each listener.
    pub max_connections: usize,
    /// Of these, from one address (of IPv6, from one /64); more wait as long as a handshake may
    /// take. 0: any number.
    pub max_connections_per_address: usize,
    /// Requests of devices that are worked on at a time; more are answered 503 and come again.
    pub max_requests: usize,
    /// Downloads at a time; more are answered 503 and come again.
    pub max_downloads: usize,
    /// Event streams at a time.
    pub max_event_streams: usize,
    /// Seconds for a TLS handshake.
    pub handshake_timeout_secs: u64,
    /// Seconds for a request's header, and for a connection to stay idle.
    pub header_timeout_secs: u64,
    /// Seconds for a request's body.
    pub body_timeout_secs: u64,
    /// Seconds for open requests to end when the server stops.
    pub drain_secs: u64,
    /// Seconds in which a client must take or send something while a request is open.
    pub stall_timeout_secs: u64,
    /// Largest request body on the admin listener, other than images.
    pub max_admin_body_bytes: usize,
    /// Largest image in bytes.
    pub max_image_bytes: u64,
    /// Largest configuration or script in bytes, as uploaded and as filled in.
    pub max_configuration_bytes: usize,
    /// Reports of one device per minute; more are answered 503 and come again, but for those that
    /// change its state. 0: any number.
    pub reports_per_minute: u32,
    /// Lines of a device's history that are kept, and some more for a while.
    pub history_entries: u32,
    /// Octets of what these lines say that are kept.
    pub history_bytes: u64,
}

impl Config {
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
        let config: Self = toml::from_str(text).map_err(|error| from_toml_error(&error))?;
        config.check()?;
        Ok(config)
    }

    /// A configuration on another data directory with both listeners on a free loopback port:
    /// what tests and the demonstration want.
    #[must_use]
    pub fn loopback(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            device_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..Self::default()
        }
    }

    /// What types cannot say: keys that need each other, sizes that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(ConfigError::Incomplete {
                have: "one of tls.certificate and tls.key",
                need: "both",
            });
        }
        if self.owner.certificate.is_some() != self.owner.key.is_some() {
            return Err(ConfigError::Incomplete {
                have: "one of owner.certificate and owner.key",
                need: "both",
            });
        }
        self.access.check()?;
        self.vouchers_on_demand.check()?;
        self.ldevid.check()?;
        self.delivery.check()?;
        self.crosswork.check()?;
        delivery::check_targets(&self.webhooks, &self.onboarding)?;
        let dialects = Dialects::new(&self.dialects)?;
        dialects
            .check(&self.answers.dialect)
            .map_err(|problem| ConfigError::Value {
                key: "answers.dialect",
                problem,
            })?;
        if let Some(url) = &self.public_url {
            split_public_url(url)?;
        }
        for (key, value) in [
            ("limits.max_body_bytes", self.limits.max_body_bytes as u64),
            ("limits.max_connections", self.limits.max_connections as u64),
            ("limits.max_requests", self.limits.max_requests as u64),
            ("limits.max_downloads", self.limits.max_downloads as u64),
            (
                "limits.handshake_timeout_secs",
                self.limits.handshake_timeout_secs,
            ),
            (
                "limits.header_timeout_secs",
                self.limits.header_timeout_secs,
            ),
            ("limits.body_timeout_secs", self.limits.body_timeout_secs),
            ("limits.stall_timeout_secs", self.limits.stall_timeout_secs),
            (
                "limits.history_entries",
                u64::from(self.limits.history_entries),
            ),
            (
                "limits.max_admin_body_bytes",
                self.limits.max_admin_body_bytes as u64,
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
}

/// Host and port of `https://host[:port]`, without a path.
pub(crate) fn split_public_url(url: &str) -> Result<(String, u16), ConfigError> {
    let problem = |problem: &str| ConfigError::Value {
        key: "public_url",
        problem: format!("`{url}`: {problem}"),
    };
    let authority = url
        .strip_prefix("https://")
        .ok_or_else(|| problem("must begin with https:// (RFC 8040 section 2.1)"))?
        .trim_end_matches('/');
    let uri: http::uri::Authority = authority
        .parse()
        .map_err(|_| problem("is not https://host[:port]"))?;
    if authority.contains('/') || authority.contains('@') || uri.host().is_empty() {
        return Err(problem("is not https://host[:port]"));
    }
    let port = match uri.port_u16() {
        Some(port) => port,
        None if uri.port().is_none() => 443,
        None => return Err(problem("has a bad port")),
    };
    Ok((uri.host().trim_matches(['[', ']']).to_owned(), port))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./sztp-data"),
            images_dir: None,
            device_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9443)),
            public_url: None,
            idevid_anchors: Vec::new(),
            idevid_sha1_anchors: Vec::new(),
            voucher_anchors: Vec::new(),
            dialects: Vec::new(),
            webhooks: Vec::new(),
            database: DatabaseConfig::default(),
            tls: TlsConfig::default(),
            owner: OwnerConfig::default(),
            answers: AnswerPolicy::default(),
            vouchers_on_demand: VouchersOnDemandConfig::default(),
            ldevid: LdevidConfig::default(),
            access: AccessConfig::default(),
            onboarding: OnboardingConfig::default(),
            delivery: DeliveryConfig::default(),
            crosswork: CrossworkConfig::default(),
            log: LogConfig::default(),
            limits: ServerLimits::default(),
        }
    }
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        Self {
            promote: true,
            sign: true,
            allow_unsigned: true,
            reprovision: false,
            progress_timeout_secs: 24 * 60 * 60,
            activation_codes: false,
            dialect: AUTO.to_owned(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 * 1024,
            max_connections: 1024,
            max_connections_per_address: 512,
            max_requests: 512,
            max_downloads: 256,
            max_event_streams: 64,
            handshake_timeout_secs: 10,
            header_timeout_secs: 15,
            body_timeout_secs: 15,
            drain_secs: 10,
            stall_timeout_secs: 60,
            max_admin_body_bytes: 32 * 1024 * 1024,
            max_image_bytes: 16 * 1024 * 1024 * 1024,
            max_configuration_bytes: 4 * 1024 * 1024,
            reports_per_minute: 600,
            history_entries: 10_000,
            history_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// As written.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A value that cannot work.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// Keys that need each other.
    #[error("there is {have}, but {need} are needed")]
    Incomplete {
        /// What is there.
        have: &'static str,
        /// What is missing.
        need: &'static str,
    },
}

impl ConfigError {
    /// What a TOML reader says of keys and values, for other configurations of the workspace too.
    pub fn from_toml(error: &toml::de::Error) -> Self {
        from_toml_error(error)
    }

    /// Stable code for the command line.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config.unreadable",
            Self::UnknownKey { .. } => "config.unknown-key",
            Self::Syntax(_) => "config.syntax",
            Self::Value { .. } => "config.value",
            Self::Incomplete { .. } => "config.incomplete",
        }
    }
}

/// Serde lists the keys it knows in its message: the nearest of these is what was meant.
fn from_toml_error(error: &toml::de::Error) -> ConfigError {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let key = quoted.next().unwrap_or_default().to_owned();
        let nearest = quoted
            .map(|known| (distance(&key, known), known))
            .min()
            .filter(|(edits, known)| *edits <= known.len().max(key.len()) / 2)
            .map(|(_, known)| known.to_owned());
        return ConfigError::UnknownKey { key, nearest };
    }
    ConfigError::Syntax(error.to_string().trim_end().to_owned())
}

/// Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_configured_is_the_default() {
        assert_eq!(Config::from_toml("").unwrap(), Config::default());
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let example = include_str!("../sztp-server.toml.example");
        assert_eq!(Config::from_toml(example).unwrap(), Config::default());
        let written = toml::Table::try_from(Config::default()).unwrap();
        let mut keys: Vec<(&str, &str)> = written.keys().map(|key| ("", key.as_str())).collect();
        for (name, value) in &written {
            let table = value.as_table().into_iter().flatten();
            keys.extend(table.map(|(key, _)| (name.as_str(), key.as_str())));
        }
        for (table, key) in keys {
            // A table within a table has both names.
            let line = |line: &str| {
                let line = line.trim_start_matches(['#', ' ', '[']);
                line.starts_with(key) || line.starts_with(&format!("{table}.{key}"))
            };
            assert!(example.lines().any(line), "{table}.{key}");
        }
    }

    #[test]
    fn unknown_key_names_the_nearest() {
        let error = Config::from_toml("[limits]\nmax_body_byte = 3\n").unwrap_err();
        assert_eq!(
            error,
            ConfigError::UnknownKey {
                key: "max_body_byte".to_owned(),
                nearest: Some("max_body_bytes".to_owned()),
            }
        );
        assert_eq!(error.code(), "config.unknown-key");
        let error = Config::from_toml("zzzzzz = 3\n").unwrap_err();
        assert!(matches!(
            error,
            ConfigError::UnknownKey { nearest: None, .. }
        ));
    }

    #[test]
    fn keys_that_need_each_other() {
        let error = Config::from_toml("[tls]\ncertificate = \"a.pem\"\n").unwrap_err();
        assert_eq!(error.code(), "config.incomplete");
        // LEDGER: 8040-2.1-01
        let error = Config::from_toml("public_url = \"http://a.example\"\n").unwrap_err();
        assert_eq!(error.code(), "config.value");
    }

    #[test]
    fn public_urls() {
        assert_eq!(
            split_public_url("https://a.example").unwrap(),
            ("a.example".to_owned(), 443)
        );
        assert_eq!(
            split_public_url("https://[::1]:8443/").unwrap(),
            ("::1".to_owned(), 8443)
        );
        assert!(split_public_url("https://a.example/path").is_err());
    }

    #[test]
    fn written_out_and_read_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(Config::from_toml(&text).unwrap(), Config::default());
    }
}
