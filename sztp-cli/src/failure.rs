//! What a command says when it does not do what it was asked to: `error[CODE]: what; where; hint:`.
//!
//! The codes are those of the libraries; `file.*`, `usage.*` and `agent.*` are the command's own.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sztp_cms::{CertificateError, CmsError, CrlError, IssueError, KeyError, Rule};
use sztp_core::artifacts::ArtifactError;
use sztp_core::conveyed_info::ConveyedInfoError;
#[cfg(feature = "operator")]
use sztp_server::lab::LabError;
use sztp_voucher::VoucherError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done, or what was checked is valid.
    Done,
    /// What was checked is invalid, or the operation failed.
    Failed,
    /// The command was not understood.
    Usage,
    /// Nothing is wrong, but it has to be tried again later (`sztp agent bootstrap`).
    TryAgain,
    /// The command was not understood, where 2 says something else (EX_USAGE of sysexits.h).
    Misused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage | Exit::TryAgain => 2,
            Exit::Misused => 64_u8,
        })
    }
}

/// One thing that went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Cow<'static, str>,
    what: String,
    place: Option<String>,
    hint: Option<Cow<'static, str>>,
    rule: Option<Rule>,
    exit: Exit,
}

impl Failure {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, what: impl fmt::Display) -> Self {
        Self(Box::new(Parts {
            code: code.into(),
            what: what.to_string(),
            place: None,
            hint: None,
            rule: None,
            exit: Exit::Failed,
        }))
    }

    /// Options that do not go together, or that are not there.
    pub(crate) fn usage(code: &'static str, what: impl fmt::Display) -> Self {
        let mut failure = Self::new(code, what);
        failure.0.exit = Exit::Usage;
        failure
    }

    /// Ends the program in another way.
    pub(crate) fn exiting(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// Names the file that is at fault.
    pub(crate) fn at(self, path: &Path) -> Self {
        self.within(path.display().to_string())
    }

    pub(crate) fn within(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.0.rule = Some(rule);
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "code": self.0.code,
            "message": self.0.what,
            "where": self.0.place,
            "rule": self.0.rule.map(|rule| rule.to_string()),
            "hint": self.0.hint,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        write!(f, "{}", parts.what)?;
        match (&parts.place, parts.rule) {
            (Some(place), Some(rule)) => write!(f, "; {place} ({rule})")?,
            (Some(place), None) => write!(f, "; {place}")?,
            (None, Some(rule)) => write!(f, "; {rule}")?,
            (None, None) => {}
        }
        match &parts.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<VoucherError> for Failure {
    fn from(error: VoucherError) -> Self {
        let failure = Self::new(error.code(), &error).rule(error.rule());
        match error {
            VoucherError::Cms(error) => with_cms_hint(failure, &error),
            VoucherError::UntrustedSigner(_) => failure.hint(
                "--trust-anchor wants the certificate that the voucher's signer leads to; \
                 `sztp voucher inspect` shows who that is",
            ),
            VoucherError::SerialNumberMismatch { .. } => {
                failure.hint("ask the vendor for this device's own voucher")
            }
            VoucherError::LineEndingDamage => failure.hint(TEXT_MODE_HINT),
            VoucherError::Expired { .. } => failure.hint("ask the vendor for a new voucher"),
            VoucherError::NotYetValid { .. } => {
                failure.hint("compare the clocks of this machine and of the vendor")
            }
            VoucherError::VoucherRequest => {
                failure.hint("a voucher-request goes to the vendor, who answers with the voucher")
            }
            VoucherError::OutlivesPinnedDomainCert { .. } => {
                failure.hint("give an earlier --expires-on")
            }
            _ => failure,
        }
    }
}

impl From<CmsError> for Failure {
    fn from(error: CmsError) -> Self {
        let failure = Self::new(error.code(), &error).rule(error.rule());
        with_cms_hint(failure, &error)
    }
}

fn with_cms_hint(failure: Failure, error: &CmsError) -> Failure {
    match error {
        CmsError::TextModeDamage => failure.hint(TEXT_MODE_HINT),
        CmsError::KeyMismatch => failure.hint("give the private key of this very certificate"),
        CmsError::UnsupportedAlgorithm(_) => {
            failure.hint("--lenient lets known deviations pass, and says so")
        }
        _ => failure,
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        if let ArtifactError::Voucher(inner) = error {
            return inner.into();
        }
        let failure = Self::new(error.code(), &error).rule(error.rule());
        match error {
            ArtifactError::ConveyedInformation(inner) | ArtifactError::OwnerCertificate(inner) => {
                with_cms_hint(failure, &inner)
            }
            ArtifactError::NotUnderPinnedDomainCert(_) => failure.hint(
                "the voucher pins another certificate, or intermediates are missing in the \
                 owner certificate artifact",
            ),
            ArtifactError::OwnerCertificateMissing => failure.hint(
                "put the certificate that signed into the artifact with `sztp owner-certificate \
                 bundle`",
            ),
            _ => failure,
        }
    }
}

impl From<ConveyedInfoError> for Failure {
    fn from(error: ConveyedInfoError) -> Self {
        Self::new(error.code(), &error).rule(error.rule())
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        Self::new(error.code(), &error).rule(error.rule())
    }
}

impl From<CrlError> for Failure {
    fn from(error: CrlError) -> Self {
        Self::new(error.code(), &error).rule(error.rule())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let failure = Self::new(error.code(), &error);
        match error {
            KeyError::Encrypted => failure.hint(
                "give --passphrase-file, set SZTP_PASSPHRASE, or run the command on a terminal",
            ),
            _ => failure,
        }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        Self::new(error.code(), &error).rule(error.rule())
    }
}

#[cfg(feature = "operator")]
impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        let failure = Self::new(error.code(), &error);
        match error {
            LabError::Exists { .. } => {
                failure.hint("choose another directory; keys are never overwritten")
            }
            _ => failure,
        }
    }
}

/// For files in which octets became U+FFFD.
pub(crate) const TEXT_MODE_HINT: &str =
    "the file was transferred or edited as text; transfer it again in binary mode";
