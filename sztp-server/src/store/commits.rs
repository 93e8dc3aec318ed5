//! How long transactions take, and how many changes share one.

use crate::metrics::Histogram;

/// Counted by the store for as long as it is open.
#[derive(Debug)]
pub struct Commits {
    /// Seconds from the begin of a transaction until it is on disk.
    pub(crate) time: Histogram,
    /// Changes in a transaction.
    pub(crate) size: Histogram,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            time: Histogram::new(&[
                0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
            ]),
            size: Histogram::new(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
        }
    }
}
