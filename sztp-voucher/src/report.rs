//! What verification looked at, check by check.
//!
//! [`SignedVoucher::verify`] and [`SignedVoucher::examine`] make the same checks in the same pass:
//! the first only tells of them, the second writes each down.

use std::fmt;

use crate::signed::Message;
use crate::{Profile, SignedVoucher, VerifiedVoucher, Voucher, VoucherContext, VoucherError};

/// One check of a voucher. Their order is the order in which they are made (RFC 8572 §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The signed message is well-formed and of the right type.
    Structure,
    /// What it says is a voucher.
    Content,
    /// The signature verifies.
    Signature,
    /// The signer leads to a trust anchor.
    Signer,
    /// It was created in the past.
    CreatedOn,
    /// It has not expired.
    ExpiresOn,
    /// Policy accepts how the issuer knows the owner.
    Assertion,
    /// It is for the device.
    SerialNumber,
    /// It is for the device with this IDevID issuer.
    IdevidIssuer,
    /// It is the answer to what the device sent.
    Nonce,
    /// It pins a certificate.
    PinnedDomainCert,
}

impl Check {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
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

    /// Its name; of a leaf, the leaf's.
    pub const fn as_str(self) -> &'static str {
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
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and verification ended here.
    Failed(VoucherError),
    /// There was nothing to check, or nothing to check it by.
    NotApplicable(NotApplicable),
    /// Verification had ended before.
    NotReached,
}

/// Why a check does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotApplicable {
    /// There is no clock (RFC 8572 §9.1).
    NoClock,
    /// The voucher does not have the leaf.
    NotInVoucher,
    /// The caller gave nothing to compare the leaf with.
    NothingToCompare,
}

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoClock => "there is no clock",
            Self::NotInVoucher => "the voucher has none",
            Self::NothingToCompare => "there is nothing to compare it with",
        })
    }
}

/// A voucher's verification, explained.
#[derive(Debug, Clone)]
pub struct VoucherReport {
    checks: Vec<(Check, Outcome)>,
    voucher: Option<Voucher>,
    notes: Vec<String>,
    verified: Result<VerifiedVoucher, VoucherError>,
}

impl VoucherReport {
    /// Reads a voucher as [`SignedVoucher::read`] does and verifies it.
    pub fn of(octets: &[u8], profile: Profile, context: &VoucherContext<'_>) -> Self {
        let message = match Message::read(octets, profile) {
            Ok(message) => message,
            Err(error) => return Self::unread(Check::Structure, error, Vec::new()),
        };
        let notes = message.notes.clone();
        match message.voucher(profile) {
            Ok(signed) => signed.examine(context),
            Err(error) => Self::unread(Check::Content, error, notes),
        }
    }

    /// All checks in their order, and what came of each.
    pub fn checks(&self) -> &[(Check, Outcome)] {
        &self.checks
    }

    /// What came of one check.
    pub fn outcome(&self, check: Check) -> &Outcome {
        let found = self.checks.iter().find(|(known, _)| *known == check);
        found.map_or(&Outcome::NotReached, |(_, outcome)| outcome)
    }

    /// What the voucher says, if it could be read: not to be acted on.
    pub fn unverified(&self) -> Option<&Voucher> {
        self.voucher.as_ref()
    }

    /// Deviations that were let pass, also by a voucher that was refused in the end.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The verdict.
    pub fn verdict(&self) -> Result<&VerifiedVoucher, &VoucherError> {
        self.verified.as_ref()
    }

    /// The verdict, by value.
    pub fn into_verdict(self) -> Result<VerifiedVoucher, VoucherError> {
        self.verified
    }

    /// Writes down the checks that `verify` tells of.
    pub(crate) fn record(
        voucher: &Voucher,
        verify: impl FnOnce(
            &mut dyn FnMut(Check, Outcome),
            &mut Vec<String>,
        ) -> Result<VerifiedVoucher, VoucherError>,
    ) -> Self {
        let mut checks = vec![
            (Check::Structure, Outcome::Passed),
            (Check::Content, Outcome::Passed),
        ];
        let mut notes = Vec::new();
        let mut seen = |check, outcome| checks.push((check, outcome));
        let verified = verify(&mut seen, &mut notes);
        Self {
            voucher: Some(voucher.clone()),
            notes,
            ..Self::complete(checks, verified)
        }
    }

    /// Of a voucher that cannot be read.
    pub(crate) fn unread(failed: Check, error: VoucherError, notes: Vec<String>) -> Self {
        let before = Check::ALL.into_iter().take_while(|check| *check < failed);
        let mut checks: Vec<_> = before.map(|check| (check, Outcome::Passed)).collect();
        checks.push((failed, Outcome::Failed(error.clone())));
        Self {
            notes,
            ..Self::complete(checks, Err(error))
        }
    }

    fn complete(
        mut checks: Vec<(Check, Outcome)>,
        verified: Result<VerifiedVoucher, VoucherError>,
    ) -> Self {
        let made = checks.len();
        checks.extend(
            Check::ALL
                .into_iter()
                .skip(made)
                .map(|check| (check, Outcome::NotReached)),
        );
        Self {
            checks,
            voucher: None,
            notes: Vec::new(),
            verified,
        }
    }
}

impl SignedVoucher {
    /// Verifies as [`Self::verify`] does, and says what came of each check.
    pub fn examine(&self, context: &VoucherContext<'_>) -> VoucherReport {
        VoucherReport::record(self.unverified(), |seen, notes| {
            self.verify_seen(context, seen, notes)
        })
    }
}
