//! HPE's published loop: the last minute, every minute, the 50 newest, and no overlap.
//!
//! At a tick `t` it is shown the 50 newest of the entries that were created in
//! `[t - 60, t)` and are visible by then, and each entry is in the minute of one tick only.
//! The ticks of all minutes, begun at the middle of each of 60 seconds, are looked at: the
//! middle, because creation times are cut to the second.

use serde::Serialize;

use crate::model::timestamp::Timestamp;
use crate::storage::Polled;

const SECOND: i64 = 1_000_000;

/// Seconds between two ticks, and seconds that each asks for.
const MINUTE: i64 = 60;

/// … and the ways to begin, one for each of them.
const WAYS: usize = 60;

/// Entries that one answer shows.
const NEWEST: u64 = 50;

/// How many entries were missed: averages over the 60 ways to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Missed {
    /// If each became visible as early as what was recorded allows.
    pub at_least: f64,
    /// If each did as late as it allows.
    pub at_most: f64,
}

/// What the published loop would have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Published {
    /// Entries that it rests on.
    pub entries: u64,
    /// Those that it would have missed.
    pub missed: Missed,
    /// Those among them that were visible in time, but not among the 50 newest.
    pub crowded_out: Missed,
    /// Missed at least when begun at the luckiest second.
    pub luckiest: u64,
    /// Missed at most when begun at the unluckiest one.
    pub unluckiest: u64,
}

/// An entry, as the ticks after it see it.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// When, in seconds since the Unix epoch.
    second: i64,
    /// Ticks of its minute at which it is not visible for certain.
    hidden_at_least: u8,
    /// Ticks of its minute at which it may not be visible yet.
    hidden_at_most: u8,
}

impl Made {
    fn new(entry: &Polled) -> Self {
        let second = entry.created_at.secs();
        let unseen_at = entry.sighted.unseen_at.map_or(i64::MIN, Timestamp::micros);
        Self {
            second,
            // Not visible at the moment when it was not shown, visible when it was.
            hidden_at_least: ticks_before(second, unseen_at.saturating_add(1)),
            hidden_at_most: ticks_before(second, entry.sighted.shown_at.micros()),
        }
    }
}

/// Ticks of the minute from `second` on that come before the instant `micros`: 0 to 60.
fn ticks_before(second: i64, micros: i64) -> u8 {
    let first = second.saturating_mul(SECOND).saturating_add(SECOND / 2);
    let passed = micros.saturating_sub(first).max(0);
    let ticks = passed / SECOND + i64::from(passed % SECOND != 0);
    u8::try_from(ticks.min(MINUTE)).unwrap_or(u8::MAX)
}

impl Published {
    /// Runs the loop over `entries`, begun at each of 60 seconds; `None` without entries.
    pub(super) fn new(entries: &[Polled]) -> Option<Self> {
        let mut made: Vec<Made> = entries.iter().map(Made::new).collect();
        made.sort_unstable_by_key(|made| made.second);
        if made.is_empty() {
            return None;
        }
        let early = run(&made, |made| made.hidden_at_least);
        let late = run(&made, |made| made.hidden_at_most);
        let entries = made.len() as u64;
        let missed = |seen: u64| entries.saturating_sub(seen);
        Some(Self {
            entries,
            missed: Missed {
                at_least: mean(&early.seen.map(missed)),
                at_most: mean(&late.seen.map(missed)),
            },
            crowded_out: Missed { at_least: mean(&late.crowded), at_most: mean(&early.crowded) },
            luckiest: early.seen.into_iter().max().map_or(0, missed),
            unluckiest: late.seen.into_iter().min().map_or(0, missed),
        })
    }
}

/// What came of it, for each of the 60 ways to begin.
#[derive(Clone, Copy, Debug)]
struct Tally {
    seen: [u64; WAYS],
    crowded: [u64; WAYS],
}

/// Takes the ticks of all ways to begin in order: one a second, of which each looks back on
/// a minute. What a tick shows depends on how many are visible, not on which.
fn run(made: &[Made], hidden: impl Fn(&Made) -> u8) -> Tally {
    let mut tally = Tally { seen: [0; WAYS], crowded: [0; WAYS] };
    let mut minute = Minute { visible: 0, appearing: [0; WAYS], leaving: [0; WAYS] };
    let mut rest = made;
    while let Some(first) = rest.first() {
        let mut second = first.second;
        let mut until = second;
        // On to the end of the last minute that any of them is in; then to the next entry.
        while second <= until {
            let slot = slot(second);
            minute.begin(slot);
            while let Some((next, others)) = rest.split_first()
                && next.second == second
            {
                minute.add(slot, hidden(next));
                until = second + MINUTE;
                rest = others;
            }
            let visible = minute.appear(slot);
            tally.seen[slot] += visible.min(NEWEST);
            tally.crowded[slot] += visible.saturating_sub(NEWEST);
            second += 1;
        }
    }
    tally
}

/// The minute before a tick that moves on by seconds.
struct Minute {
    /// Entries that are in it and visible.
    visible: u64,
    /// By the second, entries that become visible then.
    appearing: [u64; WAYS],
    /// By the second in which they were created, entries that become visible in time.
    leaving: [u64; WAYS],
}

impl Minute {
    /// Lets go of those that were created a minute before.
    fn begin(&mut self, slot: usize) {
        self.visible -= std::mem::take(&mut self.leaving[slot]);
    }

    /// Takes in an entry of this second that is hidden for the next so many ticks.
    fn add(&mut self, slot: usize, hidden: u8) {
        let hidden = usize::from(hidden);
        if hidden < WAYS {
            self.appearing[(slot + hidden) % WAYS] += 1;
            self.leaving[slot] += 1;
        }
    }

    /// Those that this second's tick looks at.
    fn appear(&mut self, slot: usize) -> u64 {
        self.visible += std::mem::take(&mut self.appearing[slot]);
        self.visible
    }
}

/// A second's place in a minute.
fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(MINUTE)).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a mean, told to three figures")]
fn mean(counts: &[u64; WAYS]) -> f64 {
    counts.iter().sum::<u64>() as f64 / WAYS as f64
}
