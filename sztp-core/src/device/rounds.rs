//! Rounds over all sources (RFC 8572 §5.2): begun while bootstrapping is enabled, and begun anew
//! after a while if none had anything that worked.

use std::time::Duration;

use super::servers::Candidate;
use super::{Awaiting, Device, Input, Outcome, Output, Step};

impl Device {
    /// From the beginning: what an earlier attempt has left is undone first, and then it is asked
    /// whether bootstrapping is enabled at all.
    pub(super) fn start_round(&mut self) {
        self.candidates = self
            .config
            .sources
            .iter()
            .rev()
            .copied()
            .map(Candidate::Source)
            .collect();
        self.visited.clear();
        self.failures.clear();
        self.retry_after = None;
        self.contact = None;
        self.key_kept = self.key_made;
        self.plan.clear();
        self.plan_first([
            self.changed.then_some(Step::Rollback),
            Some(Step::CheckEnabled),
        ]);
    }

    /// Everything was tried.
    pub(super) fn end_round(&mut self) -> Option<Output> {
        if self.key_made {
            self.key_kept = false;
            self.plan_first([Some(Step::DiscardKey)]);
            return None;
        }
        self.contact = None;
        let Some(backoff) = self.config.retry else {
            return Some(Output::Done(Outcome::Failed(self.failures.clone())));
        };
        let doubled = 2_u32.checked_pow(self.failed_rounds.min(20)).unwrap_or(1);
        let longest = backoff.first.saturating_mul(doubled).min(backoff.most);
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        let mut duration = longest.saturating_sub(self.chance.duration_up_to(longest / 2));
        if let Some(asked) = self.retry_after {
            let late = asked.min(backoff.most);
            // Those that were told the same do not come back in step.
            duration = duration.max(late + self.chance.duration_up_to(late / 8));
        }
        self.wait_for(Awaiting::Time, Output::Wait { duration })
    }

    /// Whether bootstrapping goes on; a device that cannot tell is as it was made: enabled
    /// (RFC 8572 §5.1).
    pub(super) fn take_enabled(&mut self, input: &Input) {
        if matches!(input, Input::Enabled(false)) {
            self.plan.clear();
            self.plan_first([Some(Step::End(Outcome::Disabled))]);
        }
    }

    /// A server that asked not to be asked again so soon.
    pub(super) fn note_retry_after(&mut self, asked: Option<Duration>) {
        self.retry_after = self.retry_after.max(asked);
    }
}
