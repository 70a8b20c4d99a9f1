//! What was done to targets, by operators and by their own answers.

use sqlx::SqliteConnection;

use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::targets::TargetId;

/// An operation's key in the ledger.
pub type OperationId = i64;

/// What changes a target's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// An operator paused it.
    Pause,
    /// An operator resumed it.
    Resume,
    /// It was found failing.
    Failing,
    /// It took a delivery again.
    Recovered,
    /// It answered 410.
    Gone,
}

/// Records that a target's state has changed.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    verb: Verb,
    target_id: TargetId,
    now: Timestamp,
) -> Result<(), StorageError> {
    let verb = match verb {
        Verb::Pause => "pause",
        Verb::Resume => "resume",
        Verb::Failing => "failing",
        Verb::Recovered => "recovered",
        Verb::Gone => "gone",
    };
    sqlx::query("INSERT INTO operation (asked_us, verb, target_id) VALUES ($1, $2, $3)")
        .bind(now.micros())
        .bind(verb)
        .bind(target_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that an operator asked for a replay, of which nothing has been done yet.
pub(super) async fn insert_replay(
    connection: &mut SqliteConnection,
    target_id: TargetId,
    selection: &str,
    now: Timestamp,
) -> Result<OperationId, StorageError> {
    let id = sqlx::query_scalar(
        "INSERT INTO operation (asked_us, verb, target_id, selection, deliveries)
         VALUES ($1, 'replay', $2, $3, 0)
         RETURNING id",
    )
    .bind(now.micros())
    .bind(target_id)
    .bind(selection)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Adds to what a replay has done.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    id: OperationId,
    deliveries: u64,
) -> Result<(), StorageError> {
    sqlx::query("UPDATE operation SET deliveries = deliveries + $2 WHERE id = $1")
        .bind(id)
        .bind(i64::try_from(deliveries).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
    Ok(())
}
