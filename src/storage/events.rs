//! Events, their namespaces, their sightings, and what could not be read.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::model::event::{Event, Facts, Route, Sequence, Unreadable};
use crate::model::lateness::Sighted;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Values, chunks, chunks_mut};
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

/// Those of `events` that the ledger has already, by namespace and id.
pub(super) async fn find_known(
    connection: &mut SqliteConnection,
    events: &[(i64, Event)],
    route: Route,
) -> Result<HashMap<(i64, String), Known>, StorageError> {
    static FIND: Bulk = Bulk::new(
        "SELECT origin_id, id, sequence, \
         EXISTS (SELECT 1 FROM sighting g WHERE g.sequence = event.sequence AND g.route = ?) \
         FROM event WHERE (origin_id, id) IN (VALUES ",
        "(?, ?)",
        ")",
    );
    let mut known = HashMap::new();
    for chunk in chunks(events) {
        let mut values = Values::with_capacity(chunk.len() * 2 + 1);
        values.push(route.as_str())?;
        for (origin_id, event) in chunk {
            values.push(*origin_id)?.push(event.envelope.id.as_str())?;
        }
        for row in FIND.query(chunk.len(), values).fetch_all(&mut *connection).await? {
            let found = Known { sequence: row.try_get(2)?, is_sighted: row.try_get(3)? };
            known.insert((row.try_get(0)?, row.try_get(1)?), found);
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
         body, checksum) VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "",
    );
    for chunk in chunks_mut(events) {
        let mut values = Values::with_capacity(chunk.len() * 14);
        for event in chunk.iter_mut() {
            let facts = mem::take(&mut event.facts);
            values
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
        INSERT.query(chunk.len(), values).execute(&mut *connection).await?;
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
    let mut single = Vec::new();
    for alike in sightings.chunk_by(Sighting::is_alike) {
        if alike.len() < ALIKE {
            single.extend_from_slice(alike);
            continue;
        }
        let (first, last) = (alike[0].sequence, alike[alike.len() - 1].sequence);
        // Known events come in the order of their time, which need not be this one.
        let is_run = alike.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence);
        if is_run {
            let mut query = sighting(alike[0], route);
            query.push("BETWEEN ").push_bind(first).push(" AND ").push_bind(last);
            query.push(ONCE).build().execute(&mut *connection).await?;
            continue;
        }
        for chunk in chunks(alike) {
            let mut query = sighting(alike[0], route);
            query.push("IN (");
            let mut sequences = query.separated(", ");
            for sighting in chunk {
                sequences.push_bind(sighting.sequence);
            }
            query.push(")").push(ONCE).build().execute(&mut *connection).await?;
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
        "INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) VALUES ",
        "(?, ?, ?, ?, ?, ?, ?)",
        " ON CONFLICT (sequence, route) DO NOTHING",
    );
    for chunk in chunks(sightings) {
        let mut values = Values::with_capacity(chunk.len() * 7);
        for Sighting { sequence, seen_at, sighted, label } in chunk {
            let unseen_at = sighted.and_then(|sighted| sighted.unseen_at);
            values
                .push(*sequence)?
                .push(route.as_str())?
                .push(seen_at.micros())?
                .push(sighted.map(|sighted| sighted.shown_at.micros()))?
                .push(unseen_at.map(Timestamp::micros))?
                .push(sighted.and_then(|sighted| sighted.tier).map(Tier::as_str))?
                .push(label.map(Label::as_str))?;
        }
        INSERT.query(chunk.len(), values).execute(&mut *connection).await?;
    }
    Ok(())
}

const ONCE: &str = " ON CONFLICT (sequence, route) DO NOTHING";

/// The beginning of a statement that makes sightings for events whose sequence is …
fn sighting(of: Sighting, route: Route) -> QueryBuilder<Sqlite> {
    let Sighting { seen_at, sighted, label, .. } = of;
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT sequence, ",
    );
    query.push_bind(route.as_str()).push(", ").push_bind(seen_at.micros());
    query.push(", ").push_bind(sighted.map(|sighted| sighted.shown_at.micros()));
    let unseen_at = sighted.and_then(|sighted| sighted.unseen_at);
    query.push(", ").push_bind(unseen_at.map(Timestamp::micros));
    let tier = sighted.and_then(|sighted| sighted.tier);
    query.push(", ").push_bind(tier.map(Tier::as_str));
    query.push(", ").push_bind(label.map(Label::as_str)).push(" FROM event WHERE sequence ");
    query
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
