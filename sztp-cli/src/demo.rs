//! `sztp demo`: a whole network in one process. A vendor, an owner, a bootstrap server and the
//! vendor's redirect server are made in a temporary directory, then devices boot for real, over
//! mutual TLS on the loopback interface.
//!
//! Two of the devices must fail. The demo only succeeds if every device ends in the state that it
//! has to end in.

mod board;
mod cast;
mod device;
mod network;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use self::board::Board;
use self::cast::{Member, cast};
use self::network::Network;
use crate::failure::Failure;
use crate::live::Live;
use crate::report::{self, Format, Report, Status, Text};

/// A whole network on this machine: PKI, servers, and devices that are bootstrapped for real
#[derive(Debug, Args)]
#[command(after_help = "Example: sztp demo --keep")]
pub(crate) struct Demo {
    /// Devices in all; two of them are made to fail
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(5..=1000))]
    devices: u16,
    /// Leave the servers running afterwards and say what to try with curl
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(self, format: Format) -> Result<Report, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new("demo.runtime", error))?;
        runtime.block_on(self.play(format))
    }

    async fn play(self, format: Format) -> Result<Report, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("sztp-demo-")
            .tempdir()
            .map_err(|error| Failure::new("demo.directory", error))?;
        let started = Instant::now();
        let network = Arc::new(Network::start(directory.path()).await?);
        let members = cast(self.devices);
        for member in &members {
            network.enrol(member).await?;
        }
        let board = Board::new(&members, network.names());
        let live = Live::show(board.watched());
        let mut running = JoinSet::new();
        for (index, member) in members.iter().cloned().enumerate() {
            let (network, board) = (network.clone(), board.clone());
            running.spawn(async move {
                // Making an RSA key takes a while.
                let made = tokio::task::spawn_blocking(move || network.device(&member)).await;
                let device = made.map_err(|error| Failure::new("demo.device", error))??;
                let told = device.boot(|event| board.heard(index, event)).await;
                board.ended(index, &told);
                Ok::<(), Failure>(())
            });
        }
        while !running.is_empty() {
            tokio::select! {
                ended = running.join_next() => {
                    match ended {
                        Some(Err(error)) => return Err(Failure::new("demo.device", error)),
                        Some(Ok(outcome)) => outcome?,
                        None => {}
                    }
                }
                () = tokio::time::sleep(REFRESH) => {}
            }
            board.states(network.states(&members).await?);
        }
        live.stop().await;
        let mut report = verdict(&members, &board, started.elapsed());
        if self.keep {
            let failures = report.failures.clone();
            report::print(report, format);
            keep(&network, &members, directory.path()).await?;
            report = Report {
                failures,
                ..Report::default()
            };
        }
        if let Some(network) = Arc::into_inner(network) {
            network.shutdown().await;
        }
        Ok(report)
    }
}

/// The last table, and a failure for each device that did not end as it has to.
fn verdict(members: &[Member], board: &Board, took: Duration) -> Report {
    let rows = board.rows();
    let mut text = Text::default();
    text.lines(&board.table());
    let mut failures = Vec::new();
    let mut data = Vec::new();
    for (member, row) in members.iter().zip(&rows) {
        let expected = member.expected_state();
        let as_expected = row.state == expected.as_str();
        if !as_expected {
            failures.push(
                Failure::new(
                    "demo.unexpected-state",
                    format!(
                        "{} ended {} instead of {expected}",
                        member.serial_number, row.state
                    ),
                )
                .within(row.told.clone()),
            );
        }
        data.push(json!({
            "serial-number": member.serial_number,
            "what": member.part.describe(),
            "source": row.source,
            "stage": row.stage,
            "state": row.state,
            "expected-state": expected.as_str(),
            "as-expected": as_expected,
            "reason": row.reason,
        }));
    }
    text.line("");
    for (member, row) in members.iter().zip(&rows).take(SHOWN) {
        let good = row.state == member.expected_state().as_str();
        let status = if good { Status::Passed } else { Status::Failed };
        text.check(status, &member.serial_number, member.part.describe());
        if let Some(reason) = &row.reason {
            text.block(&format!("      {reason}"));
        }
    }
    let good = members.len() - failures.len();
    text.line("");
    text.verdict(
        &format!(
            "{good} of {} devices ended as expected in {:.1} s",
            members.len(),
            took.as_secs_f64()
        ),
        failures.is_empty(),
        if failures.is_empty() {
            "good"
        } else {
            "not good"
        },
    );
    Report {
        failures,
        ..Report::new(
            text,
            json!({ "devices": data, "seconds": took.as_secs_f64() }),
        )
    }
}

/// Says what to try, and waits to be interrupted.
async fn keep(
    network: &Network,
    members: &[Member],
    directory: &std::path::Path,
) -> Result<(), Failure> {
    let mut text = Text::default();
    text.line("");
    text.line("The servers stay up until you press Ctrl-C. What to try in another terminal:");
    text.line("");
    text.lines(&network.suggestions(&members[0], directory));
    report::print(Report::new(text, json!({})), Format::Table);
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::new("demo.signal", error))
}

/// How often the server is asked for the devices' states.
const REFRESH: Duration = Duration::from_millis(100);
/// The most devices that are explained one by one.
const SHOWN: usize = 40;
