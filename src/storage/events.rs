//! Events, their namespaces, and what could not be read.

use std::sync::Arc;

use futures_util::future::join;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use crate::model::event::{Facts, Route, Sequence, Unreadable};
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::checksum::checksum;
use crate::storage::error::StorageError;
use crate::storage::recent::RecentEvent;
use crate::storage::script::Script;

/// What new events of one transaction have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) source_id: i64,
    pub(super) route: Route,
    pub(super) now: Timestamp,
}

/// An event with everything else that a row needs.
pub(super) struct NewEvent {
    pub(super) sequence: Sequence,
    pub(super) origin_id: i64,
    pub(super) source: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) event_type: Arc<str>,
    pub(super) occurred_at: Timestamp,
    pub(super) facts: Facts,
    pub(super) body: Arc<str>,
}

/// The id of a namespace of event ids, made where it is new.
pub(super) async fn require_origin(
    connection: &mut SqliteConnection,
    workspace_id: &str,
    uri: &str,
) -> Result<i64, StorageError> {
    let found = sqlx::query_scalar("SELECT id FROM origin WHERE workspace_id = $1 AND uri = $2")
        .bind(workspace_id)
        .bind(uri)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(id) = found {
        return Ok(id);
    }
    let id =
        sqlx::query_scalar("INSERT INTO origin (workspace_id, uri) VALUES ($1, $2) RETURNING id")
            .bind(workspace_id)
            .bind(uri)
            .fetch_one(connection)
            .await?;
    Ok(id)
}

/// Inserts new events of one place, in the order in which they come; what is kept of them
/// in memory.
///
/// Events are made as they are asked for, while SQLite is at work on those before them. The
/// last ones are left to `script`.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    script: &mut Script,
    place: Place,
    mut events: impl Iterator<Item = NewEvent> + Send,
) -> Result<Vec<RecentEvent>, StorageError> {
    let mut kept = Vec::with_capacity(events.size_hint().0);
    let mut rows = next_rows(&mut events, place, &mut kept)?;
    while let Some(filling) = rows {
        if filling.is_short() {
            script.append(filling);
            break;
        }
        let inserting = filling.query()?.execute(&mut *connection);
        let making = async { next_rows(&mut events, place, &mut kept) };
        let (inserted, next) = join(inserting, making).await;
        inserted?;
        rows = next?;
    }
    Ok(kept)
}

/// As [`insert`], for events that are one statement at most: all is left to `script`.
pub(super) fn insert_few(
    script: &mut Script,
    place: Place,
    mut events: impl Iterator<Item = NewEvent>,
) -> Result<Vec<RecentEvent>, StorageError> {
    let mut kept = Vec::with_capacity(events.size_hint().0);
    if let Some(filling) = next_rows(&mut events, place, &mut kept)? {
        script.append(filling);
    }
    Ok(kept)
}

/// The statement for the next of `events`; `None` at their end.
fn next_rows(
    events: &mut impl Iterator<Item = NewEvent>,
    place: Place,
    kept: &mut Vec<RecentEvent>,
) -> Result<Option<Filling>, StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT OR FAIL INTO event (source_id, recorded_us, first_route, sequence, origin_id, id, type, \
         occurred_us, category, username, description, ip_address, body, checksum) \
         SELECT ?, ?, ?, * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL",
    );
    let rows: Vec<NewEvent> = events.take(ROWS_MAX).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let mut filling = INSERT.of(rows.len());
    filling.push(place.source_id)?.push(place.now.micros())?.push(place.route.as_str())?;
    for event in rows {
        let NewEvent { sequence, origin_id, source, id, facts, body, .. } = event;
        filling
            .push(sequence)?
            .push(origin_id)?
            .push(id.clone())?
            .push(event.event_type)?
            .push(event.occurred_at.micros())?
            .push(facts.category)?
            .push(facts.username)?
            .push(facts.description)?
            .push(facts.ip_address)?
            .push(body.clone())?
            .push(checksum(&source, &id, body.as_bytes()))?;
        kept.push(RecentEvent::new(sequence, source, id, body));
    }
    Ok(Some(filling))
}

/// Puts an item into quarantine; 1 if it is new there, else 0.
pub(super) async fn quarantine(
    connection: &mut SqliteConnection,
    source_id: i64,
    route: Route,
    item: &Unreadable,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let done = sqlx::query(
        "INSERT INTO quarantined (source_id, route, received_us, reason, raw, digest)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (source_id, digest) DO NOTHING",
    )
    .bind(source_id)
    .bind(route.as_str())
    .bind(now.micros())
    .bind(&item.reason)
    .bind(&item.raw)
    .bind(hex::encode(Sha256::digest(item.raw.as_bytes())))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
