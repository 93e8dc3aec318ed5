//! `sztp owner-certificate`: the owner certificate artifact (RFC 8572 §3.2).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sztp_cms::{Certificate, certs_only};

use crate::failure::Failure;
use crate::files;
use crate::message::{certificate_json, certificate_rows};
use crate::report::{Report, Text};

/// The owner certificate artifact (RFC 8572 section 3.2)
#[derive(Debug, Subcommand)]
pub(crate) enum OwnerCertificate {
    /// Put the owner certificate and its chain into one certs-only CMS message
    #[command(
        after_help = "Example:\n  sztp owner-certificate bundle lab/owner/owner.crt \\\n    \
        lab/owner/pinned-domain-ca.crt --out owner-certificate.cms"
    )]
    Bundle(Bundle),
}

impl OwnerCertificate {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Bundle(command) => command.run(),
        }
    }
}

/// `sztp owner-certificate bundle`.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The owner certificate and what leads from it to the pinned-domain-cert
    #[arg(value_name = "F", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the message (DER)
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

impl Bundle {
    fn run(self) -> Result<Report, Failure> {
        let mut certificates: Vec<Certificate> = Vec::new();
        for certificate in files::read_all_certificates(&self.files)? {
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        files::write(&self.out, &certs_only(&certificates, &[])?)?;
        let mut text = Text::default();
        text.line(&format!(
            "Owner certificate artifact written to {}:",
            self.out.display()
        ));
        for certificate in &certificates {
            certificate_rows(&mut text, certificate);
        }
        let list: Vec<Value> = certificates.iter().map(certificate_json).collect();
        Ok(Report::new(
            text,
            json!({ "file": self.out, "certificates": list }),
        ))
    }
}
