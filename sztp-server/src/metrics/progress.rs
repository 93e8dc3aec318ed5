//! Bootstraps: how many, how long each stage took, and why they fail.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Histogram, describe, sample};
use crate::model::HistoryEntry;

/// Counted from the lines of histories as they are written.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    events: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    started: u64,
    provisioned: u64,
    failed: u64,
    /// From the word before to the one that names the stage.
    stages: BTreeMap<String, Histogram>,
    whole: Histogram,
    /// Bootstraps under way that this process has seen begin.
    under_way: HashMap<String, UnderWay>,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    since: Instant,
    last_word: Instant,
}

impl Progress {
    pub(super) fn event(&self, serial_number: &str, entry: &HistoryEntry) {
        let now = Instant::now();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut inner.events, &entry.event);
        if let Some(reason) = reason(entry) {
            count(&mut inner.failures, reason);
        }
        match (entry.event.as_str(), entry.state.as_str()) {
            ("served" | "promoted", "InProgress") => inner.word(serial_number, now),
            ("progress", state) => {
                let stage = entry.progress_type.as_deref().unwrap_or("unnamed");
                inner.reported(serial_number, stage, state, now);
            }
            (_, "InProgress") => {}
            _ => inner.ended(serial_number, &entry.state, now),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        describe(
            out,
            "sztp_device_events_total",
            "counter",
            "Lines written to histories",
        );
        for (event, count) in &inner.events {
            sample(out, "sztp_device_events_total", &[("event", event)], count);
        }
        describe(
            out,
            "sztp_failures_total",
            "counter",
            "Refusals and failures by reason",
        );
        for (reason, count) in &inner.failures {
            sample(out, "sztp_failures_total", &[("reason", reason)], count);
        }
        describe(
            out,
            "sztp_bootstraps_total",
            "counter",
            "Bootstraps begun and ended",
        );
        for (result, count) in [
            ("started", inner.started),
            ("provisioned", inner.provisioned),
            ("failed", inner.failed),
        ] {
            sample(out, "sztp_bootstraps_total", &[("result", result)], count);
        }
        describe(
            out,
            "sztp_stage_seconds",
            "histogram",
            "Time from a device's last word to the progress report of this stage",
        );
        for (stage, histogram) in &inner.stages {
            histogram.write(out, "sztp_stage_seconds", &format!("stage=\"{stage}\","));
        }
        describe(
            out,
            "sztp_bootstrap_seconds",
            "histogram",
            "Time until a device is provisioned",
        );
        inner.whole.write(out, "sztp_bootstrap_seconds", "");
    }
}

impl Inner {
    fn word(&mut self, serial_number: &str, now: Instant) {
        if let Some(known) = self.under_way.get_mut(serial_number) {
            known.last_word = now;
            return;
        }
        self.started += 1;
        if self.under_way.len() >= MAX_UNDER_WAY {
            self.under_way
                .retain(|_, known| now.duration_since(known.last_word) < FORGOTTEN);
            if self.under_way.len() >= MAX_UNDER_WAY {
                return;
            }
        }
        let known = UnderWay {
            since: now,
            last_word: now,
        };
        self.under_way.insert(serial_number.to_owned(), known);
    }

    fn reported(&mut self, serial_number: &str, stage: &str, state: &str, now: Instant) {
        if let Some(known) = self.under_way.get_mut(serial_number) {
            let took = now.duration_since(known.last_word).as_secs_f64();
            known.last_word = now;
            if self.stages.contains_key(stage) || self.stages.len() < MAX_LABELS {
                let histogram = self.stages.entry(stage.to_owned());
                histogram
                    .or_insert_with(|| Histogram::new(STAGES))
                    .observe(took);
            }
        }
        if state != "InProgress" {
            self.ended(serial_number, state, now);
        }
    }

    fn ended(&mut self, serial_number: &str, state: &str, now: Instant) {
        let Some(known) = self.under_way.remove(serial_number) else {
            return;
        };
        match state {
            "Provisioned" | "Onboarded" => {
                self.provisioned += 1;
                self.whole
                    .observe(now.duration_since(known.since).as_secs_f64());
            }
            "ProvisioningError" | "ZtpError" => self.failed += 1,
            _ => {}
        }
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            failures: BTreeMap::new(),
            started: 0,
            provisioned: 0,
            failed: 0,
            stages: BTreeMap::new(),
            whole: Histogram::new(STAGES),
            under_way: HashMap::new(),
        }
    }
}

