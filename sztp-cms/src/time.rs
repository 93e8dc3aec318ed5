//! Points in time as arguments: this crate never reads a clock.

use core::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time in whole seconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// 9999-12-31T23:59:59Z, the notAfter of certificates without a well-defined expiry
    /// (RFC 5280 §4.1.2.5).
    pub const NO_EXPIRY: Self = Self(253_402_300_799);

    /// From seconds since the epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 date and time with any offset; fractions of a second are cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|time| Self(time.unix_timestamp()))
            .map_err(|_| TimeError {
                text: text.chars().take(64).collect(),
            })
    }

    /// From the operating system's type.
    pub fn from_system_time(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_secs()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s))
            }
        }
    }

    /// This many seconds later (or earlier), staying within range.
    #[must_use]
    pub const fn plus_secs(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|time| time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} s since 1970", self.0),
        }
    }
}

/// Text that is no RFC 3339 date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 date and time such as 2026-03-02T08:15:00Z")]
pub struct TimeError {
    text: String,
}

/// What a verifier knows of the time (RFC 8572 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallClock {
    /// The clock is right.
    Trusted(UnixTime),
    /// There is no clock to rely on: validity periods are not judged.
    Unknown,
}

impl WallClock {
    /// The time, where it is known.
    pub const fn time(self) -> Option<UnixTime> {
        match self {
            Self::Trusted(time) => Some(time),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_fractions_and_prints_utc() {
        let time = UnixTime::parse_rfc3339("2021-04-13T17:43:24.589-04:00").unwrap();
        assert_eq!(time.to_string(), "2021-04-13T21:43:24Z");
        assert_eq!(UnixTime::NO_EXPIRY.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn refuses_a_time_without_zone_or_seconds() {
        for text in ["2026-03-02T08:15:00", "2026-03-02T08:15Z", "2026-03-02", ""] {
            assert!(UnixTime::parse_rfc3339(text).is_err(), "{text}");
        }
    }
}
