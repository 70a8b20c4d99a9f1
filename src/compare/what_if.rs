//! What polling less often, or as HPE's example does, would have come to.
//!
//! Both are counted over what was recorded, not modelled. An entry that a poll showed would
//! have been shown by every later one too, for each reads again what is not settled: so a
//! poller that makes only every k-th of our polls sees it at the first of them that is not
//! earlier. It takes nothing but thinning our own polls to know what that costs.
//!
//! HPE's published loop asks each 60 seconds for the entries of the last 60 seconds, for the
//! 50 newest of them, and never again ("HPE GreenLake edge-to-cloud platform scripting
//! fundamentals", HPE developer portal). Whether it would have seen an entry rests on when
//! the entry became visible, of which both ends are known; so both ends are told.

mod published;
mod thinned;
mod words;

use serde::Serialize;

use crate::model::timestamp::Timestamp;
use crate::storage::{PollCycle, Polled};

pub use published::{Missed, Published};
pub use thinned::{Spread, Thinned};

/// The multiples of the interval that are looked at; the first is what was done.
pub const FACTORS: [usize; 5] = [1, 2, 3, 5, 10];

/// What other ways of polling would have come to, on the same entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WhatIf {
    /// Microseconds from one poll to the next, the median; `None` with fewer than two.
    pub interval_us: Option<i64>,
    /// Polls that were looked at; those that only a push asked for are left out.
    pub polls: u64,
    /// One for each of [`FACTORS`] for which there are polls enough, in that order.
    pub thinned: Vec<Thinned>,
    /// HPE's published loop; `None` without an entry.
    pub published: Option<Published>,
}

impl WhatIf {
    /// Counts it for `entries` in any order, of one source, and its `cycles`.
    #[must_use]
    pub fn new(entries: &[Polled], cycles: &[PollCycle]) -> Self {
        let regular: Vec<Timestamp> =
            cycles.iter().filter(|cycle| !cycle.is_nudged).map(|cycle| cycle.began_at).collect();
        Self {
            interval_us: thinned::median_gap(&regular),
            polls: regular.len() as u64,
            thinned: thinned::thin(entries, cycles),
            published: Published::new(entries),
        }
    }
}

#[cfg(test)]
mod tests;
