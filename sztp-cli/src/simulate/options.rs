//! The options of `sztp simulate`, read and checked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::arrival::Arrival;
use super::dialect::DialectName;
use super::fleet::Share;
use super::misbehaviour::Misbehaviour;

/// What can be chosen.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The bootstrap server, https://host[:port]
    #[arg(long, value_name = "URL")]
    pub(super) server: String,
    /// The lab PKI that issues the devices' IDevIDs (and, with --enrol, their vouchers)
    #[arg(long, value_name = "DIR")]
    pub(super) pki: PathBuf,
    /// How many devices
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) devices: u32,
    /// At most so many at a time; others wait [default: all]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) concurrency: Option<u32>,
    /// How devices arrive
    #[arg(long, value_enum, default_value_t)]
    pub(super) arrival: Arrival,
    /// Devices per second, for --arrival poisson and constant
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Seed of the random arrivals, to have the same again
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Share of devices that misbehave, as in 5%
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub(super) misbehave: Share,
    /// How they misbehave, in turn [default: in all ways]
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    pub(super) misbehaviour: Vec<Misbehaviour>,
    /// How the devices speak, in turn
    #[arg(
        long,
        value_name = "DIALECT",
        value_enum,
        value_delimiter = ',',
        default_value = "generic"
    )]
    pub(super) dialect: Vec<DialectName>,
    /// A device also fails where a real one of its dialect would, not only by RFC 8572
    #[arg(long)]
    pub(super) strict: bool,
    /// All devices trust the server's authority; this is so unless told otherwise
    #[arg(long, conflicts_with = "untrusted")]
    pub(super) trusted: bool,
    /// Share of devices that do not trust the server, and believe signed data only
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "100%")]
    pub(super) untrusted: Option<Share>,
    /// Authority of the server's TLS certificate [default: server/tls-ca.crt of the lab]
    #[arg(long, value_name = "F", num_args = 1..)]
    pub(super) server_ca: Vec<PathBuf>,
    /// What voucher signers must lead to [default: vendor/root.crt of the lab]
    #[arg(long, value_name = "F", num_args = 1..)]
    pub(super) voucher_anchor: Vec<PathBuf>,
    /// How serial numbers begin; six digits follow
    #[arg(long, value_name = "TEXT", default_value = "SIM-", value_parser = prefix)]
    pub(super) prefix: String,
    /// The number of the first device
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) first: u32,
    /// Share of devices with an RSA key of 2048 bits; the others have ECDSA on P-256
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub(super) rsa: Share,
    /// Keep the devices' keys and certificates here, and take those that are there
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    /// For one device, as in 30s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// How often a device that fails tries again before it has failed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) retries: u32,
    /// Between two attempts
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(super) pause: Duration,
    /// For all devices; those that are not done by then have failed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// How long a device takes to commit its configuration
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(super) work: Duration,
    /// Add the devices and their vouchers to the server first, and reset those it knows
    #[arg(long, requires = "admin")]
    pub(super) enrol: bool,
    /// The server's admin API, https://host[:port]
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// Its bearer token
    #[arg(long, value_name = "TOKEN", env = "SZTP_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// File with the bearer token
    #[arg(long, value_name = "F")]
    pub(super) token_file: Option<PathBuf>,
    /// Authority of the admin API's TLS certificate [default: that of the server]
    #[arg(long, value_name = "F", num_args = 1..)]
    pub(super) admin_ca: Vec<PathBuf>,
    /// What the devices are to become: JSON as the admin API takes it, without the voucher
    /// [default: a small configuration]
    #[arg(long, value_name = "F", requires = "enrol")]
    pub(super) device_spec: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("not a number of devices per second from 0.001 to 1000000".to_owned()),
    }
}

/// What can stand in a file's name and in a URL as it is.
fn prefix(text: &str) -> Result<String, String> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("not 1 to 32 letters, digits, - and _".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is not a time such as 30s, 500ms or 2m");
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(problem)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(problem()),
    };
    let number: f64 = number.trim().parse().map_err(|_| problem())?;
    // Much longer is no time to wait for.
    let total = number * seconds;
    if (0.0..=1e8).contains(&total) {
        Ok(Duration::from_secs_f64(total))
    } else {
        Err(problem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_their_unit() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("1.5m", 90_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "infs", "1d", "9e99h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
