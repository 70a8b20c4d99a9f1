//! How much time fits into one request, learnt from the slices so far.
//!
//! Only ever a matter of requests, never of completeness, so it is not kept in the ledger.

use crate::model::sweep::Tier;

/// Share of the page limit that a slice is cut for, in percent: room for the rate to
/// grow by two fifths before a page is asked for in vain.
const AIM_PERCENT: i64 = 70;

/// Share of the page limit up to which a stretch is still asked for in one piece.
const FIT_PERCENT: i64 = 90;

/// Width of the first slice, when nothing is known of the density: an hour.
const FIRST_REACH_SECS: i64 = 3_600;

/// Widest slice: a month, so that three months of silence take three requests.
const MAX_REACH_SECS: i64 = 31 * 86_400;

/// A slice may be this many times as wide as the widest that came back whole.
const GROWTH: i64 = 8;

/// A lower density is believed by this factor a slice: a quiet second after a burst does
/// not make the next slice too wide.
const DECAY: i64 = 4;

/// Entries are counted per million seconds, so that whole numbers do.
const MEGA: i64 = 1_000_000;

/// Which density a slice goes by: that of today or that of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The hot window: what every poll reads.
    Present,
    /// Everything before.
    Past,
}

impl Lane {
    /// The tier that a slice of an ordinary run serves.
    #[must_use]
    pub const fn tier(self) -> Tier {
        match self {
            Self::Present => Tier::Hot,
            Self::Past => Tier::Past,
        }
    }
}

/// What is remembered of the densities between the runs of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paces {
    pub(super) present: Pace,
    pub(super) past: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self { present: Pace::new(), past: Pace::new() }
    }
}

impl Paces {
    pub(super) fn get(&mut self, lane: Lane) -> &mut Pace {
        match lane {
            Lane::Present => &mut self.present,
            Lane::Past => &mut self.past,
        }
    }
}

/// How much time fits into one request, learnt from the slices so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Entries in a million seconds.
    density: i64,
    /// Widest slice that is dared, in seconds.
    reach: i64,
}

impl Pace {
    const fn new() -> Self {
        Self { density: 0, reach: FIRST_REACH_SECS }
    }

    pub(super) fn width(self, limit: i64) -> i64 {
        let aim = (limit * AIM_PERCENT / 100).max(1);
        let by_density = if self.density == 0 {
            MAX_REACH_SECS
        } else {
            aim.saturating_mul(MEGA) / self.density
        };
        by_density.min(self.reach).max(1)
    }

    pub(super) fn fits(self, secs: i64, limit: i64) -> bool {
        let expected = secs.saturating_mul(self.density) / MEGA;
        secs <= self.reach && expected <= limit * FIT_PERCENT / 100
    }

    pub(super) fn whole(&mut self, secs: i64, entries: i64) {
        self.density = density(secs, entries).max(self.density / DECAY);
        self.reach = self.reach.max(secs.saturating_mul(GROWTH)).min(MAX_REACH_SECS);
    }

    pub(super) fn crowded(&mut self, secs: i64, total: Option<i64>) {
        self.reach = (secs / 2).max(1);
        if let Some(total) = total {
            self.density = density(secs, total);
        }
    }
}

fn density(secs: i64, entries: i64) -> i64 {
    entries.saturating_mul(MEGA) / secs.max(1)
}
