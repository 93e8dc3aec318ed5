//! What is asked of others while a device waits: MASAs, certification authorities, programs of the
//! operator.
//!
//! Everything is bounded: how many are asked at a time, how many wait for that, how long it takes
//! and how much is taken in. What the answers are worth is judged by whoever asked.

mod gate;
mod https;
mod program;

use thiserror::Error;

pub(crate) use self::gate::Gate;
pub(crate) use self::https::{HttpsPeer, HttpsUrl, Outgoing, Reply};
pub(crate) use self::program::Program;

/// Why nothing came from outside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutsideError {
    /// As many are being asked as configured, and as many wait.
    #[error("too much is being asked of others already")]
    Busy,
    /// No answer in time.
    #[error("no answer within {secs} s")]
    TimedOut {
        /// How long was waited.
        secs: u64,
    },
    /// No connection, or one that broke off.
    #[error("{peer}: {reason}")]
    Unreachable {
        /// Who.
        peer: String,
        /// Why not.
        reason: String,
    },
    /// An HTTP status other than the one that was hoped for.
    #[error("{peer} answered {status}{}", said(reason))]
    Status {
        /// Who.
        peer: String,
        /// The status.
        status: u16,
        /// What it says of it, shortened.
        reason: String,
    },
    /// It is being worked on (RFC 7030 §4.2.3).
    #[error("{peer} is at it; it is to be asked again in {retry_after_secs} s")]
    Pending {
        /// Who.
        peer: String,
        /// When.
        retry_after_secs: u64,
    },
    /// An answer that cannot be what was asked for.
    #[error("{peer}: {problem}")]
    Answer {
        /// Who.
        peer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A program that cannot be run, or that failed.
    #[error("{program}: {reason}")]
    Program {
        /// Which one.
        program: String,
        /// How, and what it said of it, shortened.
        reason: String,
    },
}

impl OutsideError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy => "outside.busy",
            Self::TimedOut { .. } => "outside.timed-out",
            Self::Unreachable { .. } => "outside.unreachable",
            Self::Status { .. } => "outside.status",
            Self::Pending { .. } => "outside.pending",
            Self::Answer { .. } => "outside.answer",
            Self::Program { .. } => "outside.program",
        }
    }

    /// Whether the other side has decided, so that asking again is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                (400..500).contains(status) && ![408, 425, 429].contains(status)
            }
            _ => false,
        }
    }
}

fn said(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

/// What somebody else says of a failure: one line, not long, without control characters.
pub(crate) fn shortened(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(4 * MAX_REASON)]);
    let mut words = text.split_whitespace();
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
    out.chars()
        .filter(|character| !character.is_control())
        .take(MAX_REASON)
        .collect()
}

const MAX_REASON: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_one_short_line() {
        assert_eq!(shortened(b" a\n\tb\x1b[0m\n"), "a b[0m");
        assert_eq!(shortened(&[b'x'; 9999]).len(), MAX_REASON);
        assert_eq!(shortened(b""), "");
    }

    #[test]
    fn what_was_decided_is_not_asked_again() {
        let status = |status| OutsideError::Status {
            peer: String::new(),
            status,
            reason: String::new(),
        };
        for (code, is_final) in [(403, true), (404, true), (429, false), (503, false)] {
            assert_eq!(status(code).is_final(), is_final, "{code}");
        }
    }
}
