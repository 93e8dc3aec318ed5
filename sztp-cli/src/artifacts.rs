//! `sztp artifacts`: the three artifacts judged as a device does, before it sees them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use sztp_cms::Certificate;
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, SourceTrust, Trust, TrustedConveyedInfo,
};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, VoucherContext, VoucherReport};

use crate::arguments::{self, At, Lenient, Octets, nonce};
use crate::conveyed_info::show;
use crate::failure::Failure;
use crate::files;
use crate::message::certificate_json;
use crate::report::{Report, Status, Text};
use crate::voucher::checks;

/// Voucher, owner certificate and conveyed information together (RFC 8572 section 3)
#[derive(Debug, Subcommand)]
pub(crate) enum Artifacts {
    /// Judge the three artifacts as a device does that trusts nobody else (RFC 8572 section 5.4)
    #[command(
        after_help = "Example:\n  sztp artifacts verify --voucher voucher.vcj \\\n    \
        --owner-certificate owner-certificate.cms \\\n    \
        --conveyed-information conveyed-information.cms \\\n    \
        --trust-anchor lab/vendor/root.crt --serial-number AX7-00042"
    )]
    Verify(Verify),
}

impl Artifacts {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Verify(command) => command.run(),
        }
    }
}

/// `sztp artifacts verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The ownership voucher
    #[arg(long, value_name = "F")]
    pub(crate) voucher: PathBuf,
    /// The owner certificate artifact
    #[arg(long, value_name = "F")]
    pub(crate) owner_certificate: PathBuf,
    /// The signed conveyed information
    #[arg(long, value_name = "F")]
    pub(crate) conveyed_information: PathBuf,
    /// Certificates that the voucher's signer must lead to; several files, repeatable
    #[arg(long, value_name = "F", num_args = 1.., required = true)]
    pub(crate) trust_anchor: Vec<PathBuf>,
    /// The device's serial number
    #[arg(long, value_name = "SN")]
    pub(crate) serial_number: String,
    /// The device's IDevID certificate, to compare idevid-issuer with
    #[arg(long, value_name = "F")]
    pub(crate) idevid_cert: Option<PathBuf>,
    /// The nonce that the device sent, base64 or base64url
    #[arg(long, value_name = "B64", value_parser = arguments::octets, allow_hyphen_values = true)]
    pub(crate) nonce: Option<Octets>,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) lenient: Lenient,
}

impl Verify {
    fn run(self) -> Result<Report, Failure> {
        self.judge().map(|(report, _)| report)
    }

    /// The verdict, and what may be acted on if it is good.
    pub(crate) fn judge(&self) -> Result<(Report, Option<TrustedConveyedInfo>), Failure> {
        let data = BootstrappingData {
            conveyed_information: files::read_cms(&self.conveyed_information)?,
            owner_certificate: Some(files::read_cms(&self.owner_certificate)?),
            ownership_voucher: Some(files::read_cms(&self.voucher)?),
        };
        let anchors = files::read_anchors(&self.trust_anchor)?;
        let idevid = match &self.idevid_cert {
            Some(path) => Some(files::read_certificate(path)?.0),
            None => None,
        };
        let context = VoucherContext {
            serial_number: Some(&self.serial_number),
            idevid: idevid.as_ref(),
            nonce: nonce(self.nonce.as_ref()),
            leniency: self.lenient.leniency(),
            ..VoucherContext::new(&anchors, self.at.clock())
        };
        // As from the least trusted source: only signatures count.
        let outcome = data.authenticate(SourceTrust::Unauthenticated, &context, Encoding::Json);
        let judged = match outcome {
            Ok(Authenticated::Trusted(trusted)) => Ok(trusted),
            Ok(Authenticated::UntrustedRedirect {
                refused: Some(error),
                ..
            })
            | Err(error) => Err(Refused::Artifact(error)),
            Ok(Authenticated::UntrustedRedirect { refused: None, .. }) => Err(Refused::Unsigned),
        };
        Ok((self.report(&data, &context, &judged), judged.ok()))
    }

    fn report(
        &self,
        data: &BootstrappingData,
        context: &VoucherContext<'_>,
        judged: &Result<TrustedConveyedInfo, Refused>,
    ) -> Report {
        let mut text = Text::default();
        let verdict = if judged.is_ok() { "valid" } else { "INVALID" };
        text.verdict("Artifacts", judged.is_ok(), verdict);
        let mut rows = Vec::new();
        for (stage, name) in Stage::ALL {
            let status = stage.status(judged.as_ref().err(), judged.as_ref().ok());
            let detail = match (status, judged) {
                (Status::Failed, Err(refused)) => refused.to_string(),
                (Status::Passed, Ok(trusted)) => stage.detail(trusted),
                _ => String::new(),
            };
            text.check(status, name, &detail);
            rows.push(json!({ "check": name, "status": status.as_str(), "detail": detail }));
        }
        let voucher_report = voucher_report(data, context);
        text.line("The voucher by itself:");
        checks::print(&voucher_report, &mut text);
        if let Ok(trusted) = judged {
            show::rows(&mut text, trusted.info());
        }
        let notes = judged.as_ref().map(noted).unwrap_or_default();
        for note in &notes {
            text.check(Status::Noted, note, "");
        }
        let failure = judged.as_ref().err().map(|refused| self.failure(refused));
        let data = json!({
            "valid": judged.is_ok(),
            "checks": rows,
            "voucher-checks": checks::to_json(&voucher_report),
            "notes": notes,
            "owner": judged.as_ref().ok().and_then(owner).map(certificate_json),
            "content": judged.as_ref().ok().map(|trusted| show::json(trusted.info())),
            "error": failure.as_ref().map(Failure::to_json),
        });
        Report {
            failures: failure.into_iter().collect(),
            ..Report::new(text, data)
        }
    }

