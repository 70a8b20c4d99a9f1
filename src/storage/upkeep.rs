//! The ledger's own state: whether it was closed cleanly, its next sequence, and pruning.

use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::{Ledger, Reader, open};

/// Events deleted in one transaction: bounds how long the writer is kept from others.
const PRUNE_ROWS: i64 = 500;

/// Pages given back to the file system after such a step.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(200)";

/// Marks the ledger as in use; `true` when the last owner closed it cleanly.
pub(super) async fn mark_in_use(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<bool, StorageError> {
    sqlx::query(
        "INSERT INTO ledger (id, created_us, next_sequence, in_use) VALUES (1, $1, 1, 0)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(now.micros())
    .execute(&mut *connection)
    .await?;
    let in_use: i64 =
        sqlx::query_scalar("SELECT in_use FROM ledger").fetch_one(&mut *connection).await?;
    sqlx::query("UPDATE ledger SET in_use = 1").execute(connection).await?;
    Ok(in_use == 0)
}

/// Closes the writing connection; an owner says that it did so cleanly.
pub(super) async fn close(
    mut connection: SqliteConnection,
    is_owner: bool,
) -> Result<(), StorageError> {
    if is_owner {
        sqlx::query("UPDATE ledger SET in_use = 0").execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// The sequence that the next new event gets.
pub(super) async fn next_sequence(
    connection: &mut SqliteConnection,
) -> Result<Sequence, StorageError> {
    Ok(sqlx::query_scalar("SELECT next_sequence FROM ledger").fetch_one(connection).await?)
}

/// Notes that every sequence below `next` is taken. Fails where the next one was not `first`:
/// then the value is null, which the column does not take.
pub(super) fn set_next_sequence(
    script: &mut Script,
    first: Sequence,
    next: Sequence,
) -> Result<(), StorageError> {
    let statement = script
        .add("UPDATE OR FAIL ledger SET next_sequence = CASE next_sequence WHEN ? THEN ? END")?;
    statement.push(first)?.push(next)?;
    Ok(())
}

impl Ledger {
    /// Bytes free for this user on the ledger's file system.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn free_space(&self) -> std::io::Result<u64> {
        let found = rustix::fs::statvfs(open::folder(&self.shared.path))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Deletes what is older than `keep`, in one small step from above `after` on: events
    /// that nobody is owed any more with all that hangs on them, and logs of requests.
    /// Returns where the next step goes on; `None` when everything old has been seen.
    ///
    /// # Errors
    /// On any error nothing of this step is deleted.
    pub async fn prune(
        &self,
        keep: Duration,
        after: Sequence,
    ) -> Result<Option<Sequence>, StorageError> {
        let before = self.shared.clock.now().minus(keep);
        self.writer
            .run(move |connection| {
                Box::pin(async move { prune_step(connection, before, after).await })
            })
            .await
    }

    /// Checks that something can be written to the disk, by writing a little.
    ///
    /// # Errors
    /// When nothing can.
    pub async fn probe(&self) -> Result<(), StorageError> {
        let now = self.shared.clock.now();
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query("UPDATE ledger SET probed_us = $1")
                        .bind(now.micros())
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Checks that the database answers: for the watchdog.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StorageError> {
        self.writer
            .run(|connection| Box::pin(async move { next_sequence(connection).await.map(drop) }))
            .await
    }
}

async fn prune_step(
    connection: &mut SqliteConnection,
    before: Timestamp,
    after: Sequence,
) -> Result<Option<Sequence>, StorageError> {
    // Events are recorded in the order of their sequence, so the first that is young
    // enough ends it. Those with a pending delivery stay (I5).
    let seen: Vec<(Sequence, i64, bool)> = sqlx::query_as(
        "SELECT sequence, recorded_us,
                EXISTS (SELECT 1 FROM delivery d
                        WHERE d.sequence = e.sequence AND d.status = 'pending')
                OR EXISTS (SELECT 1 FROM target t
                           WHERE e.sequence < (SELECT f.until_sequence FROM fresh f
                                               WHERE f.target_id = t.id
                                                 AND f.from_sequence <= e.sequence
                                               ORDER BY f.from_sequence DESC LIMIT 1))
         FROM event e
         WHERE sequence > $1
         ORDER BY sequence
         LIMIT $2",
    )
    .bind(after)
    .bind(PRUNE_ROWS)
    .fetch_all(&mut *connection)
    .await?;
    let old: Vec<_> = seen.iter().take_while(|(_, at, _)| *at < before.micros()).collect();
    let is_full = i64::try_from(old.len()).is_ok_and(|rows| rows >= PRUNE_ROWS);
    let next = old.last().map(|(sequence, _, _)| *sequence).filter(|_| is_full);
    let old: Vec<Sequence> =
        old.iter().filter(|(_, _, owed)| !owed).map(|(sequence, _, _)| *sequence).collect();
    for sequence in &old {
        for statement in [
            "DELETE FROM attempt WHERE sequence = $1",
            "DELETE FROM delivery WHERE sequence = $1",
            "DELETE FROM sighting WHERE sequence = $1",
            "DELETE FROM event WHERE sequence = $1",
        ] {
            sqlx::query(statement).bind(sequence).execute(&mut *connection).await?;
        }
    }
    for statement in [
        "DELETE FROM poll_request WHERE id IN (
             SELECT id FROM poll_request WHERE started_us < $1 ORDER BY started_us LIMIT $2)",
        "DELETE FROM push_request WHERE id IN (
             SELECT id FROM push_request WHERE received_us < $1 ORDER BY received_us LIMIT $2)",
    ] {
        sqlx::query(statement)
            .bind(before.micros())
            .bind(PRUNE_ROWS)
            .execute(&mut *connection)
            .await?;
    }
    if !old.is_empty() {
        sqlx::query(VACUUM_PAGES).execute(connection).await?;
    }
    Ok(next)
}

impl Reader {
    /// Writes a consistent copy of the ledger to `to`, which must not exist: beside a
    /// running daemon or without one. The copy appears whole or not at all.
    ///
    /// # Errors
    /// When `to` exists or cannot be written, or the disk is full; then there is no copy.
    pub async fn backup(&self, to: &Path) -> Result<(), StorageError> {
        let unusable = |why: String| StorageError::Unusable { path: to.to_owned(), why };
        if to.exists() {
            return Err(unusable("it exists already; name a file that does not".to_owned()));
        }
        let part = open::with_suffix(to, ".part");
        // The system says better than SQLite why nothing can be written there.
        std::fs::File::create(&part).map_err(|error| unusable(error.to_string()))?;
        let written = self.write_copy(&part).await;
        let finished = written.and_then(|()| {
            std::fs::File::open(&part)
                .and_then(|file| file.sync_all())
                .and_then(|()| std::fs::rename(&part, to))
                .map_err(|error| unusable(error.to_string()))
        });
        if finished.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        finished
    }

    async fn write_copy(&self, part: &Path) -> Result<(), StorageError> {
        let text = part.to_str().ok_or_else(|| StorageError::Unusable {
            path: part.to_owned(),
            why: "its name is not UTF-8".to_owned(),
        })?;
        sqlx::query("VACUUM INTO $1").bind(text).execute(&self.0).await?;
        let copy = Self(open::readers(part).await?);
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&copy.0).await?;
        copy.0.close().await;
        if found == "ok" {
            return Ok(());
        }
        Err(StorageError::Corrupt { path: part.to_owned(), why: found })
    }
}
