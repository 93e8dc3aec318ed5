//! `sztp voucher issue`: what a MASA does (RFC 8366 §5, §6).

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use sztp_cms::{Certificate, UnixTime, oids};
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

use super::inspect::{leaves, leaves_json};
use crate::arguments::{self, EContentType, Octets, Passphrase, now};
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// `sztp voucher issue`.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The device's serial number
    #[arg(long, value_name = "SN")]
    serial_number: String,
    /// The owner's certificate, which the owner certificate must lead to
    #[arg(long, value_name = "F")]
    pinned_domain_cert: PathBuf,
    /// The signer's certificate, followed by intermediates if there are any
    #[arg(long, value_name = "F")]
    signer_cert: PathBuf,
    /// The signer's private key
    #[arg(long, value_name = "F")]
    signer_key: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// How the vendor knows that the device is the owner's
    #[arg(long, value_enum, value_name = "A", default_value_t)]
    assertion: AssertionName,
    /// The device's IDevID certificate or its issuer's: its authority key identifier is put in
    #[arg(long, value_name = "F")]
    idevid_issuer: Option<PathBuf>,
    /// The nonce of the device's request, base64 or base64url
    #[arg(long, value_name = "B64", value_parser = arguments::octets, allow_hyphen_values = true, conflicts_with = "expires_on")]
    nonce: Option<Octets>,
    /// When the voucher ends (RFC 3339, or a date)
    #[arg(long, value_name = "T", value_parser = arguments::time)]
    expires_on: Option<UnixTime>,
    /// When the voucher begins; now if not given
    #[arg(long, value_name = "T", value_parser = arguments::time)]
    created_on: Option<UnixTime>,
    /// Certificates that lead from the signer to the devices' trust anchor; repeatable
    #[arg(long, value_name = "F")]
    chain: Vec<PathBuf>,
    /// The content type of the signed message
    #[arg(long, value_enum, default_value_t)]
    econtent_type: EContentType,
    /// Where to write the voucher (DER)
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

impl Issue {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let (pinned, _) = files::read_certificate(&self.pinned_domain_cert)?;
        let (signer, mut chain) = files::read_certificate(&self.signer_cert)?;
        chain.extend(files::read_all_certificates(&self.chain)?);
        let key = self.passphrase.read_key(&self.signer_key)?;
        let created_on = self.created_on.unwrap_or_else(now);
        let mut voucher = Voucher::new(
            self.serial_number,
            self.assertion.into(),
            pinned.as_der(),
            created_on,
        );
        voucher.expires_on = self.expires_on;
        voucher.nonce = self.nonce.map(|nonce| nonce.0);
        if let Some(path) = &self.idevid_issuer {
            let (certificate, _) = files::read_certificate(path)?;
            voucher.idevid_issuer =
                Some(idevid_issuer(&certificate).map_err(|failure| failure.at(path))?);
        }
        let content_type = match self.econtent_type {
            EContentType::Sztp => oids::ANIMA_JSON_VOUCHER,
            EContentType::IdData => oids::ID_DATA,
        };
        let options = IssueOptions {
            content_type,
            signing_time: Some(now()),
            ..IssueOptions::default()
        };
        let signed = issue(&voucher, &key, &signer, &chain, &options)?;
        files::write(&self.out, &signed)?;

        let mut text = Text::default();
        text.line(&format!("Voucher written to {}:", self.out.display()));
        leaves(&mut text, &voucher);
        text.row("signed by", &signer.subject());
        let data = json!({
            "file": self.out,
            "voucher": leaves_json(&voucher),
            "signer": signer.subject(),
        });
        let mut report = Report::new(text, data);
        if voucher
            .expires_on
            .is_some_and(|end| end < created_on || end < now())
        {
            report = report.note("the voucher has expired already");
        }
        if pinned.not_after() < now() {
            report = report.note("the pinned-domain-cert has expired already");
        }
        Ok(report)
    }
}

/// The authority key identifier that IDevIDs of this issuer have, as the whole extension value.
fn idevid_issuer(certificate: &Certificate) -> Result<Vec<u8>, Failure> {
    let is_ca = certificate
        .basic_constraints()
        .is_some_and(|constraints| constraints.ca);
    let found = if is_ca {
        // RFC 5280 §4.2.1.1: the issuer's subject key identifier under [0].
        certificate.subject_key_id().and_then(|id| {
            let length = u8::try_from(id.len())
                .ok()
                .filter(|length| *length < 0x7e)?;
            Some([&[0x30, length + 2, 0x80, length], id].concat())
        })
    } else {
        certificate.authority_key_identifier().map(<[u8]>::to_vec)
    };
    found.ok_or_else(|| {
        Failure::new(
            "certificate.no-key-identifier",
            "the certificate has no key identifier that a voucher could name",
        )
    })
}

/// The names in YANG.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum AssertionName {
    /// By a record of the sale or the like
    #[default]
    Verified,
    /// Only logged
    Logged,
    /// The device was seen near its registrar
    Proximity,
}

impl From<AssertionName> for Assertion {
    fn from(name: AssertionName) -> Self {
        match name {
            AssertionName::Verified => Self::Verified,
            AssertionName::Logged => Self::Logged,
            AssertionName::Proximity => Self::Proximity,
        }
    }
}
