//! What the agent has to know after a reboot: `agent.json` in the state directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sztp_cms::UnixTime;

use crate::arguments::sha256_hex;
use crate::failure::Failure;
use crate::files;

/// What survives the process.
#[derive(Debug, Clone)]
pub(crate) struct State {
    path: PathBuf,
    /// The image that runs, or will after the reboot that is under way.
    pub(super) running: Option<[u8; 32]>,
    /// The images installed since bootstrapping began.
    pub(super) installed: Vec<[u8; 32]>,
    /// The time before which it certainly is not.
    pub(super) clock_floor: Option<UnixTime>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    running_image: Option<String>,
    installed_images: Vec<String>,
    clock_floor: Option<String>,
}

impl State {
    pub(crate) fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("agent.json");
        let document = if path.exists() {
            let text = files::read_text(&path)?;
            serde_json::from_str(&text).map_err(|error| damaged(&path, &error))?
        } else {
            Document::default()
        };
        let hash = |text: String| sha256_hex(&text).map_err(|problem| damaged(&path, &problem));
        Ok(Self {
            running: document.running_image.map(hash).transpose()?,
            installed: document
                .installed_images
                .into_iter()
                .map(hash)
                .collect::<Result<_, _>>()?,
            clock_floor: document
                .clock_floor
                .map(|text| UnixTime::parse_rfc3339(&text).map_err(|error| damaged(&path, &error)))
                .transpose()?,
            path,
        })
    }

    pub(super) fn save(&self) -> Result<(), Failure> {
        let hex = |hash: &[u8; 32]| {
            let octets: Vec<String> = hash.iter().map(|octet| format!("{octet:02x}")).collect();
            octets.concat()
        };
        let document = Document {
            running_image: self.running.as_ref().map(hex),
            installed_images: self.installed.iter().map(hex).collect(),
            clock_floor: self.clock_floor.map(|time| time.to_string()),
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
