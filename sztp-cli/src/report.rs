//! What a command prints: for people, or the same as JSON or YAML for programs.
//!
//! Data goes to stdout, remarks and errors to stderr. Text from outside never reaches a terminal
//! with its control characters.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// The same as JSON.
    #[cfg(feature = "operator")]
    Yaml,
}

/// What came of a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// For people.
    pub(crate) text: Text,
    /// The same for programs.
    pub(crate) data: Value,
    /// Worth knowing; to stderr.
    pub(crate) notes: Vec<String>,
    /// What is invalid; to stderr, and the program ends with 1.
    pub(crate) failures: Vec<Failure>,
}

impl Report {
    pub(crate) fn new(text: Text, data: Value) -> Self {
        Self {
            text,
            data,
            ..Self::default()
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Prints a command's outcome and answers how the program is to end.
pub(crate) fn finish(outcome: Result<Report, Failure>, format: Format) -> Exit {
    let report = match outcome {
        Ok(report) => report,
        Err(failure) => Report {
            failures: vec![failure],
            ..Report::default()
        },
    };
    print(report, format)
}

/// Prints a report and answers how the program is to end because of it.
pub(crate) fn print(report: Report, format: Format) -> Exit {
    for note in &report.notes {
        anstream::eprintln!("note: {}", printable(note));
    }
    let printed = match format {
        _ if report.data.is_null() => Ok(String::new()),
        Format::Table => Ok(report.text.0),
        Format::Json => serde_json::to_string_pretty(&report.data)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string()),
        #[cfg(feature = "operator")]
        Format::Yaml => serde_norway::to_string(&report.data).map_err(|error| error.to_string()),
    };
    let mut exit = Exit::Done;
    match printed {
        Ok(text) => {
            use std::io::Write as _;
            // A reader that has gone away, as `head` does, is no failure.
            let _ = write!(anstream::stdout(), "{text}");
        }
        Err(error) => {
            anstream::eprintln!("error[output.encoding]: {error}");
            exit = Exit::Failed;
        }
    }
    for failure in &report.failures {
        let code = printable(failure.code());
        let message = printable(&failure.to_string());
        anstream::eprintln!("{RED}error[{code}]{RESET}: {message}");
        exit = failure.exit();
    }
    exit
}

/// Text for people, with emphasis that is taken off where it cannot be shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text(String);

impl Text {
    /// A text of our own making, as it is.
    pub(crate) fn verbatim(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Lines of our own making, as they are.
    pub(crate) fn lines(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// What another text says.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// A line by itself.
    pub(crate) fn line(&mut self, text: &str) {
        self.0.push_str(&printable(text));
        self.0.push('\n');
    }

    /// A name and its value, in two columns.
    pub(crate) fn row(&mut self, name: &str, value: &str) {
        let value = printable(value);
        let name = printable(name);
        let _ = writeln!(self.0, "  {name:<WIDTH$} {value}");
    }

    /// Like [`Self::row`], if there is a value.
    pub(crate) fn optional_row(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }

    /// A check and what came of it.
    pub(crate) fn check(&mut self, status: Status, name: &str, detail: &str) {
        let (colour, label) = match status {
            Status::Passed => (GREEN, "passed"),
            Status::Failed => (RED, "FAILED"),
            Status::NotApplicable => (DIM, "not applicable"),
            Status::NotReached => (DIM, "not reached"),
            Status::Noted => (YELLOW, "noted"),
        };
        let (name, detail) = (printable(name), printable(detail));
        let line = format!("  {colour}{label:<14}{RESET} {name:<WIDTH$} {detail}");
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A heading with a verdict.
    pub(crate) fn verdict(&mut self, subject: &str, good: bool, verdict: &str) {
        let colour = if good { GREEN } else { RED };
        let subject = printable(subject);
        let _ = writeln!(self.0, "{subject}: {colour}{verdict}{RESET}");
    }

    /// Text of several lines, indented.
    pub(crate) fn block(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.0, "    {}", printable(line));
        }
    }
}

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// There is nothing to compare, or nothing to compare with.
    NotApplicable,
    /// An earlier check failed.
    NotReached,
    /// Let pass, though it is not as it should be.
    Noted,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotApplicable => "not-applicable",
            Self::NotReached => "not-reached",
            Self::Noted => "noted",
        }
    }
}

/// Text with its control characters, which a terminal would obey, made visible.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // Also what reorders text (RFC 9839 §2 and Unicode TR 36).
        let reorders = matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if (character.is_control() && character != '\t') || reorders {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

const WIDTH: usize = 22;
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const DIM: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded_by_data() {
        let mut text = Text::default();
        text.row("serial-number", "A\u{1b}[2J\n7\u{202E}");
        assert!(!text.0.contains('\u{1b}') && !text.0.contains('\u{202E}'));
        assert_eq!(text.0.lines().count(), 1);
    }
}
