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
#[derive(Debug, Clone, Args)]
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
#[derive(Debug, Clone, Args)]
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

/// `HOST`, `HOST:PORT`, `[V6]:PORT` or a bare IPv6 address, also after `https://`.
pub(crate) fn server(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text
        .strip_prefix("https://")
        .unwrap_or(text)
        .trim_end_matches('/');
    let bad_port = |port: &str| format!("{port:?} is not a port");
    let port = |port: &str| port.parse::<u16>().map(Some).map_err(|_| bad_port(port));
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(number) => Ok((address.to_owned(), port(number)?)),
            None if rest.is_empty() => Ok((address.to_owned(), None)),
            None => Err(format!("{rest:?} after the bracket")),
        };
    }
    match text.split_once(':') {
        Some((host, number)) if !number.contains(':') => Ok((host.to_owned(), port(number)?)),
        _ => Ok((text.to_owned(), None)),
    }
}

/// The host and the port of `https://host[:port]`, as an option has it.
pub(crate) fn https_url(option: &str, url: &str) -> Result<(String, Option<u16>), Failure> {
    let bad = |problem: &str| {
        Failure::usage("usage.server-url", format!("{option} {url:?}: {problem}"))
            .hint("https://host[:port], as in https://boot.example.net:8443")
    };
    if url.contains("://") && !url.starts_with("https://") {
        return Err(bad("servers are reached by https only"));
    }
    let (address, port) = server(url).map_err(|problem| bad(&problem))?;
    if address.is_empty() || address.contains(['/', '@', '?', '#']) {
        return Err(bad("only host and port are wanted"));
    }
    Ok((address, port))
}

/// 64 hexadecimal digits, with or without colons.
pub(crate) fn sha256_hex(text: &str) -> Result<[u8; 32], String> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b':').collect();
    let octets: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| {
            let pair = core::str::from_utf8(pair).ok()?;
            let hexadecimal = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            hexadecimal
                .then(|| u8::from_str_radix(pair, 16).ok())
                .flatten()
        })
        .collect();
    octets
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| "not 64 hexadecimal digits".to_owned())
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

    #[test]
    fn servers_in_every_form() {
        for (text, address, port) in [
            ("boot.example", "boot.example", None),
            ("boot.example:8443", "boot.example", Some(8443)),
            ("https://boot.example:8443/", "boot.example", Some(8443)),
            ("[2001:db8::1]:8443", "2001:db8::1", Some(8443)),
            ("2001:db8::1", "2001:db8::1", None),
        ] {
            assert_eq!(server(text), Ok((address.to_owned(), port)), "{text}");
        }
        for text in ["[::1", "[::1]x", "a:b", "a:65536"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hash_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(sha256_hex(&plain), Ok([0xab; 32]));
        assert_eq!(sha256_hex(&colons), Ok([0xab; 32]));
        for text in ["", "ab", "+f", &"zz".repeat(32), &"ab".repeat(33), "\u{e9}"] {
            assert!(sha256_hex(text).is_err(), "{text}");
        }
    }
}
