//! What the devices of a fleet have come to, counted while they run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::device::{End, Ran};
use super::fleet::Member;
use super::watch::Stage;

/// The counts; shared by all devices.
#[derive(Debug, Default)]
pub(super) struct Tally {
    started: AtomicUsize,
    ended: AtomicUsize,
    most_at_once: AtomicUsize,
    unexpected: AtomicUsize,
    inner: Mutex<Counts>,
}

/// What is only looked at in the end.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bootstrapped: usize,
    pub(super) stages: Vec<StageCount>,
    /// Devices that were to be bootstrapped and were not.
    pub(super) failures: BTreeMap<Cause, Cases>,
    pub(super) misbehaved: BTreeMap<String, Kind>,
    pub(super) dialects: BTreeMap<String, Kind>,
    /// What real devices would not have put up with, and how many met it.
    pub(super) remarks: BTreeMap<&'static str, usize>,
}

/// The durations of one stage in microseconds, and how often it came to nothing.
#[derive(Debug)]
pub(super) struct StageCount {
    pub(super) stage: Stage,
    pub(super) took: Vec<u32>,
    pub(super) lost: BTreeMap<String, usize>,
}

/// Why devices failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub(super) stage: String,
    pub(super) code: &'static str,
    pub(super) reason: String,
}

/// How many failed for one cause.
#[derive(Debug, Default)]
pub(super) struct Cases {
    pub(super) devices: usize,
    /// One of them.
    pub(super) example: String,
}

/// Devices of a kind.
#[derive(Debug, Default)]
pub(super) struct Kind {
    pub(super) devices: usize,
    pub(super) as_expected: usize,
    /// Why the others are not, for one of them.
    pub(super) problem: Option<String>,
}

/// Counts of this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) started: usize,
    pub(super) ended: usize,
    pub(super) unexpected: usize,
    pub(super) most_at_once: usize,
}

impl Tally {
    pub(super) fn start(&self) {
        let started = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let running = started.saturating_sub(self.ended.load(Ordering::Relaxed));
        self.most_at_once.fetch_max(running, Ordering::Relaxed);
    }

    pub(super) fn end(&self, member: &Member, ran: &Ran) {
        let problem = match &ran.end {
            End::Bootstrapped | End::Misbehaved(Ok(())) => None,
            End::Failed { reason, .. } | End::Misbehaved(Err(reason)) => {
                Some(anonymous(reason, member))
            }
        };
        let mut counts = self.counts();
        for (stage, took) in ran.watch.took() {
            let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            counts.stage(*stage).took.push(micros);
        }
        // A misbehaving device has its losses coming.
        if member.misbehaviour.is_none() {
            for (stage, reason) in ran.watch.lost() {
                let lost = &mut counts.stage(*stage).lost;
                count(lost, anonymous(reason, member));
            }
        }
        match &ran.end {
            End::Bootstrapped => counts.bootstrapped += 1,
            End::Failed {
                stage,
                code,
                reason,
            } => {
                let cause = Cause {
                    stage: stage.name(),
                    code,
                    reason: anonymous(reason, member),
                };
                if counts.failures.len() < MAX_CAUSES || counts.failures.contains_key(&cause) {
                    let cases = counts.failures.entry(cause).or_default();
                    cases.devices += 1;
                    cases.example.clone_from(&member.serial_number);
                }
            }
            End::Misbehaved(_) => {}
        }
        if let Some(misbehaviour) = member.misbehaviour {
            let kind = counts.misbehaved.entry(misbehaviour.name()).or_default();
            kind.count(problem.as_deref());
        }
        let kind = counts.dialects.entry(member.dialect.name()).or_default();
        kind.count(problem.as_deref());
        for remark in &ran.remarks {
            *counts.remarks.entry(remark).or_default() += 1;
        }
        drop(counts);
        if problem.is_some() {
            self.unexpected.fetch_add(1, Ordering::Relaxed);
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// A device had to wait for others before it could be switched on.
    pub(super) fn queued(&self, waited: Duration) {
        let micros = u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
        self.counts().stage(Stage::Queued).took.push(micros);
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            started: self.started.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            unexpected: self.unexpected.load(Ordering::Relaxed),
            most_at_once: self.most_at_once.load(Ordering::Relaxed),
        }
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn stage(&mut self, stage: Stage) -> &mut StageCount {
        let known = self.stages.iter().position(|known| known.stage == stage);
        let at = known.unwrap_or_else(|| {
            self.stages.push(StageCount {
                stage,
                took: Vec::new(),
                lost: BTreeMap::new(),
            });
            self.stages.len() - 1
        });
        &mut self.stages[at]
    }
}

impl Kind {
    fn count(&mut self, problem: Option<&str>) {
        self.devices += 1;
        match problem {
            None => self.as_expected += 1,
            Some(problem) => self.problem = Some(problem.to_owned()),
        }
    }
}

/// The value that `per_mille` of the sorted durations do not exceed (nearest rank).
pub(super) fn percentile(sorted: &[u32], per_mille: usize) -> Option<u32> {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// A reason without what only one device has in it, so that the same reasons are the same.
fn anonymous(reason: &str, member: &Member) -> String {
    let reason = reason.replace(&member.serial_number, "<serial-number>");
    let mut short: String = reason.chars().take(MAX_REASON).collect();
    if short.len() < reason.len() {
        short.push('\u{2026}');
    }
    short
}

fn count(counts: &mut BTreeMap<String, usize>, key: String) {
    if counts.len() < MAX_CAUSES || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

/// Different causes that are told apart.
const MAX_CAUSES: usize = 100;
/// Characters of a reason.
const MAX_REASON: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 500), Some(100));
        assert_eq!(percentile(&values, 990), Some(198));
        assert_eq!(percentile(&values, 1000), Some(200));
        assert_eq!(percentile(&[7], 500), Some(7));
        assert_eq!(percentile(&[], 500), None);
    }
}
