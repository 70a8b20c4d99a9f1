//! Events, their namespaces, their sightings, and what could not be read.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};

use crate::model::event::{Facts, Route, Sequence, Unreadable};
use crate::model::lateness::Sighted;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::checksum::checksum;
use crate::storage::error::StorageError;
use crate::storage::recent::RecentEvent;
use crate::storage::requests::Label;

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

/// An event in the ledger that an answer showed, and what that tells of its lateness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) sequence: Sequence,
    pub(super) seen_at: Timestamp,
    pub(super) sighted: Option<Sighted>,
    pub(super) label: Option<Label>,
}

impl Sighting {
    fn is_alike(&self, other: &Self) -> bool {
        (self.seen_at, self.sighted, self.label) == (other.seen_at, other.sighted, other.label)
    }
}

/// From so many that say the same on, one statement that says it once costs less than rows.
const ALIKE: usize = 8;

/// Notes that events were seen by this route, where it is for the first time.
///
/// Those of one stretch of time mostly say the same of their lateness, and are one statement.
pub(super) async fn insert_sightings(
    connection: &mut SqliteConnection,
    sightings: &[Sighting],
    route: Route,
) -> Result<(), StorageError> {
    static RUN: Bulk = Bulk::new(
        "INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT sequence, ?, ?, ?, ?, ?, ? FROM event WHERE sequence BETWEEN ",
        "? AND ?",
        " ON CONFLICT (sequence, route) DO NOTHING",
    );
    static LIST: Bulk = Bulk::new(
        "INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT sequence, ?, ?, ?, ?, ?, ? FROM event WHERE sequence IN (",
        "?",
        ") ON CONFLICT (sequence, route) DO NOTHING",
    );
    let mut single = Vec::new();
    for alike in sightings.chunk_by(Sighting::is_alike) {
        if alike.len() < ALIKE {
            single.extend_from_slice(alike);
            continue;
        }
        // Known events come in the order of their time, which need not be this one.
        if alike.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence) {
            let mut filling = alike_filling(&RUN, 1, alike[0], route)?;
            filling.push(alike[0].sequence)?.push(alike[alike.len() - 1].sequence)?;
            filling.query()?.execute(&mut *connection).await?;
            continue;
        }
        for chunk in alike.chunks(ROWS_MAX) {
            let mut filling = alike_filling(&LIST, chunk.len(), alike[0], route)?;
            for sighting in chunk {
                filling.push(sighting.sequence)?;
            }
            filling.query()?.execute(&mut *connection).await?;
        }
    }
    insert_single(connection, &single, route).await
}

/// Notes sightings that have little in common.
async fn insert_single(
    connection: &mut SqliteConnection,
    sightings: &[Sighting],
    route: Route,
) -> Result<(), StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL ON CONFLICT (sequence, route) DO NOTHING",
    );
    for chunk in sightings.chunks(ROWS_MAX) {
        let mut filling = INSERT.of(chunk.len());
        for Sighting { sequence, seen_at, sighted, label } in chunk {
            let unseen_at = sighted.and_then(|sighted| sighted.unseen_at);
            filling
                .push(*sequence)?
                .push(route.as_str())?
                .push(seen_at.micros())?
                .push(sighted.map(|sighted| sighted.shown_at.micros()))?
                .push(unseen_at.map(Timestamp::micros))?
                .push(sighted.and_then(|sighted| sighted.tier).map(Tier::as_str))?
                .push(label.map(Label::as_str))?;
        }
        filling.query()?.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Begins a statement that makes sightings like `of` for the events that follow.
fn alike_filling(
    bulk: &'static Bulk,
    rows: usize,
    of: Sighting,
    route: Route,
) -> Result<Filling, StorageError> {
    let Sighting { seen_at, sighted, label, .. } = of;
    let unseen_at = sighted.and_then(|sighted| sighted.unseen_at);
    let mut filling = bulk.of(rows);
    filling
        .push(route.as_str())?
        .push(seen_at.micros())?
        .push(sighted.map(|sighted| sighted.shown_at.micros()))?
        .push(unseen_at.map(Timestamp::micros))?
        .push(sighted.and_then(|sighted| sighted.tier).map(Tier::as_str))?
        .push(label.map(Label::as_str))?;
    Ok(filling)
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
