//! Statistics as pure functions over numbers, each with its source.
//!
//! Tested against scipy's and numpy's results (`tests/vectors/statistics.json`) and, where
//! they promise a coverage, by simulation.

use crate::compare::figures::{Ecdf, Histogram, Interval, Latency, Percentile, Share, Step};
use crate::model::lateness::needed;

/// The percentiles that are told, in thousandths.
const PERCENTILES: [u32; 4] = [500, 900, 950, 990];

/// Steps of a curve at most: finer than a picture of some hundred pixels shows.
const STEPS_MAX: u64 = 200;

/// Bins of a histogram at most.
const BINS_MAX: i64 = 64;

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Place of the quantile in `count` sorted values, from 0: the smallest value that at least
/// `per_mille` thousandths do not exceed (definition 1 of Hyndman and Fan, "Sample
/// Quantiles in Statistical Packages", The American Statistician 50, 1996; numpy's
/// `inverted_cdf`). 0 for none.
pub(super) const fn rank(count: usize, per_mille: u32) -> usize {
    (count * per_mille as usize).div_ceil(1_000).saturating_sub(1)
}

/// The median of `values`, which get another order; `None` of none.
pub(super) fn median(values: &mut [i64]) -> Option<i64> {
    let at = rank(values.len(), 500);
    (!values.is_empty()).then(|| *values.select_nth_unstable(at).1)
}

/// A part of a whole whose entries are independent of each other.
pub(super) fn share(count: u64, of: u64) -> Share {
    clustered_share(count, of, None)
}

/// How alike entries of one cluster are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clustering {
    /// Clusters with an entry.
    pub(super) clusters: usize,
    /// How much larger the variance of the share is than with independent entries.
    pub(super) design_effect: f64,
}

/// A part of a whole, with Wilson's interval ("Probable Inference", Journal of the American
/// Statistical Association 22, 1927).
///
/// Where entries come in clusters it is taken for as many entries as there were if they were
/// independent, and with Student's factor for the number of clusters (Korn and Graubard,
/// "Confidence Intervals for Proportions with Small Expected Number of Positive Counts
/// Estimated from Survey Data", Survey Methodology 24, 1998; Franco, Little, Louis and Slud,
/// Journal of Survey Statistics and Methodology 7, 2019). Of zero or all, the rule of three
/// (Hanley and Lippman-Hand, "If Nothing Goes Wrong, Is Everything All Right?", JAMA 249, 1983).
pub(super) fn clustered_share(count: u64, of: u64, clustering: Option<Clustering>) -> Share {
    if of == 0 {
        return Share { count, of, share: None, interval: None };
    }
    let n = float(of);
    let p = float(count) / n;
    let interval = match count {
        0 => Interval { low: 0.0, high: (3.0 / n).min(1.0) },
        all if all == of => Interval { low: (1.0 - 3.0 / n).max(0.0), high: 1.0 },
        _ => {
            let (n, factor) = effective(n, clustering);
            wilson(p, n, factor)
        }
    };
    Share { count, of, share: Some(p), interval: Some(interval) }
}

/// As many independent entries as tell the same, and the factor for their interval.
fn effective(n: f64, clustering: Option<Clustering>) -> (f64, f64) {
    let Some(Clustering { clusters, design_effect }) = clustering else { return (n, Z) };
    if clusters < CLUSTERS_MIN {
        // Too few to tell how alike they are: as if all entries of one were the same.
        return (float(clusters as u64).max(1.0), Z);
    }
    (n / design_effect.max(1.0), student(clusters - 1))
}

/// Clusters from which on the spread between them says something: with fewer, intervals of
/// clustered data are known to be too short.
pub(super) const CLUSTERS_MIN: usize = 10;

