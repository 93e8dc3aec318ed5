//! The URI of a bootstrap server as DHCP gives it (RFC 8572 §8.3): `https://host[:port]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use sztp_cms::Rule;

use crate::conveyed_info::is_domain_name;

/// `https://<ip-address-or-hostname>[:<port>]` (RFC 8572 §8.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootstrapUri {
    host: Host,
    port: Option<u16>,
}

/// Where a bootstrap server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name.
    Name(String),
    /// An address; IPv6 stands in brackets in a URI, without them here.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A URI that is not one of a bootstrap server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Longer than a host name and a port can make it.
    #[error("a URI of {octets} octets")]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// Not printable ASCII (RFC 3986 §2).
    #[error("characters that a URI cannot have")]
    Characters,
    /// Another scheme than https.
    #[error("the scheme is not https")]
    Scheme,
    /// A user name or password before the host.
    #[error("user information before the host")]
    UserInformation,
    /// Neither a host name nor an IP address.
    #[error("{host:?} is neither a host name nor an IP address")]
    Host {
        /// What was found.
        host: String,
    },
    /// Not a port between 1 and 65535.
    #[error("{port:?} is not a port")]
    Port {
        /// What was found.
        port: String,
    },
    /// A path after the host and port.
    #[error("the path {path:?} after host and port")]
    Path {
        /// What was found.
        path: String,
    },
    /// A query or a fragment.
    #[error("a query or fragment")]
    QueryOrFragment,
}

impl UriError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "dhcp.uri-too-long",
            Self::Characters => "dhcp.uri-characters",
            Self::Scheme => "dhcp.uri-scheme",
            Self::UserInformation => "dhcp.uri-user-information",
            Self::Host { .. } => "dhcp.uri-host",
            Self::Port { .. } => "dhcp.uri-port",
            Self::Path { .. } => "dhcp.uri-path",
            Self::QueryOrFragment => "dhcp.uri-query",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        Rule::new(8572, "8.3", "URI")
    }
}

impl BootstrapUri {
    /// A bootstrap server's URI; the port is 443 if absent.
    pub fn new(host: Host, port: Option<u16>) -> Result<Self, UriError> {
        if let Host::Name(name) = &host
            && !is_host_name(name)
        {
            return Err(UriError::Host { host: name.clone() });
        }
        match port {
            Some(0) => Err(UriError::Port { port: "0".into() }),
            port => Ok(Self { host, port }),
        }
    }

    /// Reads exactly the form of RFC 8572 §8.3.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        match Self::parse_with_path(text.as_bytes())? {
            (uri, path) if path.is_empty() => Ok(uri),
            (_, path) => Err(UriError::Path { path }),
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, if it was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Also reads what follows the port, as a path that may be empty.
    pub(super) fn parse_with_path(octets: &[u8]) -> Result<(Self, String), UriError> {
        if octets.len() > MAX_OCTETS {
            return Err(UriError::TooLong {
                octets: octets.len(),
            });
        }
        let text = core::str::from_utf8(octets).map_err(|_| UriError::Characters)?;
        if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(UriError::Characters);
        }
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(UriError::Scheme),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UriError::UserInformation);
        }
        if path.contains(['?', '#']) {
            return Err(UriError::QueryOrFragment);
        }
        let (host, port) = parse_authority(authority)?;
        Ok((Self::new(host, port)?, path.to_owned()))
    }
}

impl FromStr for BootstrapUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl fmt::Display for BootstrapUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "{SCHEME}[{address}]")?,
            host => write!(f, "{SCHEME}{host}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn parse_authority(authority: &str) -> Result<(Host, Option<u16>), UriError> {
    let bad_host = |host: &str| UriError::Host { host: host.into() };
    if let Some(rest) = authority.strip_prefix('[') {
        let (literal, rest) = rest.split_once(']').ok_or_else(|| bad_host(authority))?;
        let address: Ipv6Addr = literal.parse().map_err(|_| bad_host(literal))?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(bad_host(authority)),
        };
        return Ok((Host::Address(address.into()), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority, None),
    };
    let host = match host.parse::<Ipv4Addr>() {
        Ok(address) => Host::Address(address.into()),
        Err(_) => Host::Name(host.to_owned()),
    };
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, UriError> {
    let bad_port = || UriError::Port { port: text.into() };
    // `+1` is a number for Rust, but no port (RFC 3986 §3.2.3).
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(bad_port());
    }
    text.parse().map_err(|_| bad_port())
}

