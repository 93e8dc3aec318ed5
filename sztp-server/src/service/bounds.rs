//! What one device may fill: how fast it may report, and how long its history becomes.
//!
//! A device is who it says, and may still be broken or taken over: neither the disk nor the others
//! shall suffer from one that reports without end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Service;
use crate::config::ServerLimits;

/// How fast devices report. Each has a minute's worth in advance.
#[derive(Debug)]
pub(super) struct Reports {
    /// 0: any number.
    per_minute: u32,
    left: Mutex<HashMap<String, (f64, Instant)>>,
}

impl Reports {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            per_minute: limits.reports_per_minute,
            left: Mutex::default(),
        }
    }

    /// Takes one report into account, or says in how many seconds there is room for one.
    pub(super) fn take(&self, serial_number: &str, now: Instant) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let most = f64::from(self.per_minute);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= MAX_DEVICES && !left.contains_key(serial_number) {
            // Who was silent for a minute has all of it again.
            left.retain(|_, (_, at)| now.duration_since(*at).as_secs() < 60);
            if left.len() >= MAX_DEVICES {
                left.clear();
            }
        }
        let (tokens, at) = match left.get_mut(serial_number) {
            Some(entry) => entry,
            None => left.entry(serial_number.to_owned()).or_insert((most, now)),
        };
        let since = now.saturating_duration_since(*at).as_secs_f64();
        *tokens = (*tokens + since * most / 60.0).min(most);
        *at = now;
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - *tokens) * 60.0 / most;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 60"
        )]
        let wait = wait.ceil().clamp(1.0, 60.0) as u64;
        Err(wait)
    }
}

/// How much was written to histories since they were last looked at.
#[derive(Debug)]
pub(super) struct Histories {
    max_entries: u32,
    max_octets: u64,
    written: Mutex<HashMap<String, u32>>,
}

impl Histories {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            max_entries: limits.history_entries,
            max_octets: limits.history_bytes,
            written: Mutex::default(),
        }
    }

    /// Counts a line; whether the history is to be looked at now.
    fn is_due(&self, serial_number: &str) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = written.get_mut(serial_number) {
            *count += 1;
            if *count < LOOK_AFTER {
                return false;
            }
            written.remove(serial_number);
            return true;
        }
        if written.len() >= MAX_DEVICES {
            written.clear();
        }
        written.insert(serial_number.to_owned(), 1);
        false
    }
}

impl Service {
    /// A line was written to a history: every now and then its oldest lines are forgotten, beside
    /// what is under way.
    pub(super) fn written_to(&self, serial_number: &str) {
        if !self.0.histories.is_due(serial_number) {
            return;
        }
        let (service, serial_number) = (self.clone(), serial_number.to_owned());
        tokio::spawn(async move {
            let histories = &service.0.histories;
            let trimmed = service
                .0
                .store
                .trim_history(&serial_number, histories.max_entries, histories.max_octets)
                .await;
            match trimmed {
                Ok(0) => {}
                Ok(lines) => tracing::info!(serial_number, lines, "the history was shortened"),
                Err(error) => tracing::warn!(serial_number, %error, "shortening a history"),
            }
        });
    }
}

/// Devices that are remembered at a time.
const MAX_DEVICES: usize = 100_000;

/// Lines by which a history may become longer than it is to be.
const LOOK_AFTER: u32 = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reports(per_minute: u32) -> Reports {
        Reports::new(&ServerLimits {
            reports_per_minute: per_minute,
            ..ServerLimits::default()
        })
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_one_after_the_other() {
        let reports = reports(60);
        let start = Instant::now();
        let taken = (0..100).filter(|_| reports.take("A", start).is_ok());
        assert_eq!(taken.count(), 60);
        assert_eq!(reports.take("A", start), Err(1));
        assert_eq!(reports.take("B", start), Ok(()), "others are not concerned");
        let later = start + Duration::from_secs(2);
        assert_eq!(reports.take("A", later), Ok(()));
        assert_eq!(reports.take("A", later), Ok(()));
        assert_eq!(reports.take("A", later), Err(1));
    }

    #[test]
    fn the_wait_is_as_long_as_it_has_to_be() {
        let reports = reports(2);
        let start = Instant::now();
        assert_eq!(reports.take("A", start), Ok(()));
        assert_eq!(reports.take("A", start), Ok(()));
        assert_eq!(reports.take("A", start), Err(30));
        let unlimited = super::tests::reports(0);
        assert!((0..100_000).all(|_| unlimited.take("A", start).is_ok()));
    }

    #[test]
    fn many_devices_do_not_fill_the_memory() {
        let reports = reports(60);
        let start = Instant::now();
        for n in 0..2 * MAX_DEVICES {
            assert_eq!(reports.take(&n.to_string(), start), Ok(()));
        }
        assert!(reports.left.lock().unwrap().len() <= MAX_DEVICES);
    }

    #[test]
    fn histories_are_looked_at_every_now_and_then() {
        let histories = Histories::new(&ServerLimits::default());
        let due: Vec<u32> = (1..=600).filter(|_| histories.is_due("A")).collect();
        assert_eq!(due, [256, 512]);
    }
}
