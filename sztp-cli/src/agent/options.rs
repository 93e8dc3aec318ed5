//! The agent's options, from the command line and from a TOML file with the same keys.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use sztp_cms::{Certificate, CmsError, Leniency, Signer as _, SigningKey, TrustAnchors};
use sztp_core::device::{Endpoint, EndpointTrust};
use sztp_server::config::ConfigError;
use sztp_voucher::yang::Encoding;

use super::platform::Behaviour;
use crate::arguments;
use crate::failure::Failure;
use crate::files;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// TOML file with the same keys as these options
    #[arg(long, value_name = "F")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// A bootstrap server, https://host[:port]; repeatable, in the order to try
    #[arg(long, value_name = "URL")]
    server: Vec<String>,
    /// Certificates that the servers' TLS certificates must lead to; without any, the servers are
    /// not trusted and only signed data is believed
    #[arg(long, value_name = "F", num_args = 1..)]
    server_ca: Vec<PathBuf>,
    /// The device's IDevID certificate, followed by its intermediates
    #[arg(long, value_name = "F")]
    idevid_cert: Option<PathBuf>,
    /// The IDevID's private key
    #[arg(long, value_name = "F")]
    idevid_key: Option<PathBuf>,
    /// File with the passphrase of an encrypted key; else SZTP_PASSPHRASE, else a prompt
    #[arg(long, value_name = "F")]
    passphrase_file: Option<PathBuf>,
    /// Certificates that voucher signers must lead to: the manufacturer's
    #[arg(long, value_name = "F", num_args = 1..)]
    voucher_anchor: Vec<PathBuf>,
    /// Where to keep what was received and how far things are
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The device's serial number; by default that in the IDevID's subject
    #[arg(long, value_name = "SN")]
    serial_number: Option<String>,
    /// The hardware model, told to trusted servers
    #[arg(long, value_name = "NAME")]
    hw_model: Option<String>,
    /// Name of the operating system that runs, told to trusted servers
    #[arg(long, value_name = "NAME")]
    os_name: Option<String>,
    /// Version of the operating system that runs, told to trusted servers
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// SHA-256 of the image that runs; by default that of the image installed last
    #[arg(long, value_name = "HEX")]
    running_image_sha256: Option<String>,
    /// Encoding of requests
    #[arg(long, value_enum)]
    encoding: Option<EncodingName>,
    /// Send a fresh nonce, which vouchers may then carry
    #[arg(long)]
    send_nonce: bool,
    /// The system's clock is not to be relied on: do not judge validity periods
    #[arg(long)]
    no_clock: bool,
    /// Let known deviations of signatures pass
    #[arg(long)]
    lenient: bool,
    /// Run the scripts that the owner sends
    #[arg(long)]
    allow_scripts: bool,
    /// Seconds that a script or a hook may take (default: 600)
    #[arg(long, value_name = "SECONDS")]
    script_timeout: Option<u64>,
    /// Program that installs a boot image
    #[arg(long, value_name = "PROGRAM")]
    image_hook: Option<PathBuf>,
    /// Program that runs a script, whatever --allow-scripts says
    #[arg(long, value_name = "PROGRAM")]
    script_hook: Option<PathBuf>,
    /// Program that puts a configuration in place
    #[arg(long, value_name = "PROGRAM")]
    config_hook: Option<PathBuf>,
    /// Program that reboots the device
    #[arg(long, value_name = "PROGRAM")]
    reboot_hook: Option<PathBuf>,
}

/// Everything that a bootstrap needs, read and checked.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) serial_number: String,
    pub(super) chain: Vec<Certificate>,
    pub(super) key: SigningKey,
    pub(super) voucher_anchors: TrustAnchors,
    pub(super) servers: Vec<Endpoint>,
    pub(super) hw_model: Option<String>,
    pub(super) os_name: Option<String>,
    pub(super) os_version: Option<String>,
    pub(super) running_image_sha256: Option<[u8; 32]>,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) encoding: Encoding,
    pub(super) leniency: Leniency,
    pub(super) no_clock: bool,
    pub(super) state_dir: PathBuf,
    pub(super) behaviour: Behaviour,
}

