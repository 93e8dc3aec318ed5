//! Bootstrap servers named by DHCP (RFC 8572 §8): DHCPv4 option 143 and DHCPv6 option 136.
//!
//! A [`BootstrapServerList`] goes into an option and comes out of one; [`long_option`] finds an
//! option's value among others and splits long ones (RFC 3396), [`snippet`] writes the option the
//! way DHCP servers are configured. DHCP is never trusted: whatever a list names is contacted
//! provisionally (RFC 8572 §5.5), which is the device machine's business.

use sztp_cms::Rule;

use crate::conveyed_info::BootstrapServer;

pub mod long_option;
pub mod snippet;
mod uri;

pub use uri::{BootstrapUri, Host, UriError};

/// The `bootstrap-server-list` (RFC 8572 §8.3): at least one URI, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapServerList {
    uris: Vec<BootstrapUri>,
}

/// What a device makes of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedList {
    /// The usable URIs.
    pub list: BootstrapServerList,
    /// Entries that were ignored, as RFC 8572 §8.1 wants invalid ones to be.
    pub ignored: Vec<IgnoredEntry>,
    /// Deviations that were let pass.
    pub deviations: Vec<Deviation>,
}

/// An entry of a list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredEntry {
    /// Which entry, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: EntryError,
}

/// Why an entry of a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The URI is not one of a bootstrap server.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A length of zero; nothing after it is read.
    #[error("an entry of length zero")]
    ZeroLength,
    /// The length reaches past the end of the list; nothing after it is read.
    #[error("an entry of {length} octets where {left} are left")]
    PastEnd {
        /// What uri-length says.
        length: usize,
        /// Octets that are there.
        left: usize,
    },
    /// A single octet where uri-length should be.
    #[error("the list ends within a uri-length")]
    TruncatedLength,
    /// More entries than a device contacts.
    #[error("more than {MAX_URIS} entries")]
    TooMany,
}

/// Deviations of options found in the field that may be let pass; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DhcpLeniency {
    /// One URI as plain text, without uri-length, as recipes for `dhcpd` with `text` make it.
    pub plain_text: bool,
    /// A path after the port, which is dropped: the device appends RESTCONF's itself.
    pub path: bool,
}

impl DhcpLeniency {
    /// Everything that was seen in the field.
    pub const FIELD: Self = Self {
        plain_text: true,
        path: true,
    };
}

/// A deviation that was let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deviation {
    /// The option is one URI as plain text (RFC 8572 §8.3 wants a uri-length before it).
    PlainText,
    /// A path was dropped from a URI.
    Path {
        /// The URI without it.
        uri: BootstrapUri,
        /// What was dropped.
        path: String,
    },
}

impl std::fmt::Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PlainText => f.write_str("the URI is plain text without uri-length"),
            Self::Path { uri, path } => write!(f, "the path {path:?} after {uri} was dropped"),
        }
    }
}

/// Which DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// DHCPv4, OPTION_V4_SZTP_REDIRECT (RFC 8572 §8.1).
    #[default]
    V4,
    /// DHCPv6, OPTION_V6_SZTP_REDIRECT (RFC 8572 §8.2).
    V6,
}

impl Family {
    /// The option's code.
    pub const fn option_code(self) -> u16 {
        match self {
            Self::V4 => OPTION_V4_SZTP_REDIRECT as u16,
            Self::V6 => OPTION_V6_SZTP_REDIRECT,
        }
    }
}

/// Code of the DHCPv4 option (RFC 8572 §8.1).
pub const OPTION_V4_SZTP_REDIRECT: u8 = 143;
/// Code of the DHCPv6 option (RFC 8572 §8.2).
pub const OPTION_V6_SZTP_REDIRECT: u16 = 136;

