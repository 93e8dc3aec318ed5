//! What one validation may cost: a hostile bag of certificates must not keep the verifier busy.

use super::PathError;
use super::revocation::JudgedSignature;
use crate::Certificate;

/// What is left to spend, and what need not be done twice. Shared with the paths of the signers of
/// revocation lists.
pub(crate) struct Work {
    signature_checks: usize,
    signature_checks_left: usize,
    comparisons_left: usize,
    policies_left: usize,
    /// Signatures of revocation lists that were judged.
    pub(super) judged: Vec<JudgedSignature>,
    /// Signers of revocation lists whose own path is being looked for.
    pub(super) signers: Vec<Certificate>,
}

impl Work {
    pub(crate) fn new(signature_checks: usize) -> Self {
        Self {
            signature_checks,
            signature_checks_left: signature_checks,
            comparisons_left: MAX_COMPARISONS,
            policies_left: MAX_POLICIES,
            judged: Vec::new(),
            signers: Vec::new(),
        }
    }

    /// Before a signature is verified.
    pub(super) fn check_signature(&mut self) -> Result<(), PathError> {
        self.check_signatures(1)
    }

    /// Before something is done that costs as much as this many signatures.
    pub(crate) fn check_signatures(&mut self, count: usize) -> Result<(), PathError> {
        spend(&mut self.signature_checks_left, count).ok_or(PathError::BudgetExhausted {
            checks: self.signature_checks,
        })
    }

    /// Before two names, the shorter one of this many octets, are compared.
    pub(super) fn compare_names(&mut self, octets: usize) -> Result<(), PathError> {
        spend(&mut self.comparisons_left, 1 + octets / 64).ok_or(PathError::TooManyNames {
            limit: MAX_COMPARISONS,
        })
    }

    /// Before this many policies, or mappings of policies, are taken up.
    pub(super) fn take_policies(&mut self, count: usize) -> Result<(), PathError> {
        spend(&mut self.policies_left, count).ok_or(PathError::TooManyPolicies {
            limit: MAX_POLICIES,
        })
    }
}

fn spend(left: &mut usize, cost: usize) -> Option<()> {
    *left = left.checked_sub(cost)?;
    Some(())
}

/// The most comparisons of up to 64 octets of names.
const MAX_COMPARISONS: usize = 250_000;

/// The most policies in all certificates of all paths tried.
const MAX_POLICIES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_beyond_the_limit() {
        let mut work = Work::new(1);
        assert_eq!(work.check_signature(), Ok(()));
        let exhausted = PathError::BudgetExhausted { checks: 1 };
        assert_eq!(work.check_signature(), Err(exhausted));
        assert_eq!(work.compare_names(64 * (MAX_COMPARISONS - 1)), Ok(()));
        assert!(work.compare_names(0).is_err());
        assert!(work.take_policies(MAX_POLICIES + 1).is_err());
    }
}
