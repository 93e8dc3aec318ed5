//! Records as a zone file has them (RFC 1035 §5.1).

use std::fmt;

use super::{DomainName, SrvRecord, TxtRecord};

/// A record of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRecord {
    /// Whose record it is.
    pub name: DomainName,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    /// An artifact (RFC 8572 §4.2.2).
    Txt(TxtRecord),
    /// A bootstrap server (RFC 8572 §4.2.3).
    Srv(SrvRecord),
}

impl fmt::Display for ZoneRecord {
    /// One entry of a zone file, without a line end. All in it is printable ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN ", self.name, self.ttl)?;
        match &self.data {
            RecordData::Srv(srv) => {
                let SrvRecord {
                    priority,
                    weight,
                    port,
                    target,
                } = srv;
                write!(f, "SRV {priority} {weight} {port} {target}")
            }
            RecordData::Txt(text) => {
                f.write_str("TXT (")?;
                for string in text.strings() {
                    f.write_str("\n    ")?;
                    character_string(f, string)?;
                }
                f.write_str(" )")
            }
        }
    }
}

fn character_string(f: &mut fmt::Formatter<'_>, string: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for octet in string {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
            0x20..=0x7e => write!(f, "{}", char::from(*octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::ArtifactKey;

    #[test]
    fn entries_of_a_zone_file() {
        // LEDGER: 8572-4.2.2-03
        let domain = DomainName::parse("birch.example").unwrap();
        let srv = ZoneRecord {
            name: DomainName::device_independent(&domain).unwrap(),
            ttl: 3600,
            data: RecordData::Srv(SrvRecord::for_host("boot-a.birch.example", 8443).unwrap()),
        };
        assert_eq!(
            srv.to_string(),
            "_sztp._tcp.birch.example. 3600 IN SRV 0 0 8443 boot-a.birch.example."
        );
        let octets = b"\x30\x82\0a \"\\\x7f\xff;";
        let text = TxtRecord::of_artifact(ArtifactKey::OwnershipVoucher, octets).unwrap();
        let txt = ZoneRecord {
            name: DomainName::device_specific("AX7.42", &domain).unwrap(),
            ttl: 60,
            data: RecordData::Txt(text),
        };
        assert_eq!(
            txt.to_string(),
            "AX7\\.42._sztp.birch.example. 60 IN TXT (\n    \
             \"ov=0\\130\\000a \\\"\\\\\\127\\255;\" )"
        );
    }
}
