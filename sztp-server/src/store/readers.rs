//! The connections that read: a few at a time, each on a thread for work that blocks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::connection::Connection;
use super::database::Place;
use crate::StoreError;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Inner>);

struct Inner {
    place: Place,
    reading: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(place: Place, at_a_time: usize) -> Self {
        Self(Arc::new(Inner {
            place,
            reading: Arc::new(Semaphore::new(at_a_time)),
            idle: Mutex::default(),
        }))
    }

    /// Where they read.
    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// What `work` answers; it may be carried out more than once.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let inner = self.0.clone();
        async move {
            let permit = inner.reading.clone().acquire_owned().await;
            let permit = permit.map_err(|_| StoreError::Closed)?;
            let read = move || {
                let result = inner.read(work);
                drop(permit);
                result
            };
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| StoreError::Closed)?
        }
    }

    pub(super) fn close(&self) {
        self.0.reading.close();
        self.0.idle().clear();
    }
}

impl Inner {
    fn read<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            let idle = self.idle().pop();
            let was_idle = idle.is_some();
            let connection = match idle {
                Some(connection) => connection,
                None => match &self.place {
                    Place::File(path) => Connection::sqlite_reader(path)?,
                    Place::Server(options) => Connection::postgres(options.clone())?,
                },
            };
            let result = work(&connection);
            if connection.is_usable() {
                self.idle().push(connection);
            } else if was_idle && result.is_err() {
                // The database was away in the meantime, so others are broken, too.
                self.idle().clear();
                continue;
            }
            return result;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
