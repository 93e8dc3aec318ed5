//! `sztp usb`: bootstrapping data on removable storage (RFC 8572 §4.1).

use clap::{Subcommand, ValueEnum};
use sztp_core::removable_storage::Layout;

use crate::failure::Failure;
use crate::report::Report;

mod stick;
mod verify;
mod write;

/// Removable storage as a source of bootstrapping data (RFC 8572 section 4.1)
#[derive(Debug, Subcommand)]
pub(crate) enum Usb {
    /// Put one device's signed artifacts onto a mounted stick
    #[command(
        after_help = "Example:\n  sztp usb write /media/stick --serial-number AX7-00042 \\\n    \
        --voucher voucher.vcj --owner-certificate owner-certificate.cms \\\n    \
        --conveyed-information conveyed-information.cms --trust-anchor lab/vendor/root.crt"
    )]
    Write(write::Write),
    /// Judge what is on a stick as the device does that it is plugged into
    #[command(
        after_help = "Example:\n  sztp usb verify /media/stick --serial-number AX7-00042 \\\n    \
        --trust-anchor lab/vendor/root.crt"
    )]
    Verify(verify::Verify),
}

impl Usb {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Write(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}

/// Which names the files have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StickLayout {
    /// The file names of RFC 8572 in a directory named after the serial number
    #[default]
    Rfc8572,
    /// EN9/SERIAL/bootstrapping-data/, as Cisco IOS XR looks for them
    IosXr,
}

impl From<StickLayout> for Layout {
    fn from(layout: StickLayout) -> Self {
        match layout {
            StickLayout::Rfc8572 => Self::Rfc8572,
            StickLayout::IosXr => Self::IOS_XR,
        }
    }
}
