//! Our own polls, but only every k-th of them.

use serde::Serialize;

use crate::compare::what_if::FACTORS;
use crate::model::lateness::needed;
use crate::model::timestamp::Timestamp;
use crate::storage::{PollCycle, Polled};

/// One figure for each choice of which poll is the first: from every third poll of a row,
/// three rows can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The mean of all choices.
    pub mean: i64,
    /// The best of them.
    pub least: i64,
    /// The worst of them.
    pub most: i64,
}

impl Spread {
    fn of(figures: &[i64]) -> Option<Self> {
        let count = i64::try_from(figures.len()).ok().filter(|count| *count > 0)?;
        let sum: i64 = figures.iter().sum();
        Some(Self {
            mean: sum / count,
            least: figures.iter().copied().min()?,
            most: figures.iter().copied().max()?,
        })
    }
}

/// What every k-th poll would have come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thinned {
    /// k.
    pub factor: usize,
    /// Entries that it rests on: those that some poll would have shown before the record
    /// ends, whichever poll had been the first.
    pub entries: u64,
    /// Microseconds by which entries would have been seen later, on average.
    pub later_us: Option<Spread>,
    /// Microseconds from an entry's creation until it was seen, the median; `None` with
    /// fewer than five entries.
    pub median_us: Option<Spread>,
    /// The same for the slowest twentieth; `None` with fewer than 59 entries.
    pub p95_us: Option<Spread>,
    /// Requests about the present, on average.
    pub requests: u64,
    /// Bytes of the answers to them. A rarer poll would have read a little more at a time.
    pub bytes: u64,
}

/// An entry by the poll that showed it, eight bytes: there may be millions of them.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Of that poll, in order of time.
    cycle: u32,
    /// From its creation until it was seen.
    age: Millis,
}

/// Milliseconds, up to seven weeks: finer than creation times, and small.
type Millis = u32;

/// No poll comes any more.
const NEVER: Millis = Millis::MAX;

const MICROS: i64 = 1_000;

/// Thins the polls by each of [`FACTORS`] that leaves two or more, whichever is the first.
pub(super) fn thin(entries: &[Polled], cycles: &[PollCycle]) -> Vec<Thinned> {
    let entries: Vec<Entry> = entries.iter().filter_map(|entry| place(*entry, cycles)).collect();
    let regular = cycles.iter().filter(|cycle| !cycle.is_nudged).count();
    let factors = FACTORS.into_iter().filter(|factor| regular >= 2 * factor);
    factors.map(|factor| by(factor, &entries, cycles)).collect()
}

/// Finds the poll that showed an entry: the last one that had begun by then.
fn place(entry: Polled, cycles: &[PollCycle]) -> Option<Entry> {
    let begun = cycles.partition_point(|cycle| cycle.began_at <= entry.seen_at);
    let cycle = u32::try_from(begun.checked_sub(1)?).ok()?;
    Some(Entry { cycle, age: between(entry.created_at, entry.seen_at) })
}

/// From one instant to a later one; none if it is earlier.
fn between(from: Timestamp, until: Timestamp) -> Millis {
    let micros = until.micros().saturating_sub(from.micros()).max(0);
    Millis::try_from(micros / MICROS).unwrap_or(NEVER).min(NEVER - 1)
}

/// Thins the polls by `factor`, in each of the ways that there are.
fn by(factor: usize, entries: &[Entry], cycles: &[PollCycle]) -> Thinned {
    let waits: Vec<Vec<Millis>> = (0..factor).map(|way| waits(factor, way, cycles)).collect();
    let is_seen = |entry: &&Entry| waits.iter().all(|waits| wait(waits, **entry) != NEVER);
    let entries: Vec<Entry> = entries.iter().filter(is_seen).copied().collect();
    let (mut later, mut median, mut p95) = (Vec::new(), Vec::new(), Vec::new());
    let mut ages: Vec<Millis> = Vec::with_capacity(entries.len());
    for waits in &waits {
        ages.clear();
        ages.extend(entries.iter().map(|entry| entry.age.saturating_add(wait(waits, *entry))));
        later.extend(mean(entries.iter().map(|entry| wait(waits, *entry))));
        median.extend(quantile(&mut ages, 500));
        p95.extend(quantile(&mut ages, 950));
    }
    let regular = cycles.iter().filter(|cycle| !cycle.is_nudged);
    let (requests, bytes) = regular.fold((0, 0), |(requests, bytes), cycle| {
        (cycle.requests.saturating_add(requests), cycle.bytes.saturating_add(bytes))
    });
    Thinned {
        factor,
        entries: entries.len() as u64,
        later_us: Spread::of(&later),
        median_us: Spread::of(&median),
        p95_us: Spread::of(&p95),
        // Each poll is kept in one of the ways, so their mean is that share of all.
        requests: share(requests, factor as u64),
        bytes: share(bytes, factor as u64),
    }
}
/// For each poll, how much later than it an entry is seen that it showed, when only every
/// `factor`-th poll is made; [`NEVER`] when the record ends before.
fn waits(factor: usize, way: usize, cycles: &[PollCycle]) -> Vec<Millis> {
    let mut waits = vec![NEVER; cycles.len()];
    let mut number = cycles.iter().filter(|cycle| !cycle.is_nudged).count();
    let mut next: Option<Timestamp> = None;
    for (cycle, wait) in cycles.iter().zip(&mut waits).rev() {
        let is_kept = !cycle.is_nudged && {
            number -= 1;
            number % factor == way
        };
        if is_kept && cycle.is_whole {
            next = Some(cycle.began_at);
        }
        // A poll that failed half-way showed what it showed.
        *wait = match next {
            _ if is_kept => 0,
            Some(next) => between(cycle.began_at, next),
            None => NEVER,
        };
    }
    waits
}

fn wait(waits: &[Millis], entry: Entry) -> Millis {
    usize::try_from(entry.cycle).ok().and_then(|cycle| waits.get(cycle)).copied().unwrap_or(NEVER)
}

/// In microseconds; `None` of nothing.
fn mean(values: impl ExactSizeIterator<Item = Millis>) -> Option<i64> {
    let count = i64::try_from(values.len()).ok()?;
    let sum: i64 = values.map(i64::from).sum();
    sum.saturating_mul(MICROS).checked_div(count)
}

/// The value that `per_mille` thousandths do not exceed (nearest rank), in microseconds;
/// `None` when there are too few to tell. Changes the order of `values`.
fn quantile(values: &mut [Millis], per_mille: u32) -> Option<i64> {
    let count = values.len() as u64;
    if count < needed(per_mille) {
        return None;
    }
    let rank = (count * u64::from(per_mille)).div_ceil(1_000).max(1);
    let (_, value, _) = values.select_nth_unstable(usize::try_from(rank - 1).ok()?);
    Some(i64::from(*value) * MICROS)
}

/// Microseconds between the beginnings of two polls, the median.
pub(super) fn median_gap(began_at: &[Timestamp]) -> Option<i64> {
    let gap = |pair: &[Timestamp]| pair[1].micros().saturating_sub(pair[0].micros());
    let mut gaps: Vec<i64> = began_at.windows(2).map(gap).collect();
    let middle = gaps.len().checked_sub(1)? / 2;
    Some(*gaps.select_nth_unstable(middle).1)
}

/// Rounded.
const fn share(sum: u64, factor: u64) -> u64 {
    sum.saturating_add(factor / 2) / factor
}