impl Options {
    pub(super) fn prepare(self) -> Result<Prepared, Failure> {
        let options = match &self.config {
            Some(path) => {
                let text = files::read_text(path)?;
                let file: Self = toml::from_str(&text).map_err(|error| {
                    let error = ConfigError::from_toml(&error);
                    Failure::usage(error.code(), &error).at(path)
                })?;
                self.before(file)
            }
            None => self,
        };
        let idevid_cert = required(options.idevid_cert.as_ref(), "idevid-cert")?;
        let idevid_key = required(options.idevid_key.as_ref(), "idevid-key")?;
        let state_dir = required(options.state_dir.as_ref(), "state-dir")?;
        let servers = options.endpoints()?;
        if options.voucher_anchor.is_empty() && options.server_ca.is_empty() {
            return Err(Failure::usage(
                "usage.nothing-trusted",
                "neither --voucher-anchor nor --server-ca is given: nothing could be believed",
            ));
        }
        let running_image_sha256 = options
            .running_image_sha256
            .as_deref()
            .map(arguments::sha256_hex)
            .transpose()
            .map_err(|problem| {
                Failure::usage("usage.value", format!("--running-image-sha256: {problem}"))
            })?;
        let chain = files::read_certificates(&idevid_cert)?;
        let key = files::read_key(&idevid_key, options.passphrase_file.as_deref())?;
        if chain[0].spki_der() != key.spki_der() {
            return Err(Failure::from(CmsError::KeyMismatch).at(&idevid_key));
        }
        let serial_number = options
            .serial_number
            .or_else(|| chain[0].serial_number_attribute())
            .ok_or_else(|| {
                Failure::usage(
                    "usage.no-serial-number",
                    "the IDevID certificate's subject has no serialNumber",
                )
                .at(&idevid_cert)
                .hint("give --serial-number")
            })?;
        Ok(Prepared {
            voucher_anchors: files::read_anchors(&options.voucher_anchor)?,
            servers,
            hw_model: options.hw_model,
            os_name: options.os_name,
            os_version: options.os_version,
            running_image_sha256,
            nonce: if options.send_nonce {
                Some(fresh_nonce()?)
            } else {
                None
            },
            encoding: options.encoding.unwrap_or(EncodingName::Json).into(),
            leniency: Leniency {
                ec_public_key_as_signature_algorithm: options.lenient,
            },
            no_clock: options.no_clock,
            behaviour: Behaviour {
                serial_number: serial_number.clone(),
                state_dir: state_dir.clone(),
                allow_scripts: options.allow_scripts,
                timeout: Duration::from_secs(options.script_timeout.unwrap_or(600)),
                image_hook: options.image_hook,
                script_hook: options.script_hook,
                config_hook: options.config_hook,
                reboot_hook: options.reboot_hook,
            },
            serial_number,
            chain,
            key,
            state_dir,
        })
    }

    /// These options, and what they leave open as the file has it.
    fn before(self, file: Self) -> Self {
        fn either<T>(ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if ours.is_empty() { theirs } else { ours }
        }
        Self {
            config: self.config,
            server: either(self.server, file.server),
            server_ca: either(self.server_ca, file.server_ca),
            idevid_cert: self.idevid_cert.or(file.idevid_cert),
            idevid_key: self.idevid_key.or(file.idevid_key),
            passphrase_file: self.passphrase_file.or(file.passphrase_file),
            voucher_anchor: either(self.voucher_anchor, file.voucher_anchor),
            state_dir: self.state_dir.or(file.state_dir),
            serial_number: self.serial_number.or(file.serial_number),
            hw_model: self.hw_model.or(file.hw_model),
            os_name: self.os_name.or(file.os_name),
            os_version: self.os_version.or(file.os_version),
            running_image_sha256: self.running_image_sha256.or(file.running_image_sha256),
            encoding: self.encoding.or(file.encoding),
            send_nonce: self.send_nonce || file.send_nonce,
            no_clock: self.no_clock || file.no_clock,
            lenient: self.lenient || file.lenient,
            allow_scripts: self.allow_scripts || file.allow_scripts,
            script_timeout: self.script_timeout.or(file.script_timeout),
            image_hook: self.image_hook.or(file.image_hook),
            script_hook: self.script_hook.or(file.script_hook),
            config_hook: self.config_hook.or(file.config_hook),
            reboot_hook: self.reboot_hook.or(file.reboot_hook),
        }
    }

    fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        if self.server.is_empty() {
            return Err(missing("server"));
        }
        let trust = if self.server_ca.is_empty() {
            EndpointTrust::Provisional
        } else {
            EndpointTrust::Anchors(files::read_anchors(&self.server_ca)?)
        };
        let endpoint = |url: &String| {
            let (address, port) = arguments::https_url("--server", url)?;
            Ok(Endpoint {
                address,
                port: port.unwrap_or(443),
                trust: trust.clone(),
            })
        };
        self.server.iter().map(endpoint).collect()
    }
}

/// The encodings of RFC 8572 §7.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EncodingName {
    /// RFC 7951
    Json,
    /// RFC 7950
    Xml,
}

impl From<EncodingName> for Encoding {
    fn from(name: EncodingName) -> Self {
        match name {
            EncodingName::Json => Self::Json,
            EncodingName::Xml => Self::Xml,
        }
    }
}

fn required(value: Option<&PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    value.cloned().ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Failure {
    Failure::usage(
        "usage.missing-option",
        format!("--{name} is needed, here or in the configuration file"),
    )
}

fn fresh_nonce() -> Result<Vec<u8>, Failure> {
    let mut nonce = vec![0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::new("agent.random", format!("no randomness: {error}")))?;
    Ok(nonce)
}
