//! TXT records (RFC 1035 §3.3.14) that carry an artifact as `key=value` (RFC 8572 §4.2.2).

use super::DnsError;

/// A TXT record: one or more character-strings of at most 255 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxtRecord {
    strings: Vec<Vec<u8>>,
}

/// The keys of RFC 8572 §4.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum ArtifactKey {
    /// `ci`.
    ConveyedInformation = 0,
    /// `oc`.
    OwnerCertificate = 1,
    /// `ov`.
    OwnershipVoucher = 2,
}

impl ArtifactKey {
    /// The key in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConveyedInformation => "ci",
            Self::OwnerCertificate => "oc",
            Self::OwnershipVoucher => "ov",
        }
    }

    /// Upper and lower case are the same (RFC 6763 §6.4).
    fn parse(key: &[u8]) -> Option<Self> {
        [
            Self::ConveyedInformation,
            Self::OwnerCertificate,
            Self::OwnershipVoucher,
        ]
        .into_iter()
        .find(|known| key.eq_ignore_ascii_case(known.as_str().as_bytes()))
    }
}

impl TxtRecord {
    /// A record of these character-strings, as a resolver gives them.
    pub fn new(strings: Vec<Vec<u8>>) -> Result<Self, DnsError> {
        if strings.is_empty() || strings.iter().any(|string| string.len() > MAX_STRING) {
            return Err(DnsError::MalformedText);
        }
        let record = Self { strings };
        match record.rdata_octets() {
            0..=MAX_RDATA => Ok(record),
            octets => Err(DnsError::RecordTooLarge { octets }),
        }
    }

    /// Reads a record's data as it travels.
    pub fn from_rdata(rdata: &[u8]) -> Result<Self, DnsError> {
        let mut strings = Vec::new();
        let mut rest = rdata;
        while let Some((length, after)) = rest.split_first() {
            let (string, after) = after
                .split_at_checked((*length).into())
                .ok_or(DnsError::MalformedText)?;
            strings.push(string.to_vec());
            rest = after;
        }
        Self::new(strings)
    }

    /// The record of an artifact: its octets as they are (RFC 8572 §4.2.2: no base64), cut into
    /// character-strings of which the first holds the key.
    pub fn of_artifact(key: ArtifactKey, artifact: &[u8]) -> Result<Self, DnsError> {
        let text = [key.as_str().as_bytes(), b"=", artifact].concat();
        Self::new(text.chunks(MAX_STRING).map(<[u8]>::to_vec).collect())
    }

    /// The artifact in the record; none if it is not of RFC 8572.
    pub fn artifact(&self) -> Option<(ArtifactKey, Vec<u8>)> {
        let first = self.strings.first()?;
        let equals = first.iter().position(|octet| *octet == b'=')?;
        let key = ArtifactKey::parse(first.get(..equals)?)?;
        let mut value = self.strings.concat();
        value.drain(..=equals);
        Some((key, value))
    }

    /// The character-strings.
    pub fn strings(&self) -> &[Vec<u8>] {
        &self.strings
    }

    /// The record's data as it travels.
    pub fn to_rdata(&self) -> Vec<u8> {
        let mut rdata = Vec::with_capacity(self.rdata_octets());
        for string in &self.strings {
            // A character-string is at most 255 octets.
            let [.., length] = string.len().to_be_bytes();
            rdata.push(length);
            rdata.extend_from_slice(string);
        }
        rdata
    }

    /// Octets of the record's data as it travels.
    pub fn rdata_octets(&self) -> usize {
        self.strings.iter().map(|string| 1 + string.len()).sum()
    }
}

const MAX_STRING: usize = 255;
const MAX_RDATA: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_octets_survive_being_cut_and_joined() {
        // LEDGER: 8572-4.2.2-01, 8572-4.2.2-03
        let all: Vec<u8> = (0..=255).collect();
        for artifact in [
            Vec::new(),
            b"=".to_vec(),
            b"oc=\0\"=".to_vec(),
            vec![b'='; 252],
            vec![0; 253],
            all.repeat(20),
        ] {
            let record = TxtRecord::of_artifact(ArtifactKey::OwnerCertificate, &artifact).unwrap();
            assert!(record.strings()[0].starts_with(b"oc="));
            assert!(record.strings().iter().all(|string| string.len() <= 255));
            assert_eq!(record.strings().len(), (artifact.len() + 3).div_ceil(255));
            let travelled = TxtRecord::from_rdata(&record.to_rdata()).unwrap();
            assert_eq!(
                travelled.artifact(),
                Some((ArtifactKey::OwnerCertificate, artifact))
            );
        }
    }

    #[test]
    fn cut_elsewhere_it_is_the_same() {
        let strings = ["CI=a", "", "b", "=c"].map(|text| text.as_bytes().to_vec());
        let record = TxtRecord::new(strings.to_vec()).unwrap();
        let artifact = (ArtifactKey::ConveyedInformation, b"ab=c".to_vec());
        assert_eq!(record.artifact(), Some(artifact));
        // The first character-string holds the key.
        let record = TxtRecord::new(vec![b"c".to_vec(), b"i=a".to_vec()]).unwrap();
        assert_eq!(record.artifact(), None);
    }

    #[test]
    fn data_that_is_no_text_record() {
        for rdata in [&[][..], &[1], &[0, 2, b'a'], &[255; 255]] {
            assert_eq!(TxtRecord::from_rdata(rdata), Err(DnsError::MalformedText));
        }
        assert_eq!(TxtRecord::from_rdata(&[0]).unwrap().artifact(), None);
        let long = TxtRecord::new(vec![vec![0; 256]]);
        assert_eq!(long, Err(DnsError::MalformedText));
        let large = TxtRecord::new(vec![vec![0; 255]; 257]);
        assert_eq!(large, Err(DnsError::RecordTooLarge { octets: 65_792 }));
    }
}
