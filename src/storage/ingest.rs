//! The one transaction by which anything comes in, whichever its route (I1).

use std::mem;
use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::model::clock::Clock;
use crate::model::coverage::Coverage;
use crate::model::event::{Event, Route, Seal, Sequence, Unreadable};
use crate::model::lateness::{Learnt, Shown};
use crate::model::timestamp::Timestamp;
use crate::storage::arrivals::Arrivals;
use crate::storage::error::StorageError;
use crate::storage::events::{self, NewEvent, Place};
use crate::storage::ids::{Ids, KnownIds};
use crate::storage::known::{self, AllKnown, Placed, Sorted};
use crate::storage::presumed::Presumed;
use crate::storage::recent::{Recent, RecentEvent};
use crate::storage::requests::{self, Brought, Request};
use crate::storage::script::{Script, TOGETHER_ROWS_MAX};
use crate::storage::writer::Writer;
use crate::storage::{Ledger, coverage, differences, fresh, lateness, pushes, sightings, upkeep};

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
    writer: Writer,
    clock: Clock,
    pub(super) recent: Arc<Recent>,
    ids: KnownIds,
    pub(super) presumed: Presumed,
}

impl Store {
    pub(super) fn new(writer: Writer, clock: Clock) -> Self {
        Self {
            writer,
            clock,
            recent: Arc::default(),
            ids: KnownIds::default(),
            presumed: Presumed::default(),
        }
    }

    /// Stores ingests of one source, route and list of targets in one transaction; what each
    /// came to.
    pub(super) async fn ingest(
        &self,
        ingests: Arc<Vec<Ingest>>,
    ) -> Result<Vec<Ingested>, StorageError> {
        let Some(Ingest { route, targets, .. }) = ingests.first() else { return Ok(Vec::new()) };
        let (route, targets) = (*route, targets.clone());
        let is_presumed = self.presumed.next(route).is_some();
        let stored = match self.store(ingests.clone(), is_presumed).await {
            Err(StorageError::Refused(_)) if is_presumed => {
                self.presumed.doubt(route);
                self.store(ingests, false).await?
            }
            stored => stored?,
        };
        self.recent.push(stored.events, targets);
        Ok(stored.ingested)
    }

    async fn store(
        &self,
        ingests: Arc<Vec<Ingest>>,
        is_presumed: bool,
    ) -> Result<Stored, StorageError> {
        let (now, presumed) = (self.clock.now(), self.presumed.clone());
        let mut ids = self.ids.begin();
        if is_presumed && is_simple(&ingests) {
            let (script, stored) = as_news(&ingests, &ids, &presumed, now)?;
            self.writer.run_script(script).await?;
            return Ok(stored);
        }
        let work = async move |connection: &mut SqliteConnection| {
            let presumed = (&presumed, is_presumed);
            let stored = apply(connection, &ingests, &mut ids, presumed, now).await?;
            Ok((stored, ids))
        };
        let (stored, ids) = self.writer.run(move |connection| Box::pin(work(connection))).await?;
        ids.keep();
        Ok(stored)
    }
}

/// What some ingests came to.
struct Stored {
    ingested: Vec<Ingested>,
    events: Vec<RecentEvent>,
}

/// Whether they are few events, and nothing that needs a look at the ledger.
fn is_simple(ingests: &[Ingest]) -> bool {
    let events: usize = ingests.iter().map(|ingest| ingest.events.len()).sum();
    let is_bare = |ingest: &Ingest| {
        ingest.unreadable.is_empty() && ingest.coverage.is_none() && ingest.learnt.is_none()
    };
    events <= TOGETHER_ROWS_MAX && ingests.iter().all(is_bare)
}

/// What stores ingests that are presumed to be new events alone, without a look at the ledger.
fn as_news(
    ingests: &[Ingest],
    ids: &Ids,
    presumed: &Presumed,
    now: Timestamp,
) -> Result<(Script, Stored), StorageError> {
    let Ingest { source, route, .. } = ingests.first().ok_or_else(unknown)?;
    let (next, source_id) = presumed.next(*route).zip(ids.source(source)).ok_or_else(unknown)?;
    let place = Place { source_id, route: *route, now };
    let placed = Placed::of(ingests, ids, now).ok_or_else(unknown)?;
    let mut sorted = placed.sort(&AllKnown::none(next));
    let mut script = Script::default();
    let events = events::insert_few(&mut script, place, seal(&mut sorted, place))?;
    let ingested = complete(&mut script, place, ingests, sorted)?;
    note(presumed, *route, &ingested);
    Ok((script, Stored { ingested, events }))
}

