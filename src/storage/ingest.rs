//! The one transaction by which anything comes in, whichever its route (I1).

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::model::clock::Clock;
use crate::model::coverage::Coverage;
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Route, Seal, Sequence, Unreadable};
use crate::model::lateness::{Learnt, Shown, Sighted};
use crate::model::timestamp::Timestamp;
use crate::storage::arrivals::Arrivals;
use crate::storage::error::StorageError;
use crate::storage::events::{self, NewEvent, Place};
use crate::storage::recent::{Recent, RecentEvent};
use crate::storage::requests::{self, Brought, Request};
use crate::storage::sightings::{self, Sighting};
use crate::storage::writer::Writer;
use crate::storage::{Ledger, coverage, deliveries, differences, lateness, pushes, upkeep};

/// What one transaction brings in (I1).
#[derive(Clone, Debug)]
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
    /// Events that this route showed for the first time, new or known.
    pub sighted: u64,
    /// Items newly put into quarantine.
    pub quarantined: u64,
    /// Sequence of the last event in the ledger; 0 when it is empty.
    pub last_sequence: Sequence,
}

impl Ledger {
    /// Stores new events with their sightings and deliveries, quarantined items, the
    /// coverage and the request's log row, in one transaction. Pushes that come at the same
    /// time share one.
    ///
    /// Idempotent: a known event gets no second row and no second delivery
    /// (`an_event_is_stored_once_and_delivered_once`). Dropping the future does not take it back.
    ///
    /// # Errors
    /// On any error nothing of it is stored.
    pub async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        if Arrivals::take(&ingest) {
            return self.arrivals.ingest(ingest).await;
        }
        let ingested = self.store.ingest(Arc::new(vec![ingest])).await?;
        ingested.into_iter().next().ok_or(StorageError::Closed)
    }
}

/// Where ingests go: the writer, and then the memory of recent events.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) writer: Writer,
    pub(super) clock: Clock,
    pub(super) recent: Arc<Recent>,
}

impl Store {
    /// Stores ingests of one source, route and list of targets in one transaction; what each
    /// came to.
    pub(super) async fn ingest(
        &self,
        ingests: Arc<Vec<Ingest>>,
    ) -> Result<Vec<Ingested>, StorageError> {
        let now = self.clock.now();
        let targets = ingests.first().map(|ingest| ingest.targets.clone()).unwrap_or_default();
        let (ingested, stored) = self
            .writer
            .run(move |connection| Box::pin(async move { apply(connection, &ingests, now).await }))
            .await?;
        self.recent.push(stored, targets);
        Ok(ingested)
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    ingests: &[Ingest],
    now: Timestamp,
) -> Result<(Vec<Ingested>, Vec<RecentEvent>), StorageError> {
    let Some(Ingest { source, route, targets, .. }) = ingests.first() else {
        return Ok(Default::default());
    };
    let (route, targets) = (*route, targets.clone());
    let (source_id, first) = find_place(connection, source).await?;
    let arrived = arrived(ingests, now);
    let heard_at = arrived.heard_at;
    let sorted = sort_out(connection, arrived, route, first).await?;
    let place = Place { source_id, route, now };
    let stored = events::insert(connection, place, seal(sorted.fresh, first, place)).await?;
    let next = first + Sequence::try_from(stored.len()).unwrap_or(Sequence::MAX);
    if !stored.is_empty() {
        upkeep::set_next_sequence(connection, next).await?;
        for target in &targets {
            deliveries::insert_for_new(connection, first, target).await?;
        }
    }
    sightings::insert(connection, &sorted.sightings, route).await?;
    differences::note(connection, route, &sorted.second).await?;
    if let Some(at) = heard_at.filter(|_| route == Route::Push) {
        pushes::hear(connection, source_id, at, next - 1).await?;
    }
    let mut ingested = sorted.ingested;
    for (ingest, ingested) in ingests.iter().zip(&mut ingested) {
        ingested.last_sequence = next - 1;
        ingested.quarantined = keep_beside(connection, source_id, ingest, now).await?;
    }
    let requests = ingests.iter().zip(&ingested);
    let requests: Vec<(&Request, Brought)> = requests
        .filter_map(|(ingest, ingested)| Some((ingest.request.as_ref()?, brought(ingested))))
        .collect();
    requests::insert(connection, source_id, &requests).await?;
    Ok((ingested, stored))
}

/// The source's id, and the sequence that the next new event gets.
async fn find_place(
    connection: &mut SqliteConnection,
    source: &str,
) -> Result<(i64, Sequence), StorageError> {
    let (id, first): (Option<i64>, Sequence) =
        sqlx::query_as("SELECT (SELECT id FROM source WHERE name = $1), next_sequence FROM ledger")
            .bind(source)
            .fetch_one(&mut *connection)
            .await?;
    let id = match id {
        Some(id) => id,
        None => coverage::require_source(connection, source).await?,
    };
    Ok((id, first))
}

fn brought(ingested: &Ingested) -> Brought {
    let Ingested { new, known, sighted, .. } = *ingested;
    Brought { new, sighted, repeated: (new + known).saturating_sub(sighted) }
}

/// Stores what comes with events; how many items are new in quarantine.
async fn keep_beside(
    connection: &mut SqliteConnection,
    source_id: i64,
    ingest: &Ingest,
    now: Timestamp,
) -> Result<u64, StorageError> {
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
    Ok(quarantined)
}

/// A new event with its namespace and its id.
type Fresh<'a> = (Arc<Origin>, Arc<str>, &'a Event);

/// A namespace of ids, and the type of the events last seen in it.
struct Origin {
    id: i64,
    workspace_id: String,
    uri: Arc<str>,
    event_type: Arc<str>,
}

