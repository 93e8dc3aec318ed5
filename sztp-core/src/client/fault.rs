//! Why something on the network did not work, in words for a failure's reason.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{host} has no address: {reason}")]
    NoAddress { host: String, reason: String },
    #[error("{0}: no connection: {1}")]
    Connect(SocketAddr, String),
    #[error("{0}: TLS: {1}")]
    Tls(SocketAddr, String),
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
