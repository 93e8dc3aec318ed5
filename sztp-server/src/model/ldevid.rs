//! Certificates that the owner issues to devices (LDevIDs, RFC 9646).

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use super::rfc3339;

/// What a profile says of LDevIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdevidSpec {
    /// Whether its devices are asked for a certificate signing request, if they can make one; none:
    /// as the server's `ldevid.enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether devices that get no certificate get nothing at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Domain names that its devices may have, as templates: `{{ hostname }}.example.net`. The
    /// built-in CA writes all of them into the certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// Overrides the server's `ldevid.validity_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_days: Option<u32>,
    /// The built-in CA's certificates are good for TLS servers too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_auth: Option<bool>,
}

/// The key of an LDevID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LdevidKey {
    /// A new one if the device can make one of a kind that is allowed, else the IDevID's.
    #[default]
    NewIfOffered,
    /// A new one.
    New,
    /// The IDevID's.
    Existing,
}

/// Kinds of keys that may be certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256.
    #[serde(rename = "ec-p256")]
    EcP256,
    /// ECDSA on P-384.
    #[serde(rename = "ec-p384")]
    EcP384,
    /// ECDSA on P-521.
    #[serde(rename = "ec-p521")]
    EcP521,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// RSA of at least `ldevid.min_rsa_bits`.
    #[serde(rename = "rsa")]
    Rsa,
}

/// Who issues certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LdevidIssuer {
    /// This server.
    BuiltIn,
    /// A certification authority, over EST (RFC 7030).
    Est,
    /// A program of the operator.
    Program,
}

impl LdevidIssuer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BuiltIn, Self::Est, Self::Program];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Est => "est",
            Self::Program => "program",
        }
    }
}

/// An LDevID that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ldevid {
    /// By which lists go on.
    pub id: i64,
    /// Of the device.
    pub serial_number: String,
    /// Of the signing request (PKCS #10, DER), lower-case hex.
    pub csr_sha256: String,
    /// `built-in`, `est` or `program`.
    pub issuer: String,
    /// By which profile.
    pub profile: Option<String>,
    /// As its certificate says.
    pub subject: String,
    /// The certificate's serial number, in hex.
    pub certificate_serial: String,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: UnixTime,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// The certificate, and those between it and its authority (PEM).
    pub chain: String,
}

/// Which LDevIDs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LdevidFilter {
    /// Only those of this device.
    pub serial_number: Option<String>,
}
