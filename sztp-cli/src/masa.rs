//! `sztp masa`: a service that answers voucher-requests (RFC 8995 §5.5).
//!
//! What is granted to whom is decided by `sztp_server::masa` and the crates below it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use sztp_server::ServerError;
use sztp_server::masa::{Masa, MasaConfig, PATH};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::report::{self, Format, Report, Text};

/// Issuing vouchers as a service (RFC 8995)
#[derive(Debug, Subcommand)]
pub(crate) enum MasaCommand {
    /// Answer voucher-requests until told to stop
    #[command(after_help = HELP)]
    Serve(Serve),
}

impl MasaCommand {
    pub(crate) fn run(self, format: Format) -> Result<Report, Failure> {
        match self {
            Self::Serve(command) => command.run(format),
        }
    }
}

/// `sztp masa serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    fn run(self, format: Format) -> Result<Report, Failure> {
        let config = MasaConfig::from_file(&self.config).map_err(|error| {
            Failure::new(error.code(), &error).within(self.config.display().to_string())
        })?;
        let filter = EnvFilter::try_from_env("SZTP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new("masa.runtime", error))?
            .block_on(serve(config, format))
    }
}

async fn serve(config: MasaConfig, format: Format) -> Result<Report, Failure> {
    let listening = |kind| signal(kind).map_err(|error| Failure::new("masa.runtime", error));
    let mut terminate = listening(SignalKind::terminate())?;
    let mut interrupt = listening(SignalKind::interrupt())?;
    let mut hang_up = listening(SignalKind::hangup())?;
    let audit_log = config.audit_log.clone();
    let masa = Masa::start(config).await.map_err(|error| refused(&error))?;
    let mut text = Text::default();
    text.line(&format!(
        "vouchers are issued at https://{}{PATH}",
        masa.address()
    ));
    text.row("devices on the sales list", &masa.devices().to_string());
    text.row("audit log", &audit_log.display().to_string());
    let data = json!({
        "address": masa.address().to_string(),
        "path": PATH,
        "devices": masa.devices(),
        "audit-log": audit_log,
    });
    report::print(Report::new(text, data), format);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                if let Err(error) = masa.reload().await {
                    tracing::error!(code = error.code(), %error, "all stays as it was");
                }
            }
        }
    }
    masa.shutdown().await;
    Ok(Report::default())
}

fn refused(error: &ServerError) -> Failure {
    let failure = Failure::new(error.code(), error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

const HELP: &str = "\
Example:
  sztp pki init lab
  sztp pki registrar lab
  sztp masa serve --config masa.toml

masa.toml, with what has no default:
  sales_list = \"sales.csv\"
  [tls]
  certificate = \"lab/server/tls.crt\"
  key = \"lab/server/tls.key\"
  [signer]
  certificate = \"lab/vendor/masa.crt\"
  key = \"lab/vendor/masa.key\"

sales.csv, in which files are named from its own directory:
  serial-number,pinned-domain-cert
  AX7-00042,lab/owner/pinned-domain-ca.crt

The sales list is read again soon after it has changed; SIGHUP reads keys and certificates too.
What is decided is in the audit log before it is answered. docs/MASA.md has every key.";
