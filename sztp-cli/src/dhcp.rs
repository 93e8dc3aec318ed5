//! `sztp dhcp`: options 143 and 136 (RFC 8572 §8), written for DHCP servers and read back.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use sztp_core::dhcp::snippet::Server;
use sztp_core::dhcp::{
    BootstrapServerList, BootstrapUri, DhcpError, DhcpLeniency, Family, ReceivedList, long_option,
};

use crate::failure::Failure;
use crate::report::{Report, Status, Text};

/// DHCP options 143 and 136, which name bootstrap servers (RFC 8572 section 8)
#[derive(Debug, Subcommand)]
pub(crate) enum DhcpCommand {
    /// Write the option for a DHCP server
    #[command(
        after_help = "Examples:\n  sztp dhcp encode https://boot.example:8443\n  \
        sztp dhcp encode https://192.0.2.7 https://boot.example:8443 --format kea\n  \
        sztp dhcp encode https://[2001:db8::7] --family v6 --format dnsmasq"
    )]
    Encode(Encode),
    /// Read an option as a device does
    #[command(
        after_help = "Example:\n  sztp dhcp decode 001468747470733a2f2f626f6f742e6578616d706c65"
    )]
    Decode(Decode),
}

impl DhcpCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Encode(command) => command.run(),
            Self::Decode(command) => command.run(),
        }
    }
}

/// `sztp dhcp encode`.
#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// https://host[:port], the preferred server first
    #[arg(value_name = "URI", required = true)]
    uris: Vec<String>,
    /// DHCPv4 (option 143) or DHCPv6 (option 136)
    #[arg(long, value_enum, default_value_t)]
    family: DhcpFamily,
    /// For which DHCP server
    #[arg(long, value_enum, default_value_t)]
    format: OptionFormat,
}

