//! Sightings: when a route first showed an event, and what that tells of its lateness.

use crate::model::event::{Route, Sequence};
use crate::model::lateness::Sighted;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::requests::Label;
use crate::storage::script::Script;

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
pub(super) fn insert(
    script: &mut Script,
    sightings: &[Sighting],
    route: Route,
) -> Result<(), StorageError> {
    static RUN: Bulk = Bulk::new(
        "INSERT OR FAIL INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT sequence, ?, ?, ?, ?, ?, ? FROM event WHERE sequence BETWEEN ",
        "? AND ?",
        " ON CONFLICT (sequence, route) DO NOTHING",
    );
    static LIST: Bulk = Bulk::new(
        "INSERT OR FAIL INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
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
            let filling = script.begin(&RUN, 1)?;
            push(filling, alike[0], route)?;
            filling.push(alike[0].sequence)?.push(alike[alike.len() - 1].sequence)?;
            continue;
        }
        for chunk in alike.chunks(ROWS_MAX) {
            let filling = script.begin(&LIST, chunk.len())?;
            push(filling, alike[0], route)?;
            for sighting in chunk {
                filling.push(sighting.sequence)?;
            }
        }
    }
    insert_single(script, &single, route)
}

/// Notes sightings that have little in common.
fn insert_single(
    script: &mut Script,
    sightings: &[Sighting],
    route: Route,
) -> Result<(), StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT OR FAIL INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label) \
         SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL ON CONFLICT (sequence, route) DO NOTHING",
    );
    for chunk in sightings.chunks(ROWS_MAX) {
        let filling = script.begin(&INSERT, chunk.len())?;
        for sighting in chunk {
            filling.push(sighting.sequence)?;
            push(filling, *sighting, route)?;
        }
    }
    Ok(())
}

/// Adds all but the sequence of `sighting`.
fn push(filling: &mut Filling, sighting: Sighting, route: Route) -> Result<(), StorageError> {
    let Sighting { seen_at, sighted, label, .. } = sighting;
    let unseen_at = sighted.and_then(|sighted| sighted.unseen_at);
    filling
        .push(route.as_str())?
        .push(seen_at.micros())?
        .push(sighted.map(|sighted| sighted.shown_at.micros()))?
        .push(unseen_at.map(Timestamp::micros))?
        .push(sighted.and_then(|sighted| sighted.tier).map(Tier::as_str))?
        .push(label.map(Label::as_str))?;
    Ok(())
}
