//! What operators did to targets.

use sqlx::SqliteConnection;

use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::targets::TargetId;

/// An operation's key in the ledger.
pub type OperationId = i64;

/// What an operator changes a target's state by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Pause,
    Resume,
}

/// Records that an operator changed a target's state.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    verb: Verb,
    target_id: TargetId,
    now: Timestamp,
) -> Result<(), StorageError> {
    let verb = match verb {
        Verb::Pause => "pause",
        Verb::Resume => "resume",
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
