//! The period in equal parts, for pictures.

use serde::Serialize;

use crate::compare::sample::{Coverage, Sample};
use crate::compare::statistics::median;
use crate::model::timestamp::Timestamp;

const HOUR_US: i64 = 3_600_000_000;

/// Parts at most: a hundred days by the hour, what a ledger keeps unless told otherwise.
/// Longer periods are cut by the day or by several.
const BUCKETS_MAX: i64 = 2_400;

/// The period, cut into parts of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Length of a part: an hour, or whole days where there would be more than 2,400 parts.
    pub bucket_us: i64,
    /// The parts in order of time, without a hole; at most 2,400. The first and the last
    /// have an entry.
    pub buckets: Vec<Bucket>,
}

/// One part of the period, by the entries' creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Its beginning: a full hour or day UTC.
    pub from: Timestamp,
    /// Its entries without a label, by who showed them.
    pub coverage: Coverage,
    /// Entries with a label.
    pub apart: u64,
    /// Of those that both showed: how many push showed first.
    pub push_first: u64,
    /// Median of (polled − pushed) in microseconds; `None` without an entry shown by both.
    pub median_lead_us: Option<i64>,
}

/// The timeline of samples in the order of their creation.
pub(super) fn timeline(samples: &[Sample]) -> Timeline {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Timeline { bucket_us: HOUR_US, buckets: Vec::new() };
    };
    let bucket_us = width(last.created.micros() - first.created.micros());
    let number = |sample: &Sample| sample.created.micros().div_euclid(bucket_us);
    let mut buckets: Vec<Bucket> = (number(first)..=number(last))
        .map(|number| Bucket {
            from: Timestamp::from_micros(number * bucket_us),
            ..Bucket::default()
        })
        .collect();
    for samples in samples.chunk_by(|a, b| number(a) == number(b)) {
        let at = usize::try_from(number(&samples[0]) - number(first)).unwrap_or_default();
        if let Some(bucket) = buckets.get_mut(at) {
            fill(bucket, samples);
        }
    }
    Timeline { bucket_us, buckets }
}

/// Length of a part, where entries lie `span` apart.
fn width(span: i64) -> i64 {
    if span / HOUR_US < BUCKETS_MAX - 1 {
        return HOUR_US;
    }
    let day = 24 * HOUR_US;
    day * (span / day / (BUCKETS_MAX - 1) + 1)
}

fn fill(bucket: &mut Bucket, samples: &[Sample]) {
    let mut leads = Vec::new();
    for sample in samples {
        if sample.label.is_some() {
            bucket.apart += 1;
            continue;
        }
        bucket.coverage.count(sample.standing);
        leads.extend(sample.standing.lead());
    }
    bucket.push_first = leads.iter().filter(|lead| **lead > 0).count() as u64;
    bucket.median_lead_us = median(&mut leads);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sample::Standing;
    use crate::storage::Label;

    fn both(created: i64, lead: i64) -> Sample {
        let standing = Standing::Both {
            polled: Timestamp::from_secs(created + lead),
            pushed: Timestamp::from_secs(created),
        };
        Sample { created: Timestamp::from_secs(created), standing, label: None }
    }

    #[test]
    fn hours_follow_each_other_without_a_hole() {
        let hour = 3_600;
        let samples = [
            both(10 * hour + 5, 3),
            both(10 * hour + 6, -1),
            Sample { label: Some(Label::Batch), ..both(10 * hour + 7, 100) },
            Sample { standing: Standing::Pending, ..both(12 * hour + 3_599, 0) },
        ];
        let timeline = timeline(&samples);
        assert_eq!(timeline.bucket_us, HOUR_US);
        let [first, empty, last] = timeline.buckets[..] else { panic!("{timeline:?}") };
        assert_eq!(first.from, Timestamp::from_secs(10 * hour));
        assert_eq!((first.coverage.both, first.apart, first.push_first), (2, 1, 1));
        assert_eq!(first.median_lead_us, Some(-1_000_000), "the lower of two");
        assert_eq!(empty, Bucket { from: Timestamp::from_secs(11 * hour), ..Bucket::default() });
        assert_eq!((last.coverage.pending, last.median_lead_us), (1, None));
    }

    #[test]
    fn years_are_cut_by_the_day_and_more() {
        let day = 86_400;
        for (days, width) in [(99, 1), (101, 24), (2_400, 48), (30_000, 24 * 13)] {
            let timeline = timeline(&[both(0, 1), both(days * day, 1)]);
            assert_eq!(timeline.bucket_us, width * HOUR_US, "{days} days");
            assert!(timeline.buckets.len() <= 2_400, "{}", timeline.buckets.len());
        }
        assert_eq!(timeline(&[]).buckets, []);
    }
}
