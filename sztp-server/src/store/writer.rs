//! The one thread that writes: what is waiting is committed together, and answered afterwards.
//!
//! A commit waits for the disk; under load many requests share one. Each has a savepoint, so one
//! that fails takes nothing of the others with it. Work may be carried out again from the start,
//! when the database breaks off a transaction before it is told to commit it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::Commits;
use super::connection::Connection;
use crate::StoreError;

#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
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
            .spawn(move || run(&connection, queue, &commits))?;
        Ok((Self { jobs }, thread))
    }

    /// What `work` answers, once it is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Asked {
            work,
            result: Err(StoreError::Closed),
            answer,
        };
        let sent = self.jobs.send(Box::new(job)).await;
        sent.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

/// Work that somebody waits for.
trait Job: Send {
    /// Does the work, within a savepoint; an error means that the transaction is lost for all.
    fn carry_out(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Answers, now that it is known whether the work was committed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<W, T> {
    work: W,
    result: Result<T, StoreError>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Job for Asked<W, T>
where
    W: Fn(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn carry_out(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.result = connection.nested("job", &self.work, |_| true);
        match &self.result {
            Err(error) if error.ends_transaction() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let _ = self.answer.send(committed.and(self.result));
    }
}

fn run(connection: &Connection, mut queue: mpsc::Receiver<Box<dyn Job>>, commits: &Commits) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        let begun = Instant::now();
        let committed = commit_patiently(connection, &mut jobs, &mut queue);
        commits.time.observe(begun.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
        commits.size.observe(jobs.len() as f64);
        for job in jobs {
            job.answer(committed.clone());
        }
    }
}

/// What was broken off before it was to be committed is begun anew, a few times.
fn commit_patiently(
    connection: &Connection,
    jobs: &mut Vec<Box<dyn Job>>,
    queue: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Result<(), StoreError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let committed = commit(connection, jobs, queue);
        let Err(error) = &committed else {
            return committed;
        };
        connection.abandon();
        let attempts_allowed = match error {
            StoreError::BrokenOff { .. } => ATTEMPTS,
            // The connection was broken before; if it cannot be made anew, that will take time.
            StoreError::Unavailable { .. } => 2,
            _ => 1,
        };
        if attempts >= attempts_allowed {
            return committed;
        }
        tracing::debug!(%error, attempts, "writing again");
    }
}

fn commit(
    connection: &Connection,
    jobs: &mut Vec<Box<dyn Job>>,
    queue: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Result<(), StoreError> {
    connection.begin_writing()?;
    for job in jobs.iter_mut() {
        job.carry_out(connection)?;
    }
    while jobs.len() < connection.jobs_in_transaction() {
        let Ok(mut job) = queue.try_recv() else { break };
        let done = job.carry_out(connection);
        jobs.push(job);
        done?;
    }
    connection.commit()
}

/// Jobs that may wait before callers do.
const QUEUE: usize = 1024;

/// How often a transaction is begun that is broken off.
const ATTEMPTS: u32 = 5;