impl Origin {
    fn is_of(&self, event: &Event) -> bool {
        self.workspace_id == event.workspace_id
            && *self.uri == *event.envelope.source
            && *self.event_type == *event.envelope.event_type
    }
}

/// Whether an event is an audit entry, which both routes can show.
fn is_entry(event: &Event) -> bool {
    event.envelope.event_type == AUDIT_TYPE
}

/// What `shown` tells of `event`'s lateness: our own events have none.
fn sighted_of(shown: Option<&Shown>, event: &Event) -> Option<Sighted> {
    let shown = shown.filter(|_| event.envelope.source == AUDIT_SOURCE);
    shown.and_then(|shown| shown.sighted(event.occurred_at.secs()))
}

/// The events of some ingests.
struct Arrived<'a> {
    /// Each with its sighting, which has no sequence yet, and the number of its ingest.
    events: Vec<(&'a Event, Sighting, usize)>,
    /// When the last audit entry among them was seen.
    heard_at: Option<Timestamp>,
    ingests: usize,
}

/// The events of `ingests`, in their order.
fn arrived(ingests: &[Ingest], now: Timestamp) -> Arrived<'_> {
    let mut arrived = Arrived { events: Vec::new(), heard_at: None, ingests: ingests.len() };
    for (number, ingest) in ingests.iter().enumerate() {
        let request = ingest.request.as_ref();
        let seen_at = request.map_or(now, Request::seen_at).min(now);
        for event in &ingest.events {
            if is_entry(event) {
                arrived.heard_at = arrived.heard_at.max(Some(seen_at));
            }
            let sighting = Sighting {
                sequence: 0,
                seen_at,
                sighted: sighted_of(ingest.shown.as_ref(), event),
                label: request.and_then(|request| request.label(&event.envelope.id)),
            };
            arrived.events.push((event, sighting, number));
        }
    }
    arrived
}

/// What is to be stored of some ingests, and what that makes of each.
struct Sorted<'a> {
    /// In the order of their sequences.
    fresh: Vec<Fresh<'a>>,
    /// Of fresh ones and of those that the other route alone had shown; none twice.
    sightings: Vec<Sighting>,
    /// Those that the other route alone had shown.
    second: Vec<(Sequence, &'a Event)>,
    ingested: Vec<Ingested>,
}

/// Tells new events from known ones; of repeats the first counts. New ones get sequences
/// from `first` on.
async fn sort_out<'a>(
    connection: &mut SqliteConnection,
    arrived: Arrived<'a>,
    route: Route,
    first: Sequence,
) -> Result<Sorted<'a>, StorageError> {
    let mut placed = Vec::with_capacity(arrived.events.len());
    let mut ids = Vec::with_capacity(arrived.events.len());
    let mut last: Option<Arc<Origin>> = None;
    for (event, sighting, number) in arrived.events {
        let origin = match last.take().filter(|last| last.is_of(event)) {
            Some(origin) => origin,
            None => Arc::new(find_origin(connection, event).await?),
        };
        last = Some(origin.clone());
        ids.push((origin.id, Arc::<str>::from(event.envelope.id.as_str())));
        placed.push((origin, event, sighting, number));
    }
    let known = events::find_known(connection, &ids, route).await?;
    let mut sorted = Sorted {
        fresh: Vec::with_capacity(placed.len()),
        sightings: Vec::with_capacity(placed.len()),
        second: Vec::new(),
        ingested: vec![Ingested::default(); arrived.ingests],
    };
    let (mut next, mut again, mut met) = (first, Vec::new(), HashSet::with_capacity(ids.len()));
    for (key, (origin, event, sighting, number)) in ids.iter().zip(placed) {
        let (found, is_first) = (known.find(key.0, &key.1), met.insert(key));
        let ingested = &mut sorted.ingested[number];
        if found.is_none() && is_first {
            ingested.new += 1;
            ingested.sighted += 1;
            sorted.sightings.push(Sighting { sequence: next, ..sighting });
            sorted.fresh.push((origin, key.1.clone(), event));
            next += 1;
        } else {
            ingested.known += 1;
            let Some(found) = found.filter(|found| is_first && !found.is_sighted) else { continue };
            ingested.sighted += 1;
            again.push(Sighting { sequence: found.sequence, ..sighting });
            sorted.second.push((found.sequence, event));
        }
    }
    sorted.sightings.append(&mut again);
    Ok(sorted)
}

/// The namespace of an event's id.
async fn find_origin(
    connection: &mut SqliteConnection,
    event: &Event,
) -> Result<Origin, StorageError> {
    let (workspace_id, uri) = (&event.workspace_id, &event.envelope.source);
    Ok(Origin {
        id: events::require_origin(connection, workspace_id, uri).await?,
        workspace_id: workspace_id.clone(),
        uri: uri.as_str().into(),
        event_type: event.envelope.event_type.as_str().into(),
    })
}

/// Gives each new event its sequence and its final text: the only serialisation of its life.
fn seal(
    fresh: Vec<Fresh<'_>>,
    first: Sequence,
    place: Place,
) -> impl Iterator<Item = NewEvent> + Send {
    let seal = Seal::new(place.now, place.route);
    fresh.into_iter().zip(first..).map(move |((origin, id, event), sequence)| NewEvent {
        sequence,
        origin_id: origin.id,
        source: origin.uri.clone(),
        id,
        event_type: origin.event_type.clone(),
        occurred_at: event.occurred_at,
        facts: event.facts.clone(),
        body: seal.text(event, sequence).into(),
    })
}
