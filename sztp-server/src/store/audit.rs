//! Who is behind a change: known where a request comes in, needed where the change is written.
//!
//! A [`Scope`] goes along with the task that answers the request. The first change that is written
//! within it takes the line for the audit log along, in the same transaction.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::AuditRecord;

tokio::task_local! {
    static SCOPE: Scope;
}

/// A request that changes something, and the line that is to say so.
#[derive(Debug, Clone)]
pub struct Scope(Arc<Mutex<Option<AuditRecord>>>);

impl Scope {
    /// A scope whose line is not yet written.
    pub fn new(record: AuditRecord) -> Self {
        Self(Arc::new(Mutex::new(Some(record))))
    }

    /// Runs a future within the scope.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        SCOPE.scope(self.clone(), future).await
    }

    /// The line, if it is still to be written.
    pub fn pending(&self) -> Option<AuditRecord> {
        self.lock().clone()
    }

    /// The scope that the current task is in.
    pub(super) fn current() -> Option<Self> {
        SCOPE.try_with(Clone::clone).ok()
    }

    /// The line, which goes with one change only.
    pub(super) fn take(self) -> Option<(Self, AuditRecord)> {
        let record = self.lock().take()?;
        Some((self, record))
    }

    /// The change was not written after all.
    pub(super) fn put_back(&self, record: AuditRecord) {
        *self.lock() = Some(record);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AuditRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to what the audit log will say of the change under way, if anybody is behind it.
pub fn note(detail: &str) {
    let Some(scope) = Scope::current() else {
        return;
    };
    if let Some(record) = scope.lock().as_mut() {
        let detail: String = detail.chars().take(MAX_DETAIL).collect();
        record.detail = Some(match record.detail.take() {
            Some(before) => format!("{before}; {detail}"),
            None => detail,
        });
    }
}

/// Runs a future whose writes are taken back in the end: the audit log does not hear of them.
pub(crate) async fn silently<F: Future>(future: F) -> F::Output {
    SCOPE.scope(Scope(Arc::default()), future).await
}

const MAX_DETAIL: usize = 1000;
