//! What survives the agent's process: `agent.json` in the state directory, written whole or not at
//! all.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;
use sztp_core::device::SavedState;

use crate::arguments::sha256_hex;
use crate::failure::Failure;
use crate::files;

/// The state of the device machine, and what only the agent knows.
#[derive(Debug, Clone)]
pub(crate) struct State {
    path: PathBuf,
    /// The image that runs, or will after the reboot that is under way.
    pub(super) running: Option<[u8; 32]>,
    /// Hooks that have to be told when the attempt is undone.
    pub(super) called: Vec<PathBuf>,
    /// The time before which it certainly is not; it never goes back.
    clock_floor: Option<UnixTime>,
    pub(super) machine: SavedState,
    /// There was none.
    pub(super) is_new: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Document {
    running_image: Option<String>,
    called_hooks: Vec<PathBuf>,
    clock_floor: Option<String>,
    machine: SavedState,
}

impl State {
    pub(crate) fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("agent.json");
        let is_new = !path.exists();
        let document = if is_new {
            Document::default()
        } else {
            let text = files::read_text(&path)?;
            serde_json::from_str(&text).map_err(|error| damaged(&path, &error))?
        };
        let hash = |text: String| sha256_hex(&text).map_err(|problem| damaged(&path, &problem));
        Ok(Self {
            running: document.running_image.map(hash).transpose()?,
            called: document.called_hooks,
            clock_floor: document
                .clock_floor
                .map(|text| UnixTime::parse_rfc3339(&text).map_err(|error| damaged(&path, &error)))
                .transpose()?,
            machine: document.machine,
            is_new,
            path,
        })
    }

    pub(super) fn clock_floor(&self) -> Option<UnixTime> {
        self.clock_floor
    }

    pub(super) fn raise_clock_floor(&mut self, floor: Option<UnixTime>) {
        self.clock_floor = self.clock_floor.max(floor);
    }

    pub(super) fn save(&self) -> Result<(), Failure> {
        let hex = |hash: &[u8; 32]| {
            let octets: Vec<String> = hash.iter().map(|octet| format!("{octet:02x}")).collect();
            octets.concat()
        };
        let document = Document {
            running_image: self.running.as_ref().map(hex),
            called_hooks: self.called.clone(),
            clock_floor: self.clock_floor.map(|time| time.to_string()),
            machine: self.machine.clone(),
        };
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| Failure::new("output.encoding", error))?;
        files::write_private(&self.path, text.as_bytes())
    }
}

fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        "agent.state",
        format!("the agent's state is damaged: {problem}"),
    )
    .at(path)
    .hint("remove the file to begin anew")
}
