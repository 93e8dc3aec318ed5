//! Arguments that several commands share, and how their values are read.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use sztp_cms::{Leniency, SigningKey, UnixTime, WallClock};
use sztp_voucher::NonceExpectation;

use crate::failure::Failure;
use crate::files;

/// The system's time.
pub(crate) fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

/// The time at which something is judged.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// Judge as of this time (RFC 3339, or a date) instead of now
    #[arg(long, value_name = "T", value_parser = time)]
    at: Option<UnixTime>,
}

impl At {
    pub(crate) fn clock(&self) -> WallClock {
        WallClock::Trusted(self.at.unwrap_or_else(now))
    }
}

/// The deviations that may be let pass.
#[derive(Debug, Args)]
pub(crate) struct Lenient {
    /// Let known deviations of signatures pass, and say which were found
    #[arg(long)]
    lenient: bool,
}

impl Lenient {
    pub(crate) fn leniency(&self) -> Leniency {
        Leniency {
            ec_public_key_as_signature_algorithm: self.lenient,
        }
    }
}

/// Where the passphrase of an encrypted key comes from.
#[derive(Debug, Args)]
pub(crate) struct Passphrase {
    /// File with the passphrase of an encrypted key; else SZTP_PASSPHRASE, else a prompt
    #[arg(long, value_name = "F")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    pub(crate) fn read_key(&self, path: &std::path::Path) -> Result<SigningKey, Failure> {
        files::read_key(path, self.passphrase_file.as_deref())
    }
}

/// The content type that a signed message says it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EContentType {
    /// The type that the RFCs register
    #[default]
    Sztp,
    /// id-data, for devices that know no other
    IdData,
}

/// Octets given as base64 or base64url.
#[derive(Debug, Clone)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

/// The expectation that a nonce on the command line stands for.
pub(crate) fn nonce(given: Option<&Octets>) -> NonceExpectation<'_> {
    given.map_or(NonceExpectation::Unchecked, |nonce| {
        NonceExpectation::Exact(&nonce.0)
    })
}

/// A time in RFC 3339, or a date that stands for its midnight UTC.
pub(crate) fn time(text: &str) -> Result<UnixTime, String> {
    let date = text.len() == 10 && !text.contains(['T', 't', ':']);
    let full = if date {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    UnixTime::parse_rfc3339(&full).map_err(|error| error.to_string())
}

/// Base64 or base64url, padded or not.
pub(crate) fn octets(text: &str) -> Result<Octets, String> {
    files::decode_base64(text.as_bytes())
        .map(Octets)
        .ok_or_else(|| "neither base64 nor base64url".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight() {
        assert_eq!(
            time("2021-06-01").unwrap().to_string(),
            "2021-06-01T00:00:00Z"
        );
        assert_eq!(
            time("2021-06-01T02:00:00+02:00").unwrap().to_string(),
            "2021-06-01T00:00:00Z"
        );
        assert!(time("01.06.2021").is_err());
        assert!(time("yesterday").is_err());
    }
}
