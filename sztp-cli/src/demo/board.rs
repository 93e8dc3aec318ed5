//! The demo's table: what each device does, as it happens.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sztp_core::client::{Activity, Event};
use sztp_core::device::{EndpointTrust, ScriptStage};
use sztp_server::model::DeviceSummary;

use super::cast::Member;
use crate::live::Shown;
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

    /// This board, to be shown.
    pub(super) fn watched(&self) -> Watched {
        Watched {
            board: self.clone(),
            last: self.rows(),
        }
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(index) {
            change(row);
        }
    }
}

/// The table on a terminal, elsewhere a line for each change of state.
pub(super) struct Watched {
    board: Board,
    last: Vec<Row>,
}

impl Shown for Watched {
    fn frame(&mut self) -> String {
        self.board.table()
    }

    fn news(&mut self) -> String {
        let rows = self.board.rows();
        let mut text = String::new();
        for (now, before) in rows.iter().zip(&self.last) {
            if now.state != before.state {
                let _ = writeln!(text, "{} {}", now.serial_number, now.state);
            }
        }
        self.last = rows;
        text
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
