//! Why no voucher came from a MASA or a program.

use sztp_core::artifacts::ArtifactError;
use sztp_voucher::VoucherError;
use sztp_voucher::request::VoucherRequestError;
use thiserror::Error;

use crate::OutsideError;

/// A voucher that was wanted for a device and did not come, or is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VoucherOnDemandError {
    /// Nobody is configured who could be asked.
    #[error("neither vouchers_on_demand.url nor .program is set")]
    NobodyToAsk,
    /// What comes could not be judged.
    #[error("there is nothing to judge vouchers by; set voucher_anchors")]
    NoAnchors,
    /// The request could not be made.
    #[error("the voucher-request: {0}")]
    Request(#[source] VoucherRequestError),
    /// Nothing came.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// What came is no voucher, or not for this device and this exchange.
    #[error("what came is not to be given to the device: {0}")]
    Voucher(#[source] VoucherError),
    /// It does not go with the owner certificate in use.
    #[error("what came is not to be given to the device: {0}")]
    Artifacts(#[source] ArtifactError),
}

impl VoucherOnDemandError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NobodyToAsk => "voucher-on-demand.nobody-to-ask",
            Self::NoAnchors => "voucher-on-demand.no-anchors",
            Self::Request(inner) => inner.code(),
            Self::Outside(inner) => inner.code(),
            Self::Voucher(inner) => inner.code(),
            Self::Artifacts(inner) => inner.code(),
        }
    }

    /// Whether whoever was asked has decided, so that asking again is of no use.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Outside(error) if error.is_final())
    }
}
