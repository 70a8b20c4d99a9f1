//! Polling against push, over the same entries: who was first, by how much, who missed
//! what, and at which cost.
//!
//! A module of its own because it judges the routes and belongs to neither. `sample`
//! decides what may be compared, `statistics` and `bootstrap` are pure functions over
//! numbers, [`measure()`] puts the figures together, `read` fetches from the ledger what
//! they rest on. [`what_if`] counts what other ways of polling would have come to,
//! [`pictures`] draws and [`page`] puts everything into one file. What stays true here:
//!
//! - An entry that one route has not shown yet is *pending* until its horizon; nothing is
//!   called missed before.
//! - A sighting with a label (nudged, batch, outside) keeps its entry out of every figure
//!   but [`Comparison::apart`].
//! - A figure that the entries cannot carry is `None`, with how many it would take.
//!
//! How to print a [`Comparison`] is left to the command line and to the pictures.

mod answer;
mod bootstrap;
mod figures;
mod measure;
mod note;
pub mod page;
pub mod pictures;
mod read;
mod sample;
mod statistics;
mod timeline;
#[cfg(test)]
mod vectors;
pub mod what_if;

use serde::Serialize;

use crate::compare::what_if::WhatIf;
use crate::model::timestamp::Timestamp;
use crate::storage::{FieldDifference, PollCost, PushCost};

pub use answer::{count, percents, span};
pub use figures::{Ecdf, Histogram, Interval, Latency, Lead, Percentile, Share, Step};
pub use measure::{Found, measure};
pub use note::Note;
pub use read::{CompareError, compare};
pub use sample::{Apart, Coverage};
pub use timeline::{Bucket, Timeline};

/// What polling and push showed of one source's entries in one period.
///
/// As JSON, its keys are these names: instants are RFC 3339 UTC texts with milliseconds,
/// names that end in `_us` are whole microseconds, shares lie between 0 and 1, and null is
/// what the entries cannot carry. Keys are only ever added.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The answer in one sentence, see [`Comparison::answer`].
    pub answer: String,
    /// The source's name in the configuration.
    pub source: String,
    /// The entries created in this stretch of time are compared.
    pub period: Period,
    /// Our time when this was computed; what is pending depends on it.
    pub made_at: Timestamp,
    /// Entries by who showed them: those without a label.
    pub coverage: Coverage,
    /// Entries with a label, counted by it and in no other figure of this comparison.
    pub apart: Apart,
    /// Entries that only polling showed, of those that are settled (not pending).
    pub missed_by_push: Share,
    /// Entries that only push showed, of those that are settled (not pending).
    pub missed_by_poll: Share,
    /// Who was first, and by how much; `None` when no entry was shown by both routes.
    pub lead: Option<Lead>,
    /// How late polling showed the entries that both routes showed. Empty without such.
    pub poll_latency: Latency,
    /// … and how late push did, over the very same entries.
    pub push_latency: Latency,
    /// The period in equal parts; those without an entry are there too, but for those
    /// before the first entry and after the last. Empty without entries.
    pub timeline: Timeline,
    /// Events that push brought more than once: repeats, of all that it brought.
    pub push_repeats: Share,
    /// Entries that polling showed after younger ones, of all that it showed.
    pub poll_inversions: Share,
    /// Entries that push brought after younger ones, of all that it brought.
    pub push_inversions: Share,
    /// What the two routes tell differently about one and the same entry.
    pub differences: Differences,
    /// What polling cost, by what the requests served, `hot` first; tiers without a request
    /// are left out, so it may be empty.
    pub poll_costs: Vec<PollCost>,
    /// What push cost.
    pub push_cost: PushCost,
    /// How far and since when polling knows that nothing is missing.
    pub certainty: Certainty,
    /// What a reader must know before he believes the figures. Often empty.
    pub notes: Vec<Note>,
    /// What longer intervals and HPE's own poll loop would have made of the same entries.
    pub what_if: WhatIf,
}

/// The compared stretch of time, half-open, by the entries' creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Included. Never before both routes were there.
    pub from: Timestamp,
    /// Excluded.
    pub until: Timestamp,
}

/// What the routes tell differently about the same entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Entries that both routes showed and whose fields were compared, labelled ones too.
    pub compared: u64,
    /// Those of them in which at least one field differs.
    pub differing: u64,
    /// Fields that differ, with how many entries each; most first. Empty: none does.
    pub fields: Vec<FieldDifference>,
}

/// How sure polling is of its completeness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Certainty {
    /// Server time at which the last complete scan began; `None` before the first.
    pub scanned_at: Option<Timestamp>,
    /// Microseconds from then until `made_at`; `None` before the first.
    pub age_us: Option<i64>,
    /// Below it history is complete (the watermark); `None` before the first poll.
    pub complete_below: Option<Timestamp>,
}
