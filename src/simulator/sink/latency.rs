//! A histogram of durations: fixed memory, quantiles within 4 %.

use std::time::Duration;

use serde::Serialize;

/// Steps in which each doubling is told apart: 1/32 of it, so 3.1 % at most.
const STEPS: usize = 32;

/// Doublings of [`STEPS`] microseconds: half a year. The last bucket holds what is longer.
const DOUBLINGS: usize = 40;

/// Durations counted in buckets.
#[derive(Clone, Debug)]
pub struct Latency {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Quantiles in milliseconds; all zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: vec![0; STEPS * DOUBLINGS], count: 0, max: Duration::ZERO }
    }
}

impl Latency {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
        let bucket = bucket_of(micros).min(self.buckets.len() - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// What the durations so far come to.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.count,
            p50_ms: self.quantile(50),
            p90_ms: self.quantile(90),
            p99_ms: self.quantile(99),
            max_ms: millis(self.max),
        }
    }

    /// The smallest bucket's upper end below which `percent` of the durations lie.
    fn quantile(&self, percent: u64) -> f64 {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                if bucket + 1 == self.buckets.len() {
                    return millis(self.max);
                }
                return millis(Duration::from_micros(end_of(bucket)).min(self.max));
            }
        }
        0.0
    }
}

/// Below [`STEPS`] each microsecond has its own; above, the leading bits decide.
fn bucket_of(micros: u64) -> usize {
    let doubling = (micros.ilog2() as usize).saturating_sub(STEPS.ilog2() as usize);
    let step = usize::try_from(micros >> doubling).unwrap_or(usize::MAX);
    doubling * STEPS + step
}

/// The largest duration that [`bucket_of`] puts into `bucket`.
fn end_of(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let doubling = bucket / STEPS - 1;
    let step = (bucket - doubling * STEPS) as u64;
    ((step + 1) << doubling) - 1
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket_and_within_four_percent() {
        for micros in (1..5_000).chain([1_000_000, 3_600_000_000, 86_400_000_000]) {
            let bucket = bucket_of(micros);
            let end = end_of(bucket);
            assert!(end >= micros && end <= micros + micros / 25, "{micros} in ..={end}");
            assert!(bucket == 0 || end_of(bucket - 1) < micros, "{micros} fits a lower bucket");
        }
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantiles(), Quantiles::default());
        for millis in 1..=1_000 {
            latency.record(Duration::from_millis(millis));
        }
        let quantiles = latency.quantiles();
        for (found, truth) in
            [(quantiles.p50_ms, 500.0), (quantiles.p90_ms, 900.0), (quantiles.p99_ms, 990.0)]
        {
            assert!((found / truth - 1.0).abs() < 0.04, "{found} for {truth}");
        }
        assert!((quantiles.max_ms - 1_000.0).abs() < 1e-6);
        let mut years = Latency::default();
        years.record(Duration::from_hours(24 * 700));
        assert!((years.quantiles().p50_ms - 86_400_000.0 * 700.0).abs() < 1.0);
    }
}
