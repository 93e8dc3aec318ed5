//! The one thread that writes: what is waiting is committed together, and answered afterwards.
//!
//! A commit waits for the disk; under load many requests share one. Each has a savepoint, so one
//! that fails takes nothing of the others with it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::Commits;
use crate::StoreError;

/// Does its work, and answers once it is known whether that was committed.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// The thread ends when all writers are dropped, after everything that was asked of it.
    pub(super) fn start(
        connection: Connection,
        commits: Arc<Commits>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("sztp-store-writer".to_owned())
            .spawn(move || run(connection, queue, &commits))?;
        Ok((Self { jobs }, thread))
    }

    /// What `work` answers, once it is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.and_then(|connection| in_savepoint(connection, work));
            Box::new(move |committed| {
                let _ = answer.send(committed.and(result));
            })
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

fn run(mut connection: Connection, mut queue: mpsc::Receiver<Job>, commits: &Commits) {
    while let Some(first) = queue.blocking_recv() {
        let mut replies = Vec::new();
        let begun = Instant::now();
        let committed = commit_batch(&mut connection, first, &mut queue, &mut replies);
        commits.time.observe(begun.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "at most BATCH")]
        commits.size.observe(replies.len() as f64);
        for reply in replies {
            reply(committed.clone());
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "closing the database");
    }
}

fn commit_batch(
    connection: &mut Connection,
    first: Job,
    queue: &mut mpsc::Receiver<Job>,
    replies: &mut Vec<Reply>,
) -> Result<(), StoreError> {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = StoreError::from(error);
            replies.push(first(Err(error.clone())));
            return Err(error);
        }
    };
    replies.push(first(Ok(&transaction)));
    while replies.len() < BATCH {
        let Ok(job) = queue.try_recv() else { break };
        replies.push(job(Ok(&transaction)));
    }
    Ok(transaction.commit()?)
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = work(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    result
}

/// Jobs that may wait before callers do.
const QUEUE: usize = 1024;

/// Jobs in one transaction.
const BATCH: usize = 256;
