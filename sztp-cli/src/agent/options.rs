//! The agent's options, from the command line and from a TOML file with the same keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use sztp_cms::Certificate;
use sztp_cms::{CmsError, Leniency, TlsVersions, TrustAnchors};
use sztp_core::csr::CsrSupport;
use sztp_core::device::{Backoff, Endpoint, EndpointTrust, Source};
use sztp_core::dns::DomainName;
use sztp_voucher::yang::Encoding;

use super::dhcp::{self, Asking};
use super::dns::{self, Dns};
use super::idevid_key::IdevidKey;
use super::own_certificate::{self, Applicant, CsrKey};
use super::platform::Behaviour;
use super::reported::Reported;
use super::sources::{Artifacts, DeviceSources, spoken_of};
use super::story::Log;
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
    /// File with a bootstrap server on each line, after those of --server; # begins a comment
    #[arg(long, value_name = "F")]
    servers_file: Option<PathBuf>,
    /// Certificates that the TLS certificates of these servers must lead to, in files or in
    /// directories; without any, the servers are not trusted and only signed data is believed
    #[arg(long, value_name = "F", num_args = 1..)]
    server_ca: Vec<PathBuf>,
    /// The device's IDevID certificate, followed by its intermediates
    #[arg(long, value_name = "F")]
    idevid_cert: Option<PathBuf>,
    /// The IDevID's private key: a file, or a pkcs11: URI (RFC 7512)
    #[arg(long, value_name = "F|URI")]
    idevid_key: Option<PathBuf>,
    /// PKCS#11 module, where the URI has no module-path
    #[arg(long, value_name = "F")]
    pkcs11_module: Option<PathBuf>,
    /// File with the passphrase of an encrypted key or the PIN of a token; else SZTP_PASSPHRASE,
    /// else a prompt for the passphrase
    #[arg(long, value_name = "F")]
    passphrase_file: Option<PathBuf>,
    /// Where to look, in order, separated by commas; by default wherever other options name
    /// something, the local ones first
    #[arg(long, value_enum, value_delimiter = ',')]
    source: Vec<SourceName>,
    /// Directory on which removable storage is mounted; by default those below /media and
    /// /run/media
    #[arg(long, value_name = "DIR", num_args = 1..)]
    removable: Vec<PathBuf>,
    /// Conveyed information in a file, looked at as removable storage is
    #[arg(long, value_name = "F")]
    conveyed_information: Option<PathBuf>,
    /// The owner certificate that goes with it
    #[arg(long, value_name = "F", requires = "conveyed_information")]
    owner_certificate: Option<PathBuf>,
    /// The ownership voucher that goes with it
    #[arg(long, value_name = "F", requires = "conveyed_information")]
    voucher: Option<PathBuf>,
    /// Lease of a DHCP client, which may have option 143 or 136; by default those in the usual
    /// places
    #[arg(long, value_name = "F", num_args = 1..)]
    dhcp_lease: Vec<PathBuf>,
    /// Ask DHCP servers for options 143 and 136 on this network interface, which must have an
    /// address; all: on each that has one. Leases are then read only where --dhcp-lease names
    /// them. Needs root or CAP_NET_BIND_SERVICE; repeatable
    #[arg(long, value_name = "INTERFACE")]
    dhcp_ask: Vec<String>,
    /// Seconds in which a DHCP server must have answered (default: 10)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    dhcp_timeout: Option<u64>,
    /// DNS server, ADDRESS[:PORT]; repeatable; by default those of the system
    #[arg(long, value_name = "ADDRESS")]
    dns_server: Vec<String>,
    /// Domain to ask DNS servers about; repeatable; by default those of the system
    #[arg(long, value_name = "DOMAIN")]
    dns_domain: Vec<String>,
    /// Certificates that voucher signers must lead to, in files or in directories: the
    /// manufacturer's
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
    /// Keys with which the device offers to ask for a certificate of the owner's (RFC 9646), separated
    /// by commas; by default it asks for none
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KEY")]
    csr_support: Vec<CsrKey>,
    /// Public key of the device's SSH server, as OpenSSH writes it, reported to the server that has
    /// bootstrapped the device (RFC 8572 section 7.3)
    #[arg(long, value_name = "F", num_args = 1..)]
    ssh_host_key: Vec<PathBuf>,
    /// Chain of authorities above a certificate that the device proves itself with later, from the
    /// root down, reported likewise
    #[arg(long, value_name = "F", num_args = 1..)]
    trust_anchor_cert: Vec<PathBuf>,
    /// Send a fresh nonce, which vouchers may then carry
    #[arg(long)]
    send_nonce: bool,
    /// The system's clock is not to be relied on: do not judge validity periods
    #[arg(long)]
    no_clock: bool,
    /// Let known deviations of signatures pass
    #[arg(long)]
    lenient: bool,
    /// The oldest version of TLS that is spoken with bootstrap servers (default: 1.2)
    #[arg(long, value_enum, value_name = "VERSION")]
    tls_min: Option<TlsMin>,
    /// Seconds in which a server must have connected, and then have answered (default: 30)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    server_timeout: Option<u64>,
    /// Redirects within redirects that are followed (default: 10, which is the most)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    max_redirects: Option<u8>,
    /// Look again and again, with growing pauses, until the device is bootstrapped
    #[arg(long)]
    daemon: bool,
    /// Seconds of the first pause of --daemon, of which chance takes up to a half (default: 10)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    backoff_first: Option<u64>,
    /// Seconds of the longest pause of --daemon (default: 600)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    backoff_most: Option<u64>,
    /// Names this boot, so that a reboot is noticed; by default what Linux calls it
    #[arg(long, value_name = "ID")]
    boot_id: Option<String>,
    /// How is told on stderr what is happening (default: text)
    #[arg(long, value_enum)]
    log: Option<Log>,
    /// Directory for what `sztp agent bootstrap` has validated; replaced as a whole
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run the scripts that the owner sends; without this, and without --script-hook, data with
    /// scripts is refused
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
    pub(super) key: IdevidKey,
    pub(super) voucher_anchors: TrustAnchors,
    pub(super) servers: Vec<Endpoint>,
    pub(super) order: Vec<Source>,
    pub(super) sources: DeviceSources,
    pub(super) tls_versions: TlsVersions,
    pub(super) server_timeout: Duration,
    pub(super) max_redirects: usize,
    pub(super) retry: Option<Backoff>,
    pub(super) boot_id: Option<String>,
    pub(super) seed: u64,
    pub(super) log: Log,
    pub(super) hw_model: Option<String>,
    pub(super) os_name: Option<String>,
    pub(super) os_version: Option<String>,
    pub(super) running_image_sha256: Option<[u8; 32]>,
    pub(super) csr_support: Option<CsrSupport>,
    pub(super) reported: Reported,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) encoding: Encoding,
    pub(super) leniency: Leniency,
    pub(super) no_clock: bool,
    pub(super) state_dir: PathBuf,
    pub(super) behaviour: Behaviour,
}

