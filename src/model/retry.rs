//! When a delivery is tried again, and when it is given up.

use std::time::Duration;

use crate::model::timestamp::Timestamp;

/// Share by which a pause is lengthened or shortened at random, so that the deliveries
/// that failed together do not come back together.
const JITTER: f64 = 0.2;

/// A target's pauses and its patience.
#[derive(Clone, Copy, Debug)]
pub struct RetryRule<'a> {
    /// Pauses between attempts; the last one repeats. Never empty.
    pub schedule: &'a [Duration],
    /// Age of the first attempt at which a delivery is given up.
    pub give_up: Duration,
}

/// What is known of a delivery when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Failed attempts before this one, since the delivery was made or replayed.
    pub step: u32,
    /// When the first of them started.
    pub first_attempt_at: Timestamp,
    /// When this attempt ended.
    pub now: Timestamp,
    /// What the target asked for, already capped.
    pub retry_after: Option<Duration>,
}

impl RetryRule<'_> {
    /// When to try again after `failure`; `None`: the delivery is given up.
    ///
    /// `chance` is a random number in `[0, 1)`. The last attempt comes when patience
    /// ends, not a whole pause later; a `Retry-After` is obeyed even past that.
    #[must_use]
    pub fn next_attempt_at(&self, failure: Failure, chance: f64) -> Option<Timestamp> {
        let end = failure.first_attempt_at.plus(self.give_up);
        if failure.now >= end {
            return None;
        }
        let planned = failure.now.plus(self.pause(failure.step, chance)).min(end);
        let asked = failure.now.plus(failure.retry_after.unwrap_or_default());
        Some(planned.max(asked))
    }

    fn pause(&self, step: u32, chance: f64) -> Duration {
        let last = self.schedule.len().saturating_sub(1);
        let index = usize::try_from(step).unwrap_or(usize::MAX).min(last);
        jittered(self.schedule.get(index).copied().unwrap_or_default(), chance)
    }
}

/// `pause`, up to a fifth longer or shorter. `chance` is a random number in `[0, 1)`.
#[must_use]
pub fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn rule(schedule: &[Duration]) -> RetryRule<'_> {
        RetryRule { schedule, give_up: Duration::from_secs(72 * HOUR) }
    }

    fn failure(step: u32, age_secs: i64, retry_after: Option<u64>) -> Failure {
        Failure {
            step,
            first_attempt_at: Timestamp::from_secs(1_000),
            now: Timestamp::from_secs(1_000 + age_secs),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn pauses_follow_the_schedule_and_the_last_one_repeats() {
        let schedule = [5, 30, 120].map(Duration::from_secs);
        for (step, pause) in [(0, 5), (1, 30), (2, 120), (3, 120), (u32::MAX, 120)] {
            let next = rule(&schedule).next_attempt_at(failure(step, 0, None), 0.5);
            assert_eq!(next, Some(Timestamp::from_secs(1_000 + pause)), "step {step}");
        }
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let schedule = [Duration::from_secs(100)];
        for (chance, pause) in [(0.0, 80.0), (0.5, 100.0), (0.999_999, 120.0)] {
            let next = rule(&schedule).next_attempt_at(failure(0, 0, None), chance).unwrap();
            let got = next.since(Timestamp::from_secs(1_000)).as_secs_f64();
            assert!((got - pause).abs() < 0.01, "{chance}: {got}");
        }
    }

    #[test]
    fn the_target_may_ask_for_more_but_not_for_less() {
        let schedule = [Duration::from_secs(10)];
        let longer = rule(&schedule).next_attempt_at(failure(0, 0, Some(60)), 0.5);
        assert_eq!(longer, Some(Timestamp::from_secs(1_060)));
        let shorter = rule(&schedule).next_attempt_at(failure(0, 0, Some(1)), 0.5);
        assert_eq!(shorter, Some(Timestamp::from_secs(1_010)));
    }

    #[test]
    fn patience_ends_with_one_last_attempt() {
        let schedule = [Duration::from_secs(6 * HOUR)];
        let end = i64::try_from(72 * HOUR).unwrap();
        let last = rule(&schedule).next_attempt_at(failure(9, end - 60, None), 0.5);
        assert_eq!(last, Some(Timestamp::from_secs(1_000 + end)));
        assert_eq!(rule(&schedule).next_attempt_at(failure(10, end, None), 0.5), None);
        assert_eq!(rule(&schedule).next_attempt_at(failure(10, end + 5, Some(60)), 0.5), None);
    }
}
