//! `sztp conveyed-info onboarding|redirect`: the documents, from options or from a YAML file.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sztp_cms::certs_only;
use sztp_core::conveyed_info::{
    BootImage, BootstrapServer, ConfigurationHandling, ConveyedInfo, ImageVerification,
    OnboardingInformation, RedirectInformation,
};
use sztp_voucher::yang::Encoding;

use super::show;
use crate::arguments;
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// `sztp conveyed-info onboarding`. Options come before what `--from` says.
#[derive(Debug, Args)]
pub(crate) struct Onboarding {
    /// YAML file that says the same as the options; see below
    #[arg(long, value_name = "YAML")]
    from: Option<PathBuf>,
    /// Name of the operating system that must be running
    #[arg(long, value_name = "NAME")]
    os_name: Option<String>,
    /// Version of the operating system that must be running
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Where to get the image; repeatable, in order of preference
    #[arg(long, value_name = "URI")]
    download_uri: Vec<String>,
    /// The image: its SHA-256 is put in
    #[arg(long, value_name = "F", conflicts_with = "image_sha256")]
    image: Option<PathBuf>,
    /// The image's SHA-256 in hexadecimal, with or without colons
    #[arg(long, value_name = "HEX", value_parser = arguments::sha256_hex)]
    image_sha256: Option<[u8; 32]>,
    /// The configuration, in the device's own format
    #[arg(long, value_name = "F")]
    configuration: Option<PathBuf>,
    /// Merge the configuration into the running one, or replace it
    #[arg(long, value_enum, value_name = "HOW")]
    configuration_handling: Option<Handling>,
    /// Script to run before the configuration is applied
    #[arg(long, value_name = "F")]
    pre_configuration_script: Option<PathBuf>,
    /// Script to run after the configuration is applied
    #[arg(long, value_name = "F")]
    post_configuration_script: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

impl Onboarding {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let mut info = match &self.from {
            Some(path) => read_yaml::<OnboardingDocument>(path)?.into_info(path)?,
            None => OnboardingInformation::default(),
        };
        let mut image = info.boot_image.take().unwrap_or_default();
        replace(&mut image.os_name, self.os_name);
        replace(&mut image.os_version, self.os_version);
        if !self.download_uri.is_empty() {
            image.download_uris = self.download_uri;
        }
        let hash = match &self.image {
            Some(path) => Some(hash_of(path)?),
            None => self.image_sha256,
        };
        if let Some(hash) = hash {
            image.image_verification = vec![ImageVerification::sha256(hash)];
        }
        info.boot_image = (image != BootImage::default()).then_some(image);
        replace(
            &mut info.configuration,
            read_optional(self.configuration.as_deref())?,
        );
        replace(
            &mut info.configuration_handling,
            self.configuration_handling.map(Into::into),
        );
        let script = read_optional(self.pre_configuration_script.as_deref())?;
        replace(&mut info.pre_configuration_script, script);
        let script = read_optional(self.post_configuration_script.as_deref())?;
        replace(&mut info.post_configuration_script, script);

        let empty = info == OnboardingInformation::default();
        let report = self.target.write(&ConveyedInfo::Onboarding(info))?;
        Ok(if empty {
            report.note("the onboarding information asks for nothing")
        } else {
            report
        })
    }
}

/// `sztp conveyed-info redirect`.
#[derive(Debug, Args)]
pub(crate) struct Redirect {
    /// YAML file that says the same as the options; see below
    #[arg(long, value_name = "YAML", required_unless_present = "server")]
    from: Option<PathBuf>,
    /// A bootstrap server; repeatable, in order of preference
    #[arg(long, value_name = "HOST[:PORT]", value_parser = arguments::server, conflicts_with = "from")]
    server: Vec<(String, Option<u16>)>,
    /// Certificates that the servers' TLS certificates lead to; for all servers
    #[arg(long, value_name = "F", num_args = 1.., conflicts_with = "from")]
    trust_anchor: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
}

impl Redirect {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let info = if let Some(path) = &self.from {
            read_yaml::<RedirectDocument>(path)?.into_info(path)?
        } else {
            let trust_anchor = trust_anchor(&self.trust_anchor)?;
            let entry = |(address, port)| BootstrapServer {
                address,
                port,
                trust_anchor: trust_anchor.clone(),
            };
            RedirectInformation {
                bootstrap_servers: self.server.into_iter().map(entry).collect(),
            }
        };
        self.target.write(&ConveyedInfo::Redirect(info))
    }
}