impl Options {
    /// These options, with the configuration file behind them.
    pub(super) fn with_file(self) -> Result<Self, Failure> {
        let Some(path) = &self.config else {
            return Ok(self);
        };
        let text = files::read_text(path)?;
        let file: Self = toml::from_str(&text).map_err(|error| not_understood(&error).at(path))?;
        Ok(self.before(file))
    }

    /// Where `sztp agent bootstrap` puts what it has validated.
    pub(super) fn out(&self) -> Result<PathBuf, Failure> {
        required(self.out.as_ref(), "out")
    }

    /// Reads what the options name.
    pub(super) fn prepare(self) -> Result<Prepared, Failure> {
        let options = self;
        let idevid_cert = required(options.idevid_cert.as_ref(), "idevid-cert")?;
        let idevid_key = required(options.idevid_key.as_ref(), "idevid-key")?;
        let state_dir = required(options.state_dir.as_ref(), "state-dir")?;
        let servers = options.endpoints()?;
        let sources = options.sources()?;
        let order = options.order(&sources, !servers.is_empty());
        if order.is_empty() || (order.contains(&Source::BootstrapServers) && servers.is_empty()) {
            return Err(missing("server").hint(
                "or name another source, as with --removable, --dhcp-lease, --dhcp-ask or --source dns",
            ));
        }
        let retry = options.retry();
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
        let key = IdevidKey::open(
            &idevid_key,
            options.pkcs11_module.as_deref(),
            options.passphrase_file.as_deref(),
        )?;
        if chain[0].spki_der() != key.signer().spki_der() {
            return Err(Failure::from(CmsError::KeyMismatch).at(&idevid_cert));
        }
        let csr_support = own_certificate::support(&options.csr_support);
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
            voucher_anchors: read_anchors(&options.voucher_anchor)?,
            servers,
            order,
            sources,
            retry,
            tls_versions: match options.tls_min {
                Some(TlsMin::Tls13) => TlsVersions::From13,
                Some(TlsMin::Tls12) | None => TlsVersions::All,
            },
            max_redirects: options.max_redirects.unwrap_or(10).into(),
            server_timeout: Duration::from_secs(options.server_timeout.unwrap_or(30)),
            boot_id: options.boot_id.or_else(boot_id),
            seed: seed()?,
            log: options.log.unwrap_or_default(),
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
                applicant: csr_support.as_ref().map(|_| Applicant {
                    idevid: chain[0].clone(),
                    key: key.signer(),
                }),
            },
            csr_support,
            reported: Reported::read(&options.ssh_host_key, &options.trust_anchor_cert)?,
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
            servers_file: self.servers_file.or(file.servers_file),
            source: either(self.source, file.source),
            removable: either(self.removable, file.removable),
            conveyed_information: self.conveyed_information.or(file.conveyed_information),
            owner_certificate: self.owner_certificate.or(file.owner_certificate),
            voucher: self.voucher.or(file.voucher),
            dhcp_lease: either(self.dhcp_lease, file.dhcp_lease),
            dhcp_ask: either(self.dhcp_ask, file.dhcp_ask),
            dhcp_timeout: self.dhcp_timeout.or(file.dhcp_timeout),
            dns_server: either(self.dns_server, file.dns_server),
            dns_domain: either(self.dns_domain, file.dns_domain),
            tls_min: self.tls_min.or(file.tls_min),
            server_timeout: self.server_timeout.or(file.server_timeout),
            max_redirects: self.max_redirects.or(file.max_redirects),
            daemon: self.daemon || file.daemon,
            backoff_first: self.backoff_first.or(file.backoff_first),
            backoff_most: self.backoff_most.or(file.backoff_most),
            boot_id: self.boot_id.or(file.boot_id),
            log: self.log.or(file.log),
            out: self.out.or(file.out),
            server_ca: either(self.server_ca, file.server_ca),
            idevid_cert: self.idevid_cert.or(file.idevid_cert),
            idevid_key: self.idevid_key.or(file.idevid_key),
            pkcs11_module: self.pkcs11_module.or(file.pkcs11_module),
            passphrase_file: self.passphrase_file.or(file.passphrase_file),
            csr_support: either(self.csr_support, file.csr_support),
            ssh_host_key: either(self.ssh_host_key, file.ssh_host_key),
            trust_anchor_cert: either(self.trust_anchor_cert, file.trust_anchor_cert),
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
        let mut urls = self.server.clone();
        if let Some(path) = &self.servers_file {
            let text = files::read_text(path)?;
            let lines = text
                .lines()
                .map(|line| line.split('#').next().unwrap_or(line).trim());
            urls.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        }
        let trust = if self.server_ca.is_empty() {
            EndpointTrust::Provisional
        } else {
            EndpointTrust::Anchors(read_anchors(&self.server_ca)?)
        };
        let endpoint = |url: &String| {
            let (address, port) = arguments::https_url("--server", url)?;
            Ok(Endpoint {
                address,
                port: port.unwrap_or(443),
                trust: trust.clone(),
            })
        };
        urls.iter().map(endpoint).collect()
    }

    fn sources(&self) -> Result<DeviceSources, Failure> {
        let bad = |problem: String| Failure::usage("usage.value", problem);
        // The command line has been judged; the file has not.
        if self
            .dhcp_timeout
            .is_some_and(|secs| !(1..=600).contains(&secs))
        {
            return Err(bad("dhcp-timeout is not from 1 to 600 seconds".to_owned()));
        }
        let servers = self.dns_server.iter();
        let servers = servers.map(|text| dns::server(text).map_err(&bad));
        let domains = self.dns_domain.iter();
        let domains = domains.map(|text| {
            DomainName::parse(text).map_err(|error| bad(format!("--dns-domain {text:?}: {error}")))
        });
        let artifacts = self.conveyed_information.clone();
        Ok(DeviceSources::new(
            artifacts.map(|conveyed_information| Artifacts {
                conveyed_information,
                owner_certificate: self.owner_certificate.clone(),
                voucher: self.voucher.clone(),
            }),
            self.removable.clone(),
            self.dhcp_lease.clone(),
            self.asking(),
            Dns {
                servers: servers.collect::<Result<_, _>>()?,
                domains: domains.collect::<Result<_, _>>()?,
            },
            self.log.unwrap_or_default(),
        ))
    }

    fn asking(&self) -> Option<Asking> {
        let patience = self.dhcp_timeout.map(Duration::from_secs);
        // No interface of Linux can have this name.
        let all = self.dhcp_ask.iter().any(|name| name == "all");
        (!self.dhcp_ask.is_empty()).then(|| Asking {
            interfaces: if all {
                Vec::new()
            } else {
                self.dhcp_ask.clone()
            },
            patience: patience.unwrap_or(dhcp::PATIENCE),
        })
    }

    fn order(&self, sources: &DeviceSources, servers: bool) -> Vec<Source> {
        if self.source.is_empty() {
            spoken_of(sources, servers)
        } else {
            self.source.iter().copied().map(Source::from).collect()
        }
    }

    fn retry(&self) -> Option<Backoff> {
        let usual = Backoff::default();
        let seconds = |given: Option<u64>, usual| given.map_or(usual, Duration::from_secs);
        self.daemon.then(|| Backoff {
            first: seconds(self.backoff_first, usual.first),
            most: seconds(self.backoff_most, usual.most),
        })
    }
}

