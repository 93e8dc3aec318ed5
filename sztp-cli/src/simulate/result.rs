//! What came of a fleet, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::process::Usage;
use super::tally::{Counts, Kind, Tally, percentile};
use crate::failure::Failure;
use crate::report::{Report, Status, Text};

/// A run, measured.
pub(super) struct Run<'a> {
    pub(super) tally: &'a Tally,
    pub(super) devices: usize,
    pub(super) took: Duration,
    pub(super) enrolling_took: Option<Duration>,
    pub(super) usage: Option<Usage>,
    pub(super) interrupted: bool,
}

impl Run<'_> {
    pub(super) fn report(&self) -> Report {
        let mut counts = self.tally.counts();
        counts.stages.sort_by_key(|count| count.stage.rank());
        for count in &mut counts.stages {
            count.took.sort_unstable();
        }
        let moment = self.tally.moment();
        let as_expected = moment.ended - moment.unexpected;
        let seconds = self.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 devices")]
        let per_second = counts.bootstrapped as f64 / seconds.max(0.001);
        let data = json!({
            "devices": self.devices,
            "as-expected": as_expected,
            "bootstrapped": counts.bootstrapped,
            "failed": counts.failures.values().map(|cases| cases.devices).sum::<usize>(),
            "not-ended": self.devices - moment.ended,
            "most-at-once": moment.most_at_once,
            "seconds": rounded(seconds),
            "bootstrapped-per-second": rounded(per_second),
            "stages": stages(&counts),
            "failures": failures(&counts),
            "misbehaved": kinds(counts.misbehaved.iter().map(|(name, kind)| (name, kind))),
            "dialects": kinds(counts.dialects.iter().map(|(name, kind)| (name, kind))),
            "remarks": counts.remarks,
            "enrolling-seconds": self.enrolling_took.map(|took| rounded(took.as_secs_f64())),
            "process": self.usage.map(|usage| json!({
                "cpu-seconds": rounded(usage.cpu.as_secs_f64()),
                "peak-memory-kib": usage.peak_memory_kib,
            })),
        });
        let mut text = Text::default();
        self.stage_table(&counts, &mut text);
        failure_list(&counts, &mut text);
        text.line("");
        text.line(&format!(
            "{} bootstrapped in {seconds:.1} s: {per_second:.1} per second, at most {} at once",
            counts.bootstrapped, moment.most_at_once
        ));
        if let Some(usage) = self.usage {
            text.line(&format!(
                "this process: {:.1} s of CPU, at most {} MiB of memory",
                usage.cpu.as_secs_f64(),
                usage.peak_memory_kib / 1024
            ));
        }
        let good = as_expected == self.devices && !self.interrupted;
        let verdict = if good { "good" } else { "not good" };
        let subject = format!(
            "{as_expected} of {} devices ended as expected",
            self.devices
        );
        text.verdict(&subject, good, verdict);
        Report {
            failures: self.failures(as_expected),
            ..Report::new(text, data)
        }
    }

    fn failures(&self, as_expected: usize) -> Vec<Failure> {
        if self.interrupted {
            let what = "interrupted; the devices that were running are switched off";
            return vec![Failure::new("simulate.interrupted", what)];
        }
        if as_expected == self.devices {
            return Vec::new();
        }
        let what = format!(
            "{} of {} devices did not end as they have to",
            self.devices - as_expected,
            self.devices
        );
        vec![
            Failure::new("simulate.unexpected", what)
                .hint("the reasons are in the report, with one device for each"),
        ]
    }

    fn stage_table(&self, counts: &Counts, text: &mut Text) {
        if let Some(took) = self.enrolling_took {
            text.line(&format!(
                "{} devices were enrolled in {:.1} s",
                self.devices,
                took.as_secs_f64()
            ));
            text.line("");
        }
        text.line(&format!(
            "{:<34}{:>8}{:>8}{:>11}{:>11}{:>11}{:>11}",
            "STAGE", "DONE", "LOST", "P50 ms", "P90 ms", "P99 ms", "MAX ms"
        ));
        for count in &counts.stages {
            let lost: usize = count.lost.values().sum();
            let at = |per_mille| match percentile(&count.took, per_mille) {
                Some(micros) => format!("{:.1}", f64::from(micros) / 1000.0),
                None => "-".to_owned(),
            };
            text.line(&format!(
                "{:<34}{:>8}{lost:>8}{:>11}{:>11}{:>11}{:>11}",
                count.stage.name(),
                count.took.len(),
                at(500),
                at(900),
                at(990),
                at(1000),
            ));
        }
    }
}

fn failure_list(counts: &Counts, text: &mut Text) {
    for (name, kind) in &counts.misbehaved {
        let good = kind.as_expected == kind.devices;
        let status = if good { Status::Passed } else { Status::Failed };
        let problem = kind.problem.as_deref().unwrap_or("");
        let detail = format!("{} of {} {problem}", kind.as_expected, kind.devices);
        text.check(status, name, &detail);
    }
    for (remark, devices) in &counts.remarks {
        text.check(Status::Noted, &format!("{devices} devices"), remark);
    }
    for (cause, cases) in counts.failures.iter().take(SHOWN) {
        let devices = format!("{} devices", cases.devices);
        let detail = format!("{}: {} (as {})", cause.stage, cause.reason, cases.example);
        text.check(Status::Failed, &devices, &detail);
    }
}

fn stages(counts: &Counts) -> Vec<Value> {
    let row = |count: &super::tally::StageCount| {
        let at =
            |per_mille| percentile(&count.took, per_mille).map(|micros| f64::from(micros) / 1000.0);
        json!({
            "stage": count.stage.name(),
            "done": count.took.len(),
            "lost": count.lost.values().sum::<usize>(),
            "lost-reasons": count.lost,
            "p50-ms": at(500),
            "p90-ms": at(900),
            "p99-ms": at(990),
            "max-ms": at(1000),
        })
    };
    counts.stages.iter().map(row).collect()
}

fn failures(counts: &Counts) -> Vec<Value> {
    let row = |(cause, cases): (&super::tally::Cause, &super::tally::Cases)| {
        json!({
            "stage": cause.stage,
            "code": cause.code,
            "reason": cause.reason,
            "devices": cases.devices,
            "example": cases.example,
        })
    };
    counts.failures.iter().map(row).collect()
}

fn kinds<'a>(kinds: impl Iterator<Item = (&'a String, &'a Kind)>) -> Value {
    let row = |(name, kind): (&String, &Kind)| {
        let value = json!({
            "devices": kind.devices,
            "as-expected": kind.as_expected,
            "problem": kind.problem,
        });
        (name.clone(), value)
    };
    Value::Object(kinds.map(row).collect())
}

/// To thousandths.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Causes that are printed for people.
const SHOWN: usize = 20;
