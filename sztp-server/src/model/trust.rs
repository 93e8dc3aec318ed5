//! Whom the server trusts, and devices that it does not know.

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::{Blob, Reported, optional_rfc3339, rfc3339};

/// What a trust anchor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorPurpose {
    /// IDevID certificates must lead to it.
    Idevid,
    /// Signers of vouchers must lead to it.
    Voucher,
}

/// Where in an IDevID certificate a manufacturer writes the serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialNumberFrom {
    /// In the subject's serialNumber, of which only the second part of `PID:.. SN:..` counts, or
    /// else in the hardwareModuleName.
    #[default]
    Auto,
    /// The subject's serialNumber as it is (802.1AR §8.6).
    SerialNumber,
    /// The second part of `PID:.. SN:..` in the subject's serialNumber.
    ProductAndSerial,
    /// hwSerialNum of the hardwareModuleName in subjectAltName (RFC 4108 §5).
    HardwareModuleName,
    /// The subject's common name.
    CommonName,
}

/// Trust anchors as an operator gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchorSpec {
    /// What they are for.
    pub purpose: AnchorPurpose,
    /// One or more certificates: PEM, DER, or a certs-only CMS message.
    pub certificates: Blob,
    /// Whose they are, for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Where this manufacturer writes the serial number.
    #[serde(default)]
    pub serial_number_from: SerialNumberFrom,
    /// Whether certificates beneath may be signed with RSA and SHA-1.
    #[serde(default)]
    pub allow_sha1: bool,
}

/// A trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustAnchor {
    /// By which it is deleted; none: it is in a file of the configuration.
    pub id: Option<i64>,
    /// What it is for.
    pub purpose: AnchorPurpose,
    /// Whose it is, for people.
    pub name: Option<String>,
    /// Where this manufacturer writes the serial number.
    pub serial_number_from: SerialNumberFrom,
    /// Whether certificates beneath may be signed with RSA and SHA-1.
    pub allow_sha1: bool,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// Fingerprint, upper-case hex with colons.
    pub sha256: String,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: UnixTime,
    /// RFC 3339.
    #[serde(serialize_with = "optional_rfc3339")]
    pub created_at: Option<UnixTime>,
}

/// A certificate revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevocationList {
    /// By which it is deleted.
    pub id: i64,
    /// Who signed it (RFC 4514).
    pub issuer: String,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub this_update: UnixTime,
    /// RFC 3339: when there is to be another.
    #[serde(serialize_with = "optional_rfc3339")]
    pub next_update: Option<UnixTime>,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
}

/// A device that has proved who it is and is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownDevice {
    /// As it would have to be added.
    pub serial_number: String,
    /// From which field of which certificate the serial number was taken.
    pub serial_number_from: String,
    /// Subject of its certificate (RFC 4514).
    pub subject: String,
    /// The trust anchor that its certificate leads to.
    pub anchor: Option<String>,
    /// Where it was seen last.
    pub peer: String,
    /// How often it has asked.
    pub times: u64,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub first_seen: UnixTime,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub last_seen: UnixTime,
    /// What it says of itself.
    pub reported: Reported,
}

/// When a certificate or revocation list ends that the server lives on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// What it is.
    pub what: String,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: UnixTime,
}
