//! Events, their namespaces, their sightings, and what could not be read.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};

use crate::model::event::{Event, Facts, Route, Sequence, Unreadable};
use crate::model::lateness::Sighted;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::checksum::checksum;
use crate::storage::error::StorageError;
use crate::storage::requests::Label;

/// An event with everything that a row needs.
pub(super) struct NewEvent {
    pub(super) sequence: Sequence,
    pub(super) origin_id: i64,
    pub(super) source_id: i64,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) occurred_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) route: Route,
    pub(super) facts: Facts,
    pub(super) body: Bytes,
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

/// Those of `events` that the ledger has already.
pub(super) async fn find_known(
    connection: &mut SqliteConnection,
    events: &[(i64, Event)],
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
        for (origin_id, event) in chunk {
            filling.push(*origin_id)?.push(event.envelope.id.as_str())?;
        }
        for row in filling.query()?.fetch_all(&mut *connection).await? {
            let found = Known { sequence: row.try_get(2)?, is_sighted: row.try_get(3)? };
            known.0.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?, found);
        }
    }
    Ok(known)
}

/// Inserts new events; their facts are moved out of `events`.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    events: &mut [NewEvent],
) -> Result<(), StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT INTO event (sequence, origin_id, id, source_id, type, occurred_us, \
         recorded_us, first_route, category, username, description, ip_address, \
         body, checksum) SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL",
    );
    for chunk in events.chunks_mut(ROWS_MAX) {
        let mut filling = INSERT.of(chunk.len());
        for event in chunk.iter_mut() {
            let facts = mem::take(&mut event.facts);
            filling
                .push(event.sequence)?
                .push(event.origin_id)?
                .push(event.id.as_str())?
                .push(event.source_id)?
                .push(event.event_type.as_str())?
                .push(event.occurred_at.micros())?
                .push(event.recorded_at.micros())?
                .push(event.route.as_str())?
                .push(facts.category)?
                .push(facts.username)?
                .push(facts.description)?
                .push(facts.ip_address)?
                .push(std::str::from_utf8(&event.body).unwrap_or_default())?
                .push(checksum(&event.source, &event.id, &event.body))?;
        }
        filling.query()?.execute(&mut *connection).await?;
    }
    Ok(())
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
