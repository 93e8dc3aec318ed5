//! The commands of operators and vendors: all that a device has no need of, which is why a build
//! without the feature `operator` lacks it.

use clap::Subcommand;

use crate::failure::Failure;
use crate::report::{Format, Report};
use crate::{
    Cli, artifacts, completions, conveyed_info, demo, dhcp, dns, masa, owner_certificate, pki,
    simulate, usb, voucher,
};

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    Demo(demo::Demo),
    #[command(subcommand)]
    Pki(pki::Pki),
    #[command(subcommand)]
    Voucher(voucher::VoucherCommand),
    #[command(subcommand, name = "conveyed-info")]
    ConveyedInfo(conveyed_info::ConveyedInfoCommand),
    #[command(subcommand)]
    OwnerCertificate(owner_certificate::OwnerCertificate),
    #[command(subcommand)]
    Artifacts(artifacts::Artifacts),
    #[command(subcommand)]
    Usb(usb::Usb),
    #[command(subcommand)]
    Dhcp(dhcp::DhcpCommand),
    #[command(subcommand)]
    Dns(dns::DnsCommand),
    #[command(subcommand)]
    Masa(masa::MasaCommand),
    Simulate(simulate::Simulate),
    Completions(completions::Completions),
    Man(completions::Man),
}

impl OperatorCommand {
    pub(crate) fn run(self, format: Format) -> Result<Report, Failure> {
        match self {
            Self::Demo(command) => command.run(format),
            Self::Pki(command) => command.run(),
            Self::Voucher(command) => command.run(),
            Self::ConveyedInfo(command) => command.run(),
            Self::OwnerCertificate(command) => command.run(),
            Self::Artifacts(command) => command.run(),
            Self::Usb(command) => command.run(),
            Self::Dhcp(command) => command.run(),
            Self::Dns(command) => command.run(),
            Self::Masa(command) => command.run(format),
            Self::Simulate(command) => command.run(),
            Self::Completions(command) => command.run::<Cli>(),
            Self::Man(command) => command.run::<Cli>(),
        }
    }
}
