//! Domain names (RFC 1035 §2.3, §3.1) as labels of octets: a serial number is one label, whatever
//! is in it.

use std::fmt;

use super::DnsError;

/// An absolute domain name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName {
    labels: Vec<Vec<u8>>,
}

impl DomainName {
    /// A name of these labels; none is the root.
    pub fn from_labels(labels: Vec<Vec<u8>>) -> Result<Self, DnsError> {
        for label in &labels {
            if !(1..=MAX_LABEL).contains(&label.len()) {
                return Err(DnsError::LabelLength {
                    octets: label.len(),
                });
            }
        }
        let name = Self { labels };
        match name.wire_octets() {
            0..=MAX_NAME => Ok(name),
            octets => Err(DnsError::NameLength { octets }),
        }
    }

    /// Reads a name as people and zone files write it, with `\.` and `\032` (RFC 1035 §5.1), with
    /// or without the dot at the end; `.` is the root.
    pub fn parse(text: &str) -> Result<Self, DnsError> {
        if text == "." {
            return Self::from_labels(Vec::new());
        }
        let escape = || DnsError::Escape { name: text.into() };
        let mut labels = vec![Vec::new()];
        let mut octets = text.bytes();
        while let Some(octet) = octets.next() {
            let octet = match octet {
                b'.' => {
                    labels.push(Vec::new());
                    continue;
                }
                b'\\' => match octets.next().ok_or_else(escape)? {
                    first if first.is_ascii_digit() => {
                        let mut value = u16::from(first - b'0');
                        for _ in 0..2 {
                            let digit = octets.next().filter(u8::is_ascii_digit);
                            value = value * 10 + u16::from(digit.ok_or_else(escape)? - b'0');
                        }
                        u8::try_from(value).map_err(|_| escape())?
                    }
                    literal => literal,
                },
                octet => octet,
            };
            if let Some(label) = labels.last_mut() {
                label.push(octet);
            }
        }
        // The label after the dot at the end.
        if labels.len() > 1 && labels.last().is_some_and(Vec::is_empty) {
            labels.pop();
        }
        Self::from_labels(labels)
    }

    /// `local.`, the domain of multicast DNS (RFC 6762 §3).
    pub fn local() -> Self {
        Self {
            labels: vec![b"local".to_vec()],
        }
    }

    /// `<serial-number>._sztp.<domain>` (RFC 8572 §4.2.1). The serial number is one label: dots and
    /// blanks in it are octets like others.
    pub fn device_specific(serial_number: &str, domain: &Self) -> Result<Self, DnsError> {
        let labels = [serial_number.as_bytes(), b"_sztp"].map(<[u8]>::to_vec);
        Self::from_labels([&labels, domain.labels.as_slice()].concat())
    }

    /// `_sztp._tcp.<domain>` (RFC 8572 §4.2.1).
    pub fn device_independent(domain: &Self) -> Result<Self, DnsError> {
        let labels = [&b"_sztp"[..], b"_tcp"].map(<[u8]>::to_vec);
        Self::from_labels([&labels, domain.labels.as_slice()].concat())
    }

    /// The labels from left to right.
    pub fn labels(&self) -> &[Vec<u8>] {
        &self.labels
    }

    /// Octets of the name as it travels (RFC 1035 §3.1).
    pub fn wire_octets(&self) -> usize {
        1 + self
            .labels
            .iter()
            .map(|label| 1 + label.len())
            .sum::<usize>()
    }

    /// The name of a host, without the dot at the end, if it can be one.
    pub fn host(&self) -> Option<String> {
        let text: Vec<&str> = self
            .labels
            .iter()
            .map(|label| core::str::from_utf8(label).ok())
            .collect::<Option<_>>()?;
        // A dot within a label would make another name of it.
        let plain = !text.is_empty() && !text.iter().any(|label| label.contains('.'));
        Some(text.join(".")).filter(|name| plain && crate::conveyed_info::is_domain_name(name))
    }
}

impl fmt::Display for DomainName {
    /// As in a zone file, with the dot at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str(".");
        }
        for label in &self.labels {
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(*octet))?;
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<&'static str> {
        DomainName::parse(text).err().map(|error| error.code())
    }

    #[test]
    fn a_serial_number_is_one_label() {
        // LEDGER: 8572-4.2.1-05, 8572-4.2.1-03
        let domain = DomainName::parse("birch.example.").unwrap();
        for (serial_number, shown) in [
            ("AX7-00042", "AX7-00042._sztp.birch.example."),
            ("a.b", "a\\.b._sztp.birch.example."),
            (
                "PID:C9300 SN:FOO",
                "PID:C9300\\032SN:FOO._sztp.birch.example.",
            ),
            ("\\\"$;@()", "\\\\\\\"\\$\\;\\@\\(\\)._sztp.birch.example."),
            ("\u{e9}", "\\195\\169._sztp.birch.example."),
            ("a\0\n", "a\\000\\010._sztp.birch.example."),
        ] {
            let name = DomainName::device_specific(serial_number, &domain).unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.labels()[0], serial_number.as_bytes());
            assert_eq!(DomainName::parse(shown), Ok(name));
        }
        let longest = "9".repeat(63);
        assert!(DomainName::device_specific(&longest, &domain).is_ok());
        for (serial_number, octets) in [("", 0), (&"9".repeat(64), 64)] {
            assert_eq!(
                DomainName::device_specific(serial_number, &domain),
                Err(DnsError::LabelLength { octets })
            );
        }
    }

    #[test]
    fn names_that_cannot_be() {
        assert_eq!(DomainName::parse(".").unwrap().to_string(), ".");
        for text in ["", "..", ".a", "a..b", "a.."] {
            assert_eq!(code(text), Some("dns.label-length"), "{text}");
        }
        for text in ["a\\", "a\\1", "a\\12", "a\\12x", "a\\256", "\\999"] {
            assert_eq!(code(text), Some("dns.escape"), "{text}");
        }
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(DomainName::parse(&longest).unwrap().wire_octets(), 255);
        assert_eq!(code(&format!("{longest}a")), Some("dns.name-length"));
        let domain = DomainName::parse(&longest).unwrap();
        let long = DomainName::device_independent(&domain);
        assert_eq!(long, Err(DnsError::NameLength { octets: 266 }));
    }

    #[test]
    fn hosts_are_plain_names() {
        let host = |text| DomainName::parse(text).unwrap().host();
        assert_eq!(host("boot.example."), Some("boot.example".to_owned()));
        for text in [".", "a\\.b.example", "a\\032b", "-a.example", "\\255"] {
            assert_eq!(host(text), None, "{text}");
        }
    }
}
