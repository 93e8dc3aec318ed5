//! Vouchers that came before, or without, an entry for their device.

use serde::Serialize;
use sztp_cms::UnixTime;

use super::{optional_rfc3339, rfc3339};

/// A voucher, without its octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoucherSummary {
    /// As the voucher says.
    pub serial_number: String,
    /// The device that has this serial number, once there is one.
    pub device: Option<String>,
    /// Whether its signer and the owner certificate were checked on arrival.
    pub verified: bool,
    /// Of the CMS, lower-case hex.
    pub sha256: String,
    /// RFC 3339; none: it never expires.
    #[serde(serialize_with = "optional_rfc3339")]
    pub expires_on: Option<UnixTime>,
    /// What was noted on arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
}

/// A voucher to be kept.
#[derive(Debug, Clone)]
pub struct NewVoucher {
    /// As the voucher says.
    pub serial_number: String,
    /// CMS.
    pub voucher: Vec<u8>,
    /// Lower-case hex.
    pub sha256: String,
    /// Whether it was verified.
    pub verified: bool,
    /// None: it never expires.
    pub expires_on: Option<UnixTime>,
    /// For people.
    pub notes: Option<String>,
    /// When.
    pub time: UnixTime,
}

/// What became of one uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoucherUpload {
    /// Its name in the archive or form.
    pub file: String,
    /// What was done with it.
    pub result: VoucherResult,
    /// As the voucher says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// The device that it goes with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused, or what is to be noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is done with an uploaded voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoucherResult {
    /// It is new.
    Stored,
    /// It took the place of another for the same serial number.
    Replaced,
    /// The same was there.
    Unchanged,
    /// It is not kept.
    Refused,
}

/// What an upload came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VoucherUploads {
    /// How many are kept, also those that were there.
    pub accepted: u64,
    /// How many are not.
    pub refused: u64,
    /// File by file.
    pub files: Vec<VoucherUpload>,
}
