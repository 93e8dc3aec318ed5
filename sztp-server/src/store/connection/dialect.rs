//! Where the two databases want to be told the same in different words.

/// How a transaction begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Begin {
    pub(super) sqlite: &'static str,
}

/// Reads from one state of the database.
pub(super) const SNAPSHOT: Begin = Begin { sqlite: "BEGIN" };

/// Writes, and is the only one that does.
pub(super) const WRITE: Begin = Begin {
    sqlite: "BEGIN IMMEDIATE",
};
