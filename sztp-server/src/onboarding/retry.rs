//! When something is tried again: after longer and longer waits, not all at the same moment, and
//! not for ever.

use sztp_cms::UnixTime;

use super::system::Undelivered;
use crate::config::DeliveryConfig;
use crate::model::Delivery;

/// What follows from an attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It is tried again then.
    At(UnixTime, String),
    /// It is given up.
    Never(String),
}

/// `random` spreads the waits; any octet will do.
pub(super) fn next(
    config: &DeliveryConfig,
    delivery: &Delivery,
    failure: Undelivered,
    now: UnixTime,
    random: u8,
) -> Next {
    let (reason, after_secs) = match failure {
        Undelivered::Refused { reason } => return Next::Never(reason),
        Undelivered::Later { reason, after_secs } => (reason, after_secs),
    };
    let attempts = delivery.attempts.saturating_add(1);
    if attempts >= config.max_attempts {
        return Next::Never(format!("given up after {attempts} attempts: {reason}"));
    }
    let doublings = delivery.attempts.min(40);
    let longest = config.max_retry_secs;
    let wait = config
        .first_retry_secs
        .saturating_mul(1 << doublings)
        .min(longest);
    // Between half of it and all of it.
    let wait = wait - wait * u64::from(random) / (2 * u64::from(u8::MAX));
    let wait = wait.max(after_secs.unwrap_or(0).min(longest)).max(1);
    let due_at = now.plus_secs(i64::try_from(wait).unwrap_or(i64::MAX));
    let age = due_at.secs().saturating_sub(delivery.created_at.secs());
    if age > i64::try_from(config.max_age_secs).unwrap_or(i64::MAX) {
        return Next::Never(format!(
            "given up for its age, after {attempts} attempts: {reason}"
        ));
    }
    Next::At(due_at, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeliveryKind, DeliveryState};

    fn delivery(attempts: u32) -> Delivery {
        Delivery {
            id: 1,
            kind: DeliveryKind::Webhook,
            target: "t".to_owned(),
            serial_number: "s".to_owned(),
            event: "progress".to_owned(),
            idempotency_key: "k".to_owned(),
            state: DeliveryState::Pending,
            attempts,
            created_at: UnixTime::from_secs(1000),
            due_at: UnixTime::from_secs(1000),
            leased_until: None,
            error: None,
        }
    }

    fn wait(attempts: u32, failure: Undelivered, random: u8) -> Option<i64> {
        let now = UnixTime::from_secs(1000);
        let config = DeliveryConfig::default();
        match next(&config, &delivery(attempts), failure, now, random) {
            Next::At(at, _) => Some(at.secs() - now.secs()),
            Next::Never(_) => None,
        }
    }

    #[test]
    fn waits_double_and_are_spread() {
        let later = || Undelivered::later("no");
        let waits: Vec<_> = (0..4).map(|n| wait(n, later(), 0)).collect();
        assert_eq!(waits, [Some(5), Some(10), Some(20), Some(40)]);
        assert_eq!(wait(28, later(), 0), Some(3600));
        assert_eq!(wait(28, later(), 255), Some(1800));
        assert_eq!(wait(29, later(), 0), None, "that was the last");
    }

    #[test]
    fn what_the_other_side_wants_counts_within_bounds() {
        let later = |secs| Undelivered::Later {
            reason: "no".to_owned(),
            after_secs: Some(secs),
        };
        assert_eq!(wait(0, later(60), 0), Some(60));
        assert_eq!(wait(0, later(1_000_000), 0), Some(3600));
        assert_eq!(wait(0, Undelivered::refused("no"), 0), None);
    }

    #[test]
    fn what_is_too_old_is_given_up() {
        let config = DeliveryConfig {
            max_age_secs: 10,
            ..DeliveryConfig::default()
        };
        let at = |secs| {
            let now = UnixTime::from_secs(secs);
            next(&config, &delivery(0), Undelivered::later("no"), now, 0)
        };
        assert!(matches!(at(1005), Next::At(..)));
        assert!(matches!(at(1006), Next::Never(_)));
    }
}
