//! The one transaction by which anything comes in, whichever its route (I1).

use std::collections::HashSet;

use bytes::Bytes;
use sqlx::SqliteConnection;

use crate::model::coverage::Coverage;
use crate::model::envelope::json;
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Route, Sequence, Unreadable};
use crate::model::lateness::{Learnt, Shown, Sighted};
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::events::{self, NewEvent, Sighting};
use crate::storage::recent::RecentEvent;
use crate::storage::requests::Request;
use crate::storage::{Ledger, coverage, deliveries, lateness, pushes, upkeep};

/// What one transaction brings in (I1).
#[derive(Debug)]
pub struct Ingest {
    /// The source's name in the configuration.
    pub source: String,
    /// By which way the events came.
    pub route: Route,
    /// Oldest first; known ones change nothing but their sighting.
    pub events: Vec<Event>,
    /// Items to put into quarantine.
    pub unreadable: Vec<Unreadable>,
    /// Names of the targets that get a delivery of each new event. Targets that the
    /// ledger does not know yet are left out: see [`Ledger::insert_targets`].
    pub targets: Vec<String>,
    /// The source's coverage after this transaction; `None` leaves it as it is.
    pub coverage: Option<Coverage>,
    /// The request that brought it, for `poll_log` or `push_log`; it says when the events
    /// were seen.
    pub request: Option<Request>,
    /// What the answer tells of the lateness of the audit entries in it; `None`: nothing.
    pub shown: Option<Shown>,
    /// What has been learnt of the source's lateness; `None` leaves it as it is.
    pub learnt: Option<Learnt>,
}

/// What an [`Ingest`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Events stored for the first time.
    pub new: u64,
    /// Events that were there already.
    pub known: u64,
    /// Items newly put into quarantine.
    pub quarantined: u64,
    /// Sequence of the last event in the ledger; 0 when it is empty.
    pub last_sequence: Sequence,
}

impl Ledger {
    /// Stores new events with their sightings and deliveries, quarantined items, the
    /// coverage and the request's log row, in one transaction.
    ///
    /// Idempotent: a known event gets no second row and no second delivery
    /// (`an_event_is_stored_once_and_delivered_once`). Dropping the future does not take it back.
    ///
    /// # Errors
    /// On any error nothing of it is stored.
    pub async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        let now = self.shared.clock.now();
        let targets = ingest.targets.clone();
        let (ingested, stored) = self
            .writer
            .run(move |connection| Box::pin(async move { apply(connection, ingest, now).await }))
            .await?;
        self.shared.recent.push(stored, targets);
        Ok(ingested)
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    ingest: Ingest,
    now: Timestamp,
) -> Result<(Ingested, Vec<RecentEvent>), StorageError> {
    let source_id = coverage::require_source(connection, &ingest.source).await?;
    let seen_at = ingest.request.as_ref().map_or(now, Request::seen_at).min(now);
    let total = ingest.events.len();
    let is_heard = ingest.route == Route::Push && ingest.events.iter().any(is_entry);
    let first = upkeep::next_sequence(connection).await?;
    let (shown, request) = (ingest.shown.as_ref(), ingest.request.as_ref());
    let seen = |event: &Event, sequence| Sighting {
        sequence,
        sighted: sighted_of(shown, event),
        label: request.and_then(|request| request.label(&event.envelope.id)),
    };
    let (fresh, known) = sort_out(connection, ingest.events, seen).await?;
    let place = Place { source_id, route: ingest.route, first, now };
    let added = fresh.iter().zip(first..).map(|((_, event), sequence)| seen(event, sequence));
    let added: Vec<Sighting> = added.collect();
    let mut rows = seal(fresh, place);
    let new = rows.len();
    let next = first + Sequence::try_from(new).unwrap_or(Sequence::MAX);
    if new > 0 {
        events::insert(connection, &mut rows).await?;
        upkeep::set_next_sequence(connection, next).await?;
        events::insert_sightings(connection, &added, ingest.route, seen_at).await?;
        for target in &ingest.targets {
            deliveries::insert_for_new(connection, first, target).await?;
        }
    }
    events::insert_sightings(connection, &known, ingest.route, seen_at).await?;
    if is_heard {
        pushes::hear(connection, source_id, seen_at, next - 1).await?;
    }
    let mut quarantined = 0;
    for item in &ingest.unreadable {
        quarantined += events::quarantine(connection, source_id, ingest.route, item, now).await?;
    }
    if let Some(state) = &ingest.coverage {
        coverage::replace(connection, source_id, state).await?;
    }
    if let Some(learnt) = &ingest.learnt {
        lateness::replace(connection, source_id, learnt).await?;
    }
    if let Some(request) = &ingest.request {
        request.insert(connection, source_id, new as u64).await?;
    }
    let ingested = Ingested {
        new: new as u64,
        known: (total - new) as u64,
        quarantined,
        last_sequence: next - 1,
    };
    Ok((ingested, rows.into_iter().map(recent).collect()))
}

