//! The one writer: every change of the ledger goes through it, in groups.
//!
//! Properties kept:
//! - One connection writes, so no transaction of ours ever waits for another of ours.
//! - What is waiting when a commit ends goes into the next one together (group commit):
//!   `synchronous=FULL` costs one flush to disk a group, not one a change.
//! - A job is all or nothing by its own savepoint: one that fails takes nobody along.
//! - Nobody hears of success before the commit is on disk (I6).
//! - A job that reads nothing is handed to SQLite's thread whole, with its commit: each
//!   handing over wakes two threads, which on a busy machine wait for their turn.
//!
//! Races accepted: a caller that drops its future does not take its job back; whatever it
//! asked for happens or not as if it had waited.

use std::fmt;

use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use crate::storage::checkpoints::Committed;
use crate::storage::error::StorageError;
use crate::storage::script::Script;

/// Jobs that wait for the writer; more make their callers wait. A job is a page or a
/// group of settled deliveries, so this bounds memory to a few dozen pages.
const QUEUE_MAX: usize = 64;

/// Jobs in one transaction: bounds how long the first waits for the last.
const GROUP_MAX: usize = 32;

/// Sends jobs to the writer. Clones share it.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Job>>);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer(..)")
    }
}

impl Writer {
    /// Makes a writer, and the task that must be run for it; that tells of what it commits.
    pub(super) fn new(connection: SqliteConnection, committed: Committed) -> (Self, WriterTask) {
        let (send, jobs) = mpsc::channel(QUEUE_MAX);
        (Self(send), WriterTask { connection, jobs, committed })
    }

    /// Runs `work` in the next transaction and returns its result after the commit.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>>
            + Send
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Typed { work: Some(work), result: None, reply }), answer).await
    }

    /// Carries out a script in the next transaction; returns after the commit.
    pub(super) async fn run_script(&self, script: Script) -> Result<(), StorageError> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Scripted { script: Some(script), error: None, reply }), answer).await
    }

    async fn send<T>(
        &self,
        job: Box<dyn Job>,
        answer: oneshot::Receiver<Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        self.0.send(job).await.map_err(|_| StorageError::Closed)?;
        answer.await.unwrap_or(Err(StorageError::Closed))
    }
}

/// The writer's loop.
pub(super) struct WriterTask {
    connection: SqliteConnection,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    committed: Committed,
}

impl WriterTask {
    /// Works until every [`Writer`] is gone, then returns the connection.
    pub(super) async fn run(mut self) -> SqliteConnection {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while self.jobs.recv_many(&mut group, GROUP_MAX).await > 0 {
            let committed = transact(&mut self.connection, &mut group).await;
            if let Err(error) = &committed {
                tracing::debug!(%error, jobs = group.len(), "a group was not committed");
            }
            for job in group.drain(..) {
                job.reply(committed.as_ref().copied());
            }
            self.committed.tell();
        }
        self.connection
    }
}

/// Applies a group and commits it. After an error no transaction is open.
///
/// The statements are written out because sqlx's own transactions count their depth: when
/// SQLite ends one by itself, as on a full disk, that count is wrong for good.
async fn transact(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Job>],
) -> Result<(), StorageError> {
    let script = match group {
        [job] => job.script(),
        _ => None,
    };
    let committed = match script {
        Some(script) => run_whole(connection, script).await,
        None => run_jobs(connection, group).await,
    };
    if committed.is_err() {
        // Fails when SQLite has done it already.
        let _ = sqlx::query("ROLLBACK").execute(connection).await;
    }
    committed
}

async fn run_whole(
    connection: &mut SqliteConnection,
    mut script: Script,
) -> Result<(), StorageError> {
    script.enclose();
    script.run(connection).await.map(drop)
}

async fn run_jobs(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Job>],
) -> Result<(), StorageError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    apply(connection, group).await?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

async fn apply(
    connection: &mut SqliteConnection,
    group: &mut [Box<dyn Job>],
) -> Result<(), StorageError> {
    if let [job] = group {
        // Alone it needs no savepoint: taking it back takes nobody else along.
        return job.apply(connection).await;
    }
    for job in group.iter_mut() {
        sqlx::query("SAVEPOINT job").execute(&mut *connection).await?;
        match job.apply(&mut *connection).await {
            Ok(()) => {}
            // A full disk can have ended the whole transaction, savepoints and all; the
            // others would meet the same.
            Err(error) if error.is_passing() => return Err(error),
            Err(_) => {
                sqlx::query("ROLLBACK TO job").execute(&mut *connection).await?;
            }
        }
        sqlx::query("RELEASE job").execute(&mut *connection).await?;
    }
    Ok(())
}

/// One change, with somebody who waits for it.
trait Job: Send {
    /// Does the work; on an error it must be taken back.
    fn apply<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), StorageError>>;

    /// All of the work, if it is a script; it is then not applied.
    fn script(&mut self) -> Option<Script> {
        None
    }

    /// Tells the caller, after the commit or after its failure.
    fn reply(self: Box<Self>, committed: Result<(), &StorageError>);
}

struct Typed<T, F> {
    work: Option<F>,
    result: Option<Result<T, StorageError>>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StorageError>> + Send,
{
    fn apply<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), StorageError>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return Err(StorageError::Closed) };
            let result = work(connection).await;
            let done = result.as_ref().map(drop).map_err(StorageError::again);
            self.result = Some(result);
            done
        })
    }

    fn reply(self: Box<Self>, committed: Result<(), &StorageError>) {
        tell(self.reply, self.result, committed);
    }
}

/// A job that reads nothing.
struct Scripted {
    script: Option<Script>,
    error: Option<StorageError>,
    reply: oneshot::Sender<Result<(), StorageError>>,
}

impl Job for Scripted {
    fn apply<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), StorageError>> {
        Box::pin(async move {
            let script = self.script.take().unwrap_or_default();
            let done = script.run(connection).await.map(drop);
            self.error = done.as_ref().err().map(StorageError::again);
            done
        })
    }

    fn script(&mut self) -> Option<Script> {
        self.script.take()
    }

    fn reply(self: Box<Self>, committed: Result<(), &StorageError>) {
        tell(self.reply, Some(self.error.map_or(Ok(()), Err)), committed);
    }
}

/// Tells a caller what its job came to. It may have gone; the change stands all the same.
fn tell<T>(
    reply: oneshot::Sender<Result<T, StorageError>>,
    result: Option<Result<T, StorageError>>,
    committed: Result<(), &StorageError>,
) {
    let answer = match (result, committed) {
        (Some(Err(error)), _) => Err(error),
        (_, Err(error)) => Err(error.again()),
        (Some(Ok(value)), Ok(())) => Ok(value),
        (None, Ok(())) => Err(StorageError::Closed),
    };
    let _ = reply.send(answer);
}

#[cfg(test)]
mod tests;
