//! Certificate revocation lists (RFC 5280 §5) as they are received.
//!
//! A list is well-formed and nothing more: whether it is its issuer's, current, and about a given
//! certificate is judged by [`validate_path`](crate::validate_path), which is given lists in
//! [`PathOptions`](crate::PathOptions). Complete and delta lists are read, version 1 and 2, also
//! for single distribution points or reasons; indirect lists are recognised and refused when they
//! would be used.

use std::fmt;
use std::sync::Arc;

use crate::certificate::{CertificateError, name, pem};
use crate::{Certificate, UnixTime};

pub(crate) mod distribution_point;
mod error;
mod fields;

pub use self::error::CrlError;

use self::distribution_point::IssuingDistributionPoint;
use self::fields::Fields;

/// The most octets a list may have: some hundred thousand revoked certificates.
pub(crate) const MAX_CRL_BYTES: usize = 16 * 1024 * 1024;

/// A certificate revocation list: well-formed, not yet believed.
#[derive(Clone)]
pub struct CertificateRevocationList(Arc<Fields>);

impl CertificateRevocationList {
    /// Reads one DER list; nothing may follow it.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_CRL_BYTES {
            return Err(CrlError::TooLarge { size: der.len() });
        }
        Fields::parse(der)
            .map(|fields| Self(Arc::new(fields)))
            .map_err(|error| match error {
                CertificateError::Malformed { what } => CrlError::Malformed { what },
                _ => CrlError::Malformed { what: "extensions" },
            })
    }

    /// Reads the first list of a PEM or DER file.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, CrlError> {
        let mut list = Self::list_from_pem_or_der(bytes)?;
        if list.is_empty() {
            return Err(CrlError::Missing);
        }
        Ok(list.swap_remove(0))
    }

    /// Reads all lists of a PEM file (RFC 7468 §7), or the one of a DER file.
    pub fn list_from_pem_or_der(bytes: &[u8]) -> Result<Vec<Self>, CrlError> {
        if !pem::is_pem(bytes) {
            return Ok(vec![Self::from_der(bytes)?]);
        }
        let blocks = pem::blocks(bytes, &["X509 CRL"]).map_err(|_| CrlError::Pem)?;
        if blocks.is_empty() {
            return Err(CrlError::Missing);
        }
        blocks.iter().map(|(_, der)| Self::from_der(der)).collect()
    }

    /// The list as it was received.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// The issuer's name, DER (RFC 5280 §5.1.2.3).
    pub fn issuer_der(&self) -> &[u8] {
        self.0.slice(&self.0.issuer)
    }

    /// The issuer's name in the text form of RFC 4514.
    pub fn issuer(&self) -> String {
        name::to_text(self.issuer_der())
    }

    /// When it was made (RFC 5280 §5.1.2.4).
    pub fn this_update(&self) -> UnixTime {
        self.0.this_update
    }

    /// By when the next one is made (RFC 5280 §5.1.2.5).
    pub fn next_update(&self) -> Option<UnixTime> {
        self.0.next_update
    }

    /// The content octets of cRLNumber, which grows with each list (RFC 5280 §5.2.3).
    pub fn number(&self) -> Option<&[u8]> {
        self.0.number.as_ref().map(|range| self.0.slice(range))
    }

    /// Whether it only says what changed since another list (RFC 5280 §5.2.4).
    pub fn is_delta(&self) -> bool {
        self.0.base_number.is_some()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// What the list says of the certificate with this serial number, if it says anything.
    ///
    /// That the certificate is of the list's issuer is the caller's to know.
    pub fn entry(&self, serial: &[u8]) -> Option<RevokedCertificate> {
        self.0.entry(serial).map(|entry| entry.revoked)
    }

    pub(crate) fn tbs_der(&self) -> &[u8] {
        self.0.slice(&self.0.tbs)
    }

    pub(crate) fn signature_algorithm_der(&self) -> &[u8] {
        self.0.slice(&self.0.outer_algorithm)
    }

    pub(crate) fn tbs_signature_algorithm_der(&self) -> &[u8] {
        self.0.slice(&self.0.inner_algorithm)
    }

    pub(crate) fn signature_bytes(&self) -> &[u8] {
        self.0.slice(&self.0.signature)
    }

    pub(crate) fn issuing_distribution_point(&self) -> &IssuingDistributionPoint {
        &self.0.issuing_distribution_point
    }

    /// In which order its issuer made it: two lists of one second are told apart by their numbers,
    /// which grow (RFC 5280 §5.2.3).
    pub(crate) fn recency(&self) -> impl Ord + '_ {
        (self.this_update(), self.number().map(magnitude))
    }

    /// Whether the list is by the issuer of `certificate`, by name.
    pub(crate) fn is_by_issuer_of(&self, certificate: &Certificate) -> bool {
        self.issuer_der() == certificate.issuer_der()
            || self.0.canonical_issuer == certificate.canonical_issuer()
    }

    /// Whether `certificate` has the name of the list's issuer.
    pub(crate) fn is_by(&self, certificate: &Certificate) -> bool {
        self.issuer_der() == certificate.subject_der()
            || self.0.canonical_issuer == certificate.canonical_subject()
    }

    /// Whether everything in it is understood (RFC 5280 §5.2, §5.3).
    pub(crate) fn check_understood(&self) -> Result<(), CrlError> {
        if self.0.issuing_distribution_point.indirect || self.0.names_other_issuers {
            return Err(CrlError::Indirect);
        }
        match self.0.unknown_critical {
            Some(oid) => Err(CrlError::UnknownCriticalExtension { oid }),
            None => Ok(()),
        }
    }

    /// Whether this delta list says what changed since `complete`, and is newer (RFC 5280 §5.2.4,
    /// §6.3.3 (c)).
    pub(crate) fn updates(&self, complete: &Self) -> bool {
        let (Some(base), Some(number), Some(complete_number)) =
            (&self.0.base_number, self.number(), complete.number())
        else {
            return false;
        };
        self.0.canonical_issuer == complete.0.canonical_issuer
            && self.0.scope() == complete.0.scope()
            && magnitude(self.0.slice(base)) <= magnitude(complete_number)
            && magnitude(complete_number) < magnitude(number)
    }
}

