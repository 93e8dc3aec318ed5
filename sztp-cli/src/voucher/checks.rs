//! The checks of a voucher one by one, in the order in which verification makes them.
//!
//! Verification ends at the first check that fails. Which one that was is read from the error;
//! what came before it holds, what comes after it was not looked at.

use serde_json::{Value, json};
use sztp_cms::CmsError;
use sztp_voucher::{NonceExpectation, Voucher, VoucherContext, VoucherError};

use crate::report::{Status, Text};

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Structure,
    Content,
    Signature,
    Signer,
    CreatedOn,
    ExpiresOn,
    Assertion,
    SerialNumber,
    IdevidIssuer,
    Nonce,
    PinnedDomainCert,
}

impl Check {
    const ALL: [Self; 11] = [
        Self::Structure,
        Self::Content,
        Self::Signature,
        Self::Signer,
        Self::CreatedOn,
        Self::ExpiresOn,
        Self::Assertion,
        Self::SerialNumber,
        Self::IdevidIssuer,
        Self::Nonce,
        Self::PinnedDomainCert,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Content => "content",
            Self::Signature => "signature",
            Self::Signer => "signer",
            Self::CreatedOn => "created-on",
            Self::ExpiresOn => "expires-on",
            Self::Assertion => "assertion",
            Self::SerialNumber => "serial-number",
            Self::IdevidIssuer => "idevid-issuer",
            Self::Nonce => "nonce",
            Self::PinnedDomainCert => "pinned-domain-cert",
        }
    }

    /// The check that an error comes from.
    fn of(error: &VoucherError) -> Self {
        match error {
            VoucherError::Cms(
                CmsError::Malformed { .. }
                | CmsError::TooLarge { .. }
                | CmsError::TooDeep { .. }
                | CmsError::Pem
                | CmsError::TextModeDamage
                | CmsError::NotSignedData(_)
                | CmsError::WrongContentType { .. }
                | CmsError::NoContent
                | CmsError::Certificate(_),
            ) => Self::Structure,
            VoucherError::Cms(_) => Self::Signature,
            VoucherError::UntrustedSigner(_) => Self::Signer,
            VoucherError::NotYetValid { .. } => Self::CreatedOn,
            VoucherError::Expired { .. } => Self::ExpiresOn,
            VoucherError::AssertionRefused { .. } => Self::Assertion,
            VoucherError::SerialNumberMismatch { .. } => Self::SerialNumber,
            VoucherError::IdevidIssuerMismatch => Self::IdevidIssuer,
            VoucherError::NonceMismatch
            | VoucherError::NonceMissing
            | VoucherError::NonceUnexpected => Self::Nonce,
            VoucherError::PinnedDomainCert(_) => Self::PinnedDomainCert,
            // What the voucher says, by itself.
            _ => Self::Content,
        }
    }
}

/// All checks and what came of them.
#[derive(Debug)]
pub(crate) struct Checks(Vec<(Check, Status, String)>);

impl Checks {
    /// `voucher` is none where it could not even be read; `signer` is named when it was found
    /// good.
    pub(crate) fn of(
        voucher: Option<&Voucher>,
        context: &VoucherContext<'_>,
        signer: Option<&str>,
        error: Option<&VoucherError>,
    ) -> Self {
        let failed = error.map(Check::of);
        let row = |check| {
            let status = match failed {
                Some(failed) if check > failed => Status::NotReached,
                Some(failed) if check == failed => Status::Failed,
                _ if applies(check, voucher, context) => Status::Passed,
                _ => Status::NotApplicable,
            };
            let detail = match (status, error) {
                (Status::Failed, Some(error)) => error.to_string(),
                (Status::NotReached, _) => String::new(),
                _ => detail(check, voucher, context, signer),
            };
            (check, status, detail)
        };
        Self(Check::ALL.into_iter().map(row).collect())
    }

    pub(crate) fn print(&self, text: &mut Text) {
        for (check, status, detail) in &self.0 {
            text.check(*status, check.name(), detail);
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.0.iter().map(|(check, status, detail)| {
            json!({ "check": check.name(), "status": status.as_str(), "detail": detail })
        });
        rows.collect()
    }
}

/// Whether there is something to check and something to check it by.
fn applies(check: Check, voucher: Option<&Voucher>, context: &VoucherContext<'_>) -> bool {
    let Some(voucher) = voucher else { return true };
    match check {
        Check::CreatedOn => context.clock.time().is_some(),
        Check::ExpiresOn => context.clock.time().is_some() && voucher.expires_on.is_some(),
        Check::SerialNumber => context.serial_number.is_some(),
        Check::IdevidIssuer => context.idevid.is_some() && voucher.idevid_issuer.is_some(),
        Check::Nonce => context.nonce != NonceExpectation::Unchecked,
        _ => true,
    }
}

fn detail(
    check: Check,
    voucher: Option<&Voucher>,
    context: &VoucherContext<'_>,
    signer: Option<&str>,
) -> String {
    let Some(voucher) = voucher else {
        return String::new();
    };
    match check {
        Check::Structure | Check::Content | Check::Signature | Check::PinnedDomainCert => {
            String::new()
        }
        Check::Signer => signer.unwrap_or_default().to_owned(),
        Check::CreatedOn => voucher.created_on.to_string(),
        Check::ExpiresOn => match voucher.expires_on {
            Some(time) => time.to_string(),
            None => "the voucher does not expire".to_owned(),
        },
        Check::Assertion => voucher.assertion.to_string(),
        Check::SerialNumber => match context.serial_number {
            Some(_) => voucher.serial_number.clone(),
            None => format!(
                "no --serial-number given; the voucher is for {}",
                voucher.serial_number
            ),
        },
        Check::IdevidIssuer => match (&voucher.idevid_issuer, context.idevid) {
            (None, _) => "the voucher names no issuer".to_owned(),
            (Some(_), None) => "no --idevid-cert given".to_owned(),
            (Some(_), Some(_)) => String::new(),
        },
        Check::Nonce => match (context.nonce, &voucher.nonce) {
            (NonceExpectation::Unchecked, Some(_)) => {
                "no --nonce given; the voucher has one".to_owned()
            }
            (NonceExpectation::Unchecked, None) => "the voucher has none".to_owned(),
            _ => String::new(),
        },
    }
}
