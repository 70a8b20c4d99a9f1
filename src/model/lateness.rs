//! How late entries become visible: what answers tell about it, the curve over many
//! entries, and the overlap that follows from it.
//!
//! Nobody sees the moment at which an entry becomes visible, only the last complete scan
//! that did not show it and the first answer that did. Both ends are kept. Where one
//! number is needed it is the upper end: an entry is never taken for earlier than it was.

use std::time::Duration;

use crate::model::coverage::{Coverage, Scan, Span};
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;

const SECOND: i64 = 1_000_000;

/// The overlap while too few entries are known, as the configuration's default.
pub const FIRST_OVERLAP_SECS: i64 = 15 * 60;

/// A learnt overlap is no shorter: lateness changes by the hour, and two minutes of
/// re-reading cost nothing.
pub const MIN_OVERLAP_SECS: i64 = 2 * 60;

/// A learnt overlap is no longer: what comes later is the hourly sweep's.
pub const MAX_OVERLAP_SECS: i64 = 6 * 3_600;

/// Entries made within this time are learnt from: as far back as sweeps reach, and a day.
pub const WINDOW: Duration = Duration::from_hours(8 * 24);

/// Time between two looks at the curve, unless a sweep found something.
pub const LEARN_EVERY_SECS: i64 = 3_600;

/// The quantile that the overlap follows, in thousandths.
pub const TRACKED: u32 = 995;

/// Bounds of the curve as it is kept and shown, in seconds: from a poll a second to the
/// deepest sweep.
pub const CURVE_BOUNDS: [u64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 21_600, 86_400, 604_800];

/// What is known of the moment at which one entry became visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighted {
    /// Server time at which the last complete scan began that covered its second and did
    /// not show it; `None`: its second had not been scanned before.
    pub unseen_at: Option<Timestamp>,
    /// Server time when the first answer was there that showed it.
    pub shown_at: Timestamp,
    /// The sweep that found it; `None`: it was found before its second was settled.
    pub tier: Option<Tier>,
}

impl Sighted {
    /// The lateness of an entry created in second `second` is at least this long, in
    /// microseconds. The source cuts creation times down to the second.
    #[must_use]
    pub fn at_least(self, second: i64) -> i64 {
        let unseen = self.unseen_at.map_or(0, Timestamp::micros);
        unseen.saturating_sub(second.saturating_add(1).saturating_mul(SECOND)).max(0)
    }

    /// … and at most this long; after slow answers too low by as much as they took, for so
    /// far our idea of the source's time then lies behind.
    #[must_use]
    pub fn at_most(self, second: i64) -> i64 {
        self.shown_at.micros().saturating_sub(second.saturating_mul(SECOND)).max(0)
    }
}

/// What one answer tells about when the entries in it became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    span: Span,
    at: Timestamp,
    tier: Tier,
    overlap_secs: i64,
    /// The scans before it, in order of time.
    before: Vec<Scan>,
}

impl Shown {
    /// An answer about `span` that was there at server time `at`, when `coverage` was
    /// known and entries were waited for `overlap_secs`.
    #[must_use]
    pub fn new(
        coverage: &Coverage,
        span: Span,
        at: Timestamp,
        tier: Tier,
        overlap_secs: i64,
    ) -> Self {
        let is_in = |scan: &&Scan| !scan.span.intersect(span).is_empty();
        let before = coverage.scans.iter().filter(is_in).copied().collect();
        Self { span, at, tier, overlap_secs, before }
    }

    /// What it tells about an entry of second `second`, seen for the first time.
    ///
    /// `None` when it tells nothing: the entry was not asked for, or its second was
    /// scanned for the first time so late that anything may have been visible for long
    /// (a backfill, an outage). "Late" is later than the overlap: so a first scan never
    /// makes a learnt overlap longer.
    #[must_use]
    pub fn sighted(&self, second: i64) -> Option<Sighted> {
        if !self.span.contains(second) {
            return None;
        }
        let after = self.before.partition_point(|scan| scan.span.until <= second);
        let scan = self.before.get(after).filter(|scan| scan.span.contains(second));
        let tier = Some(self.tier).filter(|tier| tier.is_sweep());
        let unseen_at = scan.map(|scan| Timestamp::from_secs(scan.asked_at));
        let sighted = Sighted { unseen_at, shown_at: self.at, tier };
        let is_fresh = sighted.at_most(second) <= self.overlap_secs.saturating_mul(SECOND);
        (scan.is_some() || is_fresh).then_some(sighted)
    }
}

/// The lateness of one entry, as the curve takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// It is at least this long, in microseconds.
    pub at_least: i64,
    /// … and at most this long.
    pub at_most: i64,
    /// Whether only a sweep found it.
    pub is_swept: bool,
}

/// The lateness of many entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    /// Upper ends in microseconds, ascending.
    sorted: Vec<i64>,
    /// Lower ends in microseconds, ascending.
    lower: Vec<i64>,
    swept: u64,
}

