//! The demo's table: what each device does, as it happens.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sztp_core::client::{Activity, Event};
use sztp_core::device::{EndpointTrust, ScriptStage};
use sztp_server::model::DeviceSummary;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::cast::Member;
use crate::report::printable;

/// What is known of all devices; shared by those who know.
#[derive(Debug, Clone)]
pub(super) struct Board {
    rows: Arc<Mutex<Vec<Row>>>,
    /// What the servers are called, by their port.
    names: [(u16, &'static str); 2],
}

/// What is known of one device.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) serial_number: String,
    /// The servers that it has come by, and whether it trusted them.
    pub(super) source: String,
    /// What it does.
    pub(super) stage: String,
    /// What the owner's server says of it.
    pub(super) state: String,
    /// Why, if it failed.
    pub(super) reason: Option<String>,
    /// What the device says of itself.
    pub(super) told: String,
}

impl Board {
    pub(super) fn new(members: &[Member], names: [(u16, &'static str); 2]) -> Self {
        let rows = members.iter().map(|member| Row {
            serial_number: member.serial_number.clone(),
            source: String::new(),
            stage: "in the factory".to_owned(),
            state: "Unprovisioned".to_owned(),
            reason: None,
            told: String::new(),
        });
        Self {
            rows: Arc::new(Mutex::new(rows.collect())),
            names,
        }
    }

    /// Something that a device does.
    pub(super) fn heard(&self, index: usize, event: &Event<'_>) {
        self.change(index, |row| {
            if let Some(server) = event.server {
                let name = self.names.iter().find(|(port, _)| *port == server.port);
                let name = name.map_or("unknown", |(_, name)| name);
                let source = match server.trust {
                    EndpointTrust::Anchors(_) => name.to_owned(),
                    EndpointTrust::Provisional => format!("{name} (untrusted)"),
                };
                if row.source.rsplit(HOP).next() != Some(source.as_str()) {
                    if !row.source.is_empty() {
                        row.source.push_str(HOP);
                    }
                    row.source.push_str(&source);
                }
            }
            if let Some(stage) = stage(event.activity) {
                row.stage = stage;
            }
        });
    }

    /// What a device says of itself at the end.
    pub(super) fn ended(&self, index: usize, told: &str) {
        self.change(index, |row| told.clone_into(&mut row.told));
    }

    /// What the server says of all devices, in the board's order.
    pub(super) fn states(&self, states: Vec<DeviceSummary>) {
        for (index, device) in states.into_iter().enumerate() {
            self.change(index, |row| {
                row.state = device.state;
                row.reason = device.reason;
            });
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All rows under a heading.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let heading = ["DEVICE", "SOURCE", "STAGE", "STATE"].map(str::to_owned);
        let rows = self.rows().into_iter().map(|row| {
            [row.serial_number, row.source, row.stage, row.state].map(|cell| printable(&cell))
        });
        for [device, source, stage, state] in std::iter::once(heading).chain(rows) {
            let _ = writeln!(text, "{device:<11} {source:<34} {stage:<26} {state}");
        }
        text
    }

    /// Shows the table on stderr until it is told to stop: redrawn on a terminal, elsewhere a line
    /// for each change of state.
    pub(super) fn show(&self) -> Live {
        let board = self.clone();
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let terminal = std::io::stderr().is_terminal();
            let mut screen = Screen::default();
            let mut last = board.rows();
            loop {
                let done = tokio::time::timeout(REDRAW, &mut stopped).await.is_ok();
                if terminal {
                    screen.draw(&board.table(), done);
                } else {
                    let rows = board.rows();
                    for (now, before) in rows.iter().zip(&last) {
                        if now.state != before.state {
                            eprintln!("{} {}", now.serial_number, now.state);
                        }
                    }
                    last = rows;
                }
                if done {
                    break;
                }
            }
        });
        Live { stop, task }
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(index) {
            change(row);
        }
    }
}

/// A table that is being shown.
pub(super) struct Live {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Live {
    /// Shows the last changes and takes a redrawn table away, as the report repeats it.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// The part of a terminal that is drawn over and over.
#[derive(Default)]
struct Screen {
    lines: usize,
}

impl Screen {
    fn draw(&mut self, table: &str, done: bool) {
        let mut out = String::new();
        if self.lines > 0 {
            // Back to the first line, and everything below it gone.
            let _ = write!(out, "\u{1b}[{}A\r\u{1b}[J", self.lines);
        }
        self.lines = 0;
        if !done {
            // A line that wraps would be two to go back.
            let width = terminal_size::terminal_size()
                .map_or(80, |(width, _)| usize::from(width.0))
                .saturating_sub(1);
            for line in table.lines().take(MAX_LINES) {
                let line: String = line.chars().take(width).collect();
                let _ = writeln!(out, "{line}");
                self.lines += 1;
            }
        }
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(out.as_bytes());
        let _ = stderr.flush();
    }
}

/// None: nothing that a table has to say.
fn stage(activity: Activity<'_>) -> Option<String> {
    Some(match activity {
        Activity::Asking => "get-bootstrapping-data".to_owned(),
        Activity::Reporting(progress_type) => progress_type.as_str().to_owned(),
        Activity::Downloading { octets, total, .. } => match total {
            Some(total) if total > 0 => {
                format!("downloading image {} %", octets.saturating_mul(100) / total)
            }
            _ => "downloading image".to_owned(),
        },
        Activity::Installing => "installing image".to_owned(),
        Activity::Rebooting => "rebooting".to_owned(),
        Activity::RunningScript(ScriptStage::Pre) => "pre-configuration-script".to_owned(),
        Activity::RunningScript(ScriptStage::Post) => "post-configuration-script".to_owned(),
        Activity::Committing => "committing configuration".to_owned(),
        Activity::RollingBack => "rolling back".to_owned(),
        _ => return None,
    })
}

/// Between one server and the next.
const HOP: &str = " > ";
const REDRAW: Duration = Duration::from_millis(100);
/// What fits on most terminals without scrolling, which redrawing does not survive.
const MAX_LINES: usize = 22;
