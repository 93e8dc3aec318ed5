#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments of options are what --help prints: `host[:port]` is no link"
)]
//! `sztp`: the operator's, the vendor's and the device's command for Secure Zero Touch
//! Provisioning (RFC 8572).
//!
//! Commands are noun, then verb; each is a struct that turns into a [`report::Report`]. What is
//! valid is decided by the libraries, never here.

mod admin;
mod agent;
mod arguments;
mod artifacts;
mod completions;
mod conveyed_info;
mod demo;
mod dhcp;
mod dns;
mod failure;
mod files;
mod live;
mod local_source;
mod message;
mod owner_certificate;
mod pki;
mod report;
mod simulate;
mod usb;
mod voucher;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Secure Zero Touch Provisioning (RFC 8572): vouchers, conveyed information, lab PKI, device agent
#[derive(Debug, Parser)]
#[command(name = "sztp", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done; 1 what was checked is invalid, or it failed; 2 usage.")]
struct Cli {
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: report::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
    Agent(agent::AgentCommand),
    Simulate(simulate::Simulate),
    Completions(completions::Completions),
    Man(completions::Man),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return agent::misused(&error),
    };
    let outcome = match cli.command {
        Command::Demo(command) => command.run(cli.output),
        Command::Pki(command) => command.run(),
        Command::Voucher(command) => command.run(),
        Command::ConveyedInfo(command) => command.run(),
        Command::OwnerCertificate(command) => command.run(),
        Command::Artifacts(command) => command.run(),
        Command::Usb(command) => command.run(),
        Command::Dhcp(command) => command.run(),
        Command::Dns(command) => command.run(),
        Command::Agent(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Completions(command) => command.run::<Cli>(),
        Command::Man(command) => command.run::<Cli>(),
    };
    report::finish(outcome, cli.output).into()
}