/// The sources of RFC 8572 §4.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SourceName {
    /// Files on removable storage
    RemovableStorage,
    /// DHCP options 143 and 136, from leases or from servers that are asked
    Dhcp,
    /// TXT and SRV records, by multicast and from DNS servers
    Dns,
    /// The servers of --server
    BootstrapServers,
}

impl From<SourceName> for Source {
    fn from(name: SourceName) -> Self {
        match name {
            SourceName::RemovableStorage => Self::RemovableStorage,
            SourceName::Dhcp => Self::Dhcp,
            SourceName::Dns => Self::Dns,
            SourceName::BootstrapServers => Self::BootstrapServers,
        }
    }
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
enum TlsMin {
    /// RFC 5246
    #[value(name = "1.2")]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446
    #[value(name = "1.3")]
    #[serde(rename = "1.3")]
    Tls13,
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

/// What is said of a file in which a key does not exist or has no value that fits.
fn not_understood(error: &toml::de::Error) -> Failure {
    // The message names the key, and then those that there are.
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(key) if message.starts_with("unknown field") => {
            let edits = |known: &&str| strsim::levenshtein(key, known);
            let near = |known: &&str| edits(known) <= known.len().max(key.len()) / 2;
            let nearest = quoted.min_by_key(edits).filter(near);
            let meant = nearest.map_or_else(String::new, |key| format!("; did you mean `{key}`?"));
            Failure::usage("config.unknown-key", format!("unknown key `{key}`{meant}"))
        }
        _ => Failure::usage("config.syntax", error.to_string().trim_end()),
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
    fill(&mut nonce)?;
    Ok(nonce)
}

fn seed() -> Result<u64, Failure> {
    let mut octets = [0; 8];
    fill(&mut octets)?;
    Ok(u64::from_ne_bytes(octets))
}

fn fill(octets: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(octets)
        .map_err(|error| Failure::new("agent.random", format!("no randomness: {error}")))
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The certificates of files, and of the certificate files in directories.
fn read_anchors(paths: &[PathBuf]) -> Result<TrustAnchors, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = certificate_files(path)
                .map_err(|error| Failure::new("file.unreadable", error).at(path))?;
            if found.is_empty() {
                let what = "no certificate in the directory (*.pem, *.crt, *.cer, *.der)";
                return Err(Failure::new("file.empty", what).at(path));
            }
            all.extend(found);
        } else {
            all.push(path.clone());
        }
    }
    files::read_anchors(&all)
}

