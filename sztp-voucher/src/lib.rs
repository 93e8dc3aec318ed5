//! Ownership vouchers (RFC 8366): parse one, verify it for a device, issue one; and the
//! voucher-requests (RFC 8995 §3) that a manufacturer answers with one.
//!
//! [`issue()`] makes what [`SignedVoucher`] reads; [`SignedVoucher::verify`] is the only way to a
//! [`VerifiedVoucher`], and [`SignedVoucher::examine`] explains the same checks one by one.
//! [`request`] leads from a voucher-request to a voucher, and `jws` (feature `jws`) has vouchers and
//! voucher-requests signed as JSON.
//!
//! What follows from a verified voucher (the owner certificate, the conveyed information) is the
//! business of `sztp-core` (RFC 8572 §5.4). The YANG instance-data codec that both crates use is
//! in [`yang`].
//!
//! ```
//! use sztp_cms::{CertificateBuilder, KeyType, SigningKey, TrustAnchors, UnixTime, WallClock};
//! use sztp_voucher::{
//!     Assertion, Check, IssueOptions, NonceExpectation, Outcome, Profile, SignedVoucher, Voucher,
//!     VoucherContext, issue,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let masa_key = SigningKey::generate(KeyType::EcP256)?;
//! let masa = CertificateBuilder::new("CN=MASA").self_signed(&masa_key)?;
//! let owner_key = SigningKey::generate(KeyType::EcP256)?;
//! let owner = CertificateBuilder::new("CN=Owner").ca(None).self_signed(&owner_key)?;
//!
//! // The manufacturer: this device belongs to that owner.
//! let now = UnixTime::from_secs(1_800_000_000);
//! let voucher = Voucher::new("AX7-00042", Assertion::Verified, owner.as_der(), now);
//! let message = issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default())?;
//!
//! // The device: is it for me?
//! let anchors = TrustAnchors::new([masa]);
//! let context = VoucherContext {
//!     serial_number: Some("AX7-00042"),
//!     nonce: NonceExpectation::None,
//!     ..VoucherContext::new(&anchors, WallClock::Trusted(now))
//! };
//! let signed = SignedVoucher::parse(&message, Profile::Rfc8366)?;
//! let verified = signed.verify(&context)?;
//! assert_eq!(verified.pinned_domain_cert(), &owner);
//!
//! // Another device, and why not.
//! let other = VoucherContext { serial_number: Some("AX7-00043"), ..context };
//! let report = signed.examine(&other);
//! assert_eq!(report.outcome(Check::Signature), &Outcome::Passed);
//! assert_eq!(report.verdict().map_err(|error| error.code()).err(), Some("voucher.serial-mismatch"));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod document;
mod error;
mod issue;
#[cfg(feature = "jws")]
pub mod jws;
mod report;
pub mod request;
mod signed;
mod text_form;
mod verify;
mod voucher;
pub mod yang;

pub use document::Profile;
pub use error::VoucherError;
pub use issue::{FILE_EXTENSION, IssueOptions, MEDIA_TYPE, PinCheck, issue};
pub use report::{Check, NotApplicable, Outcome, VoucherReport};
pub use signed::SignedVoucher;
pub use text_form::{TextForm, unwrap_text};
pub use verify::{NonceExpectation, VerifiedVoucher, VoucherContext};
pub use voucher::{Assertion, Voucher};
