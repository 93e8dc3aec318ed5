//! The checks of a voucher as they are shown: the library's report in the command's words.

use serde_json::{Value, json};
use sztp_voucher::{Check, NotApplicable, Outcome, Voucher, VoucherReport};

use crate::report::{Status, Text};

/// Prints each check and what came of it.
pub(crate) fn print(report: &VoucherReport, text: &mut Text) {
    for (check, outcome) in report.checks() {
        let detail = detail(report, *check, outcome);
        text.check(status(outcome), check.as_str(), &detail);
    }
}

/// The same for programs.
pub(crate) fn to_json(report: &VoucherReport) -> Value {
    let rows = report.checks().iter().map(|(check, outcome)| {
        json!({
            "check": check.as_str(),
            "status": status(outcome).as_str(),
            "detail": detail(report, *check, outcome),
        })
    });
    rows.collect()
}

fn status(outcome: &Outcome) -> Status {
    match outcome {
        Outcome::Passed => Status::Passed,
        Outcome::Failed(_) => Status::Failed,
        Outcome::NotApplicable(_) => Status::NotApplicable,
        Outcome::NotReached => Status::NotReached,
    }
}

fn detail(report: &VoucherReport, check: Check, outcome: &Outcome) -> String {
    match (outcome, report.unverified()) {
        (Outcome::Failed(error), _) => error.to_string(),
        (Outcome::NotApplicable(why), Some(voucher)) => not_applicable(check, *why, voucher),
        (Outcome::Passed, Some(voucher)) => match check {
            Check::Signer => report
                .verdict()
                .map(|verified| verified.signer().subject())
                .unwrap_or_default(),
            Check::CreatedOn => voucher.created_on.to_string(),
            Check::ExpiresOn => voucher
                .expires_on
                .map(|time| time.to_string())
                .unwrap_or_default(),
            Check::Assertion => voucher.assertion.to_string(),
            Check::SerialNumber => voucher.serial_number.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// Names the option that would have made the check apply.
fn not_applicable(check: Check, why: NotApplicable, voucher: &Voucher) -> String {
    match (check, why) {
        (Check::ExpiresOn, NotApplicable::NotInVoucher) => "the voucher does not expire".to_owned(),
        (Check::SerialNumber, NotApplicable::NothingToCompare) => format!(
            "no --serial-number given; the voucher is for {}",
            voucher.serial_number
        ),
        (Check::IdevidIssuer, NotApplicable::NotInVoucher) => {
            "the voucher names no issuer".to_owned()
        }
        (Check::IdevidIssuer, NotApplicable::NothingToCompare) => {
            "no --idevid-cert given".to_owned()
        }
        (Check::Nonce, NotApplicable::NothingToCompare) => {
            "no --nonce given; the voucher has one".to_owned()
        }
        _ => why.to_string(),
    }
}
