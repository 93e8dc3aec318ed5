//! IssuerAndSerialNumber (RFC 5652 §10.2.4): how signers and recipients name a certificate.

use std::fmt;
use std::sync::OnceLock;

use crate::Certificate;
use crate::certificate::name;

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

/// For people.
impl fmt::Display for IssuerAndSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = name::to_text(&self.issuer);
        let serial = colons(&self.serial);
        write!(f, "issuer {issuer}, serial {serial}")
    }
}

/// Octets in hexadecimal.
pub(crate) fn colons(octets: &[u8]) -> String {
    let pairs: Vec<String> = octets.iter().map(|o| format!("{o:02X}")).collect();
    pairs.join(":")
}
