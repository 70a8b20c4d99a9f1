//! The interval of the median over entries that come in poll answers.
//!
//! The entries of one answer are shown at one moment: their leads move together, and taking
//! them for independent makes intervals far too short. So answers are drawn anew, not entries
//! (cluster bootstrap: Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
//! 3.8; Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008). The interval
//! lies between two percentiles of the medians so drawn, taken as far outside as few clusters
//! ask for ("expanded percentile interval": Hesterberg, "What Teachers Should Know about the
//! Bootstrap", The American Statistician 69, 2015).
//!
//! A million entries are sorted once. Neighbouring answers are taken together into at most
//! [`BLOCKS_MAX`] blocks, which keeps what is dependent together; how many of each block lie
//! below every 256th part of the sorted entries is tabulated. A drawn median is then found by
//! bisection in the table and a walk through one part: some ten thousand steps, not a million.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::compare::figures::Interval;
use crate::compare::statistics::{CLUSTERS_MIN, float, normal_above, student};

/// Blocks at most: enough for an interval, few enough for a table that stays in the cache.
const BLOCKS_MAX: usize = 1_024;

/// Parts that the sorted entries are cut into.
const PARTS: usize = 256;

/// Medians that are drawn: the expanded percentile of ten clusters is then the 17th.
const DRAWS: usize = 2_000;

/// The same data gives the same interval.
const SEED: u64 = 0x7461_696C_7761_7465;

/// To which block the answer at some time belongs.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    /// When answers came, ascending, each once.
    answers: Vec<i64>,
}

impl Blocks {
    /// The blocks of answers that came at these times, in any order and as often as they
    /// brought entries.
    pub(super) fn of(mut times: Vec<i64>) -> Self {
        times.sort_unstable();
        times.dedup();
        times.shrink_to_fit();
        Self { answers: times }
    }

    /// Different answers.
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Blocks that they form.
    pub(super) fn count(&self) -> usize {
        self.answers.len().min(BLOCKS_MAX)
    }

    /// The block of the answer at `time`, one of them.
    pub(super) fn find(&self, time: i64) -> u16 {
        let at = self.answers.partition_point(|answer| *answer < time);
        let block = at * self.count() / self.answers.len().max(1);
        u16::try_from(block).unwrap_or(u16::MAX)
    }
}

/// The interval of the median of values in ascending order, each with its block below
/// `blocks`; `None` when the blocks are fewer than ten.
pub(super) fn median_interval(sorted: &[(i64, u16)], blocks: usize) -> Option<Interval<i64>> {
    interval_of(sorted, blocks, DRAWS)
}

/// The same from `draws` drawn medians.
fn interval_of(sorted: &[(i64, u16)], blocks: usize, draws: usize) -> Option<Interval<i64>> {
    if blocks < CLUSTERS_MIN || sorted.is_empty() {
        return None;
    }
    let table = Table::new(sorted, blocks);
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut weights = vec![0_u32; blocks];
    let (mut lower, mut upper) = (Vec::with_capacity(draws), Vec::with_capacity(draws));
    for _ in 0..draws {
        weights.fill(0);
        for _ in 0..blocks {
            weights[chance.random_range(0..blocks)] += 1;
        }
        let (low, high) = table.middle(&weights)?;
        lower.push(low);
        upper.push(high);
    }
    let m = float(blocks as u64);
    let tail = normal_above((m / (m - 1.0)).sqrt() * student(blocks - 1));
    let outside = tail_rank(draws, tail);
    // Of an even number of entries, the outer one of the two in the middle.
    let low = *lower.select_nth_unstable(outside).1;
    let high = *upper.select_nth_unstable(draws - 1 - outside).1;
    Some(Interval { low, high })
}

/// How many of `drawn` values lie beyond the `tail`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn tail_rank(drawn: usize, tail: f64) -> usize {
    ((float(drawn as u64) * tail) as usize).min(drawn.saturating_sub(1) / 2)
}

/// Sorted values, with how many of each block lie below the beginning of each part.
struct Table<'a> {
    sorted: &'a [(i64, u16)],
    blocks: usize,
    /// Values in a part.
    part: usize,
    /// For each end of a part, beginning with the first one's: a count for each block.
    below: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new(sorted: &'a [(i64, u16)], blocks: usize) -> Self {
        let part = sorted.len().div_ceil(PARTS).max(1);
        let mut below = Vec::with_capacity((PARTS + 1) * blocks);
        let mut counts = vec![0_u32; blocks];
        for values in sorted.chunks(part) {
            for (_, block) in values {
                counts[usize::from(*block)] += 1;
            }
            below.extend_from_slice(&counts);
        }
        Self { sorted, blocks, part, below }
    }

    /// Weighted values up to the end of part `part`.
    fn until(&self, part: usize, weights: &[u32]) -> u64 {
        let counts = self.below.chunks_exact(self.blocks).nth(part).unwrap_or_default();
        counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| u64::from(*count) * u64::from(*weight))
            .sum()
    }

    /// The two values in the middle when each block counts as often as its weight says; one
    /// and the same where their number is odd. `None` when all weights are zero.
    fn middle(&self, weights: &[u32]) -> Option<(i64, i64)> {
        let parts = self.below.len() / self.blocks;
        let total = self.until(parts - 1, weights);
        let (first, second) = (total.div_ceil(2), total / 2 + 1);
        // The first part that ends at or above the first of them.
        let (mut low, mut high) = (0, parts - 1);
        while low < high {
            let middle = low.midpoint(high);
            if self.until(middle, weights) < first { low = middle + 1 } else { high = middle }
        }
        let mut seen = if low == 0 { 0 } else { self.until(low - 1, weights) };
        let mut found = None;
        for (value, block) in self.sorted.get(low * self.part..)? {
            seen += u64::from(weights[usize::from(*block)]);
            if seen >= first {
                found.get_or_insert(*value);
            }
            if seen >= second {
                return Some((found?, *value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