/// An option that is discarded, or one that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DhcpError {
    /// A list without entries.
    #[error("the list has no entry")]
    Empty,
    /// No entry of the list is usable; the option is discarded (RFC 8572 §8.1).
    #[error("no entry of the list is usable, the first because of: {first}")]
    NoUsableUri {
        /// What is wrong with the first entry.
        first: EntryError,
    },
    /// The option holds plain text instead of a list.
    #[error("plain text instead of a list of URIs with uri-length before each")]
    PlainText,
    /// A URI that cannot be put into a list.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// More URIs than a device contacts.
    #[error("{found} URIs where {MAX_URIS} are the most")]
    TooMany {
        /// URIs given.
        found: usize,
    },
    /// The options around it end within an option.
    #[error("the options end within option {code}")]
    TruncatedOption {
        /// Its code.
        code: u16,
    },
    /// The option is not there.
    #[error("there is no option {code}")]
    Absent {
        /// The code looked for.
        code: u16,
    },
    /// A DHCP server's configuration cannot hold an option of this size.
    #[error("the option needs {octets} octets and {software} takes {max}")]
    TooLongFor {
        /// The DHCP server.
        software: &'static str,
        /// What is needed.
        octets: usize,
        /// What it takes.
        max: usize,
    },
    /// A DHCP server that does not serve this family, or not this option of it.
    #[error("{software} cannot be made to send option {code}")]
    NotServedBy {
        /// The DHCP server.
        software: &'static str,
        /// The option's code.
        code: u16,
    },
    /// Plain text holds one URI, not several.
    #[error("plain text holds one URI, not {found}")]
    SeveralAsText {
        /// URIs given.
        found: usize,
    },
}

impl DhcpError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "dhcp.empty",
            Self::NoUsableUri { .. } => "dhcp.no-usable-uri",
            Self::PlainText => "dhcp.plain-text",
            Self::Uri(inner) => inner.code(),
            Self::TooMany { .. } => "dhcp.too-many-uris",
            Self::TruncatedOption { .. } => "dhcp.truncated-option",
            Self::Absent { .. } => "dhcp.option-absent",
            Self::TooLongFor { .. } => "dhcp.too-long-for-server",
            Self::NotServedBy { .. } => "dhcp.not-served",
            Self::SeveralAsText { .. } => "dhcp.several-as-text",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Empty | Self::PlainText | Self::TooMany { .. } | Self::SeveralAsText { .. } => {
                Rule::new(8572, "8.3", "bootstrap-server-list")
            }
            Self::NoUsableUri { .. } | Self::Absent { .. } => {
                Rule::new(8572, "8.1", "at least one valid URI")
            }
            Self::Uri(inner) => inner.rule(),
            Self::TruncatedOption { .. } => Rule::new(2132, "2", "option format"),
            Self::TooLongFor { .. } => Rule::new(3396, "4", "long options"),
            Self::NotServedBy { .. } => Rule::new(8572, "8.2", "DHCPv6 option"),
        }
    }
}

impl BootstrapServerList {
    /// A list of these URIs.
    pub fn new(uris: Vec<BootstrapUri>) -> Result<Self, DhcpError> {
        match uris.len() {
            0 => Err(DhcpError::Empty),
            1..=MAX_URIS => Ok(Self { uris }),
            found => Err(DhcpError::TooMany { found }),
        }
    }

    /// Decodes the option's value, joined if it came in several instances ([`long_option`]).
    ///
    /// Invalid entries are ignored and told; without a valid one the option is to be discarded,
    /// as if it had not been there (RFC 8572 §8.1, §8.2).
    pub fn decode(value: &[u8], leniency: DhcpLeniency) -> Result<ReceivedList, DhcpError> {
        if value.is_empty() {
            return Err(DhcpError::Empty);
        }
        if is_plain_text(value) {
            return Self::decode_plain_text(value, leniency);
        }
        let mut received = Reading::new(leniency);
        let mut rest = value;
        for index in 0.. {
            if rest.is_empty() {
                break;
            }
            match next_entry(rest, index) {
                Ok((uri, left)) => {
                    received.read(index, uri);
                    rest = left;
                }
                // Where the next entry would begin is no longer known.
                Err(reason) => {
                    received.ignored.push(IgnoredEntry { index, reason });
                    break;
                }
            }
        }
        received.finish()
    }

    /// The URIs in order of preference.
    pub fn uris(&self) -> &[BootstrapUri] {
        &self.uris
    }

