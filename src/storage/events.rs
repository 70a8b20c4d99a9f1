//! Events, their namespaces, and what could not be read.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};

use crate::model::event::{Facts, Route, Sequence, Unreadable};
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::checksum::checksum;
use crate::storage::error::StorageError;
use crate::storage::recent::RecentEvent;

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

/// An event that the ledger has already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) sequence: Sequence,
    /// Whether the route in question has shown it before.
    pub(super) is_sighted: bool,
}

/// Known events by namespace and id.
#[derive(Debug, Default)]
pub(super) struct AllKnown(HashMap<i64, HashMap<String, Known>>);

impl AllKnown {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The known event of that id.
    pub(super) fn find(&self, origin_id: i64, id: &str) -> Option<Known> {
        self.0.get(&origin_id)?.get(id).copied()
    }
}

/// Those of `events`, by namespace and id, that the ledger has already.
pub(super) async fn find_known(
    connection: &mut SqliteConnection,
    events: &[(i64, Arc<str>)],
    route: Route,
) -> Result<AllKnown, StorageError> {
    static FIND: Bulk = Bulk::new(
        "SELECT origin_id, id, sequence, \
         EXISTS (SELECT 1 FROM sighting g WHERE g.sequence = event.sequence AND g.route = ?) \
         FROM event WHERE (origin_id, id) IN (VALUES ",
        "(?, ?)",
        ")",
    );
    let mut known = AllKnown::default();
    for chunk in events.chunks(ROWS_MAX) {
        let mut filling = FIND.of(chunk.len());
        filling.push(route.as_str())?;
        for (origin_id, id) in chunk {
            filling.push(*origin_id)?.push(id.clone())?;
        }
        for row in filling.query()?.fetch_all(&mut *connection).await? {
            let found = Known { sequence: row.try_get(2)?, is_sighted: row.try_get(3)? };
            known.0.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?, found);
        }
    }
    Ok(known)
}

/// Inserts new events of one place, in the order in which they come; what is kept of them
/// in memory.
///
/// Events are made as they are asked for, while SQLite is at work on those before them.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    place: Place,
    mut events: impl Iterator<Item = NewEvent> + Send,
) -> Result<Vec<RecentEvent>, StorageError> {
    let mut kept = Vec::with_capacity(events.size_hint().0);
    let mut rows = next_rows(&mut events, place, &mut kept)?;
    while let Some(filling) = rows {
        let inserting = filling.query()?.execute(&mut *connection);
        let making = async { next_rows(&mut events, place, &mut kept) };
        let (inserted, next) = join(inserting, making).await;
        inserted?;
        rows = next?;
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
        "INSERT INTO event (source_id, recorded_us, first_route, sequence, origin_id, id, type, \
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
