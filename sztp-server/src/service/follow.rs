//! Several instances on one database: each follows what the others write.
//!
//! That something was written only wakes this one. What it was is read from the database, from
//! where one was last, so that nothing is missed or seen twice, whether or not the connection that
//! wakes was there all the time.

use std::time::Duration;

use tokio::sync::watch;

use super::Service;
use crate::ServerError;
use crate::model::EventFilter;

/// How far one has come.
#[derive(Debug, Default)]
struct Seen {
    /// The newest event; none: no matter, as nobody was there to hear of it.
    event: Option<i64>,
    trust: Option<i64>,
}

impl Service {
    /// Tells who listens of every event, by whichever instance, and puts in place what is trusted
    /// whenever that has changed; until the server stops.
    pub(crate) async fn follow(
        self,
        mut changes: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut seen = Seen::default();
        let mut is_behind = false;
        loop {
            let caught_up = self.catch_up(&mut seen).await;
            if let Err(error) = &caught_up
                && !is_behind
            {
                tracing::warn!(%error, "not following other instances");
            }
            is_behind = caught_up.is_err();
            tokio::select! {
                changed = changes.changed(), if !is_behind => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(AGAIN), if is_behind => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn catch_up(&self, seen: &mut Seen) -> Result<(), ServerError> {
        let newest = self.0.store.last_event().await?;
        let mut after = seen.event.unwrap_or(newest);
        while after < newest && self.0.events.receiver_count() > 0 {
            let everything = EventFilter::default();
            let (events, upto) = self.0.store.events_after(after, newest, everything).await?;
            for event in events {
                // Nobody need be listening any more.
                let _ = self.0.events.send(event);
            }
            after = upto;
            seen.event = Some(after);
        }
        seen.event = Some(newest);
        let trust = self.0.store.trust_revision().await?;
        if seen.trust != Some(trust) {
            self.read_trust().await?;
            seen.trust = Some(trust);
        }
        Ok(())
    }
}

/// After the database was away.
const AGAIN: Duration = Duration::from_secs(1);
