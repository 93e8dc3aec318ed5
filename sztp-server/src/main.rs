//! The bootstrap server as a program.

#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sztp_server::config::{DatabaseUrl, LogConfig, LogFormat};
use sztp_server::{Config, ConfigError, Notice, Server, ServerError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// SZTP bootstrap server (RFC 8572).
///
/// Without a configuration it starts on ./sztp-data with a lab PKI and says what it made. SIGHUP
/// reads certificates, keys and anchors again; SIGTERM and SIGINT let open requests end.
#[derive(Debug, Parser)]
#[command(name = "sztp-server", version)]
struct Arguments {
    /// Configuration file (TOML); every key has a default
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database of PostgreSQL, postgres://USER@HOST/DATABASE, in the place of database.url
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "SZTP_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check configuration, certificates, keys and anchors, and start nothing
    Check,
    /// Copy the database into a file, also while a server runs on it (SQLite)
    Backup {
        /// Must not be there
        file: PathBuf,
    },
    /// Put a copy in the place of the database; no server may be running on it (SQLite)
    Restore {
        /// Made by backup
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match begin(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error[{}]: {error}", error.code());
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: Arguments) -> Result<(), ServerError> {
    let mut config = match &arguments.config {
        Some(path) => Config::from_file(path)?,
        None => Config::default(),
    };
    if let Some(url) = &arguments.database {
        config.database.url = Some(DatabaseUrl(url.clone()));
    }
    begin_log(&config.log)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| refused(&error))?;
    runtime.block_on(run(arguments, config))
}

fn begin_log(config: &LogConfig) -> Result<(), ServerError> {
    let filter = match EnvFilter::try_from_env("SZTP_LOG") {
        Ok(filter) => filter,
        Err(_) => EnvFilter::try_new(&config.filter).map_err(|error| ConfigError::Value {
            key: "log.filter",
            problem: error.to_string(),
        })?,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_ansi(false).init(),
    }
    Ok(())
}

async fn run(arguments: Arguments, config: Config) -> Result<(), ServerError> {
    match arguments.command {
        Some(Command::Check) => {
            for notice in Server::check(config).await? {
                println!("{notice}");
            }
            println!("ok");
            Ok(())
        }
        Some(Command::Backup { file }) => Server::backup(config, &file).await,
        Some(Command::Restore { file }) => Server::restore(config, &file).await,
        None => serve(config).await,
    }
}

async fn serve(config: Config) -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| refused(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| refused(&error))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| refused(&error))?;
    let server = Server::start(config).await?;
    println!(
        "devices connect to {} ({})",
        server.device_addr(),
        server.public_url()
    );
    println!("operators connect to {}", server.admin_addr());
    for notice in server.notices() {
        println!("{notice}");
        // On a terminal only: elsewhere it would end up in a log.
        if let Notice::MadeToken(file) = notice
            && std::io::stdout().is_terminal()
            && let Ok(token) = std::fs::read_to_string(file)
        {
            println!("      {}", token.trim());
        }
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                if let Err(error) = server.reload().await {
                    tracing::error!(code = error.code(), %error, "all stays as it was");
                }
            }
        }
    }
    server.shutdown().await;
    Ok(())
}

fn refused(error: &std::io::Error) -> ServerError {
    ServerError::Process {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_manual_names_every_option_and_command() {
        let page = include_str!("../dist/sztp-server.8").replace('\\', "");
        let command = Arguments::command();
        let options = command.get_arguments().filter_map(clap::Arg::get_long);
        let options = options.map(|name| format!("--{name}"));
        let commands = command.get_subcommands().map(clap::Command::get_name);
        for name in options.chain(commands.map(|name| format!(".B {name}\n"))) {
            assert!(page.contains(&name), "{name}");
        }
    }
}
