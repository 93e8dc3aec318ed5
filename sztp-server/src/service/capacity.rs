//! How much is done at a time; who comes when it is all taken is to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Service;
use crate::ServiceError;
use crate::config::ServerLimits;

/// Places for what takes time, memory or files.
#[derive(Debug)]
pub(super) struct Capacity {
    requests: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    event_streams: Arc<Semaphore>,
}

impl Capacity {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self {
            requests: places(limits.max_requests),
            downloads: places(limits.max_downloads),
            event_streams: places(limits.max_event_streams),
        }
    }
}

impl Service {
    /// A place for a device's request.
    pub(crate) fn begin_request(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        place(&self.0.capacity.requests)
    }

    /// A place for a download.
    pub(crate) fn begin_download(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        place(&self.0.capacity.downloads)
    }

    /// A place for an event stream.
    pub(crate) fn begin_event_stream(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        place(&self.0.capacity.event_streams)
    }
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ServiceError> {
    let overloaded = |_| ServiceError::Overloaded {
        retry_after_secs: retry_after_secs(),
    };
    places.clone().try_acquire_owned().map_err(overloaded)
}

/// Not the same for all: they would come back together.
fn retry_after_secs() -> u64 {
    let mut random = [0; 1];
    let spread = match getrandom::fill(&mut random) {
        Ok(()) => u64::from(random[0]) % SPREAD_SECS,
        Err(_) => 0,
    };
    SOONEST_SECS + spread
}

const SOONEST_SECS: u64 = 2;
const SPREAD_SECS: u64 = 9;