fn unknown() -> StorageError {
    StorageError::Refused("its source or its namespace is not known".to_owned())
}

async fn apply(
    connection: &mut SqliteConnection,
    ingests: &[Ingest],
    ids: &mut Ids,
    (presumed, is_presumed): (&Presumed, bool),
    now: Timestamp,
) -> Result<Stored, StorageError> {
    let Ingest { source, route, .. } = ingests.first().ok_or_else(unknown)?;
    let route = *route;
    let place = Place { source_id: ids.require_source(connection, source).await?, route, now };
    known::require_origins(connection, ingests, ids).await?;
    let placed = Placed::of(ingests, ids, now).ok_or_else(unknown)?;
    let known = match presumed.next(route).filter(|_| is_presumed) {
        Some(next) => AllKnown::none(next),
        None => known::find_known(connection, &placed.keys, route).await?,
    };
    let mut sorted = placed.sort(&known);
    let mut script = Script::default();
    let fresh = seal(&mut sorted, place);
    let events = events::insert(connection, &mut script, place, fresh).await?;
    let second = mem::take(&mut sorted.second);
    let mut ingested = complete(&mut script, place, ingests, sorted)?;
    for (ingest, ingested) in ingests.iter().zip(&mut ingested) {
        ingested.quarantined = keep_beside(connection, &mut script, place, ingest).await?;
    }
    script.run(connection).await?;
    differences::note(connection, route, &second).await?;
    note(presumed, route, &ingested);
    Ok(Stored { ingested, events })
}

/// Notes what the next ingest may be presumed to be.
fn note(presumed: &Presumed, route: Route, ingested: &[Ingested]) {
    let known: u64 = ingested.iter().map(|ingested| ingested.known).sum();
    let new: u64 = ingested.iter().map(|ingested| ingested.new).sum();
    let last = ingested.last().map_or(0, |ingested| ingested.last_sequence);
    presumed.note(route, last + 1, known == 0 && new > 0);
}

/// Adds to `script` all that comes with events; what the ingests came to.
fn complete(
    script: &mut Script,
    place: Place,
    ingests: &[Ingest],
    sorted: Sorted<'_>,
) -> Result<Vec<Ingested>, StorageError> {
    let mut ingested = sorted.ingested;
    let new: u64 = ingested.iter().map(|ingested| ingested.new).sum();
    let next = sorted.first + Sequence::try_from(new).unwrap_or(Sequence::MAX);
    if new > 0 {
        upkeep::set_next_sequence(script, sorted.first, next)?;
        for target in ingests.first().map_or(&[][..], |ingest| &ingest.targets) {
            fresh::add_last(script, sorted.first, target)?;
        }
    }
    sightings::insert(script, &sorted.sightings, place.route)?;
    if let Some(at) = sorted.heard_at.filter(|_| place.route == Route::Push) {
        pushes::hear(script, place.source_id, at, next - 1)?;
    }
    let mut requests = Vec::with_capacity(ingests.len());
    for (ingest, ingested) in ingests.iter().zip(&mut ingested) {
        ingested.last_sequence = next - 1;
        requests.extend(ingest.request.as_ref().map(|request| (request, brought(ingested))));
    }
    requests::insert(script, place.source_id, &requests)?;
    Ok(ingested)
}

fn brought(ingested: &Ingested) -> Brought {
    let Ingested { new, known, sighted, .. } = *ingested;
    Brought { new, sighted, repeated: (new + known).saturating_sub(sighted) }
}

/// Stores what comes with events; how many items are new in quarantine.
async fn keep_beside(
    connection: &mut SqliteConnection,
    script: &mut Script,
    Place { source_id, now, .. }: Place,
    ingest: &Ingest,
) -> Result<u64, StorageError> {
    let mut quarantined = 0;
    for item in &ingest.unreadable {
        quarantined += events::quarantine(connection, source_id, ingest.route, item, now).await?;
    }
    if let Some(state) = &ingest.coverage {
        coverage::replace(connection, source_id, state, script).await?;
    }
    if let Some(learnt) = &ingest.learnt {
        lateness::replace(script, source_id, learnt)?;
    }
    Ok(quarantined)
}

/// Gives each new event its sequence and its final text: the only serialisation of its life.
fn seal<'a>(
    sorted: &mut Sorted<'a>,
    place: Place,
) -> impl Iterator<Item = NewEvent> + Send + use<'a> {
    let seal = Seal::new(place.now, place.route);
    let fresh = mem::take(&mut sorted.fresh).into_iter().zip(sorted.first..);
    fresh.map(move |((origin, id, event), sequence)| NewEvent {
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
