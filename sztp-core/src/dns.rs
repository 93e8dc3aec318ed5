//! Bootstrapping data in DNS (RFC 8572 §4.2): TXT records with the artifacts of one device, SRV
//! records that name bootstrap servers for all.
//!
//! [`queries`] says what to ask and in which order, [`bootstrapping_data`] and [`ordered`] what the
//! answers mean; [`text_records`] and [`ZoneRecord`] make them. Sockets and resolvers are left to
//! others. DNS is never trusted, DNSSEC or not (RFC 8572 §4.2): its data is signed, or it is a
//! redirect that is followed provisionally.

use sztp_cms::Rule;

use crate::artifacts::BootstrappingData;

mod name;
mod service;
mod text;
mod zone;

pub use name::DomainName;
pub use service::{SrvRecord, ordered, servers};
pub use text::{ArtifactKey, TxtRecord};
pub use zone::{RecordData, ZoneRecord};

/// A question to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The name to ask for.
    pub name: DomainName,
    /// What to ask for.
    pub record_type: RecordType,
    /// Where to ask.
    pub transport: Transport,
}

/// The records that carry bootstrapping data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// The artifacts of one device (RFC 8572 §4.2.2).
    Txt,
    /// Bootstrap servers for every device (RFC 8572 §4.2.3).
    Srv,
}

/// How a question travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Multicast DNS (RFC 6762), whose answers are at most [`MAX_MULTICAST_OCTETS`].
    Multicast,
    /// A DNS server; signed data is too large for UDP, so a truncated answer is asked for again
    /// over TCP (RFC 8572 §4.2.4, RFC 7766).
    Unicast,
}

/// The questions of a device in the order of RFC 8572 §4.2.1; the next one is asked only if what
/// came of the one before did not bootstrap the device.
///
/// `domain` is the local domain where one is known and a DNS server with it. A serial number that
/// cannot be a label (RFC 1035 §2.3.4) leaves only the questions that do not need it.
pub fn queries(serial_number: &str, domain: Option<&DomainName>) -> Vec<Query> {
    let local = DomainName::local();
    let places = [
        (Some(&local), Transport::Multicast),
        (domain, Transport::Unicast),
    ];
    let mut queries = Vec::new();
    for record_type in [RecordType::Txt, RecordType::Srv] {
        for (domain, transport) in places {
            let name = domain.and_then(|domain| match record_type {
                RecordType::Txt => DomainName::device_specific(serial_number, domain).ok(),
                RecordType::Srv => DomainName::device_independent(domain).ok(),
            });
            queries.extend(name.map(|name| Query {
                name,
                record_type,
                transport,
            }));
        }
    }
    queries
}

/// The artifacts in the answer to a device-specific question (RFC 8572 §4.2.2), in any order;
/// records with other keys are ignored. Nothing of it is verified.
pub fn bootstrapping_data(records: &[TxtRecord]) -> Result<BootstrappingData, DnsError> {
    let mut found: [Option<Vec<u8>>; 3] = [None, None, None];
    for record in records {
        let Some((key, value)) = record.artifact() else {
            continue;
        };
        let place = &mut found[key as usize];
        match place {
            // The same record by several ways is no contradiction.
            Some(other) if *other != value => return Err(DnsError::DuplicateKey { key }),
            _ => *place = Some(value),
        }
    }
    let [conveyed_information, owner_certificate, ownership_voucher] = found;
    Ok(BootstrappingData {
        conveyed_information: conveyed_information.ok_or(DnsError::NoConveyedInformation)?,
        owner_certificate,
        ownership_voucher,
    })
}

/// The records that answer a device-specific question (RFC 8572 §4.2.2): one for each artifact.
///
/// Refused if a DNS message could not hold them together; a redirect to a bootstrap server then
/// takes their place (RFC 8572 §4.2.4).
pub fn text_records(
    name: &DomainName,
    data: &BootstrappingData,
) -> Result<Vec<TxtRecord>, DnsError> {
    let artifacts = [
        (
            ArtifactKey::ConveyedInformation,
            Some(&data.conveyed_information),
        ),
        (
            ArtifactKey::OwnerCertificate,
            data.owner_certificate.as_ref(),
        ),
        (
            ArtifactKey::OwnershipVoucher,
            data.ownership_voucher.as_ref(),
        ),
    ];
    let mut records = Vec::new();
    for (key, value) in artifacts {
        if let Some(value) = value {
            records.push(TxtRecord::of_artifact(key, value)?);
        }
    }
    let octets = answer_octets(name, &records);
    if octets > MAX_MESSAGE_OCTETS {
        return Err(DnsError::AnswerTooLarge { octets });
    }
    Ok(records)
}

