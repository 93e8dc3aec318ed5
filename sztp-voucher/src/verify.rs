//! Whether a voucher holds for a device (RFC 8366 §5.3, RFC 8572 §5.4).

use sztp_cms::{Certificate, Leniency, TrustAnchors, VerifyOptions, WallClock};

use crate::signed::CONTENT_TYPES;
use crate::{Assertion, SignedVoucher, Voucher, VoucherError};

/// What a voucher is judged against.
#[derive(Debug, Clone)]
pub struct VoucherContext<'a> {
    /// Where the signer's path must end: the manufacturer's.
    pub anchors: &'a TrustAnchors,
    /// The device's own serial number; none: not compared (tools only).
    pub serial_number: Option<&'a str>,
    /// The device's IDevID certificate, to compare idevid-issuer with.
    pub idevid: Option<&'a Certificate>,
    /// What is known about a nonce.
    pub nonce: NonceExpectation<'a>,
    /// The time of the check.
    pub clock: WallClock,
    /// The assertions that policy accepts.
    pub assertions: &'a [Assertion],
    /// Deviations of the signature to let pass.
    pub leniency: Leniency,
}

impl<'a> VoucherContext<'a> {
    /// For any device and any nonce; strict otherwise.
    pub fn new(anchors: &'a TrustAnchors, clock: WallClock) -> Self {
        Self {
            anchors,
            serial_number: None,
            idevid: None,
            nonce: NonceExpectation::Unchecked,
            clock,
            assertions: &Assertion::ALL,
            leniency: Leniency::default(),
        }
    }
}

/// Which nonce a voucher may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceExpectation<'a> {
    /// This one was sent, and the voucher must repeat it.
    Exact(&'a [u8]),
    /// This one was sent; a voucher without a nonce is accepted too (RFC 8572 §7.3: the server
    /// need not use it).
    ExactOrNone(&'a [u8]),
    /// None was sent, and a voucher that has one is for another exchange.
    None,
    /// Not compared (tools only).
    Unchecked,
}

/// A voucher that holds for the device it was verified for; only verification makes one.
#[derive(Debug, Clone)]
pub struct VerifiedVoucher {
    voucher: Voucher,
    pinned_domain_cert: Certificate,
    signer_chain: Vec<Certificate>,
    notes: Vec<String>,
}

impl VerifiedVoucher {
    /// What it says.
    pub fn voucher(&self) -> &Voucher {
        &self.voucher
    }

    /// The owner's certificate that the owner certificate must lead to.
    pub fn pinned_domain_cert(&self) -> &Certificate {
        &self.pinned_domain_cert
    }

    /// The certificate of the voucher's signer.
    pub fn signer(&self) -> &Certificate {
        &self.signer_chain[0]
    }

    /// From the signer's certificate to the trust anchor.
    pub fn signer_chain(&self) -> &[Certificate] {
        &self.signer_chain
    }

    /// Deviations that were let pass, for the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl SignedVoucher {
    /// Verifies the signature and that the voucher holds for a device at a time.
    ///
    /// In the order of RFC 8572 §5.4: signature, dates, assertion, serial-number, idevid-issuer,
    /// nonce, pinned-domain-cert. Without a clock, dates are not looked at (RFC 8572 §9.1).
    pub fn verify(&self, context: &VoucherContext<'_>) -> Result<VerifiedVoucher, VoucherError> {
        let verified = self.cms().verify(&VerifyOptions {
            leniency: context.leniency,
            ..VerifyOptions::new(context.anchors, context.clock, &CONTENT_TYPES)
        })?;
        let voucher = self.unverified();
        if let Some(at) = context.clock.time() {
            if at < voucher.created_on {
                let created_on = voucher.created_on;
                return Err(VoucherError::NotYetValid { at, created_on });
            }
            if let Some(expires_on) = voucher.expires_on.filter(|expires_on| *expires_on < at) {
                return Err(VoucherError::Expired { at, expires_on });
            }
        }
        if !context.assertions.contains(&voucher.assertion) {
            return Err(VoucherError::AssertionRefused {
                found: voucher.assertion,
            });
        }
        if let Some(device) = context
            .serial_number
            .filter(|own| *own != voucher.serial_number)
        {
            return Err(VoucherError::SerialNumberMismatch {
                device: device.to_owned(),
                voucher: voucher.serial_number.clone(),
            });
        }
        let mut notes = self.notes().to_vec();
        notes.extend_from_slice(verified.notes());
        match (&voucher.idevid_issuer, context.idevid) {
            (Some(issuer), Some(idevid)) if idevid.authority_key_identifier() == Some(issuer) => {}
            // Older issuers write the bare key identifier.
            (Some(issuer), Some(idevid)) if idevid.authority_key_id() == Some(issuer) => {
                notes.push("idevid-issuer is a bare key identifier".to_owned());
            }
            (Some(_), Some(_)) => return Err(VoucherError::IdevidIssuerMismatch),
            (Some(_), None) => {
                notes.push("idevid-issuer was not compared: no IDevID certificate".to_owned());
            }
            (None, _) => {}
        }
        check_nonce(voucher.nonce.as_deref(), context.nonce)?;
        let pinned_domain_cert = Certificate::from_der(&voucher.pinned_domain_cert)
            .map_err(VoucherError::PinnedDomainCert)?;
        Ok(VerifiedVoucher {
            voucher: voucher.clone(),
            pinned_domain_cert,
            signer_chain: verified.chain().to_vec(),
            notes,
        })
    }
}

/// A nonce is fresh, not secret: a plain comparison does.
fn check_nonce(found: Option<&[u8]>, expected: NonceExpectation<'_>) -> Result<(), VoucherError> {
    match (expected, found) {
        (NonceExpectation::Unchecked, _)
        | (NonceExpectation::None | NonceExpectation::ExactOrNone(_), None) => Ok(()),
        (NonceExpectation::None, Some(_)) => Err(VoucherError::NonceUnexpected),
        (NonceExpectation::Exact(_), None) => Err(VoucherError::NonceMissing),
        (NonceExpectation::Exact(sent) | NonceExpectation::ExactOrNone(sent), Some(found)) => {
            if sent == found {
                Ok(())
            } else {
                Err(VoucherError::NonceMismatch)
            }
        }
    }
}
