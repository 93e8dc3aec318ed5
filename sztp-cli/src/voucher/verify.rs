//! `sztp voucher verify`: vouchers judged as a device does (RFC 8572 §5.4).

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use sztp_cms::{Certificate, RevocationPolicy};
use sztp_voucher::{Profile, VoucherContext, VoucherReport};

use super::batch::judge_all;
use super::checks;
use super::inspect::leaves_json;
use crate::arguments::{self, At, Lenient, Octets, nonce};
use crate::failure::Failure;
use crate::files;
use crate::message::certificate_json;
use crate::report::{Report, Status, Text};

/// `sztp voucher verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Vouchers: DER, PEM or base64
    #[arg(value_name = "F")]
    files: Vec<PathBuf>,
    /// Certificates that the voucher's signer must lead to; several files, repeatable
    #[arg(long, value_name = "F", num_args = 1.., required = true)]
    trust_anchor: Vec<PathBuf>,
    /// The device's serial number; else that of --idevid-cert, if given; else not compared
    #[arg(long, value_name = "SN")]
    serial_number: Option<String>,
    /// The device's IDevID certificate, to compare idevid-issuer with
    #[arg(long, value_name = "F")]
    idevid_cert: Option<PathBuf>,
    /// The nonce that the device sent, base64 or base64url
    #[arg(long, value_name = "B64", value_parser = arguments::octets, allow_hyphen_values = true)]
    nonce: Option<Octets>,
    #[command(flatten)]
    at: At,
    /// Revocation lists, several files, repeatable: one of them must say of the voucher's signer
    /// that it is not revoked
    #[arg(long, value_name = "F", num_args = 1..)]
    crl: Vec<PathBuf>,
    #[command(flatten)]
    lenient: Lenient,
}

impl Verify {
    pub(super) fn run(self) -> Result<Report, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage("usage.no-voucher", "no voucher is given")
                .hint("name the voucher before --trust-anchor, which takes several files"));
        }
        let anchors = files::read_anchors(&self.trust_anchor)?;
        let idevid = match &self.idevid_cert {
            Some(path) => Some(files::read_certificate(path)?.0),
            None => None,
        };
        let serial_number = self.serial_number.clone().or_else(|| {
            idevid
                .as_ref()
                .and_then(Certificate::serial_number_attribute)
        });
        let crls = files::read_revocation_lists(&self.crl)?;
        let revocation = if crls.is_empty() {
            RevocationPolicy::NotChecked
        } else {
            RevocationPolicy::EndEntity
        };
        let context = VoucherContext {
            revocation,
            crls: &crls,
            serial_number: serial_number.as_deref(),
            idevid: idevid.as_ref(),
            nonce: nonce(self.nonce.as_ref()),
            leniency: self.lenient.leniency(),
            ..VoucherContext::new(&anchors, self.at.clock())
        };
        let mut report = Report::default();
        let mut verdicts = Vec::new();
        for judged in judge_all(&self.files, |path| judge(path, &context)) {
            report.text.append(&judged.text);
            report.failures.extend(judged.failure);
            verdicts.push(judged.verdict);
        }
        let valid = Value::from(report.failures.is_empty());
        // Moved and not copied, as `json!` would: there may be thousands.
        report.data = Value::from_iter([("valid", valid), ("vouchers", Value::Array(verdicts))]);
        Ok(report)
    }
}

/// What came of one file.
struct Judged {
    text: Text,
    verdict: Value,
    failure: Option<Failure>,
}

fn judge(path: &Path, context: &VoucherContext<'_>) -> Judged {
    let octets = match files::read(path) {
        Ok(octets) => octets,
        Err(failure) => return unread(path, failure),
    };
    let mut text = Text::default();
    let judged = VoucherReport::of(&octets, Profile::Rfc8366bis, context);
    let outcome = judged.verdict();
    let valid = outcome.is_ok();
    let verdict = if valid { "valid" } else { "INVALID" };
    let place = path.display().to_string();
    text.verdict(&place, valid, verdict);
    checks::print(&judged, &mut text);
    for note in judged.notes() {
        text.check(Status::Noted, note, "");
    }
    let chain: Option<Vec<Value>> = outcome.ok().map(|verified| {
        verified
            .signer_chain()
            .iter()
            .map(certificate_json)
            .collect()
    });
    let failure = outcome
        .err()
        .map(|error| Failure::from(error.clone()).at(path));
    let verdict = json!({
        "file": path,
        "valid": valid,
        "checks": checks::to_json(&judged),
        "notes": judged.notes(),
        "voucher": judged.unverified().map(leaves_json),
        "signer-chain": chain,
        "error": failure.as_ref().map(Failure::to_json),
    });
    Judged {
        text,
        verdict,
        failure,
    }
}

fn unread(path: &Path, failure: Failure) -> Judged {
    let mut text = Text::default();
    text.verdict(&path.display().to_string(), false, "unreadable");
    Judged {
        text,
        verdict: json!({ "file": path, "valid": false, "error": failure.to_json() }),
        failure: Some(failure),
    }
}