/// Octets of the message that answers with these records, at the least (RFC 1035 §4.1).
pub fn answer_octets(name: &DomainName, records: &[TxtRecord]) -> usize {
    const HEADER: usize = 12;
    const QUESTION_TYPE_AND_CLASS: usize = 4;
    /// A pointer to the name, type, class, TTL and RDLENGTH.
    const RECORD: usize = 12;
    let records = records.iter().map(|record| RECORD + record.rdata_octets());
    HEADER + name.wire_octets() + QUESTION_TYPE_AND_CLASS + records.sum::<usize>()
}

/// What a DNS message over TCP can hold (RFC 1035 §4.2.2).
pub const MAX_MESSAGE_OCTETS: usize = 65_535;
/// What a multicast DNS message can hold (RFC 6762 §17), with its IP and UDP headers.
pub const MAX_MULTICAST_OCTETS: usize = 9_000;

/// Names and records that cannot be made, or not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// A label is empty or longer than 63 octets.
    #[error("a label of {octets} octets; 1 to 63 are possible")]
    LabelLength {
        /// Its length.
        octets: usize,
    },
    /// A name is longer than 255 octets.
    #[error("a name of {octets} octets; 255 are possible")]
    NameLength {
        /// Its length as it travels.
        octets: usize,
    },
    /// A backslash in a name that is followed by neither a character nor three digits up to 255.
    #[error("a broken escape in the name {name:?}")]
    Escape {
        /// The name.
        name: String,
    },
    /// An artifact is larger than a record can be.
    #[error("a TXT record of {octets} octets; 65535 are possible")]
    RecordTooLarge {
        /// What is needed.
        octets: usize,
    },
    /// The artifacts together are larger than an answer can be.
    #[error("an answer of {octets} octets; {MAX_MESSAGE_OCTETS} are possible")]
    AnswerTooLarge {
        /// What is needed.
        octets: usize,
    },
    /// The data of a TXT record is no sequence of character-strings.
    #[error("the data of a TXT record ends within a character-string")]
    MalformedText,
    /// Two records with the same key and different values.
    #[error("two different TXT records with the key {}", .key.as_str())]
    DuplicateKey {
        /// The key.
        key: ArtifactKey,
    },
    /// No record with the key `ci`.
    #[error("no TXT record with the key ci")]
    NoConveyedInformation,
    /// The target of an SRV record is not a host name.
    #[error("{target:?} is not the name of a host")]
    Target {
        /// What was given.
        target: String,
    },
}

