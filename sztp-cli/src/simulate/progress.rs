//! The progress bar of a fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::tally::Tally;
use crate::live::{self, Shown};

/// Something that is counted to the end before devices are switched on.
pub(super) struct Preparing {
    pub(super) what: &'static str,
    pub(super) done: Arc<AtomicUsize>,
    pub(super) of: usize,
}

impl Shown for Preparing {
    fn frame(&mut self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let counts = format!("{done}/{} {}", self.of, self.what);
        line(done, self.of, &counts)
    }
}

/// Devices that bootstrap.
pub(super) struct Running {
    pub(super) tally: Arc<Tally>,
    pub(super) of: usize,
    pub(super) since: Instant,
}

impl Shown for Running {
    fn frame(&mut self) -> String {
        let now = self.tally.moment();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let per_second = now.ended as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        let counts = format!(
            "{}/{} ended, {} running, {} unexpected, {per_second:.0}/s",
            now.ended,
            self.of,
            now.started.saturating_sub(now.ended),
            now.unexpected,
        );
        line(now.ended, self.of, &counts)
    }
}

/// A bar as long as there is room for, and what it stands for.
fn line(done: usize, of: usize, counts: &str) -> String {
    let room = live::width().saturating_sub(counts.len() + 3).min(40);
    let filled = (room * done.min(of)).checked_div(of).unwrap_or(room);
    format!(
        "[{}{}] {counts}",
        "#".repeat(filled),
        ".".repeat(room - filled)
    )
}