fn certificate_files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)?.take(MAX_ANCHOR_FILES) {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|one| ["pem", "crt", "cer", "der"].contains(&one))
            && path.is_file()
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Entries of a directory with trust anchors that are looked at.
const MAX_ANCHOR_FILES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const EXAMPLE: &str = include_str!("../../dist/agent.toml");

    /// The lines of the example that are keys, put into effect or not.
    fn keys_in_the_example() -> Vec<&'static str> {
        let lines = EXAMPLE.lines().map(|line| line.trim_start_matches('#'));
        lines
            .filter_map(|line| Some((line, line.split_once(" = ")?.0)))
            .filter(|(_, key)| {
                key.bytes()
                    .all(|b| b.is_ascii_lowercase() || b"-2".contains(&b) || b.is_ascii_digit())
            })
            .map(|(line, _)| line)
            .collect()
    }

    #[test]
    fn the_example_has_every_key_and_no_other() {
        let command = Options::augment_args(clap::Command::new("agent"));
        let known: BTreeSet<&str> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|name| *name != "config")
            .collect();
        let lines = keys_in_the_example();
        let shown: BTreeSet<&str> = lines
            .iter()
            .filter_map(|line| Some(line.split_once(" = ")?.0))
            .collect();
        assert_eq!(shown, known);
        assert_eq!(lines.len(), known.len(), "each once");
    }

    #[test]
    fn what_the_example_comments_out_are_the_defaults() {
        toml::from_str::<Options>(EXAMPLE).expect("as it is shipped");
        let all: Options = toml::from_str(&keys_in_the_example().join("\n")).expect("all of it");
        let nothing = Options::default();
        let backoff = |options: &Options| {
            Options {
                daemon: true,
                ..options.clone()
            }
            .retry()
        };
        assert_eq!(backoff(&all), backoff(&nothing));
        assert_eq!(
            (all.server_timeout, all.script_timeout),
            (Some(30), Some(600))
        );
        assert_eq!(all.max_redirects, Some(10));
        assert_eq!(
            all.dhcp_timeout.map(Duration::from_secs),
            Some(dhcp::PATIENCE)
        );
        assert_eq!(all.log, Some(Log::default()));
        assert!(matches!(all.tls_min, Some(TlsMin::Tls12)));
        assert!(matches!(all.encoding, Some(EncodingName::Json)));
        let switches = [all.send_nonce, all.no_clock, all.lenient, all.allow_scripts];
        assert!(!switches.contains(&true));
        let order: Vec<Source> = all.source.into_iter().map(Source::from).collect();
        assert_eq!(order, Source::LOCAL_FIRST);
    }
}