/// Why something failed: the type of the report that says so, or the code before the message.
fn reason(entry: &HistoryEntry) -> Option<&str> {
    let is_code = |text: &str| {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        text.contains('.') && text.len() <= 64 && text.chars().all(good)
    };
    match entry.event.as_str() {
        "refused" => {
            let message = entry.message.as_deref().unwrap_or_default();
            let code = message.split(": ").next().filter(|text| is_code(text));
            Some(code.unwrap_or("refused"))
        }
        "progress" => entry
            .progress_type
            .as_deref()
            .filter(|stage| stage.ends_with("-error") || *stage == "boot-image-mismatch"),
        "timed-out" => Some("timed-out"),
        _ => None,
    }
}

fn count(counts: &mut BTreeMap<String, u64>, label: &str) {
    let label = if counts.contains_key(label) || counts.len() < MAX_LABELS {
        label
    } else {
        "other"
    };
    *counts.entry(label.to_owned()).or_default() += 1;
}

const MAX_LABELS: usize = 128;

/// Devices whose times are kept.
const MAX_UNDER_WAY: usize = 100_000;
const FORGOTTEN: Duration = Duration::from_hours(24);

/// Seconds: devices reboot and copy images.
const STAGES: &[f64] = &[
    0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];

#[cfg(test)]
mod tests {
    use sztp_cms::UnixTime;

    use super::*;

    fn entry(event: &str, progress_type: Option<&str>, message: &str, state: &str) -> HistoryEntry {
        HistoryEntry {
            id: 1,
            time: UnixTime::from_secs(0),
            peer: None,
            event: event.to_owned(),
            progress_type: progress_type.map(str::to_owned),
            message: Some(message.to_owned()),
            state: state.to_owned(),
        }
    }

    #[test]
    fn a_bootstrap_is_counted_once_and_by_its_end() {
        let progress = Progress::default();
        for (serial, end, state) in [
            ("A", "bootstrap-complete", "Provisioned"),
            ("B", "config-error", "ZtpError"),
        ] {
            progress.event(serial, &entry("served", None, "", "InProgress"));
            progress.event(serial, &entry("served", None, "", "InProgress"));
            progress.event(
                serial,
                &entry("progress", Some("parsing-initiated"), "", "InProgress"),
            );
            progress.event(serial, &entry("progress", Some(end), "", state));
            progress.event(serial, &entry("progress", Some("informational"), "", state));
        }
        progress.event(
            "C",
            &entry("refused", None, "voucher.expired: x", "InProgress"),
        );
        progress.event("C", &entry("refused", None, "Not a code: x", "InProgress"));
        let mut out = String::new();
        progress.write(&mut out);
        for line in [
            "sztp_bootstraps_total{result=\"started\"} 2",
            "sztp_bootstraps_total{result=\"provisioned\"} 1",
            "sztp_bootstraps_total{result=\"failed\"} 1",
            "sztp_failures_total{reason=\"config-error\"} 1",
            "sztp_failures_total{reason=\"voucher.expired\"} 1",
            "sztp_failures_total{reason=\"refused\"} 1",
            "sztp_stage_seconds_count{stage=\"parsing-initiated\"} 2",
            "sztp_bootstrap_seconds_count 1",
        ] {
            assert!(out.lines().any(|it| it == line), "{line} is not in {out}");
        }
        assert!(progress.0.lock().unwrap().under_way.is_empty());
    }

    #[test]
    fn labels_are_few() {
        let progress = Progress::default();
        for n in 0..1000 {
            progress.event("A", &entry("served", None, "", "InProgress"));
            let stage = format!("stage-{n}-error");
            progress.event("A", &entry("progress", Some(&stage), "", "InProgress"));
        }
        let inner = progress.0.lock().unwrap();
        assert!(inner.failures.len() <= MAX_LABELS + 1);
        assert!(inner.stages.len() <= MAX_LABELS);
    }
}
