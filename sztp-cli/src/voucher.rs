//! `sztp voucher`: ownership vouchers (RFC 8366) made, shown and judged.

mod batch;
pub(crate) mod checks;
mod inspect;
mod issue;
mod verify;

use clap::Subcommand;

use self::inspect::Inspect;
use self::issue::Issue;
use self::verify::Verify;
use crate::failure::Failure;
use crate::report::Report;

/// Ownership vouchers (RFC 8366).
#[derive(Debug, Subcommand)]
pub(crate) enum VoucherCommand {
    /// Sign a voucher: this device belongs to the owner of that certificate
    #[command(
        after_help = "Example:\n  sztp voucher issue --serial-number AX7-00042 \\\n    \
        --pinned-domain-cert lab/owner/pinned-domain-ca.crt \\\n    \
        --signer-cert lab/vendor/masa.crt --signer-key lab/vendor/masa.key \\\n    \
        --out voucher.vcj"
    )]
    Issue(Issue),
    /// Show what a voucher says, without believing it
    #[command(after_help = "Example:\n  sztp voucher inspect voucher.vcj -o json")]
    Inspect(Inspect),
    /// Judge vouchers as a device does (RFC 8572 section 5.4)
    #[command(after_help = "Example:\n  sztp voucher verify voucher.vcj \\\n    \
        --trust-anchor lab/vendor/root.crt --serial-number AX7-00042")]
    Verify(Verify),
}

impl VoucherCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Issue(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}
