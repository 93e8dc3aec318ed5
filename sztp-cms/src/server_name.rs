//! Whether a server certificate is for the host that was asked for (RFC 9525).
//!
//! The reference identity is the host of the URI or of the bootstrap-server entry, never what DNS
//! made of it; internationalised names must already be in A-label form.

use std::net::IpAddr;

use crate::Certificate;
use crate::path::{GeneralName, subject_alternative_names};

/// Whether a subjectAltName entry of `certificate` names `host`, a domain name or an IP address
/// (an IPv6 address also in brackets). The common name is not consulted (RFC 9525 §2).
pub fn certificate_names_host(certificate: &Certificate, host: &str) -> bool {
    // A list that cannot be read names nobody.
    let names = subject_alternative_names(certificate).unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        // RFC 9525 §6.4: octet for octet.
        return names.contains(&GeneralName::Ip(&octets));
    }
    names
        .iter()
        .any(|name| matches!(name, GeneralName::Dns(pattern) if dns_matches(pattern, host)))
}

/// RFC 9525 §6.3: without regard to case; a wildcard is the whole left-most label.
fn dns_matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    let host = host.strip_suffix('.').unwrap_or(host);
    if !is_domain_name(host) {
        return false;
    }
    match pattern.strip_prefix("*.") {
        Some(parent) => {
            is_domain_name(parent)
                && host
                    .split_once('.')
                    .is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(parent))
        }
        None => is_domain_name(pattern) && pattern.eq_ignore_ascii_case(host),
    }
}

fn is_domain_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::dns_matches;

    // LEDGER: 6125-6-02
    #[test]
    fn domain_names() {
        assert!(dns_matches("Boot.Example.com", "boot.example.COM"));
        assert!(dns_matches("boot.example.com", "boot.example.com."));
        assert!(dns_matches("*.example.com", "boot.example.com"));
        assert!(dns_matches("*.example", "boot.example"));
        for (pattern, host) in [
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", ".example.com"),
            ("b*.example.com", "boot.example.com"),
            ("boot.*.com", "boot.example.com"),
            ("*.*.com", "boot.example.com"),
            ("*", "localhost"),
            ("*.", "localhost"),
            ("", ""),
            ("boot.example.com", "boot.example.org"),
            ("b\u{f6}ot.example", "b\u{f6}ot.example"),
            ("boot.example.com\0.evil", "boot.example.com"),
        ] {
            assert!(!dns_matches(pattern, host), "{pattern} {host}");
        }
    }
}
