//! Ownership vouchers (RFC 8366): parse one, verify it for a device, issue one.
//!
//! What follows from a verified voucher (the owner certificate, the conveyed information) is the
//! business of `sztp-core` (RFC 8572 §5.4). The YANG instance-data codec that both crates use is
//! in [`yang`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod issue;
mod signed;
mod verify;
mod voucher;
pub mod yang;

pub use error::VoucherError;
pub use issue::{IssueOptions, issue};
pub use signed::SignedVoucher;
pub use verify::{NonceExpectation, VerifiedVoucher, VoucherContext};
pub use voucher::{Assertion, Profile, Voucher};
