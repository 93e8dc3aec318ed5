#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments of options are what --help prints: `host[:port]` is no link"
)]
#![cfg_attr(
    not(feature = "operator"),
    allow(
        dead_code,
        unused_imports,
        reason = "what several commands share is more than the agent uses of it"
    )
)]
//! `sztp`: the operator's, the vendor's and the device's command for Secure Zero Touch
//! Provisioning (RFC 8572).
//!
//! Commands are noun, then verb; each is a struct that turns into a [`report::Report`]. What is
//! valid is decided by the libraries, never here.

mod agent;
mod arguments;
mod failure;
mod files;
mod report;

#[cfg(feature = "operator")]
mod admin;
#[cfg(feature = "operator")]
mod artifacts;
#[cfg(feature = "operator")]
mod completions;
#[cfg(feature = "operator")]
mod conveyed_info;
#[cfg(feature = "operator")]
mod demo;
#[cfg(feature = "operator")]
mod dhcp;
#[cfg(feature = "operator")]
mod dns;
#[cfg(feature = "operator")]
mod live;
#[cfg(feature = "operator")]
mod local_source;
#[cfg(feature = "operator")]
mod masa;
#[cfg(feature = "operator")]
mod message;
#[cfg(feature = "operator")]
mod operator;
#[cfg(feature = "operator")]
mod owner_certificate;
#[cfg(feature = "operator")]
mod pki;
#[cfg(feature = "operator")]
mod simulate;
#[cfg(feature = "operator")]
mod usb;
#[cfg(feature = "operator")]
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
    #[cfg(feature = "operator")]
    #[command(flatten)]
    Operator(Box<operator::OperatorCommand>),
    #[command(subcommand)]
    Agent(agent::AgentCommand),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return agent::misused(&error),
    };
    let outcome = match cli.command {
        #[cfg(feature = "operator")]
        Command::Operator(command) => command.run(cli.output),
        Command::Agent(command) => command.run(),
    };
    report::finish(outcome, cli.output).into()
}
