//! What there is to be seen of the whole: events in their order, numbers of devices, counters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sztp_core::lifecycle::State;

use super::Service;
use crate::metrics::Metrics;
use crate::model::{DeviceEvent, EventFilter};
use crate::store::Commits;
use crate::{ServiceError, StoreError};

/// How many devices are in each state, not counted for every question.
#[derive(Debug, Default)]
pub(super) struct States(Mutex<Option<(Instant, Counts)>>);

/// States by name.
type Counts = Arc<Vec<(String, u64)>>;

impl Service {
    /// The id of the newest event.
    pub(crate) async fn last_event(&self) -> Result<i64, StoreError> {
        self.0.store.last_event().await
    }

    /// Events after one, and up to where was looked.
    pub(crate) async fn events_after(
        &self,
        after: i64,
        upto: i64,
        filter: EventFilter,
    ) -> Result<(Vec<DeviceEvent>, i64), StoreError> {
        self.0.store.events_after(after, upto, filter).await
    }

    /// How many devices are in each state, at most some seconds ago; states without any too.
    pub(crate) async fn states(&self) -> Result<Counts, ServiceError> {
        let cached = || {
            self.0
                .states
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((at, states)) = &*cached()
            && at.elapsed() < COUNTED_FOR
        {
            return Ok(states.clone());
        }
        let mut states: Vec<(String, u64)> = Vec::new();
        let counted = self.0.store.states().await?;
        for state in State::ALL {
            let name = state.to_string();
            let count = counted.iter().find(|(known, _)| *known == name);
            states.push((name, count.map_or(0, |(_, count)| *count)));
        }
        let states = Arc::new(states);
        *cached() = Some((Instant::now(), states.clone()));
        Ok(states)
    }

    /// What this process counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What the database counts, if it is one that does.
    pub(crate) fn commits(&self) -> Option<&Commits> {
        self.0.store.commits()
    }
}

const COUNTED_FOR: Duration = Duration::from_secs(5);
