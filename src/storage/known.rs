//! Telling new events from known ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Route, Sequence};
use crate::model::lateness::{Shown, Sighted};
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::ids::Ids;
use crate::storage::ingest::{Ingest, Ingested};
use crate::storage::requests::Request;
use crate::storage::script::Script;
use crate::storage::sightings::Sighting;

/// A new event with its namespace and its id.
pub(super) type Fresh<'a> = (Arc<Origin>, Arc<str>, &'a Event);

/// A namespace of ids, and the type of the events last seen in it.
pub(super) struct Origin {
    pub(super) id: i64,
    workspace_id: String,
    pub(super) uri: Arc<str>,
    pub(super) event_type: Arc<str>,
}

impl Origin {
    fn of(event: &Event, ids: &Ids) -> Option<Self> {
        let (workspace_id, uri) = (&event.workspace_id, &event.envelope.source);
        Some(Self {
            id: ids.origin(workspace_id, uri)?,
            workspace_id: workspace_id.clone(),
            uri: uri.as_str().into(),
            event_type: event.envelope.event_type.as_str().into(),
        })
    }

    fn is_of(&self, event: &Event) -> bool {
        self.workspace_id == event.workspace_id
            && *self.uri == *event.envelope.source
            && *self.event_type == *event.envelope.event_type
    }
}

/// An event that the ledger has already.
#[derive(Clone, Copy, Debug)]
struct Known {
    sequence: Sequence,
    /// Whether the route in question has shown it before.
    is_sighted: bool,
}

/// Which of some events the ledger has already, and where it ends.
#[derive(Debug, Default)]
pub(super) struct AllKnown {
    by_origin: HashMap<i64, HashMap<String, Known>>,
    /// The sequence that the next new event gets.
    pub(super) next: Sequence,
}

impl AllKnown {
    /// None is known, and the ledger ends before `next`.
    pub(super) fn none(next: Sequence) -> Self {
        Self { by_origin: HashMap::new(), next }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_origin.is_empty()
    }

    fn find(&self, origin_id: i64, id: &str) -> Option<Known> {
        self.by_origin.get(&origin_id)?.get(id).copied()
    }
}

/// Those of `events`, by namespace and id, that the ledger has already.
pub(super) async fn find_known(
    connection: &mut SqliteConnection,
    events: &[(i64, Arc<str>)],
    route: Route,
) -> Result<AllKnown, StorageError> {
    static FIND: Bulk = Bulk::new(
        "SELECT e.origin_id, e.id, e.sequence, \
         EXISTS (SELECT 1 FROM sighting g WHERE g.sequence = e.sequence AND g.route = ?) \
         FROM (VALUES ",
        "(?, ?)",
        ") wanted CROSS JOIN event e ON e.origin_id = wanted.column1 AND e.id = wanted.column2",
    );
    let mut script = Script::default();
    script.add("SELECT next_sequence FROM ledger")?;
    for chunk in events.chunks(ROWS_MAX) {
        let filling = script.begin(&FIND, chunk.len())?;
        filling.push(route.as_str())?;
        for (origin_id, id) in chunk {
            filling.push(*origin_id)?.push(id.clone())?;
        }
    }
    let rows = script.fetch_all(connection).await?;
    let mut known = AllKnown::default();
    for row in rows {
        // The first statement's.
        if row.len() == 1 {
            known.next = row.try_get(0)?;
            continue;
        }
        let found = Known { sequence: row.try_get(2)?, is_sighted: row.try_get(3)? };
        known.by_origin.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?, found);
    }
    Ok(known)
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

/// Makes known the namespaces of all events of `ingests`.
pub(super) async fn require_origins(
    connection: &mut SqliteConnection,
    ingests: &[Ingest],
    ids: &mut Ids,
) -> Result<(), StorageError> {
    let mut last = None;
    for event in ingests.iter().flat_map(|ingest| &ingest.events) {
        let origin = (event.workspace_id.as_str(), event.envelope.source.as_str());
        if last != Some(origin) {
            ids.require_origin(connection, origin.0, origin.1).await?;
            last = Some(origin);
        }
    }
    Ok(())
}

/// The events of some ingests, in their order, with their namespaces.
pub(super) struct Placed<'a> {
    /// By what each is told from the others: namespace and id.
    pub(super) keys: Vec<(i64, Arc<str>)>,
    /// Each with its sighting, which has no sequence yet, and the number of its ingest.
    events: Vec<(Arc<Origin>, &'a Event, Sighting, usize)>,
    ingests: usize,
    /// When the last audit entry among them was seen.
    heard_at: Option<Timestamp>,
}

impl<'a> Placed<'a> {
    /// `None` while a namespace is not known: see [`require_origins`].
    pub(super) fn of(ingests: &'a [Ingest], ids: &Ids, now: Timestamp) -> Option<Self> {
        let count = ingests.iter().map(|ingest| ingest.events.len()).sum();
        let mut placed = Self {
            keys: Vec::with_capacity(count),
            events: Vec::with_capacity(count),
            ingests: ingests.len(),
            heard_at: None,
        };
        let mut last: Option<Arc<Origin>> = None;
        for (number, ingest) in ingests.iter().enumerate() {
            let request = ingest.request.as_ref();
            let seen_at = request.map_or(now, Request::seen_at).min(now);
            for event in &ingest.events {
                if is_entry(event) {
                    placed.heard_at = placed.heard_at.max(Some(seen_at));
                }
                let origin = match last.take().filter(|last| last.is_of(event)) {
                    Some(origin) => origin,
                    None => Arc::new(Origin::of(event, ids)?),
                };
                last = Some(origin.clone());
                let id = event.envelope.id.as_str();
                let sighting = Sighting {
                    sequence: 0,
                    seen_at,
                    sighted: sighted_of(ingest.shown.as_ref(), event),
                    label: request.and_then(|request| request.label(id)),
                };
                placed.keys.push((origin.id, id.into()));
                placed.events.push((origin, event, sighting, number));
            }
        }
        Some(placed)
    }

    /// Tells new events from known ones; of repeats the first counts.
    pub(super) fn sort(self, known: &AllKnown) -> Sorted<'a> {
        let mut sorted = Sorted {
            first: known.next,
            fresh: Vec::with_capacity(self.keys.len()),
            sightings: Vec::with_capacity(self.keys.len()),
            second: Vec::new(),
            ingested: vec![Ingested::default(); self.ingests],
            heard_at: self.heard_at,
        };
        let (mut next, mut again) = (known.next, Vec::new());
        let mut met = HashSet::with_capacity(self.keys.len());
        for (key, (origin, event, sighting, number)) in self.keys.iter().zip(self.events) {
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
                let found = found.filter(|found| is_first && !found.is_sighted);
                let Some(found) = found else { continue };
                ingested.sighted += 1;
                again.push(Sighting { sequence: found.sequence, ..sighting });
                sorted.second.push((found.sequence, event));
            }
        }
        sorted.sightings.append(&mut again);
        sorted
    }
}

/// What is to be stored of some ingests, and what that makes of each.
pub(super) struct Sorted<'a> {
    /// The sequence of the first fresh one.
    pub(super) first: Sequence,
    /// In the order of their sequences.
    pub(super) fresh: Vec<Fresh<'a>>,
    /// Of fresh ones and of those that the other route alone had shown; none twice.
    pub(super) sightings: Vec<Sighting>,
    /// Those that the other route alone had shown.
    pub(super) second: Vec<(Sequence, &'a Event)>,
    pub(super) ingested: Vec<Ingested>,
    /// When the last audit entry among all of them was seen.
    pub(super) heard_at: Option<Timestamp>,
}
