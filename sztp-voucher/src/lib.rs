//! Ownership vouchers (RFC 8366): parse one, verify it for a device, issue one.
//!
//! What follows from a verified voucher (the owner certificate, the conveyed information) is the
//! business of `sztp-core` (RFC 8572 §5.4). The YANG instance-data codec that both crates use is
//! in [`yang`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod document;
mod error;
mod issue;
mod report;
pub mod request;
mod signed;
mod text_form;
mod verify;
mod voucher;
pub mod yang;

pub use document::Profile;
pub use error::VoucherError;
pub use issue::{IssueOptions, issue};
pub use report::{Check, NotApplicable, Outcome, VoucherReport};
pub use signed::SignedVoucher;
pub use text_form::{TextForm, unwrap_text};
pub use verify::{NonceExpectation, VerifiedVoucher, VoucherContext};
pub use voucher::{Assertion, Voucher};
