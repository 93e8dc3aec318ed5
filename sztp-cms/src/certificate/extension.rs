//! Extensions, and the content of the two that say what a certificate may be used for.

use der::Decode;
use der::asn1::ObjectIdentifier;

use super::CertificateError;
use super::fields::{BIT_STRING, BOOLEAN, malformed, sequence_body, truth};
use super::values::{self, Values};

/// One extension of a certificate (RFC 5280 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether who does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of extnValue.
    pub value: &'a [u8],
}

/// The bits of keyUsage (RFC 5280 §4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// digitalSignature (0).
    pub const DIGITAL_SIGNATURE: Self = Self(1 << 0);
    /// nonRepudiation, now contentCommitment (1).
    pub const NON_REPUDIATION: Self = Self(1 << 1);
    /// keyEncipherment (2).
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// dataEncipherment (3).
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// keyAgreement (4).
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// keyCertSign (5).
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// cRLSign (6).
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// digitalSignature is set.
    pub const fn digital_signature(self) -> bool {
        self.contains(Self::DIGITAL_SIGNATURE)
    }

    /// keyCertSign is set.
    pub const fn key_cert_sign(self) -> bool {
        self.contains(Self::KEY_CERT_SIGN)
    }

    /// cRLSign is set.
    pub const fn crl_sign(self) -> bool {
        self.contains(Self::CRL_SIGN)
    }

    /// The extension value, without trailing zero bits (X.690 §11.2.2).
    pub(crate) fn to_der(self) -> Vec<u8> {
        let mut octets = self.0.to_le_bytes().map(u8::reverse_bits).to_vec();
        while octets.last() == Some(&0) {
            octets.pop();
        }
        let unused = octets
            .last()
            .map_or(0, |last| last.trailing_zeros().to_le_bytes()[0]);
        let mut der = vec![0x03, octets.len().to_le_bytes()[0] + 1, unused];
        der.extend(octets);
        der
    }

    pub(super) fn from_der(value: &[u8]) -> Result<Self, CertificateError> {
        let bits = values::whole(value).filter(|value| value.tag == BIT_STRING);
        let octets = match bits.map(|value| value.body) {
            Some([0, octets @ ..]) => octets,
            Some([1..8, octets @ ..]) if !octets.is_empty() => octets,
            _ => return Err(malformed("keyUsage")),
        };
        let mut usage = 0;
        for (index, octet) in octets.iter().take(2).enumerate() {
            usage |= u16::from(octet.reverse_bits()) << (8 * index);
        }
        Ok(Self(usage))
    }
}

impl std::ops::BitOr for KeyUsage {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The content of basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// The subject is a certificate authority.
    pub ca: bool,
    /// How many more authorities may follow below this one.
    pub path_len: Option<u32>,
}

impl BasicConstraints {
    pub(crate) fn from_der(value: &[u8]) -> Result<Self, CertificateError> {
        let bad = || malformed("basicConstraints");
        let mut values = Values::new(sequence_body(value)?);
        let mut constraints = Self::default();
        if values.peek() == Some(BOOLEAN) {
            constraints.ca = truth(values.next().ok_or_else(bad)?.body)?;
        }
        if !values.is_finished() {
            let path_len = values.next().ok_or_else(bad)?;
            constraints.path_len = Some(u32::from_der(path_len.raw).map_err(|_| bad())?);
        }
        values.finish().ok_or_else(bad)?;
        Ok(constraints)
    }
}
