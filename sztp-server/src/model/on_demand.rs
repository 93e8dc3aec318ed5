//! When vouchers are fetched for a device that asks.

use serde::{Deserialize, Serialize};

/// When a voucher is fetched, from a MASA or by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VouchersOnDemand {
    /// Never: devices get what was uploaded.
    #[default]
    Never,
    /// When none is there, or the one that is there has ended.
    IfMissing,
    /// Also when the device sends a nonce; if that fails it gets the one that is there.
    IfNonce,
    /// Also when the device sends a nonce; it gets none other then.
    NonceRequired,
}