    /// The option's value: uri-length and URI, repeated (RFC 8572 §8.3).
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for uri in &self.uris {
            let text = uri.to_string();
            // At most 512 octets, as no BootstrapUri is longer.
            let [.., high, low] = text.len().to_be_bytes();
            value.extend_from_slice(&[high, low]);
            value.extend_from_slice(text.as_bytes());
        }
        value
    }

    /// The option with code and length as it travels: one instance if that can hold it, otherwise
    /// and only then several in a row (RFC 8572 §8.1, RFC 3396 §4).
    pub fn to_option(&self, family: Family) -> Vec<u8> {
        let value = self.encode();
        match family {
            Family::V4 => long_option::split(OPTION_V4_SZTP_REDIRECT, &value),
            Family::V6 => {
                // MAX_URIS of at most 512 octets are less than 65536.
                let [.., high, low] = value.len().to_be_bytes();
                let code = OPTION_V6_SZTP_REDIRECT.to_be_bytes();
                [&code, &[high, low], value.as_slice()].concat()
            }
        }
    }

    /// The same as untrusted redirect information (RFC 8572 §5.5, §8.1); a host may occur with
    /// several ports.
    pub fn servers(&self) -> Vec<BootstrapServer> {
        let mut servers: Vec<BootstrapServer> = Vec::with_capacity(self.uris.len());
        for uri in &self.uris {
            let server = BootstrapServer {
                address: uri.host().to_string(),
                port: uri.port(),
                trust_anchor: None,
            };
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }

    fn decode_plain_text(value: &[u8], leniency: DhcpLeniency) -> Result<ReceivedList, DhcpError> {
        if !leniency.plain_text {
            return Err(DhcpError::PlainText);
        }
        let mut text = value;
        // C strings keep their terminator in some servers, RFC 2132 §2.
        while let [rest @ .., 0 | b' ' | b'\t' | b'\r' | b'\n'] = text {
            text = rest;
        }
        let mut received = Reading::new(leniency);
        received.deviations.push(Deviation::PlainText);
        received.read(0, text);
        received.finish()
    }
}

/// A list while it is read.
struct Reading {
    leniency: DhcpLeniency,
    uris: Vec<BootstrapUri>,
    ignored: Vec<IgnoredEntry>,
    deviations: Vec<Deviation>,
}

impl Reading {
    fn new(leniency: DhcpLeniency) -> Self {
        Self {
            leniency,
            uris: Vec::new(),
            ignored: Vec::new(),
            deviations: Vec::new(),
        }
    }

    fn read(&mut self, index: usize, octets: &[u8]) {
        match BootstrapUri::parse_with_path(octets) {
            Ok((uri, path)) if path.is_empty() => self.uris.push(uri),
            Ok((uri, path)) if self.leniency.path => {
                self.deviations.push(Deviation::Path {
                    uri: uri.clone(),
                    path,
                });
                self.uris.push(uri);
            }
            Ok((_, path)) => self.ignore(index, UriError::Path { path }),
            Err(error) => self.ignore(index, error),
        }
    }

    fn ignore(&mut self, index: usize, error: UriError) {
        let reason = EntryError::Uri(error);
        self.ignored.push(IgnoredEntry { index, reason });
    }

    fn finish(self) -> Result<ReceivedList, DhcpError> {
        if self.uris.is_empty() {
            return Err(match self.ignored.into_iter().next() {
                Some(IgnoredEntry { reason, .. }) => DhcpError::NoUsableUri { first: reason },
                None => DhcpError::Empty,
            });
        }
        Ok(ReceivedList {
            list: BootstrapServerList { uris: self.uris },
            ignored: self.ignored,
            deviations: self.deviations,
        })
    }
}

/// An entry's URI and what follows it.
fn next_entry(list: &[u8], index: usize) -> Result<(&[u8], &[u8]), EntryError> {
    if index == MAX_URIS {
        return Err(EntryError::TooMany);
    }
    let (length, rest) = list
        .split_first_chunk::<2>()
        .ok_or(EntryError::TruncatedLength)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 {
        return Err(EntryError::ZeroLength);
    }
    rest.split_at_checked(length).ok_or(EntryError::PastEnd {
        length,
        left: rest.len(),
    })
}

/// Read as a uri-length, `ht` is longer than any URI that is accepted.
fn is_plain_text(value: &[u8]) -> bool {
    value
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
}

