//! The figures that a comparison is made of.

use serde::Serialize;

/// A two-sided 95 % confidence interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Interval<T> {
    /// Lower end.
    pub low: T,
    /// Upper end.
    pub high: T,
}

/// A part of a whole, with how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Entries that count.
    pub count: u64,
    /// Of so many.
    pub of: u64,
    /// `count` / `of`, between 0 and 1; `None` of none.
    pub share: Option<f64>,
    /// Wilson's interval, wider where entries of one poll are alike; `None` of none. With a
    /// count of 0 it is 0 to 3/`of` ("less than 3/n", at most 1): the rule of three.
    pub interval: Option<Interval<f64>>,
}

/// How much earlier push showed an entry than polling did, over the entries that both
/// showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lead {
    /// Entries that both routes showed; at least 1.
    pub entries: u64,
    /// Poll answers that brought them: what the interval rests on.
    pub polls: u64,
    /// Entries that push showed first.
    pub push_first: Share,
    /// Entries that polling showed first. The rest were shown in the same microsecond.
    pub poll_first: Share,
    /// Median of (polled − pushed), in microseconds: positive where push was first.
    pub median_us: i64,
    /// Its interval, by a bootstrap over poll answers; `None` when they are fewer than
    /// `polls_needed`.
    pub interval_us: Option<Interval<i64>>,
    /// Poll answers that it takes for an interval.
    pub polls_needed: u64,
    /// Smallest lead.
    pub min_us: i64,
    /// Greatest lead.
    pub max_us: i64,
    /// How the leads are spread.
    pub histogram: Histogram,
}

/// Counts in bins of equal width. A bin includes its lower end and excludes its upper one;
/// zero is an end of a bin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Lower end of the first bin.
    pub from_us: i64,
    /// Width of a bin; at least 1.
    pub width_us: i64,
    /// Counts, at most 64; the first and the last are not 0.
    pub counts: Vec<u64>,
    /// Below the first bin: up to one in a hundred.
    pub below: u64,
    /// Above the last bin: up to one in a hundred.
    pub above: u64,
}

/// How long after their creation one route showed entries.
///
/// By polling, GreenLake cuts creation times down to the second; an entry that came first by
/// push has its milliseconds. Of the others the latency is known but for a second: both ends
/// are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Entries that it rests on: those that both routes showed.
    pub entries: u64,
    /// Those of them whose creation is only known to the second.
    pub truncated: u64,
    /// p50, p90, p95 and p99. Empty without entries.
    pub percentiles: Vec<Percentile>,
    /// The longest; `None` without entries.
    pub max_us: Option<Interval<i64>>,
    /// The whole curve by upper ends, for drawing.
    pub ecdf: Ecdf,
}

/// A latency that a part of the entries did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentile {
    /// Which part, in thousandths: 990 is p99.
    pub per_mille: u32,
    /// Entries that it takes: the least number whose longest latency exceeds the percentile
    /// in 95 of 100 cases. 5 for p50, 29, 59, and 299 for p99.
    pub needed: u64,
    /// Both ends of the error bar that the truncated second leaves, in microseconds (no
    /// confidence interval); `None` when the entries are fewer than `needed`. May be below
    /// zero where our clock is behind GreenLake's.
    pub latency_us: Option<Interval<i64>>,
}

/// An empirical distribution, thinned to at most 200 steps; the first is the shortest
/// latency, the last the longest, with share 1. Empty without entries.
pub type Ecdf = Vec<Step>;

/// One step of an [`Ecdf`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Microseconds; may be below zero where our clock is behind GreenLake's.
    pub latency_us: i64,
    /// Share of entries with at most this latency, above 0 and up to 1; strictly rising.
    pub share: f64,
}
