//! A signed voucher as it is received (RFC 8366 §5.4 and §6): read, not believed.

use sztp_cms::{CmsError, Limits, SignedData, oids};

use crate::yang::Encoding;
use crate::{Profile, Voucher, VoucherError};

/// The content types of a voucher in CMS: its own and, as nearly everyone sends it, id-data
/// (RFC 8572 §3.3).
pub(crate) const CONTENT_TYPES: [der::asn1::ObjectIdentifier; 2] =
    [oids::ANIMA_JSON_VOUCHER, oids::ID_DATA];

/// A voucher in CMS whose signature was not looked at.
///
/// [`SignedVoucher::verify`] turns it into a [`VerifiedVoucher`](crate::VerifiedVoucher).
#[derive(Debug, Clone)]
pub struct SignedVoucher {
    cms: SignedData,
    voucher: Voucher,
    notes: Vec<String>,
}

impl SignedVoucher {
    /// Reads a voucher in CMS, DER or BER.
    pub fn parse(octets: &[u8], profile: Profile) -> Result<Self, VoucherError> {
        let limits = Limits {
            max_bytes: MAX_BYTES,
            ..Limits::default()
        };
        let cms = SignedData::parse(octets, &limits)?;
        if !CONTENT_TYPES.contains(&cms.content_type()) {
            return Err(VoucherError::Cms(CmsError::WrongContentType {
                found: cms.content_type(),
                expected: CONTENT_TYPES.to_vec(),
            }));
        }
        let content = cms.unverified_content().ok_or(CmsError::NoContent)?;
        let (voucher, notes) = Voucher::decode(content, Encoding::Json, profile)?;
        Ok(Self {
            cms,
            voucher,
            notes,
        })
    }

    /// What it says, for display: not to be acted on.
    pub fn unverified(&self) -> &Voucher {
        &self.voucher
    }

    /// The CMS message.
    pub fn cms(&self) -> &SignedData {
        &self.cms
    }

    /// Deviations that reading let pass.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// A voucher holds one certificate; its message holds a chain.
const MAX_BYTES: usize = 1024 * 1024;
