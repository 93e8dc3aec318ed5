//! IssuerAndSerialNumber (RFC 5652 §10.2.4): how signers and recipients name a certificate.

use std::fmt;
use std::sync::OnceLock;

use crate::Certificate;
use crate::certificate::{MAX_CERTIFICATE_BYTES, name};

/// The issuer's name and the serial number of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct IssuerAndSerial {
    /// DER.
    issuer: Vec<u8>,
    /// The content octets of the INTEGER.
    serial: Vec<u8>,
    /// The issuer in the form in which names are compared, made once for all certificates; none if
    /// it is no name.
    canonical: OnceLock<Option<Vec<u8>>>,
}

impl IssuerAndSerial {
    pub(crate) fn new(issuer: &[u8], serial: &[u8]) -> Self {
        Self {
            issuer: issuer.to_vec(),
            serial: serial.to_vec(),
            canonical: OnceLock::new(),
        }
    }

    /// Whether it is the name of `certificate`. Names match by RFC 5280 §7.1, as some makers write
    /// the issuer with other string types than the certificate has.
    pub(crate) fn names(&self, certificate: &Certificate) -> bool {
        certificate.serial_bytes() == self.serial
            && (certificate.issuer_der() == self.issuer
                || self.canonical() == Some(certificate.canonical_issuer()))
    }

    fn canonical(&self) -> Option<&[u8]> {
        // No certificate has room for a longer one.
        if self.issuer.len() > MAX_CERTIFICATE_BYTES {
            return None;
        }
        let made = self.canonical.get_or_init(|| name::canonical(&self.issuer));
        made.as_deref()
    }
}

impl PartialEq for IssuerAndSerial {
    fn eq(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.serial == other.serial
    }
}

impl Eq for IssuerAndSerial {}

/// For people: a message may name somebody in megabytes, an error does not.
impl fmt::Display for IssuerAndSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.issuer.len() > MAX_NAME_SHOWN {
            write!(f, "issuer of {} octets", self.issuer.len())?;
        } else {
            write!(f, "issuer {}", name::to_text(&self.issuer))?;
        }
        write!(f, ", serial {}", colons(&self.serial))
    }
}

/// Octets in hexadecimal, for people: as many as a serial number or key identifier has.
pub(crate) fn colons(octets: &[u8]) -> String {
    let shown = octets.iter().take(MAX_OCTETS_SHOWN);
    let mut pairs: Vec<String> = shown.map(|octet| format!("{octet:02X}")).collect();
    if octets.len() > MAX_OCTETS_SHOWN {
        pairs.push(format!("… ({} octets)", octets.len()));
    }
    pairs.join(":")
}

const MAX_NAME_SHOWN: usize = 2048;
const MAX_OCTETS_SHOWN: usize = 64;