/// URIs in a list: far more than a device contacts before it gives up.
pub const MAX_URIS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uri: &str) -> Vec<u8> {
        let length = u16::try_from(uri.len()).unwrap();
        [&length.to_be_bytes(), uri.as_bytes()].concat()
    }

    fn strict(value: &[u8]) -> Result<ReceivedList, DhcpError> {
        BootstrapServerList::decode(value, DhcpLeniency::default())
    }

    fn texts(received: &ReceivedList) -> Vec<String> {
        received
            .list
            .uris()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const GOOD: &str = "https://boot.example:8443";

    #[test]
    fn invalid_entries_are_ignored_and_valid_ones_used() {
        // LEDGER: 8572-8.1-03, 8572-8.3-02
        let value = [entry("http://boot.example"), entry(GOOD)].concat();
        let received = strict(&value).unwrap();
        assert_eq!(texts(&received), [GOOD]);
        let [ignored] = &received.ignored[..] else {
            panic!("{received:?}");
        };
        assert_eq!(ignored.index, 0);
        assert_eq!(ignored.reason, EntryError::Uri(UriError::Scheme));
        // None valid: as if the option were absent.
        let refused = strict(&entry("http://boot.example"));
        let first = EntryError::Uri(UriError::Scheme);
        assert_eq!(refused, Err(DhcpError::NoUsableUri { first }));
    }

    #[test]
    fn a_broken_length_ends_the_list() {
        // LEDGER: 8572-8.3-01, 7227-5.7-01
        let broken: [(&[u8], EntryError); 3] = [
            (&[0, 0], EntryError::ZeroLength),
            (&[0], EntryError::TruncatedLength),
            (&[0, 9, b'h'], EntryError::PastEnd { length: 9, left: 1 }),
        ];
        for (tail, reason) in broken {
            let received = strict(&[&entry(GOOD), tail].concat()).unwrap();
            assert_eq!(texts(&received), [GOOD]);
            let expected = IgnoredEntry {
                index: 1,
                reason: reason.clone(),
            };
            assert_eq!(received.ignored, [expected]);
            assert_eq!(strict(tail), Err(DhcpError::NoUsableUri { first: reason }));
        }
        let zero_first = [&[0, 0], &entry(GOOD)[..]].concat();
        assert!(strict(&zero_first).is_err(), "nothing after it is read");
        assert_eq!(strict(&[]), Err(DhcpError::Empty));
    }

    #[test]
    fn plain_text_is_discarded_unless_allowed() {
        // LEDGER: 8572-8.3-04
        let text = b"https://boot.example:8443";
        assert_eq!(strict(text), Err(DhcpError::PlainText));
        let crosswork = b"https://10.1.1.1:30617/restconf/operations/\
            ietf-sztp-bootstrap-server:get-bootstrap-data";
        for (value, path) in [
            (&text[..], None),
            (b"https://boot.example:8443\0", None),
            (
                crosswork,
                Some("/restconf/operations/ietf-sztp-bootstrap-server:get-bootstrap-data"),
            ),
        ] {
            let received = BootstrapServerList::decode(value, DhcpLeniency::FIELD).unwrap();
            assert_eq!(received.list.uris().len(), 1);
            assert_eq!(received.deviations[0], Deviation::PlainText);
            let dropped = received.deviations.get(1).map(|deviation| match deviation {
                Deviation::Path { path, .. } => path.as_str(),
                Deviation::PlainText => "twice",
            });
            assert_eq!(dropped, path);
        }
        let http = BootstrapServerList::decode(b"http://boot.example", DhcpLeniency::FIELD);
        assert_eq!(
            http.map_err(|error| error.code()),
            Err("dhcp.no-usable-uri")
        );
    }

    #[test]
    fn a_path_is_invalid_unless_allowed() {
        // LEDGER: 8572-8.3-03
        for path in ["/", "/restconf"] {
            let value = entry(&format!("{GOOD}{path}"));
            let first = EntryError::Uri(UriError::Path { path: path.into() });
            assert_eq!(strict(&value), Err(DhcpError::NoUsableUri { first }));
            let received = BootstrapServerList::decode(&value, DhcpLeniency::FIELD).unwrap();
            assert_eq!(texts(&received), [GOOD]);
            assert_eq!(received.deviations.len(), 1);
        }
    }

    #[test]
    fn as_redirect_information() {
        // LEDGER: 8572-8.1-02
        let value = [
            entry("https://[2001:db8::7]:8443"),
            entry("https://boot.example"),
            entry("https://boot.example"),
        ]
        .concat();
        let servers = strict(&value).unwrap().list.servers();
        let expected: Vec<(&str, Option<u16>)> =
            vec![("2001:db8::7", Some(8443)), ("boot.example", None)];
        let found: Vec<(&str, Option<u16>)> = servers
            .iter()
            .map(|server| (server.address.as_str(), server.port))
            .collect();
        assert_eq!(found, expected);
        assert!(servers.iter().all(|server| server.trust_anchor.is_none()));
    }

    #[test]
    fn a_flood_of_entries_is_cut() {
        let value = entry(GOOD).repeat(MAX_URIS + 1);
        let received = strict(&value).unwrap();
        assert_eq!(received.list.uris().len(), MAX_URIS);
        assert_eq!(received.ignored[0].reason, EntryError::TooMany);
        let uris = vec![BootstrapUri::parse(GOOD).unwrap(); MAX_URIS + 1];
        let found = uris.len();
        assert_eq!(
            BootstrapServerList::new(uris),
            Err(DhcpError::TooMany { found })
        );
        assert_eq!(BootstrapServerList::new(Vec::new()), Err(DhcpError::Empty));
    }
}
