//! Issuing vouchers (RFC 8366 §5, §6): what a MASA does.

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateRevocationList, PathOptions, RevocationPolicy, SignedDataBuilder,
    Signer, TrustAnchors, UnixTime, WallClock, oids, validate_path,
};

use crate::yang::Encoding;
use crate::{Profile, Voucher, VoucherError};

/// The media type of a voucher in CMS (RFC 8366 §8.3).
pub const MEDIA_TYPE: &str = "application/voucher-cms+json";
/// The extension of its files (RFC 8366 §8.3).
pub const FILE_EXTENSION: &str = "vcj";

/// How the voucher is wrapped, and what is checked before.
#[derive(Debug, Clone, Copy)]
pub struct IssueOptions<'a> {
    /// The eContentType: the voucher's own, or id-data for devices that know no other.
    pub content_type: ObjectIdentifier,
    /// Says when it was signed (RFC 5652 §11.3).
    pub signing_time: Option<UnixTime>,
    /// Revocation lists (DER) for the chain, to be put beside it. RFC 8366 §5.4 allows it and
    /// advises against it.
    pub crls: &'a [Vec<u8>],
    /// Whether the pinned-domain-cert is still good (RFC 8366 §7.3); none: not checked.
    pub pin: Option<PinCheck<'a>>,
}

impl Default for IssueOptions<'_> {
    fn default() -> Self {
        Self {
            content_type: oids::ANIMA_JSON_VOUCHER,
            signing_time: None,
            crls: &[],
            pin: None,
        }
    }
}

/// Whether what a voucher pins may still be pinned (RFC 8366 §7.3): that it is valid and not
/// revoked, as far as its domain has told.
#[derive(Debug, Clone, Copy)]
pub struct PinCheck<'a> {
    /// Where the pinned-domain-cert's path must end: the domain's.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may lead there.
    pub intermediates: &'a [Certificate],
    /// The time of the check.
    pub clock: WallClock,
    /// How far revocation is checked.
    pub revocation: RevocationPolicy,
    /// The domain's revocation lists.
    pub crls: &'a [CertificateRevocationList],
}

impl PinCheck<'_> {
    /// Checks the certificate that a voucher pins.
    pub fn check(&self, voucher: &Voucher) -> Result<(), VoucherError> {
        let pinned = Certificate::from_der(&voucher.pinned_domain_cert)
            .map_err(VoucherError::PinnedDomainCert)?;
        let options = PathOptions {
            revocation: self.revocation,
            crls: self.crls,
            ..PathOptions::default()
        };
        validate_path(
            &pinned,
            self.intermediates,
            self.anchors,
            self.clock,
            &options,
        )
        .map(|_| ())
        .map_err(VoucherError::PinnedDomainCertRefused)
    }
}

/// Signs a voucher: DER CMS around JSON, with the signer's certificate and `chain` inside.
///
/// A voucher that breaks a rule of RFC 8366 §5.3 is not signed.
pub fn issue(
    voucher: &Voucher,
    signer: &dyn Signer,
    signer_certificate: &Certificate,
    chain: &[Certificate],
    options: &IssueOptions<'_>,
) -> Result<Vec<u8>, VoucherError> {
    checked_for_issue(voucher)?;
    if let Some(pin) = &options.pin {
        pin.check(voucher)?;
    }
    let certificates = std::iter::once(signer_certificate).chain(chain).cloned();
    Ok(
        SignedDataBuilder::new(options.content_type, voucher.encode(Encoding::Json))
            .certificates(certificates)
            .crls(options.crls.iter().cloned())
            .signing_time(options.signing_time)
            .sign(signer, signer_certificate)?,
    )
}

/// Refuses a voucher that breaks a rule of RFC 8366 §5.3 on issuers.
pub(crate) fn checked_for_issue(voucher: &Voucher) -> Result<(), VoucherError> {
    voucher.check(Profile::Rfc8366, &mut Vec::new())?;
    let pinned = Certificate::from_der(&voucher.pinned_domain_cert)
        .map_err(VoucherError::PinnedDomainCert)?;
    if let Some(expires_on) = voucher.expires_on.filter(|time| *time > pinned.not_after()) {
        return Err(VoucherError::OutlivesPinnedDomainCert {
            expires_on,
            not_after: pinned.not_after(),
        });
    }
    Ok(())
}