/// `sztp dhcp decode`.
#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The option in hexadecimal, with code and length or without; colons, dots and blanks may be
    /// in it
    #[arg(value_name = "HEX", required = true)]
    hex: Vec<String>,
    /// DHCPv4 (option 143) or DHCPv6 (option 136); else as the option's code says
    #[arg(long, value_enum)]
    family: Option<DhcpFamily>,
    /// Let a plain-text URI and paths pass, and say so
    #[arg(long)]
    lenient: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DhcpFamily {
    #[default]
    V4,
    V6,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptionFormat {
    /// The option's value as hexadecimal digits
    #[default]
    Hex,
    /// ISC dhcpd
    Isc,
    /// ISC dhcpd, as plain text: for Cisco IOS XR only
    IscText,
    /// ISC Kea
    Kea,
    /// dnsmasq
    Dnsmasq,
    /// A DHCP pool of Cisco IOS or IOS XE
    Cisco,
}

impl Encode {
    fn run(self) -> Result<Report, Failure> {
        let uris = self.uris.iter().map(|text| {
            BootstrapUri::parse(text)
                .map_err(|error| Failure::from(DhcpError::from(error)).within(text.as_str()))
        });
        let list = BootstrapServerList::new(uris.collect::<Result<_, _>>()?)?;
        let family = Family::from(self.family);
        let (snippet, remarks) = match self.format.server() {
            None => (hexadecimal(&list.encode()) + "\n", Vec::new()),
            Some(server) => {
                let snippet = list.snippet(family, server)?;
                (snippet.text, snippet.remarks)
            }
        };
        let data = json!({
            "code": family.option_code(),
            "uris": texts(&list),
            "value": hexadecimal(&list.encode()),
            "option": hexadecimal(&list.to_option(family)),
            "snippet": snippet,
        });
        let report = Report::new(Text::verbatim(&snippet), data);
        Ok(remarks.into_iter().fold(report, Report::note))
    }
}

impl Decode {
    fn run(self) -> Result<Report, Failure> {
        let octets = octets(&self.hex.concat()).ok_or_else(|| {
            Failure::usage(
                "usage.value",
                "HEX is not an even number of hexadecimal digits",
            )
        })?;
        let (found, value) = long_option::unwrapped(&octets)?;
        let asked = self.family.map(Family::from);
        let family = asked.or(found).unwrap_or_default();
        if found.is_some_and(|found| found != family) {
            let code = family.option_code();
            return Err(DhcpError::Absent { code }.into());
        }
        let leniency = if self.lenient {
            DhcpLeniency::FIELD
        } else {
            DhcpLeniency::default()
        };
        let received = BootstrapServerList::decode(&value, leniency)?;
        Ok(Self::report(family, &received))
    }

    fn report(family: Family, received: &ReceivedList) -> Report {
        let mut text = Text::default();
        text.verdict(&format!("Option {}", family.option_code()), true, "usable");
        for uri in texts(&received.list) {
            text.row("bootstrap-server", &uri);
        }
        let mut ignored = Vec::new();
        for entry in &received.ignored {
            let reason = entry.reason.to_string();
            text.row("ignored", &format!("entry {}: {reason}", entry.index + 1));
            ignored.push(json!({ "entry": entry.index + 1, "reason": reason }));
        }
        let deviations = received.deviations.iter().map(ToString::to_string);
        let deviations: Vec<String> = deviations.collect();
        for deviation in &deviations {
            text.check(Status::Noted, deviation, "");
        }
        let data = json!({
            "code": family.option_code(),
            "uris": texts(&received.list),
            "ignored": ignored,
            "notes": deviations,
        });
        Report::new(text, data)
    }
}

impl OptionFormat {
    fn server(self) -> Option<Server> {
        match self {
            Self::Hex => None,
            Self::Isc => Some(Server::IscDhcpd),
            Self::IscText => Some(Server::IscDhcpdText),
            Self::Kea => Some(Server::Kea),
            Self::Dnsmasq => Some(Server::Dnsmasq),
            Self::Cisco => Some(Server::CiscoIos),
        }
    }
}

impl From<DhcpFamily> for Family {
    fn from(family: DhcpFamily) -> Self {
        match family {
            DhcpFamily::V4 => Self::V4,
            DhcpFamily::V6 => Self::V6,
        }
    }
}

impl From<DhcpError> for Failure {
    fn from(error: DhcpError) -> Self {
        let failure = Self::new(error.code(), &error).rule(error.rule());
        match error {
            DhcpError::PlainText => failure.hint(
                "only Cisco IOS XR is known to take plain text; --lenient shows what it says, \
                 `sztp dhcp encode` makes what the RFC wants",
            ),
            DhcpError::Uri(_) => failure.hint(
                "a bootstrap server is https://host[:port]; the device appends the path itself",
            ),
            DhcpError::TooLongFor { .. } => failure.hint("name fewer servers"),
            DhcpError::NotServedBy { .. } => failure.hint("use another DHCP server for DHCPv6"),
            _ => failure,
        }
    }
}

fn texts(list: &BootstrapServerList) -> Vec<String> {
    list.uris().iter().map(ToString::to_string).collect()
}

fn hexadecimal(octets: &[u8]) -> String {
    let mut text = String::with_capacity(2 * octets.len());
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: Vec<u8> = text
        .bytes()
        .filter(|octet| !matches!(octet, b':' | b'.' | b'-') && !octet.is_ascii_whitespace())
        .collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| match core::str::from_utf8(pair) {
            Ok(pair) if pair.len() == 2 => u8::from_str_radix(pair, 16).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_in_every_guise() {
        for text in ["0x8f01", "8F:01", "8f01", "8f.01", " 8f 01 ", "8f-01"] {
            assert_eq!(octets(text), Some(vec![0x8f, 1]), "{text}");
        }
        for text in ["", "8", "8f0", "0x", "8g", "\u{e9}\u{e9}", "+8f0"] {
            assert_eq!(octets(text), None, "{text}");
        }
    }
}
