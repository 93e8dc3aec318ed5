//! `sztp conveyed-info`: redirect and onboarding information (RFC 8572 §6) written, signed, shown.

mod build;
mod inspect;
pub(crate) mod show;
mod sign;

use clap::Subcommand;

use self::build::{Onboarding, Redirect};
use self::inspect::Inspect;
use self::sign::Sign;
use crate::failure::Failure;
use crate::report::Report;

/// Conveyed information: what devices are told to become, or where to go (RFC 8572 section 6)
#[derive(Debug, Subcommand)]
pub(crate) enum ConveyedInfoCommand {
    /// Write onboarding information: image, scripts, configuration
    #[command(
        after_help = "Example:\n  sztp conveyed-info onboarding --configuration edge-42.conf \\\n    \
        --configuration-handling replace --out onboarding.json\n\n\
        The same from a file, with paths relative to it:\n  \
        boot-image:\n    os-name: AxOS\n    os-version: 9.4.1\n    download-uri: \
        [https://img.example/axos.bin]\n    image-file: axos.bin\n  \
        configuration-handling: merge\n  configuration-file: edge-42.conf\n  \
        pre-configuration-script-file: pre.sh\n  post-configuration-script: |\n    \
        #!/bin/sh\n    echo done"
    )]
    Onboarding(Onboarding),
    /// Write redirect information: the servers to go to
    #[command(
        after_help = "Example:\n  sztp conveyed-info redirect --server boot.example.net:8443 \\\n    \
        --trust-anchor lab/server/tls-ca.crt --out redirect.json\n\n\
        The same from a file, with paths relative to it:\n  \
        bootstrap-server:\n    - address: boot.example.net\n      port: 8443\n      \
        trust-anchor-files: [lab/server/tls-ca.crt]"
    )]
    Redirect(Redirect),
    /// Sign conveyed information with the owner certificate's key
    #[command(
        after_help = "Example:\n  sztp conveyed-info sign onboarding.json --owner-cert \
        lab/owner/owner.crt \\\n    --owner-key lab/owner/owner.key --out conveyed-information.cms"
    )]
    Sign(Sign),
    /// Show what a file of conveyed information is, who signed it and what it says
    #[command(after_help = "Example:\n  sztp conveyed-info inspect conveyed-information.cms")]
    Inspect(Inspect),
}

impl ConveyedInfoCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Onboarding(command) => command.run(),
            Self::Redirect(command) => command.run(),
            Self::Sign(command) => command.run(),
            Self::Inspect(command) => command.run(),
        }
    }
}
