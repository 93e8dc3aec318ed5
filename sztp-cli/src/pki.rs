//! `sztp pki`: a lab PKI and the IDevIDs of its devices.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use sztp_cms::KeyType;
use sztp_server::lab::{Identity, LabOptions, LabPki};

use crate::arguments::now;
use crate::failure::Failure;
use crate::report::{Report, Text};

/// A lab PKI: vendor, owner and server.
#[derive(Debug, Subcommand)]
pub(crate) enum Pki {
    /// Make a vendor with MASA and IDevID CA, an owner, and a server certificate
    #[command(after_help = "Example:\n  sztp pki init lab --server-name boot.example.net")]
    Init(Init),
    /// Make one device's IDevID certificate and key
    #[command(after_help = "Example:\n  sztp pki idevid lab --serial-number AX7-00042")]
    Idevid(Idevid),
    /// Make the registrar's certificate and key, with which the owner requests vouchers
    #[command(after_help = "Example:\n  sztp pki registrar lab")]
    Registrar(Registrar),
}

impl Pki {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Init(command) => command.run(),
            Self::Idevid(command) => command.run(),
            Self::Registrar(command) => command.run(),
        }
    }
}

/// `sztp pki init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to put it; nothing there is overwritten
    directory: PathBuf,
    /// Host name or IP address of the server, beside localhost, 127.0.0.1 and ::1; repeatable
    #[arg(long, value_name = "NAME")]
    server_name: Vec<String>,
    /// The kind of all keys
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyKind,
}

impl Init {
    fn run(self) -> Result<Report, Failure> {
        let lab = LabPki::generate(&LabOptions {
            key_type: self.key_type.into(),
            server_names: self.server_name,
            ..LabOptions::new(now())
        })?;
        lab.write(&self.directory)?;
        let parts = [
            (
                "vendor/root",
                "the devices' voucher trust anchor",
                &lab.vendor_root,
            ),
            ("vendor/masa", "signs ownership vouchers", &lab.masa),
            ("vendor/idevid-ca", "issues IDevIDs", &lab.idevid_ca),
            (
                "owner/pinned-domain-ca",
                "is pinned by vouchers",
                &lab.pinned_domain_ca,
            ),
            ("owner/owner", "signs conveyed information", &lab.owner),
            ("server/tls-ca", "the server's trust anchor", &lab.tls_ca),
            ("server/tls", "the server's TLS certificate", &lab.tls),
        ];
        let mut text = Text::default();
        text.line(&format!(
            "Lab PKI in {} (.crt and .key each):",
            self.directory.display()
        ));
        for (name, purpose, _) in parts {
            text.row(name, purpose);
        }
        text.line(
            "All keys lie unencrypted in one place: for trying things out, not for production.",
        );
        let made: serde_json::Map<String, Value> = parts
            .into_iter()
            .map(|(name, purpose, identity)| {
                let path = self.directory.join(name);
                (name.to_owned(), described(&path, purpose, identity))
            })
            .collect();
        Ok(Report::new(
            text,
            json!({ "directory": self.directory, "identities": made }),
        ))
    }
}

/// `sztp pki idevid`.
#[derive(Debug, Args)]
pub(crate) struct Idevid {
    /// The lab PKI's directory
    directory: PathBuf,
    /// The device's serial number
    #[arg(long, value_name = "SN")]
    serial_number: String,
    /// The kind of key
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyKind,
}

impl Idevid {
    fn run(self) -> Result<Report, Failure> {
        let lab = LabPki::load(&self.directory)?;
        let valid_from = LabOptions::new(now()).valid_from;
        let idevid = lab.issue_idevid(&self.serial_number, self.key_type.into(), valid_from)?;
        let folder = lab.write_idevid(&self.directory, &self.serial_number, &idevid)?;
        let path = folder.join("idevid");
        let mut text = Text::default();
        text.line(&format!("IDevID of {}:", self.serial_number));
        text.row(
            "certificate",
            &path.with_extension("crt").display().to_string(),
        );
        text.row("key", &path.with_extension("key").display().to_string());
        text.row("subject", &idevid.certificate.subject());
        text.row("SHA-256", &idevid.certificate.sha256_fingerprint());
        let data = described(&path, "IDevID", &idevid);
        Ok(Report::new(text, data))
    }
}

/// `sztp pki registrar`.
#[derive(Debug, Args)]
pub(crate) struct Registrar {
    /// The lab PKI's directory
    directory: PathBuf,
    /// The kind of key
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyKind,
}

impl Registrar {
    fn run(self) -> Result<Report, Failure> {
        let lab = LabPki::load(&self.directory)?;
        let valid_from = LabOptions::new(now()).valid_from;
        let registrar = lab.issue_registrar(self.key_type.into(), valid_from)?;
        let path = lab.write_registrar(&self.directory, &registrar)?;
        let mut text = Text::default();
        text.line("Registrar, to request vouchers of a MASA:");
        for (what, extension) in [("certificate", "crt"), ("key", "key")] {
            let file = path.with_added_extension(extension);
            text.row(what, &file.display().to_string());
        }
        text.row("subject", &registrar.certificate.subject());
        text.row("SHA-256", &registrar.certificate.sha256_fingerprint());
        let data = described(&path, "requests vouchers", &registrar);
        Ok(Report::new(text, data))
    }
}

fn described(path: &std::path::Path, purpose: &str, identity: &Identity) -> Value {
    json!({
        "certificate": path.with_added_extension("crt"),
        "key": path.with_added_extension("key"),
        "purpose": purpose,
        "subject": identity.certificate.subject(),
        "sha256": identity.certificate.sha256_fingerprint(),
    })
}

/// The kinds of keys that can be made.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum KeyKind {
    /// ECDSA on P-256
    #[default]
    #[value(name = "ec-p256")]
    EcP256,
    /// ECDSA on P-384
    #[value(name = "ec-p384")]
    EcP384,
    /// RSA, 2048 bits
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA, 3072 bits
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// RSA, 4096 bits
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl From<KeyKind> for KeyType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::EcP256 => Self::EcP256,
            KeyKind::EcP384 => Self::EcP384,
            KeyKind::Rsa2048 => Self::Rsa2048,
            KeyKind::Rsa3072 => Self::Rsa3072,
            KeyKind::Rsa4096 => Self::Rsa4096,
        }
    }
}