/// What is kept of a stored event in memory.
fn recent(event: NewEvent) -> RecentEvent {
    let NewEvent { sequence, source, id, body, .. } = event;
    RecentEvent { sequence, source, id, body }
}

/// A new event with the namespace of its id.
type Fresh = (i64, Event);

/// Whether an event is an audit entry, which both routes can show.
fn is_entry(event: &Event) -> bool {
    event.envelope.event_type == AUDIT_TYPE
}

/// What `shown` tells of `event`'s lateness: our own events have none.
fn sighted_of(shown: Option<&Shown>, event: &Event) -> Option<Sighted> {
    let shown = shown.filter(|_| event.envelope.source == AUDIT_SOURCE);
    shown.and_then(|shown| shown.sighted(event.occurred_at.secs()))
}

/// Tells new events from known ones; of a repeat within `events` the first counts.
async fn sort_out(
    connection: &mut SqliteConnection,
    events: Vec<Event>,
    seen: impl Fn(&Event, Sequence) -> Sighting,
) -> Result<(Vec<Fresh>, Vec<Sighting>), StorageError> {
    let mut placed = Vec::with_capacity(events.len());
    let mut last: Option<(String, String, i64)> = None;
    for event in events {
        let (workspace, uri) = (&event.workspace_id, &event.envelope.source);
        let origin_id = match &last {
            Some((w, u, id)) if w == workspace && u == uri => *id,
            _ => {
                let id = events::require_origin(connection, workspace, uri).await?;
                last = Some((workspace.clone(), uri.clone(), id));
                id
            }
        };
        placed.push((origin_id, event));
    }
    let known = events::find_known(connection, &placed).await?;
    let mut ids: HashSet<(i64, String)> = HashSet::with_capacity(placed.len());
    let mut sightings = Vec::with_capacity(known.len());
    placed.retain(|(origin_id, event)| {
        let key = (*origin_id, event.envelope.id.clone());
        let found = known.get(&key).copied();
        let is_first = ids.insert(key);
        if let Some(sequence) = found.filter(|_| is_first) {
            sightings.push(seen(event, sequence));
        }
        found.is_none() && is_first
    });
    Ok((placed, sightings))
}

#[derive(Clone, Copy)]
struct Place {
    source_id: i64,
    route: Route,
    first: Sequence,
    now: Timestamp,
}

/// Gives each new event its sequence and its final bytes: the only serialisation of its life.
fn seal(fresh: Vec<Fresh>, place: Place) -> Vec<NewEvent> {
    let sequences = place.first..;
    fresh
        .into_iter()
        .zip(sequences)
        .map(|((origin_id, mut event), sequence)| {
            let facts = std::mem::take(&mut event.facts);
            let occurred_at = event.occurred_at;
            let envelope = event.seal(sequence, place.now, place.route);
            NewEvent {
                sequence,
                origin_id,
                source_id: place.source_id,
                occurred_at,
                recorded_at: place.now,
                route: place.route,
                facts,
                body: Bytes::from(json::to_vec(&envelope)),
                source: envelope.source,
                id: envelope.id,
                event_type: envelope.event_type,
            }
        })
        .collect()
}
