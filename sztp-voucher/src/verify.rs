//! Whether a voucher holds for a device (RFC 8366 §5.3, RFC 8572 §5.4).

use sztp_cms::{
    Certificate, CertificateRevocationList, Leniency, PathOptions, RevocationPolicy, TrustAnchors,
    VerifyOptions, WallClock,
};

use crate::signed::CONTENT_TYPES;
use crate::{
    Assertion, Check, NotApplicable, Outcome, Profile, SignedVoucher, Voucher, VoucherError,
};

/// What a voucher is judged against.
#[derive(Debug, Clone)]
pub struct VoucherContext<'a> {
    /// Where the signer's path must end: the manufacturer's.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may be the signer's or lead from it to an anchor, beside the message's.
    pub intermediates: &'a [Certificate],
    /// How far the revocation of the signer's path is checked. What the voucher says about
    /// revocation (domain-cert-revocation-checks) is about another path, the owner certificate's.
    pub revocation: RevocationPolicy,
    /// Revocation lists for that, beside the message's.
    pub crls: &'a [CertificateRevocationList],
    /// The device's own serial number; none: not compared (tools only).
    pub serial_number: Option<&'a str>,
    /// The device's IDevID certificate, to compare idevid-issuer with.
    pub idevid: Option<&'a Certificate>,
    /// What is known about a nonce.
    pub nonce: NonceExpectation<'a>,
    /// The time of the check.
    pub clock: WallClock,
    /// Whether a voucher that expires is refused where there is no clock to tell by: RFC 8366 §5.3
    /// wants the expiry checked, RFC 8572 §9.1 lets a device without a clock pass over it.
    pub expiry_needs_clock: bool,
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
            intermediates: &[],
            revocation: RevocationPolicy::default(),
            crls: &[],
            serial_number: None,
            idevid: None,
            nonce: NonceExpectation::Unchecked,
            clock,
            expiry_needs_clock: false,
            assertions: &Assertion::ALL,
            leniency: Leniency::default(),
        }
    }

    /// What is asked of the signer's path.
    pub(crate) fn path(&self) -> PathOptions<'a> {
        PathOptions {
            revocation: self.revocation,
            crls: self.crls,
            ..PathOptions::default()
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
///
/// ```compile_fail,E0451
/// use sztp_voucher::{VerifiedVoucher, Voucher};
///
/// fn forged(voucher: Voucher, genuine: VerifiedVoucher) -> VerifiedVoucher {
///     VerifiedVoucher { voucher, ..genuine }
/// }
/// ```
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
    /// nonce, pinned-domain-cert. Without a clock, dates are not looked at (RFC 8572 §9.1). To
    /// have each check explained, see [`Self::examine`].
    pub fn verify(&self, context: &VoucherContext<'_>) -> Result<VerifiedVoucher, VoucherError> {
        self.verify_seen(context, &mut |_, _| {}, &mut Vec::new())
    }

    /// [`Self::verify`], telling `seen` of each check made and `notes` of each deviation.
    pub(crate) fn verify_seen(
        &self,
        context: &VoucherContext<'_>,
        seen: &mut dyn FnMut(Check, Outcome),
        notes: &mut Vec<String>,
    ) -> Result<VerifiedVoucher, VoucherError> {
        let read = Read {
            voucher: self.unverified(),
            profile: self.profile(),
            notes: self.notes(),
        };
        read.verify(context, seen, notes, || {
            let verified = self.cms().verify(&VerifyOptions {
                intermediates: context.intermediates,
                leniency: context.leniency,
                path: context.path(),
                ..VerifyOptions::new(context.anchors, context.clock, &CONTENT_TYPES)
            })?;
            Ok((verified.chain().to_vec(), verified.notes().to_vec()))
        })
    }
}

/// A voucher as read from a signed message of either kind.
pub(crate) struct Read<'a> {
    pub(crate) voucher: &'a Voucher,
    pub(crate) profile: Profile,
    pub(crate) notes: &'a [String],
}

/// The signer's path and the deviations that the signature's verification let pass.
pub(crate) type Signed = (Vec<Certificate>, Vec<String>);

