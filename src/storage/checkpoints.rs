//! Copying what is committed from the write-ahead log into the ledger's file, beside the
//! writer: done by the writer itself, it held everybody up for a tenth of a second each time.
//!
//! The writer's own checkpoint (`wal_autocheckpoint`) stays behind it: it finds little left
//! to copy, and lets the log begin anew. What fails here is left to it.

use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;

use crate::storage::error::StorageError;
use crate::storage::open;

/// Pages in the log, and not yet in the file, that are worth a checkpoint: 16 MiB. The
/// writer's own comes at three times that.
const PAGES_MIN: i64 = 2_000;

/// Pause between two looks at the log; at full speed some 5 MiB are written meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells that something was committed; dropped, it ends the checkpoints.
#[derive(Clone, Debug)]
pub(super) struct Committed(mpsc::Sender<()>);

impl Committed {
    /// Something was committed just now.
    pub(super) fn tell(&self) {
        // One is waiting already, and will see this commit too.
        let _ = self.0.try_send(());
    }
}

/// What has to run for the checkpoints.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// `None` beside an owner, which makes them.
    connection: Option<SqliteConnection>,
    committed: mpsc::Receiver<()>,
}

impl Checkpoints {
    /// Makes the task for the ledger at `path`, and what tells it of commits. Only in its
    /// owner's process it does anything.
    pub(super) async fn open(
        path: &Path,
        is_owner: bool,
    ) -> Result<(Committed, Self), StorageError> {
        let connection = if is_owner { Some(open::checkpointer(path).await?) } else { None };
        let (send, committed) = mpsc::channel(1);
        Ok((Committed(send), Self { connection, committed }))
    }

    /// Looks at the log after commits, until nobody can tell of any.
    pub(super) async fn run(mut self) {
        let Some(mut connection) = self.connection else { return };
        while self.committed.recv().await.is_some() {
            if let Err(error) = look(&mut connection).await {
                tracing::debug!(%error, "a checkpoint is left to the writer");
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "the connection for checkpoints was not closed cleanly");
        }
    }
}

async fn look(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let (pages, copied) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?;
    if pages - copied >= PAGES_MIN {
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    }
    Ok(())
}

/// Pages in the log, and those of them that are in the file.
async fn checkpoint(
    connection: &mut SqliteConnection,
    pragma: &'static str,
) -> Result<(i64, i64), sqlx::Error> {
    let (_busy, pages, copied): (i64, i64, i64) =
        sqlx::query_as(pragma).fetch_one(connection).await?;
    Ok((pages, copied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_is_copied_once_it_is_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut writer = open::writer(&path).await.unwrap();
        let mut beside = open::checkpointer(&path).await.unwrap();
        let noop = "PRAGMA wal_checkpoint(NOOP)";
        let (before, _) = checkpoint(&mut beside, noop).await.unwrap();
        sqlx::query("CREATE TABLE filler (bytes BLOB)").execute(&mut writer).await.unwrap();
        look(&mut beside).await.unwrap();
        let (pages, copied) = checkpoint(&mut beside, noop).await.unwrap();
        assert!(pages > before && copied < pages, "{copied} of {pages}");

        let fill = "INSERT INTO filler VALUES (zeroblob(8192 * 2100))";
        sqlx::query(fill).execute(&mut writer).await.unwrap();
        look(&mut beside).await.unwrap();
        let (pages, copied) = checkpoint(&mut beside, noop).await.unwrap();
        assert!(pages > PAGES_MIN && copied == pages, "{copied} of {pages}");
    }
}
