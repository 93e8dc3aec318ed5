//! Why something on the network did not work, in words for a failure's reason.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use super::tls_fault::obstacle;
use crate::device::{Obstacle, Unreachable};

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{host} has no address: {reason}")]
    NoAddress { host: String, reason: String },
    #[error("{0}: no connection: {1}")]
    Connect(SocketAddr, String),
    #[error("{peer}: TLS: {reason}")]
    Tls {
        peer: String,
        obstacle: Obstacle,
        reason: String,
    },
    #[error("{what} took longer than {limit:?}")]
    TimedOut { what: &'static str, limit: Duration },
    #[error("{0}")]
    Http(String),
    #[error("the answer is larger than {limit} octets")]
    TooLarge { limit: u64 },
    #[error("{uri:?} is no URI that an image can be downloaded from: {reason}")]
    Uri { uri: String, reason: &'static str },
    #[error("status {0}")]
    Status(u16),
    #[error("the download was interrupted too often: {0}")]
    Interrupted(String),
    #[error("cannot write the image: {0}")]
    File(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Each(Vec<Fault>),
}

impl Fault {
    /// TLS has failed, or what lies below it.
    pub(super) fn tls(peer: &dyn std::fmt::Display, error: &(dyn Error + 'static)) -> Self {
        let (obstacle, reason) =
            obstacle(error).unwrap_or_else(|| (Obstacle::NoAnswer, explain(error)));
        Self::Tls {
            peer: peer.to_string(),
            obstacle,
            reason,
        }
    }

    /// An exchange over a connection that was made has failed; with TLS 1.3 a server refuses the
    /// device's certificate only then.
    pub(super) fn exchange(peer: &str, error: &(dyn Error + 'static)) -> Self {
        match obstacle(error) {
            Some(_) => Self::tls(&peer, error),
            None => Self::Http(explain(error)),
        }
    }

    /// The most telling obstacle in it.
    fn obstacle(&self) -> Obstacle {
        match self {
            Self::Tls { obstacle, .. } => obstacle.clone(),
            Self::Each(faults) => {
                let all = faults.iter().map(Self::obstacle);
                // Of equals the first.
                all.rev()
                    .max_by_key(Obstacle::rank)
                    .unwrap_or(Obstacle::NoAnswer)
            }
            _ => Obstacle::NoAnswer,
        }
    }
}

impl From<Fault> for Unreachable {
    fn from(fault: Fault) -> Self {
        Self {
            obstacle: fault.obstacle(),
            reason: fault.to_string(),
        }
    }
}

/// An error with its causes, unless they repeat it.
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
