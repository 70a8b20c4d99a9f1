//! How fast a replay goes: as fast as asked, and never so that the daemon has to wait.

use std::time::Duration;

use tokio::time::Instant;

/// Deliveries in one step: some 10 ms for whoever else wants to write.
const STEP_MAX: u32 = 500;

/// Steps a second, at least, so that a rate is a flow and not a row of heaps.
const STEPS_PER_SECOND: u32 = 4;

/// Shortest rest between two steps: time for the daemon to have its turn.
const REST_MIN: Duration = Duration::from_millis(5);

/// Steps and rests.
#[derive(Debug)]
pub(super) struct Pace {
    /// Deliveries a second; 0: no limit.
    rate: f64,
    started_at: Instant,
    step_began: Instant,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        let now = Instant::now();
        Self { rate, started_at: now, step_began: now }
    }

    /// Deliveries in the next step, at most.
    pub(super) fn step(&self) -> u32 {
        step(self.rate)
    }

    /// Notes that a step begins.
    pub(super) fn begin(&mut self) {
        self.step_began = Instant::now();
    }

    /// Rests after a step, when `done` deliveries have been made in all.
    pub(super) async fn rest(&self, done: u64) {
        let (elapsed, took) = (self.started_at.elapsed(), self.step_began.elapsed());
        tokio::time::sleep(rest(self.rate, done, elapsed, took)).await;
    }
}

fn step(rate: f64) -> u32 {
    let is_enough = |size: &u32| rate > 0.0 && f64::from(size * STEPS_PER_SECOND) >= rate;
    (1..STEP_MAX).find(is_enough).unwrap_or(STEP_MAX)
}

/// Until `done` deliveries are due; at least as long as the step took, so that half of the
/// time is left to others.
fn rest(rate: f64, done: u64, elapsed: Duration, took: Duration) -> Duration {
    let least = took.max(REST_MIN);
    if rate <= 0.0 {
        return least;
    }
    let done = f64::from(u32::try_from(done).unwrap_or(u32::MAX));
    let due = Duration::try_from_secs_f64(done / rate).unwrap_or(Duration::MAX);
    due.saturating_sub(elapsed).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_as_small_as_the_rate_allows_and_never_large() {
        for (rate, expected) in
            [(0.0, STEP_MAX), (0.1, 1), (4.0, 1), (5.0, 2), (100.0, 25), (100_000.0, STEP_MAX)]
        {
            assert_eq!(step(rate), expected, "{rate}");
        }
    }

    #[test]
    fn a_rest_keeps_the_rate_and_leaves_half_of_the_time_to_others() {
        let ms = Duration::from_millis;
        for (rate, done, elapsed, took, expected) in [
            (0.0, 500, ms(10), ms(10), ms(10)),
            (0.0, 500, ms(10), ms(1), REST_MIN),
            (100.0, 25, ms(50), ms(10), ms(200)),
            (100.0, 25, ms(900), ms(10), ms(10)),
            (0.5, 1, ms(0), ms(0), ms(2_000)),
        ] {
            assert_eq!(rest(rate, done, elapsed, took), expected, "{rate} {done} {elapsed:?}");
        }
    }
}
