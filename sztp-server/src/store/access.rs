//! Tokens, the audit log, and events of all devices in their order.

use sztp_cms::UnixTime;

use super::{Commits, StoreFuture};
use crate::model::{
    AuditEntry, AuditFilter, AuditRecord, DeviceEvent, EventFilter, Listed, Page, Token,
};

/// The part of a database that says who may do what, and who did.
///
/// A change that is made while an [`audit::Scope`](crate::store::audit::Scope) is open is written
/// together with the scope's line in the audit log, or not at all.
pub trait AccessStore {
    /// Adds a token by the SHA-256 of its secret; `false`: the name is taken.
    fn add_token(&self, token: Token, sha256: [u8; 32]) -> StoreFuture<'_, bool>;

    /// Every token with the SHA-256 of its secret.
    fn token_hashes(&self) -> StoreFuture<'_, Vec<(Token, [u8; 32])>>;

    /// Forgets a token; `false`: there is none of that name.
    fn revoke_token(&self, name: &str) -> StoreFuture<'_, bool>;

    /// Writes a line of the audit log by itself.
    fn append_audit(&self, record: AuditRecord) -> StoreFuture<'_, ()>;

    /// Lines of the audit log, newest first.
    fn audit(&self, filter: AuditFilter, page: Page) -> StoreFuture<'_, Listed<AuditEntry>>;

    /// Events of devices after one of them, oldest first, and up to where was looked: there may be
    /// more if that is not `upto`.
    fn events_after(
        &self,
        after: i64,
        upto: i64,
        filter: EventFilter,
    ) -> StoreFuture<'_, (Vec<DeviceEvent>, i64)>;

    /// The id of the newest event of any device; 0: there is none.
    fn last_event(&self) -> StoreFuture<'_, i64>;

    /// How many devices are in each state.
    fn states(&self) -> StoreFuture<'_, Vec<(String, u64)>>;

    /// What is known of the time that transactions take.
    fn commits(&self) -> Option<&Commits> {
        None
    }
}

impl Token {
    /// Whether it is still taken.
    pub(crate) fn is_valid(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
