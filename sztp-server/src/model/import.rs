//! Many devices at once.

use serde::{Deserialize, Serialize};

/// How rows of an import are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// One bad row and nothing is done.
    pub all_or_nothing: bool,
    /// What a row does to a device that is there.
    pub existing: Existing,
    /// Refuse rows whose templates lack variables, instead of noting it.
    pub require_variables: bool,
}

/// What a row does to a device that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Changes what it names, and leaves the rest as it is.
    #[default]
    Update,
    /// Takes the place of all that was set.
    Replace,
    /// Nothing.
    Skip,
    /// It is a bad row.
    Refuse,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportRow {
    /// From 1, without a CSV's header.
    pub row: u64,
    /// None: it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// What was done with it, or would be.
    pub result: ImportResult,
    /// Of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Why it was refused, or what is to be noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportResult {
    /// The device is new.
    Added,
    /// The device was changed.
    Updated,
    /// The device was left as it was.
    Skipped,
    /// The row is bad.
    Refused,
    /// The row is good, but another is not and it was all or nothing.
    NotApplied,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImportReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many rows.
    pub rows: u64,
    /// New devices.
    pub added: u64,
    /// Changed devices.
    pub updated: u64,
    /// Devices that were left as they were.
    pub skipped: u64,
    /// Bad rows.
    pub refused: u64,
    /// Good rows beside bad ones, all or nothing.
    pub not_applied: u64,
    /// Row by row.
    pub results: Vec<ImportRow>,
}

impl ImportReport {
    /// Takes a row into account.
    pub fn push(&mut self, row: ImportRow) {
        self.rows += 1;
        *match row.result {
            ImportResult::Added => &mut self.added,
            ImportResult::Updated => &mut self.updated,
            ImportResult::Skipped => &mut self.skipped,
            ImportResult::Refused => &mut self.refused,
            ImportResult::NotApplied => &mut self.not_applied,
        } += 1;
        self.results.push(row);
    }
}