impl FromIterator<Sample> for Curve {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let mut curve = Self::default();
        for sample in samples {
            curve.sorted.push(sample.at_most);
            curve.lower.push(sample.at_least);
            curve.swept += u64::from(sample.is_swept);
        }
        curve.sorted.sort_unstable();
        curve.lower.sort_unstable();
        curve
    }
}

impl Curve {
    /// Entries that it rests on.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.sorted.len() as u64
    }

    /// Entries that only a sweep found: later than the overlap of their time.
    #[must_use]
    pub const fn swept(&self) -> u64 {
        self.swept
    }

    /// The longest lateness, in microseconds; `None` without entries.
    #[must_use]
    pub fn longest(&self) -> Option<i64> {
        self.sorted.last().copied()
    }

    /// Entries whose lateness was longer than this for certain: by their lower ends.
    #[must_use]
    pub fn later_than(&self, micros: i64) -> u64 {
        (self.lower.len() - self.lower.partition_point(|at_least| *at_least <= micros)) as u64
    }

    /// How many entries were visible within each of [`CURVE_BOUNDS`], by their upper ends.
    #[must_use]
    pub fn within(&self) -> Vec<u64> {
        let count = |secs: &u64| {
            let bound = secs.saturating_mul(SECOND.unsigned_abs());
            self.sorted.partition_point(|at_most| at_most.unsigned_abs() <= bound) as u64
        };
        CURVE_BOUNDS.iter().map(count).collect()
    }

    /// The lateness that `per_mille` thousandths of the entries did not exceed, in
    /// microseconds (nearest rank); `None` when there are fewer than [`needed`].
    #[must_use]
    pub fn quantile(&self, per_mille: u32) -> Option<i64> {
        if self.entries() < needed(per_mille) {
            return None;
        }
        let rank = (self.entries() * u64::from(per_mille)).div_ceil(1_000).max(1);
        self.sorted.get(usize::try_from(rank - 1).ok()?).copied()
    }
}

/// Entries below which a quantile is no more than a guess: with fewer, the longest of them
/// lies below it by chance in more than one case of twenty. 598 for 99.5 %.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
pub fn needed(per_mille: u32) -> u64 {
    let share = f64::from(per_mille.clamp(1, 999)) / 1_000.0;
    (0.05_f64.ln() / share.ln()).ceil() as u64
}

/// What has been learnt of one source's lateness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// The overlap in use, in seconds.
    pub overlap_secs: i64,
    /// Server time at which this was learnt.
    pub at: Timestamp,
    /// Entries that it rests on.
    pub entries: u64,
    /// Lateness that 99.5 % of them did not exceed, in microseconds; `None`: too few.
    pub quantile: Option<i64>,
    /// Those among them that only a sweep found.
    pub swept: u64,
    /// Since when entries come later than the overlap; `None`: they do not.
    pub late_since: Option<Timestamp>,
    /// How many of them were visible within each of [`CURVE_BOUNDS`]; empty: not known.
    pub within: Vec<u64>,
}

/// The learnt overlap that follows `current` once `curve` is known, in seconds.
///
/// Longer at once, shorter by a tenth at most; looked at once an hour, that is from six
/// hours to two minutes in two days and a half. While entries are too few for the
/// quantile, no shorter than [`FIRST_OVERLAP_SECS`].
#[must_use]
pub fn next_overlap(current: i64, curve: &Curve) -> i64 {
    let Some(quantile) = curve.quantile(TRACKED) else {
        return current.clamp(FIRST_OVERLAP_SECS, MAX_OVERLAP_SECS);
    };
    let wanted = quantile / SECOND + i64::from(quantile % SECOND != 0);
    wanted.max(current - current / 10).clamp(MIN_OVERLAP_SECS, MAX_OVERLAP_SECS)
}

/// Whether `curve` shows that entries come later than the overlap.
///
/// A sweep had to find some, or more than one in two hundred were later for certain. Upper
/// ends would accuse every source that is polled less often than its overlap is long.
#[must_use]
pub fn is_late(curve: &Curve, overlap_secs: i64) -> bool {
    let later = curve.later_than(overlap_secs.saturating_mul(SECOND));
    let is_enough = curve.entries() >= needed(TRACKED);
    curve.swept() > 0 || is_enough && later * 1_000 > curve.entries() * u64::from(1_000 - TRACKED)
}