/// A domain name that no resolver takes for an address, as many do `1.2.3` or `0x7f.1`.
fn is_host_name(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let number = last.bytes().all(|octet| octet.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|two| two.eq_ignore_ascii_case("0x"));
    is_domain_name(name) && !number
}

const SCHEME: &str = "https://";
/// The longest name, a port, and a path that a recipe may have put there.
const MAX_OCTETS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_rfc_and_nothing_else() {
        // LEDGER: 8572-8.3-02, 8572-8.3-03
        for text in [
            "https://boot.example",
            "https://boot.example:8443",
            "https://boot",
            "https://boot.example.:1",
            "https://192.0.2.7",
            "https://192.0.2.7:65535",
            "https://[2001:db8::7]",
            "https://[2001:db8::7]:8443",
        ] {
            assert_eq!(BootstrapUri::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            BootstrapUri::parse("HTTPS://[2001:DB8:0::7]")
                .unwrap()
                .to_string(),
            "https://[2001:db8::7]"
        );
        let long = format!("https://{}", "a".repeat(600));
        let label = format!("https://{}.example", "a".repeat(64));
        for (text, code) in [
            ("", "dhcp.uri-scheme"),
            ("boot.example", "dhcp.uri-scheme"),
            ("http://boot.example", "dhcp.uri-scheme"),
            ("https:/boot.example", "dhcp.uri-scheme"),
            ("coaps://boot.example", "dhcp.uri-scheme"),
            ("https://", "dhcp.uri-host"),
            ("https://:8443", "dhcp.uri-host"),
            ("https://2001:db8::7", "dhcp.uri-port"),
            ("https://[2001:db8::7", "dhcp.uri-host"),
            ("https://[2001:db8::7]8443", "dhcp.uri-host"),
            ("https://[fe80::1%25eth0]", "dhcp.uri-host"),
            ("https://[192.0.2.7]", "dhcp.uri-host"),
            ("https://192.0.2", "dhcp.uri-host"),
            ("https://192.0.2.256", "dhcp.uri-host"),
            ("https://0x7f.0x1", "dhcp.uri-host"),
            ("https://b..example", "dhcp.uri-host"),
            ("https://-b.example", "dhcp.uri-host"),
            ("https://b%2eexample", "dhcp.uri-host"),
            (&label, "dhcp.uri-host"),
            ("https://boot.example:", "dhcp.uri-port"),
            ("https://boot.example:0", "dhcp.uri-port"),
            ("https://boot.example:+1", "dhcp.uri-port"),
            ("https://boot.example:65536", "dhcp.uri-port"),
            ("https://boot.example:1:2", "dhcp.uri-port"),
            ("https://boot.example/", "dhcp.uri-path"),
            ("https://boot.example/restconf", "dhcp.uri-path"),
            ("https://boot.example\\@x", "dhcp.uri-path"),
            ("https://boot.example?a", "dhcp.uri-query"),
            ("https://boot.example#a", "dhcp.uri-query"),
            (
                "https://user:word@boot.example",
                "dhcp.uri-user-information",
            ),
            ("https://boot.example ", "dhcp.uri-characters"),
            ("https://boot.example\0", "dhcp.uri-characters"),
            ("https://b\u{fc}cher.example", "dhcp.uri-characters"),
            (&long, "dhcp.uri-too-long"),
        ] {
            let refused = BootstrapUri::parse(text).map_err(|error| error.code());
            assert_eq!(refused, Err(code), "{text}");
        }
    }
}