impl DnsError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LabelLength { .. } => "dns.label-length",
            Self::NameLength { .. } => "dns.name-length",
            Self::Escape { .. } => "dns.escape",
            Self::RecordTooLarge { .. } => "dns.record-too-large",
            Self::AnswerTooLarge { .. } => "dns.answer-too-large",
            Self::MalformedText => "dns.malformed-text",
            Self::DuplicateKey { .. } => "dns.duplicate-key",
            Self::NoConveyedInformation => "dns.no-conveyed-information",
            Self::Target { .. } => "dns.target",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::LabelLength { .. } | Self::NameLength { .. } => {
                Rule::new(1035, "2.3.4", "size limits")
            }
            Self::Escape { .. } => Rule::new(1035, "5.1", "escapes"),
            Self::RecordTooLarge { .. } | Self::AnswerTooLarge { .. } => {
                Rule::new(8572, "4.2.4", "size of signed data")
            }
            Self::MalformedText => Rule::new(1035, "3.3.14", "TXT-DATA"),
            Self::DuplicateKey { .. } | Self::NoConveyedInformation => {
                Rule::new(8572, "4.2.2", "artifact to TXT record mapping")
            }
            Self::Target { .. } => Rule::new(8572, "4.2.3", "SRV target"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(queries: &[Query]) -> Vec<String> {
        let one = |query: &Query| {
            format!(
                "{:?} {:?} {}",
                query.record_type, query.transport, query.name
            )
        };
        queries.iter().map(one).collect()
    }

    #[test]
    fn what_is_asked_and_in_which_order() {
        // LEDGER: 8572-4.2.1-01, 8572-4.2.1-02, 8572-4.2.1-03, 8572-4.2.1-04
        let domain = DomainName::parse("birch.example").unwrap();
        assert_eq!(
            shown(&queries("AX7-00042", Some(&domain))),
            [
                "Txt Multicast AX7-00042._sztp.local.",
                "Txt Unicast AX7-00042._sztp.birch.example.",
                "Srv Multicast _sztp._tcp.local.",
                "Srv Unicast _sztp._tcp.birch.example.",
            ]
        );
        assert_eq!(
            shown(&queries("AX7-00042", None)),
            [
                "Txt Multicast AX7-00042._sztp.local.",
                "Srv Multicast _sztp._tcp.local.",
            ]
        );
        // LEDGER: 8572-4.2.1-05
        for unusable in ["", &"9".repeat(64)] {
            let asked = shown(&queries(unusable, Some(&domain)));
            assert_eq!(asked.len(), 2, "{asked:?}");
            assert!(asked.iter().all(|query| query.starts_with("Srv ")));
        }
    }

    fn data(octets: usize) -> BootstrappingData {
        BootstrappingData {
            conveyed_information: vec![0x30; octets],
            owner_certificate: Some(b"owner\0=\"certificate".to_vec()),
            ownership_voucher: Some(b"voucher".to_vec()),
        }
    }

    fn name() -> DomainName {
        DomainName::parse("AX7-00042._sztp.birch.example").unwrap()
    }

    #[test]
    fn artifacts_in_any_order_and_among_others() {
        // LEDGER: 8572-4.2.2-02, 8572-4.2.2-05
        let records = text_records(&name(), &data(1000)).unwrap();
        assert_eq!(records.len(), 3);
        let foreign = ["xx=1", "ci", "", "=ci", "cix=1", "other"];
        let foreign = foreign.map(|text| TxtRecord::new(vec![text.into()]).unwrap());
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut answer = foreign.to_vec();
            answer.extend(order.map(|index: usize| records[index].clone()));
            answer.extend(foreign.clone());
            assert_eq!(bootstrapping_data(&answer), Ok(data(1000)));
        }
        assert_eq!(
            bootstrapping_data(&records[1..]),
            Err(DnsError::NoConveyedInformation)
        );
    }

    #[test]
    fn unsigned_conveyed_information_stands_alone() {
        // LEDGER: 8572-4.2.2-04
        let alone = BootstrappingData {
            owner_certificate: None,
            ownership_voucher: None,
            ..data(10)
        };
        let records = text_records(&name(), &alone).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(bootstrapping_data(&records), Ok(alone));
    }

    #[test]
    fn two_values_for_one_key_contradict_each_other() {
        let mut records = text_records(&name(), &data(10)).unwrap();
        records.extend(records.clone());
        assert_eq!(bootstrapping_data(&records), Ok(data(10)));
        records.extend(text_records(&name(), &data(11)).unwrap());
        let key = ArtifactKey::ConveyedInformation;
        assert_eq!(
            bootstrapping_data(&records),
            Err(DnsError::DuplicateKey { key })
        );
    }

    #[test]
    fn what_no_answer_can_hold_is_refused() {
        // LEDGER: 8572-4.2.4-01
        let alone = |octets| BootstrappingData {
            owner_certificate: None,
            ownership_voucher: None,
            ..data(octets)
        };
        let refused = |octets| {
            text_records(&name(), &alone(octets))
                .err()
                .map(|error| error.code())
        };
        let free = answer_octets(&name(), &text_records(&name(), &alone(65_000)).unwrap());
        let most = 65_000 + MAX_MESSAGE_OCTETS - free;
        // Each further 255 octets need a length octet more.
        assert_eq!(refused(most - 3), None);
        assert_eq!(refused(most), Some("dns.answer-too-large"));
        assert_eq!(refused(65_300), Some("dns.record-too-large"));
        assert_eq!(refused(10_000_000), Some("dns.record-too-large"));
    }
}