fn wilson(p: f64, n: f64, z: f64) -> Interval<f64> {
    let z2 = z * z / n;
    let centre = (p + z2 / 2.0) / (1.0 + z2);
    let half = z / (1.0 + z2) * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The design effect of a share over clusters, each with its entries and those that count
/// (linearised variance of a ratio; Kish, "Survey Sampling", 1965, 6.5).
pub(super) fn clustering(clusters: &[(u64, u64)]) -> Clustering {
    let (entries, count) = clusters.iter().fold((0, 0), |(n, k), (of, c)| (n + of, k + c));
    let (n, p) = (float(entries), float(count) / float(entries.max(1)));
    let m = clusters.iter().filter(|(of, _)| *of > 0).count();
    let spread: f64 =
        clusters.iter().map(|(of, count)| (float(*count) - p * float(*of)).powi(2)).sum();
    let m_float = float(m as u64);
    let variance = spread * m_float / (m_float - 1.0).max(1.0) / (n * n);
    let simple = p * (1.0 - p) / n;
    let design_effect = if simple > 0.0 { variance / simple } else { 1.0 };
    Clustering { clusters: m, design_effect }
}

/// The 97.5th percentile of Student's t with `freedom` ≥ 9 degrees of freedom, right to
/// 3 · 10⁻⁴ (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5).
pub(super) fn student(freedom: usize) -> f64 {
    let v = float(freedom.max(9) as u64);
    let power = |exponent| Z.powi(exponent);
    Z + (power(3) + Z) / (4.0 * v)
        + (5.0 * power(5) + 16.0 * power(3) + 3.0 * Z) / (96.0 * v.powi(2))
        + (3.0 * power(7) + 19.0 * power(5) + 17.0 * power(3) - 15.0 * Z) / (384.0 * v.powi(3))
}

/// The part of the standard normal distribution above `z` ≥ 0, right to 10⁻⁷ (Abramowitz and
/// Stegun, 26.2.17).
pub(super) fn normal_above(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// The latency over entries whose lower and upper ends are given, each in ascending order
/// and of equal number; `truncated` of them differ in the two.
pub(super) fn latency(lower: &[i64], upper: &[i64], truncated: u64) -> Latency {
    let entries = upper.len() as u64;
    let between = |at: usize| Some(Interval { low: *lower.get(at)?, high: *upper.get(at)? });
    let percentile = |per_mille| {
        let needed = needed(per_mille);
        let at = rank(upper.len(), per_mille);
        let latency_us = if entries >= needed { between(at) } else { None };
        Percentile { per_mille, needed, latency_us }
    };
    let told: &[u32] = if entries == 0 { &[] } else { &PERCENTILES };
    Latency {
        entries,
        truncated,
        percentiles: told.iter().copied().map(percentile).collect(),
        max_us: between(upper.len().saturating_sub(1)),
        ecdf: ecdf(upper),
    }
}

/// The empirical distribution of values in ascending order, thinned to equal steps of share.
pub(super) fn ecdf(sorted: &[i64]) -> Ecdf {
    let n = sorted.len() as u64;
    let steps = n.min(STEPS_MAX - 1);
    // The first value, then the last of each step; ranks are counted from 1.
    let ranks = (0..=steps).map(|step| (n * step).div_ceil(steps.max(1)).max(1));
    let mut curve = Ecdf::new();
    for rank in ranks {
        let Some(latency_us) = usize::try_from(rank - 1).ok().and_then(|at| sorted.get(at)) else {
            break;
        };
        if curve.last().is_some_and(|step| step.latency_us == *latency_us) {
            continue;
        }
        let below = sorted.partition_point(|value| value <= latency_us) as u64;
        curve.push(Step { latency_us: *latency_us, share: float(below) / float(n) });
    }
    curve
}

/// The spread of values in ascending order, in bins of a round width; one in a hundred at
/// either end may lie outside. Without values, without bins.
pub(super) fn histogram(sorted: &[i64]) -> Histogram {
    let (Some(first), Some(last)) =
        (sorted.get(sorted.len() / 100), sorted.get((sorted.len() * 99).div_ceil(100).max(1) - 1))
    else {
        return Histogram { width_us: 1, ..Histogram::default() };
    };
    let width = round_width((last - first) / (BINS_MAX - 2));
    let from = first.div_euclid(width) * width;
    let bins = (last.div_euclid(width) * width - from) / width + 1;
    let mut counts = Vec::new();
    let below = sorted.partition_point(|value| *value < from);
    let mut placed = below;
    for bin in 1..=bins {
        let end = sorted.partition_point(|value| *value < from + bin * width);
        counts.push((end - placed) as u64);
        placed = end;
    }
    let above = (sorted.len() - placed) as u64;
    Histogram { from_us: from, width_us: width, counts, below: below as u64, above }
}

/// The next of 1, 2, 5, 10, 20 … that is more than `width`.
fn round_width(width: i64) -> i64 {
    let mut power = 1_i64;
    loop {
        for digit in [1, 2, 5] {
            if digit * power > width {
                return digit * power;
            }
        }
        match power.checked_mul(10).filter(|next| *next < i64::MAX / 10) {
            Some(next) => power = next,
            None => return power,
        }
    }
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "entries of a ledger are far below 2^52")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
