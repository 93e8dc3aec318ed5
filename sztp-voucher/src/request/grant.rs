//! What a MASA grants for a voucher-request that was verified (RFC 8995 §5.5, §5.6).

use sztp_cms::{Certificate, UnixTime};

use super::{VerifiedPledgeRequest, VerifiedRegistrarRequest, VoucherRequestError};
use crate::{Assertion, Profile, Voucher};

/// What the manufacturer decides about a voucher; the rest comes from the request.
#[derive(Debug, Clone, Copy)]
pub struct VoucherTerms<'a> {
    /// When the voucher is made.
    pub created_on: UnixTime,
    /// When it ends; only for requests without a nonce (RFC 8366 §5.3).
    pub expires_on: Option<UnixTime>,
    /// Until when it is renewed; only if it ends.
    pub last_renewal_date: Option<UnixTime>,
    /// What the assertion rests on.
    pub assertion: AssertionBasis,
    /// Whose certificate is pinned.
    pub pin: Pin<'a>,
    /// Whether the device must, or must not, check the revocation of the owner certificate.
    pub domain_cert_revocation_checks: Option<bool>,
    /// Whether devices of this kind have a reliable clock: those that do not get no voucher that
    /// expires (RFC 8366 §7.1).
    pub device_has_clock: bool,
    /// Whether the IDevID's issuer is named. Without it serial numbers must be unique among all
    /// devices that this manufacturer speaks for (RFC 8366 §5.3).
    pub name_idevid_issuer: bool,
}

impl VoucherTerms<'_> {
    /// No end, the domain's authority pinned, the assertion that the request proves.
    pub fn new(created_on: UnixTime) -> Self {
        Self {
            created_on,
            expires_on: None,
            last_renewal_date: None,
            assertion: AssertionBasis::Evidence,
            pin: Pin::DomainCa,
            domain_cert_revocation_checks: None,
            device_has_clock: true,
            name_idevid_issuer: true,
        }
    }
}

/// What a voucher's assertion rests on. An assertion that a request asks for is no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionBasis {
    /// What the request proves: `proximity` if the pledge has signed that it talks to the
    /// registrar that signed (RFC 8995 §5.5.5), else `logged`.
    Evidence,
    /// The manufacturer's own records, for instance of the sale: `verified`.
    OwnRecords,
    /// Nothing: `logged`.
    Nothing,
}

/// Whose certificate a voucher pins.
#[derive(Debug, Clone, Copy)]
pub enum Pin<'a> {
    /// The authority that the registrar's certificate leads to (RFC 8995 §5.5.2).
    DomainCa,
    /// The registrar's own.
    Registrar,
    /// The owner's, as the manufacturer knows it.
    Certificate(&'a Certificate),
}

impl VerifiedRegistrarRequest {
    /// The voucher that answers this request, ready for [`issue`](crate::issue()).
    ///
    /// The nonce is the request's; the IDevID's issuer is that of the pledge's certificate, or the
    /// one that the registrar names if the pledge's request is not there.
    pub fn grant(&self, terms: &VoucherTerms<'_>) -> Result<Voucher, VoucherRequestError> {
        let pinned = match terms.pin {
            Pin::DomainCa => self.domain_ca(),
            Pin::Registrar => self.registrar(),
            Pin::Certificate(certificate) => certificate,
        };
        let issuer = match self.pledge() {
            Some(pledge) => pledge
                .idevid()
                .authority_key_identifier()
                .map(<[u8]>::to_vec),
            None => self.request().idevid_issuer.clone(),
        };
        let request = self.request();
        let voucher = Voucher {
            nonce: request.nonce.clone(),
            ..terms.voucher(
                &request.serial_number,
                pinned,
                issuer,
                self.pledge().is_some(),
            )
        };
        terms.checked(voucher)
    }
}

impl VerifiedPledgeRequest {
    /// The voucher that answers this request without a registrar: the pin must be
    /// [`Pin::Certificate`], and proximity is not proven.
    pub fn grant(&self, terms: &VoucherTerms<'_>) -> Result<Voucher, VoucherRequestError> {
        let Pin::Certificate(pinned) = terms.pin else {
            return Err(VoucherRequestError::NothingToPin);
        };
        let request = self.request();
        let issuer = self.idevid().authority_key_identifier().map(<[u8]>::to_vec);
        let voucher = Voucher {
            nonce: request.nonce.clone(),
            ..terms.voucher(&request.serial_number, pinned, issuer, false)
        };
        terms.checked(voucher)
    }
}

impl VoucherTerms<'_> {
    fn voucher(
        &self,
        serial_number: &str,
        pinned: &Certificate,
        issuer: Option<Vec<u8>>,
        proximity_proven: bool,
    ) -> Voucher {
        let assertion = match self.assertion {
            AssertionBasis::OwnRecords => Assertion::Verified,
            AssertionBasis::Evidence if proximity_proven => Assertion::Proximity,
            AssertionBasis::Evidence | AssertionBasis::Nothing => Assertion::Logged,
        };
        Voucher {
            expires_on: self.expires_on,
            last_renewal_date: self.last_renewal_date,
            idevid_issuer: issuer.filter(|_| self.name_idevid_issuer),
            domain_cert_revocation_checks: self.domain_cert_revocation_checks,
            ..Voucher::new(serial_number, assertion, pinned.as_der(), self.created_on)
        }
    }

    /// Refuses here what [`issue`](crate::issue()) would refuse, and what the device could not
    /// judge.
    fn checked(&self, voucher: Voucher) -> Result<Voucher, VoucherRequestError> {
        if self.expires_on.is_some() && !self.device_has_clock {
            return Err(VoucherRequestError::ExpiryWithoutClock);
        }
        voucher.check(Profile::Rfc8366, &mut Vec::new())?;
        Ok(voucher)
    }
}