    fn failure(&self, refused: &Refused) -> Failure {
        let error = match refused {
            Refused::Artifact(error) => error.clone(),
            Refused::Unsigned => {
                return Failure::new("artifacts.not-signed", refused)
                    .at(&self.conveyed_information)
                    .hint("sign it with `sztp conveyed-info sign`");
            }
        };
        let at = match Stage::of(&error) {
            Stage::Voucher => &self.voucher,
            Stage::OwnerCertificate | Stage::Revocation => &self.owner_certificate,
            _ => &self.conveyed_information,
        };
        Failure::from(error).at(at)
    }
}

/// Why the artifacts are not acted on.
#[derive(Debug, Clone)]
enum Refused {
    Artifact(ArtifactError),
    /// A redirect that a device would follow, but not believe.
    Unsigned,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The row says that it is the voucher.
            Self::Artifact(ArtifactError::Voucher(error)) => error.fmt(f),
            Self::Artifact(error) => error.fmt(f),
            Self::Unsigned => f.write_str("the conveyed information is not signed"),
        }
    }
}

/// The steps of RFC 8572 §5.4 in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Message,
    Voucher,
    OwnerCertificate,
    Revocation,
    Signature,
    Content,
}

impl Stage {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Message, "signed message"),
        (Self::Voucher, "ownership voucher"),
        (Self::OwnerCertificate, "owner certificate"),
        (Self::Revocation, "revocation"),
        (Self::Signature, "owner's signature"),
        (Self::Content, "content"),
    ];

    fn of(error: &ArtifactError) -> Self {
        match error {
            ArtifactError::Voucher(_) | ArtifactError::VoucherAbsent => Self::Voucher,
            ArtifactError::OwnerCertificate(_)
            | ArtifactError::OwnerCertificateMissing
            | ArtifactError::OwnerCertificateAbsent
            | ArtifactError::NotUnderPinnedDomainCert(_) => Self::OwnerCertificate,
            ArtifactError::RevocationUnknown => Self::Revocation,
            ArtifactError::NotSignedByOwner(_) => Self::Signature,
            ArtifactError::Content(_) => Self::Content,
            _ => Self::Message,
        }
    }

    fn status(self, refused: Option<&Refused>, trusted: Option<&TrustedConveyedInfo>) -> Status {
        let failed = refused.map(|refused| match refused {
            Refused::Artifact(error) => Self::of(error),
            Refused::Unsigned => Self::Message,
        });
        let asked = trusted.is_some_and(|trusted| match trusted.how() {
            Trust::Signed { voucher, .. } => {
                voucher.voucher().domain_cert_revocation_checks == Some(true)
            }
            Trust::AuthenticatedServer => false,
        });
        match failed {
            Some(failed) if self > failed => Status::NotReached,
            Some(failed) if self == failed => Status::Failed,
            _ if self == Self::Revocation && !asked => Status::NotApplicable,
            _ => Status::Passed,
        }
    }

    fn detail(self, trusted: &TrustedConveyedInfo) -> String {
        match (self, trusted.how()) {
            (Self::Voucher, Trust::Signed { voucher, .. }) => {
                format!("signed by {}", voucher.signer().subject())
            }
            (Self::OwnerCertificate, Trust::Signed { owner, .. }) => owner.subject(),
            _ => String::new(),
        }
    }
}

fn owner(trusted: &TrustedConveyedInfo) -> Option<&Certificate> {
    match trusted.how() {
        Trust::Signed { owner, .. } => Some(owner),
        Trust::AuthenticatedServer => None,
    }
}

fn noted(trusted: &TrustedConveyedInfo) -> Vec<String> {
    match trusted.how() {
        Trust::Signed { voucher, .. } => voucher.notes().to_vec(),
        Trust::AuthenticatedServer => Vec::new(),
    }
}

fn voucher_report(data: &BootstrappingData, context: &VoucherContext<'_>) -> VoucherReport {
    let octets = data.ownership_voucher.as_deref().unwrap_or_default();
    VoucherReport::of(octets, Profile::Rfc8366bis, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_failure_was_not_reached() {
        let refused = Refused::Artifact(ArtifactError::OwnerCertificateMissing);
        let statuses: Vec<Status> = Stage::ALL
            .iter()
            .map(|(stage, _)| stage.status(Some(&refused), None))
            .collect();
        assert_eq!(
            statuses,
            [
                Status::Passed,
                Status::Passed,
                Status::Failed,
                Status::NotReached,
                Status::NotReached,
                Status::NotReached
            ]
        );
    }
}
