//! Histories that have become long.

use super::StoreFuture;

/// The part of a database that keeps histories from growing for ever.
pub trait HistoryStore {
    /// Forgets the oldest lines of a device's history but for so many, and for so many octets of
    /// what they say, and answers how many those were.
    fn trim_history(
        &self,
        serial_number: &str,
        max_entries: u32,
        max_octets: u64,
    ) -> StoreFuture<'_, u64>;
}