impl PartialEq for CertificateRevocationList {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for CertificateRevocationList {}

impl fmt::Debug for CertificateRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateRevocationList")
            .field("issuer", &self.issuer())
            .field("this_update", &self.this_update())
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

/// An entry of a list (RFC 5280 §5.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Since when it is revoked.
    pub date: UnixTime,
    /// Why; unspecified if the list does not say.
    pub reason: RevocationReason,
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationReason {
    /// unspecified (0), or a code that RFC 5280 does not know.
    Unspecified,
    /// keyCompromise (1).
    KeyCompromise,
    /// cACompromise (2).
    CaCompromise,
    /// affiliationChanged (3).
    AffiliationChanged,
    /// superseded (4).
    Superseded,
    /// cessationOfOperation (5).
    CessationOfOperation,
    /// certificateHold (6): revoked for the time being.
    CertificateHold,
    /// removeFromCRL (8): no longer revoked, in a delta list.
    RemoveFromCrl,
    /// privilegeWithdrawn (9).
    PrivilegeWithdrawn,
    /// aACompromise (10).
    AaCompromise,
}

impl RevocationReason {
    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromCrl,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AaCompromise,
            _ => Self::Unspecified,
        }
    }

    /// The name in RFC 5280 §5.3.1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A non-negative INTEGER to compare: fewer octets are less.
fn magnitude(octets: &[u8]) -> (usize, &[u8]) {
    let start = octets.iter().take_while(|octet| **octet == 0).count();
    (octets.len() - start, &octets[start..])
}
