//! What a voucher says (RFC 8366 §5.3), in JSON and XML.

use std::fmt;

use serde_json::{Map, Value};
use sztp_cms::UnixTime;

use crate::VoucherError;
use crate::document::{self, Leaves, Profile, REQUEST, VOUCHER};
use crate::yang::Encoding;

/// How the issuer knows that the device belongs to the owner (RFC 8366 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assertion {
    /// By a record of the sale or the like.
    Verified,
    /// Only logged; anyone may have asked.
    Logged,
    /// The device was seen near its registrar.
    Proximity,
}

impl Assertion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Logged, Self::Proximity];

    /// The name in YANG.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Logged => "logged",
            Self::Proximity => "proximity",
        }
    }

    /// From the name in YANG.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a voucher says. Nothing of it is proven: see
/// [`VerifiedVoucher`](crate::VerifiedVoucher).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// When it was made.
    pub created_on: UnixTime,
    /// After which it is void; none: valid as long as what it pins.
    pub expires_on: Option<UnixTime>,
    /// How the issuer knows.
    pub assertion: Assertion,
    /// The device that it is for.
    pub serial_number: String,
    /// The authority key identifier of the device's IDevID certificate.
    pub idevid_issuer: Option<Vec<u8>>,
    /// The owner's certificate (DER) that all else leads to.
    pub pinned_domain_cert: Vec<u8>,
    /// Whether the owner certificate's revocation must, or must not, be checked.
    pub domain_cert_revocation_checks: Option<bool>,
    /// Ties it to one request of the device; 8 to 32 octets.
    pub nonce: Option<Vec<u8>>,
    /// Until when the issuer renews it; informative.
    pub last_renewal_date: Option<UnixTime>,
    /// Leaves that RFC 8366 does not know, kept by [`Profile::Rfc8366bis`].
    pub extra: Map<String, Value>,
}

impl Voucher {
    /// A voucher with the mandatory leaves.
    pub fn new(
        serial_number: impl Into<String>,
        assertion: Assertion,
        pinned_domain_cert: impl Into<Vec<u8>>,
        created_on: UnixTime,
    ) -> Self {
        Self {
            created_on,
            expires_on: None,
            assertion,
            serial_number: serial_number.into(),
            idevid_issuer: None,
            pinned_domain_cert: pinned_domain_cert.into(),
            domain_cert_revocation_checks: None,
            nonce: None,
            last_renewal_date: None,
            extra: Map::new(),
        }
    }

    /// Reads a voucher document, and says what had to be let pass.
    pub fn decode(
        octets: &[u8],
        encoding: Encoding,
        profile: Profile,
    ) -> Result<(Self, Vec<String>), VoucherError> {
        let mut notes = Vec::new();
        let mut fields = match VOUCHER.read(octets, encoding, profile, &mut notes) {
            Err(error) if REQUEST.seems(octets, &error) => {
                return Err(VoucherError::VoucherRequest);
            }
            other => other?,
        };
        let created_on = document::time(&mut fields, "created-on")?;
        let created_on = created_on.ok_or_else(|| fields.missing("created-on"))?;
        let assertion = fields.mandatory_string("assertion")?;
        let voucher = Self {
            created_on,
            expires_on: document::time(&mut fields, "expires-on")?,
            // The schema knows no other names.
            assertion: Assertion::from_name(&assertion)
                .ok_or_else(|| fields.missing("assertion"))?,
            serial_number: fields.mandatory_string("serial-number")?,
            idevid_issuer: fields.binary("idevid-issuer"),
            pinned_domain_cert: fields.mandatory_binary("pinned-domain-cert")?,
            domain_cert_revocation_checks: fields.boolean("domain-cert-revocation-checks"),
            nonce: fields.binary("nonce"),
            last_renewal_date: document::time(&mut fields, "last-renewal-date")?,
            extra: document::unknown(fields, &mut notes),
        };
        voucher.check(profile, &mut notes)?;
        Ok((voucher, notes))
    }

    /// Writes the voucher document.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut leaves = Leaves::new(&self.extra);
        leaves.time("created-on", Some(self.created_on));
        leaves.time("expires-on", self.expires_on);
        leaves.put("assertion", Some(self.assertion.as_str()));
        leaves.put("serial-number", Some(self.serial_number.as_str()));
        leaves.binary("idevid-issuer", self.idevid_issuer.as_deref());
        leaves.binary("pinned-domain-cert", Some(&self.pinned_domain_cert));
        leaves.put(
            "domain-cert-revocation-checks",
            self.domain_cert_revocation_checks,
        );
        leaves.binary("nonce", self.nonce.as_deref());
        leaves.time("last-renewal-date", self.last_renewal_date);
        VOUCHER.write(leaves, encoding)
    }

    /// The next voucher of a series that is renewed instead of revoked (RFC 8366 §6.1): the same
    /// to say, for a later time.
    ///
    /// Only a voucher that expires can be renewed, and not beyond its last-renewal-date.
    pub fn renewed(
        &self,
        created_on: UnixTime,
        expires_on: UnixTime,
    ) -> Result<Self, VoucherError> {
        if self.expires_on.is_none() {
            return Err(VoucherError::NotRenewable);
        }
        if let Some(last) = self.last_renewal_date.filter(|last| created_on > *last) {
            return Err(VoucherError::RenewalEnded {
                at: created_on,
                last,
            });
        }
        Ok(Self {
            created_on,
            expires_on: Some(expires_on),
            ..self.clone()
        })
    }

    /// The rules between leaves (the `must` statements of RFC 8366 §5.3).
    pub(crate) fn check(
        &self,
        profile: Profile,
        notes: &mut Vec<String>,
    ) -> Result<(), VoucherError> {
        if self.serial_number.is_empty() {
            return Err(VoucherError::EmptySerialNumber);
        }
        if self.nonce.is_some() && self.expires_on.is_some() {
            if profile == Profile::Rfc8366 {
                return Err(VoucherError::NonceAndExpiry);
            }
            // Both are checked, so that nothing is lost by having both.
            notes.push("nonce and expires-on together, which RFC 8366 §5.3 excludes".to_owned());
        }
        if self.last_renewal_date.is_some() && self.expires_on.is_none() {
            return Err(VoucherError::RenewalWithoutExpiry);
        }
        match self.nonce.as_ref().map(Vec::len) {
            Some(length) if !NONCE_LENGTH.contains(&length) => {
                Err(VoucherError::NonceLength { length })
            }
            _ => Ok(()),
        }
    }
}

/// Octets of a nonce (RFC 8366 §5.3).
pub(crate) const NONCE_LENGTH: std::ops::RangeInclusive<usize> = 8..=32;
