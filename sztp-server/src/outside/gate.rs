//! How many ask at a time, how many wait for that, and how long all of it may take.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::OutsideError;

/// The way to one outside service.
#[derive(Debug)]
pub(crate) struct Gate {
    /// For those who ask, and those who wait.
    entrances: Semaphore,
    asking: Semaphore,
    patience: Duration,
}

impl Gate {
    pub(crate) fn new(at_a_time: usize, timeout_secs: u64) -> Self {
        Self {
            entrances: Semaphore::new(at_a_time.saturating_mul(1 + WAITING)),
            asking: Semaphore::new(at_a_time),
            patience: Duration::from_secs(timeout_secs),
        }
    }

    /// Does the work when there is a place for it. The time includes the wait.
    pub(crate) async fn pass<T, E: From<OutsideError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let _entrance = self
            .entrances
            .try_acquire()
            .map_err(|_| OutsideError::Busy)?;
        let in_turn = async {
            let _place = self
                .asking
                .acquire()
                .await
                .map_err(|_| OutsideError::Busy)?;
            work.await
        };
        match tokio::time::timeout(self.patience, in_turn).await {
            Ok(result) => result,
            Err(_) => Err(OutsideError::TimedOut {
                secs: self.patience.as_secs(),
            }
            .into()),
        }
    }
}

/// How many may wait for each one that asks.
const WAITING: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn some_ask_some_wait_and_the_rest_is_turned_away() {
        let gate = Arc::new(Gate::new(2, 60));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
                tokio::spawn(async move {
                    gate.pass(async {
                        let inside = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(inside, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, OutsideError>(())
                    })
                    .await
                })
            })
            .collect();
        let (mut done, mut busy) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => done += 1,
                Err(OutsideError::Busy) => busy += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((done, busy, most.load(Ordering::SeqCst)), (10, 10, 2));
        let slow = Gate::new(1, 1);
        let never = slow.pass(std::future::pending::<Result<(), OutsideError>>());
        assert_eq!(never.await, Err(OutsideError::TimedOut { secs: 1 }));
    }
}
