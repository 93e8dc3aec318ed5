//! Issuing vouchers (RFC 8366 §5, §6): what a MASA does.

use der::asn1::ObjectIdentifier;
use sztp_cms::{Certificate, SignedDataBuilder, Signer, UnixTime, oids};

use crate::yang::Encoding;
use crate::{Profile, Voucher, VoucherError};

/// The media type of a voucher in CMS (RFC 8366 §8.3).
pub const MEDIA_TYPE: &str = "application/voucher-cms+json";
/// The extension of its files (RFC 8366 §8.3).
pub const FILE_EXTENSION: &str = "vcj";

/// How the voucher is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssueOptions {
    /// The eContentType: the voucher's own, or id-data for devices that know no other.
    pub content_type: ObjectIdentifier,
    /// Says when it was signed (RFC 5652 §11.3).
    pub signing_time: Option<UnixTime>,
}

impl Default for IssueOptions {
    fn default() -> Self {
        Self {
            content_type: oids::ANIMA_JSON_VOUCHER,
            signing_time: None,
        }
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
    options: &IssueOptions,
) -> Result<Vec<u8>, VoucherError> {
    checked_for_issue(voucher)?;
    let certificates = std::iter::once(signer_certificate).chain(chain).cloned();
    Ok(
        SignedDataBuilder::new(options.content_type, voucher.encode(Encoding::Json))
            .certificates(certificates)
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