/// The shortest overlap, in whole minutes and as the configuration has it, that would have
/// caught every entry of `curve`; `None` when that is more than re-reading should bear.
#[must_use]
pub fn advice(curve: &Curve) -> Option<String> {
    let minute = 60 * SECOND;
    let longest = curve.longest()?;
    let minutes = longest / minute + i64::from(longest % minute != 0);
    (minutes * 60 <= MAX_OVERLAP_SECS).then(|| format!("{}m", minutes.max(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(latenesses: impl IntoIterator<Item = i64>) -> Curve {
        let sample = |secs| {
            let (at_least, at_most) = ((secs - 30) * SECOND, secs * SECOND);
            Sample { at_least, at_most, is_swept: secs > 900 }
        };
        latenesses.into_iter().map(sample).collect()
    }

    #[test]
    fn both_ends_allow_for_the_second_that_is_cut_off() {
        let sighted = |unseen: Option<i64>, shown| Sighted {
            unseen_at: unseen.map(Timestamp::from_secs),
            shown_at: Timestamp::from_secs(shown),
            tier: None,
        };
        assert_eq!(sighted(Some(130), 160).at_least(100), 29 * SECOND);
        assert_eq!(sighted(Some(130), 160).at_most(100), 60 * SECOND);
        assert_eq!(sighted(Some(90), 160).at_least(100), 0);
        assert_eq!(sighted(None, 99).at_most(100), 0);
    }

    #[test]
    fn an_answer_tells_by_what_was_scanned_before_it() {
        let mut coverage = Coverage::new(0);
        coverage.record(Span::new(5_000, 9_000), 9_000);
        let at = Timestamp::from_secs(10_000);
        let shown = Shown::new(&coverage, Span::new(1_000, 10_001), at, Tier::Hot, 900);
        let known = |unseen: Option<i64>| {
            Some(Sighted { unseen_at: unseen.map(Timestamp::from_secs), shown_at: at, tier: None })
        };
        assert_eq!(shown.sighted(999), None, "not asked for");
        assert_eq!(shown.sighted(4_999), None, "scanned for the first time, and late");
        assert_eq!(shown.sighted(5_000), known(Some(9_000)));
        assert_eq!(shown.sighted(8_999), known(Some(9_000)));
        assert_eq!(shown.sighted(9_099), None);
        assert_eq!(shown.sighted(9_100), known(None), "scanned for the first time, in time");
        assert_eq!(shown.sighted(10_001), None);
        let swept = Shown::new(&coverage, Span::new(5_000, 6_000), at, Tier::Daily, 900);
        assert_eq!(swept.sighted(5_500).unwrap().tier, Some(Tier::Daily));
    }

    #[test]
    fn quantiles_are_told_where_there_are_enough_entries() {
        for (per_mille, count) in [(500, 5), (900, 29), (950, 59), (990, 299), (995, 598)] {
            assert_eq!(needed(per_mille), count);
            assert_eq!(curve(1..i64::try_from(count).unwrap()).quantile(per_mille), None);
            assert!(curve(1..=i64::try_from(count).unwrap()).quantile(per_mille).is_some());
        }
        let thousand = curve((1..=1_000).rev());
        for (per_mille, secs) in [(500, 500), (900, 900), (990, 990), (995, 995)] {
            assert_eq!(thousand.quantile(per_mille), Some(secs * SECOND));
        }
        assert_eq!((thousand.longest(), thousand.swept()), (Some(1_000 * SECOND), 100));
        assert_eq!(thousand.later_than(960 * SECOND), 10);
        assert_eq!((curve([]).longest(), curve([]).quantile(500)), (None, None));
    }

    #[test]
    fn the_overlap_follows_the_curve_up_at_once_and_down_slowly() {
        let all = |secs| curve(std::iter::repeat_n(secs, 700));
        let few = |secs| curve(std::iter::repeat_n(secs, 597));
        for (current, curve, next) in [
            (900, few(5), 900),
            (900, few(5_000), 900),
            (120, few(5), 900),
            (900, all(5_000), 5_000),
            (900, all(50_000), 21_600),
            (900, all(5), 810),
            (130, all(5), 120),
            (120, all(5), 120),
            (21_600, all(300), 19_440),
            (21_600, few(300), 21_600),
            (86_400, few(300), 21_600),
        ] {
            assert_eq!(next_overlap(current, &curve), next, "{current}, {:?}", curve.longest());
        }
    }

    #[test]
    fn late_is_what_a_sweep_finds_or_what_the_quantile_shows() {
        assert!(!is_late(&curve([1, 2, 3]), 900));
        assert!(is_late(&curve([1, 2, 901]), 900), "a sweep found it");
        let hot = |at_least: i64| Sample {
            at_least: at_least * SECOND,
            at_most: 3_600 * SECOND,
            is_swept: false,
        };
        let late = |late, count| -> Curve {
            (0..count).map(|n| if n < late { hot(950) } else { hot(0) }).collect()
        };
        for (later, count, expected) in
            [(0, 1_000, false), (5, 1_000, false), (6, 1_000, true), (597, 597, false)]
        {
            assert_eq!(is_late(&late(later, count), 900), expected, "{later} of {count}");
        }
        assert_eq!(advice(&curve([5, 1_000])).as_deref(), Some("17m"));
        assert_eq!(advice(&curve([5])).as_deref(), Some("2m"));
        assert_eq!(advice(&curve([21_601])), None);
    }
}
