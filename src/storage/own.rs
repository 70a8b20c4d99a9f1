//! Our own events about targets and webhooks, stored with what they tell (I1).

use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::model::delivery::Fate;
use crate::model::event::{Event, Route, Seal, Sequence};
use crate::model::own_event::{Dead, NAMED_MAX, OWN_SOURCE, died};
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::events::{self, NewEvent, Place};
use crate::storage::known::find_known;
use crate::storage::script::Script;
use crate::storage::settle::Settlement;
use crate::storage::sightings::{self, Sighting};
use crate::storage::targets::TargetId;
use crate::storage::{Ledger, coverage, fresh, upkeep};

/// Stands where a source's name stands. No source of the configuration can bear it.
pub(super) const OWN_SOURCE_NAME: &str = "(tailwater)";

/// How long dead letters of one target are gathered after some were told: a target that
/// rejects everything makes one event a minute of it, and not one an event.
const DEAD_EVERY_US: i64 = 60_000_000;

/// Stores an event about a target, with a delivery to each other target that subscribes;
/// nothing when none does.
///
/// It bears the route of what is polled, as gaps do: there is none of its own.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    about: TargetId,
    event: Event,
    now: Timestamp,
) -> Result<(), StorageError> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM target WHERE own_events = 1 AND id <> $1")
            .bind(about)
            .fetch_all(&mut *connection)
            .await?;
    tell(connection, event, &names, now).await
}

/// Stores an event of our own, and owes it to each of these targets; nothing when there is
/// none.
pub(super) async fn tell(
    connection: &mut SqliteConnection,
    event: Event,
    targets: &[String],
    now: Timestamp,
) -> Result<(), StorageError> {
    if targets.is_empty() {
        return Ok(());
    }
    let Some(sequence) = store(connection, event, now).await? else { return Ok(()) };
    let mut script = Script::default();
    for target in targets {
        fresh::add_last(&mut script, sequence, target)?;
    }
    script.run(connection).await.map(drop)
}

/// Stores an event of our own; its sequence, or `None` when it is there already.
async fn store(
    connection: &mut SqliteConnection,
    event: Event,
    now: Timestamp,
) -> Result<Option<Sequence>, StorageError> {
    let source_id = coverage::require_source(connection, OWN_SOURCE_NAME).await?;
    let (workspace, uri) = (&event.workspace_id, &event.envelope.source);
    let origin_id = events::require_origin(connection, workspace, uri).await?;
    let id: Arc<str> = event.envelope.id.as_str().into();
    let route = Route::Poll;
    let known = find_known(connection, &[(origin_id, id.clone())], route).await?;
    if !known.is_empty() {
        return Ok(None);
    }
    let sequence = known.next;
    let body = Seal::new(now, route).text(&event, sequence);
    let Event { occurred_at, facts, envelope, .. } = event;
    let row = NewEvent {
        sequence,
        origin_id,
        occurred_at,
        facts,
        body: body.into(),
        source: envelope.source.into(),
        id,
        event_type: envelope.event_type.into(),
    };
    let (place, mut script) = (Place { source_id, route, now }, Script::default());
    events::insert(connection, &mut script, place, [row].into_iter()).await?;
    upkeep::set_next_sequence(&mut script, sequence, sequence + 1)?;
    let sighting = Sighting { sequence, seen_at: now, sighted: None, label: None };
    sightings::insert(&mut script, &[sighting], route)?;
    script.run(connection).await?;
    Ok(Some(sequence))
}

/// Tells of the dead letters in `settlements`, at once or with those of a minute. Our own
/// events among them are not told: nothing comes of nothing.
pub(super) async fn insert_dead(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    static FIND: Bulk = Bulk::new(
        "SELECT o.uri, e.id FROM event e JOIN origin o ON o.id = e.origin_id \
         WHERE e.sequence IN (",
        "?",
        ") ORDER BY e.sequence",
    );
    let is_dead = |one: &&Settlement| matches!(one.fate, Fate::Dead(_));
    let dead: Vec<i64> = settlements.iter().filter(is_dead).map(|one| one.sequence).collect();
    let (mut named, mut own): (Vec<(String, String)>, i64) = (Vec::new(), 0);
    for chunk in dead.chunks(ROWS_MAX) {
        let mut filling = FIND.of(chunk.len());
        for sequence in chunk {
            filling.push(*sequence)?;
        }
        let found: Vec<(String, String)> = filling.query_as()?.fetch_all(&mut *connection).await?;
        for (uri, id) in found {
            if uri.starts_with(OWN_SOURCE) {
                own += 1;
            } else if named.len() < NAMED_MAX {
                named.push((uri, id));
            }
        }
    }
    if own > 0 {
        sqlx::query("UPDATE target SET dead_told = dead_told + $2 WHERE id = $1")
            .bind(target)
            .bind(own)
            .execute(&mut *connection)
            .await?;
    }
    tell_dead(connection, target, named, now).await
}

/// Tells of what has not been told, unless something was within the last minute.
async fn tell_dead(
    connection: &mut SqliteConnection,
    target: TargetId,
    named: Vec<(String, String)>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let untold: Option<(String, i64)> = sqlx::query_as(
        "SELECT name, dead - dead_told FROM target
         WHERE id = $1 AND dead > dead_told
           AND (dead_told_us IS NULL OR abs($2 - dead_told_us) >= $3)",
    )
    .bind(target)
    .bind(now.micros())
    .bind(DEAD_EVERY_US)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((name, count)) = untold else { return Ok(()) };
    sqlx::query("UPDATE target SET dead_told = dead, dead_told_us = $2 WHERE id = $1")
        .bind(target)
        .bind(now.micros())
        .execute(&mut *connection)
        .await?;
    insert(connection, target, died(&name, &Dead { count, named }, now), now).await
}

impl Ledger {
    /// Has events about other targets delivered to these targets, and to no others.
    ///
    /// # Errors
    /// On any error the subscriptions are as before.
    pub async fn subscribe_targets(&self, names: Vec<String>) -> Result<(), StorageError> {
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query("UPDATE target SET own_events = 0 WHERE own_events = 1")
                        .execute(&mut *connection)
                        .await?;
                    for name in &names {
                        sqlx::query("UPDATE target SET own_events = 1 WHERE name = $1")
                            .bind(name)
                            .execute(&mut *connection)
                            .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Tells of a target's dead letters that have not been told, once a minute at most.
    ///
    /// # Errors
    /// On any error nothing is told; they are counted still.
    pub async fn tell_dead(&self, target: TargetId) -> Result<(), StorageError> {
        let now = self.shared.clock.now();
        self.writer
            .run(move |connection| {
                Box::pin(async move { tell_dead(connection, target, Vec::new(), now).await })
            })
            .await
    }
}