/// Where a document goes and in which encoding.
#[derive(Debug, Args)]
struct Target {
    /// The encoding; by default XML for a name that ends in .xml, else JSON
    #[arg(long, value_enum)]
    format: Option<DocumentFormat>,
    /// Where to write the document
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

impl Target {
    fn write(&self, info: &ConveyedInfo) -> Result<Report, Failure> {
        info.check()?;
        let xml = self
            .out
            .extension()
            .is_some_and(|extension| extension == "xml");
        let encoding = match self.format {
            Some(DocumentFormat::Xml) => Encoding::Xml,
            None if xml => Encoding::Xml,
            Some(DocumentFormat::Json) | None => Encoding::Json,
        };
        files::write(&self.out, &info.encode(encoding))?;
        let mut text = Text::default();
        show::rows(&mut text, info);
        text.row("written to", &self.out.display().to_string());
        let data = json!({ "file": self.out, "content": show::json(info) });
        Ok(Report::new(text, data))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DocumentFormat {
    /// RFC 7951
    Json,
    /// RFC 7950
    Xml,
}

/// The names in YANG.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Handling {
    /// Into the running configuration
    Merge,
    /// Instead of the running configuration
    Replace,
}

impl From<Handling> for ConfigurationHandling {
    fn from(handling: Handling) -> Self {
        match handling {
            Handling::Merge => Self::Merge,
            Handling::Replace => Self::Replace,
        }
    }
}

/// Onboarding information as people write it: text inline, or the name of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct OnboardingDocument {
    boot_image: Option<BootImageDocument>,
    configuration_handling: Option<Handling>,
    configuration: Option<String>,
    configuration_file: Option<PathBuf>,
    pre_configuration_script: Option<String>,
    pre_configuration_script_file: Option<PathBuf>,
    post_configuration_script: Option<String>,
    post_configuration_script_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct BootImageDocument {
    os_name: Option<String>,
    os_version: Option<String>,
    download_uri: Vec<String>,
    image_file: Option<PathBuf>,
    sha256: Option<String>,
}

impl OnboardingDocument {
    fn into_info(self, path: &Path) -> Result<OnboardingInformation, Failure> {
        let content = |name: &str, text: Option<String>, file: Option<PathBuf>| match (text, file) {
            (Some(_), Some(_)) => Err(Failure::new(
                "document.ambiguous",
                format!("both {name} and {name}-file are given"),
            )
            .at(path)),
            (Some(text), None) => Ok(Some(text.into_bytes())),
            (None, file) => read_optional(file.map(|file| beside(path, &file)).as_deref()),
        };
        Ok(OnboardingInformation {
            boot_image: self
                .boot_image
                .map(|image| image.into_info(path))
                .transpose()?,
            configuration_handling: self.configuration_handling.map(Into::into),
            configuration: content("configuration", self.configuration, self.configuration_file)?,
            pre_configuration_script: content(
                "pre-configuration-script",
                self.pre_configuration_script,
                self.pre_configuration_script_file,
            )?,
            post_configuration_script: content(
                "post-configuration-script",
                self.post_configuration_script,
                self.post_configuration_script_file,
            )?,
        })
    }
}

impl BootImageDocument {
    fn into_info(self, path: &Path) -> Result<BootImage, Failure> {
        let hash = match (self.sha256, self.image_file) {
            (Some(text), _) => Some(arguments::sha256_hex(&text).map_err(|problem| {
                Failure::new("document.value", format!("sha256: {problem}")).at(path)
            })?),
            (None, Some(file)) => Some(hash_of(&beside(path, &file))?),
            (None, None) => None,
        };
        Ok(BootImage {
            os_name: self.os_name,
            os_version: self.os_version,
            download_uris: self.download_uri,
            image_verification: hash.into_iter().map(ImageVerification::sha256).collect(),
        })
    }
}

/// Redirect information as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RedirectDocument {
    bootstrap_server: Vec<ServerDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerDocument {
    address: String,
    port: Option<u16>,
    #[serde(default)]
    trust_anchor_files: Vec<PathBuf>,
}

impl RedirectDocument {
    fn into_info(self, path: &Path) -> Result<RedirectInformation, Failure> {
        let mut bootstrap_servers = Vec::new();
        for entry in self.bootstrap_server {
            let anchors: Vec<PathBuf> = entry
                .trust_anchor_files
                .iter()
                .map(|file| beside(path, file))
                .collect();
            bootstrap_servers.push(BootstrapServer {
                address: entry.address,
                port: entry.port,
                trust_anchor: trust_anchor(&anchors)?,
            });
        }
        Ok(RedirectInformation { bootstrap_servers })
    }
}

fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = files::read_text(path)?;
    serde_norway::from_str(&text).map_err(|error| {
        Failure::new("document.yaml", error)
            .at(path)
            .hint("the command's --help shows an example")
    })
}

fn read_optional(path: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    path.map(files::read).transpose()
}

/// A path as the document means it: relative to itself.
fn beside(document: &Path, file: &Path) -> PathBuf {
    document.parent().unwrap_or(Path::new("")).join(file)
}

fn replace<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

/// Images are large: hashed as they are read.
fn hash_of(path: &Path) -> Result<[u8; 32], Failure> {
    let mut hasher = HashWriter(Sha256::new());
    File::open(path)
        .and_then(|mut file| std::io::copy(&mut file, &mut hasher))
        .map_err(|error| {
            Failure::new("file.unreadable", format!("cannot be read: {error}")).at(path)
        })?;
    Ok(hasher.0.finalize().into())
}

struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The certs-only CMS of RFC 8572 §2.1.
fn trust_anchor(paths: &[PathBuf]) -> Result<Option<Vec<u8>>, Failure> {
    let certificates = files::read_all_certificates(paths)?;
    if certificates.is_empty() {
        return Ok(None);
    }
    Ok(Some(certs_only(&certificates, &[])?))
}
