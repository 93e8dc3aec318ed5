//! Failed attempts to log in, counted per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sztp_cms::UnixTime;

use crate::listener::network;

/// Counts for the last minute of each address; addresses are forgotten after it.
#[derive(Debug)]
pub(crate) struct Attempts {
    per_minute: u32,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: i64,
    failed: u32,
}

impl Attempts {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            counts: Mutex::default(),
        }
    }

    /// Seconds until the address is listened to again; none: it is.
    pub(crate) fn closed(&self, address: IpAddr, now: UnixTime) -> Option<u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&network(address))?;
        let left = count.since.saturating_add(WINDOW) - now.secs();
        // A clock that was set back must not close the door for long.
        let open = count.failed < self.per_minute || left <= 0 || left > WINDOW;
        if open { None } else { u64::try_from(left).ok() }
    }

    pub(crate) fn failed(&self, address: IpAddr, now: UnixTime) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.secs();
        if counts.len() >= MAX_ADDRESSES {
            counts.retain(|_, count| (0..WINDOW).contains(&(now - count.since)));
            if counts.len() >= MAX_ADDRESSES {
                counts.clear();
            }
        }
        let count = counts.entry(network(address)).or_insert(Count {
            since: now,
            failed: 0,
        });
        if !(0..WINDOW).contains(&(now - count.since)) {
            *count = Count {
                since: now,
                failed: 0,
            };
        }
        count.failed = count.failed.saturating_add(1);
    }
}

const WINDOW: i64 = 60;
const MAX_ADDRESSES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_not_listened_to_for_a_while() {
        let attempts = Attempts::new(3);
        let at = UnixTime::from_secs;
        let guesser: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(attempts.closed(guesser, at(100)), None);
            attempts.failed(guesser, at(100));
        }
        assert_eq!(attempts.closed(guesser, at(110)), Some(50));
        assert_eq!(attempts.closed(neighbour, at(110)), Some(50));
        assert_eq!(attempts.closed(other, at(110)), None);
        assert_eq!(attempts.closed(guesser, at(160)), None);
        attempts.failed(guesser, at(160));
        assert_eq!(attempts.closed(guesser, at(160)), None);
        assert_eq!(attempts.closed(guesser, at(10)), None, "a clock set back");
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory() {
        let attempts = Attempts::new(1);
        for n in 0..u32::try_from(3 * MAX_ADDRESSES).unwrap() {
            attempts.failed(IpAddr::from(n.to_be_bytes()), UnixTime::from_secs(1));
        }
        assert!(attempts.counts.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