impl Read<'_> {
    /// Makes each check in order, the signature's by `signature`, tells `seen` of it, and `notes`
    /// of what was let pass.
    pub(crate) fn verify(
        &self,
        context: &VoucherContext<'_>,
        seen: &mut dyn FnMut(Check, Outcome),
        notes: &mut Vec<String>,
        signature: impl FnOnce() -> Result<Signed, VoucherError>,
    ) -> Result<VerifiedVoucher, VoucherError> {
        let voucher = self.voucher;
        notes.extend_from_slice(self.notes);
        let signed = signature();
        let (signature, signer) = match &signed {
            Ok(_) => (Ok(None), Ok(None)),
            // The path is looked for once the signature holds.
            Err(error @ VoucherError::UntrustedSigner(_)) => (Ok(None), Err(error.clone())),
            Err(error) => (Err(error.clone()), Ok(None)),
        };
        note(seen, Check::Signature, signature)?;
        note(seen, Check::Signer, signer)?;
        let (signer_chain, signature_notes) = signed?;
        notes.extend(signature_notes);
        note(seen, Check::CreatedOn, check_created_on(voucher, context))?;
        let expiry = check_expires_on(voucher, context, notes);
        note(seen, Check::ExpiresOn, expiry)?;
        note(seen, Check::Assertion, check_assertion(voucher, context))?;
        let serial_number = check_serial_number(voucher, context);
        note(seen, Check::SerialNumber, serial_number)?;
        let issuer = self.check_idevid_issuer(context, notes);
        note(seen, Check::IdevidIssuer, issuer)?;
        let nonce = check_nonce(voucher.nonce.as_deref(), context.nonce);
        note(seen, Check::Nonce, nonce)?;
        let pinned = Certificate::from_der(&voucher.pinned_domain_cert)
            .map_err(VoucherError::PinnedDomainCert);
        let outcome = pinned.as_ref().map(|_| None).map_err(Clone::clone);
        note(seen, Check::PinnedDomainCert, outcome)?;
        Ok(VerifiedVoucher {
            voucher: voucher.clone(),
            pinned_domain_cert: pinned?,
            signer_chain,
            notes: notes.clone(),
        })
    }

    fn check_idevid_issuer(&self, context: &VoucherContext<'_>, notes: &mut Vec<String>) -> Made {
        let Some(issuer) = &self.voucher.idevid_issuer else {
            return Ok(Some(NotApplicable::NotInVoucher));
        };
        let Some(idevid) = context.idevid else {
            notes.push("idevid-issuer was not compared: no IDevID certificate".to_owned());
            return Ok(Some(NotApplicable::NothingToCompare));
        };
        if idevid.authority_key_identifier() == Some(issuer) {
            return Ok(None);
        }
        // Older issuers write the bare key identifier.
        if self.profile == Profile::Rfc8366bis && idevid.authority_key_id() == Some(issuer) {
            notes.push("idevid-issuer is a bare key identifier".to_owned());
            return Ok(None);
        }
        Err(VoucherError::IdevidIssuerMismatch)
    }
}

/// What came of one check: that it holds, or why it does not apply.
type Made = Result<Option<NotApplicable>, VoucherError>;

fn note(
    seen: &mut dyn FnMut(Check, Outcome),
    check: Check,
    made: Made,
) -> Result<(), VoucherError> {
    match made {
        Ok(None) => seen(check, Outcome::Passed),
        Ok(Some(reason)) => seen(check, Outcome::NotApplicable(reason)),
        Err(error) => {
            seen(check, Outcome::Failed(error.clone()));
            return Err(error);
        }
    }
    Ok(())
}

fn check_created_on(voucher: &Voucher, context: &VoucherContext<'_>) -> Made {
    let created_on = voucher.created_on;
    match context.clock.time() {
        None => Ok(Some(NotApplicable::NoClock)),
        Some(at) if at < created_on => Err(VoucherError::NotYetValid { at, created_on }),
        Some(_) => Ok(None),
    }
}

fn check_expires_on(
    voucher: &Voucher,
    context: &VoucherContext<'_>,
    notes: &mut Vec<String>,
) -> Made {
    let Some(expires_on) = voucher.expires_on else {
        return Ok(Some(NotApplicable::NotInVoucher));
    };
    match context.clock.time() {
        Some(at) if expires_on < at => Err(VoucherError::Expired { at, expires_on }),
        Some(_) => Ok(None),
        None if context.expiry_needs_clock => Err(VoucherError::ExpiryWithoutClock { expires_on }),
        None => {
            notes.push("expires-on was not judged: there is no clock".to_owned());
            Ok(Some(NotApplicable::NoClock))
        }
    }
}

fn check_assertion(voucher: &Voucher, context: &VoucherContext<'_>) -> Made {
    if context.assertions.contains(&voucher.assertion) {
        Ok(None)
    } else {
        Err(VoucherError::AssertionRefused {
            found: voucher.assertion,
        })
    }
}

fn check_serial_number(voucher: &Voucher, context: &VoucherContext<'_>) -> Made {
    match context.serial_number {
        None => Ok(Some(NotApplicable::NothingToCompare)),
        Some(own) if own == voucher.serial_number => Ok(None),
        Some(own) => Err(VoucherError::SerialNumberMismatch {
            device: own.to_owned(),
            voucher: voucher.serial_number.clone(),
        }),
    }
}

/// A nonce is fresh, not secret: a plain comparison does.
fn check_nonce(found: Option<&[u8]>, expected: NonceExpectation<'_>) -> Made {
    match (expected, found) {
        (NonceExpectation::Unchecked, None) => Ok(Some(NotApplicable::NotInVoucher)),
        (NonceExpectation::Unchecked, Some(_)) => Ok(Some(NotApplicable::NothingToCompare)),
        (NonceExpectation::None | NonceExpectation::ExactOrNone(_), None) => Ok(None),
        (NonceExpectation::None, Some(_)) => Err(VoucherError::NonceUnexpected),
        (NonceExpectation::Exact(_), None) => Err(VoucherError::NonceMissing),
        (NonceExpectation::Exact(sent) | NonceExpectation::ExactOrNone(sent), Some(found)) => {
            if sent == found {
                Ok(None)
            } else {
                Err(VoucherError::NonceMismatch)
            }
        }
    }
}
