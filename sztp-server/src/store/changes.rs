//! What instances that share a database must notice of each other.

use tokio::sync::watch;

use super::StoreFuture;

/// The part of a database by which its users hear of each other.
pub trait ChangeStore {
    /// Counts up whenever something was written, by whichever instance, and whenever that may have
    /// been missed; none: nobody else writes to this database.
    ///
    /// To be called within a tokio runtime. It is heard for as long as the receiver is kept.
    fn changes(&self) -> Option<watch::Receiver<u64>>;

    /// Grows with each change of trust anchors and revocation lists.
    fn trust_revision(&self) -> StoreFuture<'_, i64>;
}
