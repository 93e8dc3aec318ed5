//! What was asked of others, and what came of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Histogram, describe, sample};

/// Of one thing that is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    results: [AtomicU64; Asked::RESULTS.len()],
    /// Seconds, waiting included.
    time: Histogram,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedResult {
    /// What was wanted.
    Got,
    /// Whoever was asked has refused.
    Refused,
    /// No answer, or none in time.
    Failed,
    /// An answer that is of no use.
    Bad,
    /// Nobody was asked, as enough are being asked.
    Busy,
}

impl Asked {
    const RESULTS: [(&'static str, AskedResult); 5] = [
        ("got", AskedResult::Got),
        ("refused", AskedResult::Refused),
        ("failed", AskedResult::Failed),
        ("bad", AskedResult::Bad),
        ("busy", AskedResult::Busy),
    ];

    pub(crate) fn count(&self, result: AskedResult, seconds: f64) {
        let counts = self.results.iter().zip(Self::RESULTS);
        for (count, (_, known)) in counts {
            if known == result {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.time.observe(seconds);
    }

    /// `what` in the name, and for people.
    pub(super) fn write(&self, out: &mut String, what: &str, help: &str) {
        let name = format!("sztp_{what}_requests_total");
        describe(out, &name, "counter", &format!("{help}, by result"));
        for (count, (result, _)) in self.results.iter().zip(Self::RESULTS) {
            let count = count.load(Ordering::Relaxed);
            sample(out, &name, &[("result", result)], count);
        }
        let name = format!("sztp_{what}_request_seconds");
        describe(
            out,
            &name,
            "histogram",
            &format!("Time of {help}, waiting included"),
        );
        self.time.write(out, &name, "");
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            results: Default::default(),
            time: Histogram::new(TIMES),
        }
    }
}

/// Seconds, for what others take.
const TIMES: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
