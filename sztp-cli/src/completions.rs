//! `sztp completions` and `sztp man`: what a shell and a manual reader want.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sztp completions bash > ~/.local/share/bash-completion/completions/sztp"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run<C: CommandFactory>(self) -> Result<Report, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "sztp", &mut script);
        let script =
            String::from_utf8(script).map_err(|error| Failure::new("output.encoding", error))?;
        Ok(Report::new(
            Text::verbatim(&script),
            json!({ "script": script }),
        ))
    }
}

/// Write manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sztp man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Where to; made if need be
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run<C: CommandFactory>(self) -> Result<Report, Failure> {
        files::make_directory(&self.directory)?;
        clap_mangen::generate_to(C::command(), &self.directory).map_err(|error| {
            Failure::new("file.unwritable", format!("cannot be written: {error}"))
                .at(&self.directory)
        })?;
        let mut text = Text::default();
        text.line(&format!(
            "Manual pages written to {}",
            self.directory.display()
        ));
        Ok(Report::new(text, json!({ "directory": self.directory })))
    }
}
