//! Seconds that could not be read whole, and when each is tried again.
//!
//! A source that was wrong for a moment is soon asked again; one that stays wrong, or a
//! second that takes hundreds of requests, costs polling a tenth of its time at most.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::coverage::{Span, Unsettled};

/// Pause after the first attempt that failed; doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The pause is this many times as long as the attempt took, at least.
const SPARED: u32 = 9;

/// Longest pause, and how long an attempt is remembered after it.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// Seconds remembered; beyond, the oldest is tried at the next poll.
const SECONDS_MAX: usize = 256;

/// The seconds that were given up, for now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stuck(BTreeMap<i64, GivenUp>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GivenUp {
    failures: u32,
    /// Time since boot.
    retry_at: Duration,
}

impl Stuck {
    /// Notes that an attempt at `second` has failed, which took so long and ended at the
    /// time since boot `now`; how long to wait before the next one.
    pub(super) fn give_up(&mut self, second: i64, took: Duration, now: Duration) -> Duration {
        let failures = self.0.get(&second).map_or(0, |given_up| given_up.failures);
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        let pause = doubled.max(took.saturating_mul(SPARED)).min(PAUSE_MAX);
        let given_up = GivenUp { failures: failures.saturating_add(1), retry_at: now + pause };
        self.0.insert(second, given_up);
        if self.0.len() > SECONDS_MAX {
            self.0.pop_first();
        }
        pause
    }

    /// Notes that `second` was read whole.
    pub(super) fn forget(&mut self, second: i64) {
        self.0.remove(&second);
    }

    /// Cuts the seconds whose time has not come out of `parts`; comes back with the rest
    /// and the number of seconds left out.
    pub(super) fn without(
        &mut self,
        parts: Vec<Unsettled>,
        now: Duration,
    ) -> (Vec<Unsettled>, usize) {
        self.0.retain(|_, given_up| given_up.retry_at + PAUSE_MAX > now);
        let waiting = || self.0.iter().filter(|(_, given_up)| given_up.retry_at > now);
        let mut kept = Vec::with_capacity(parts.len());
        let mut left_out = 0;
        for mut part in parts {
            let whole = part.span;
            for second in waiting().map(|(second, _)| *second).filter(|s| whole.contains(*s)) {
                let before = Unsettled { span: Span::new(part.span.from, second), ..part };
                kept.extend(Some(before).filter(|before| !before.span.is_empty()));
                part.span.from = second + 1;
                left_out += 1;
            }
            kept.extend(Some(part).filter(|part| !part.span.is_empty()));
        }
        (kept, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_stuck_second_is_left_out_until_its_time_comes() {
        let part = |from, until| Unsettled { span: Span::new(from, until), asked_at: None };
        let mut stuck = Stuck::default();
        stuck.give_up(12, Duration::ZERO, at(50));
        for second in [10, 15, 99] {
            stuck.give_up(second, Duration::ZERO, at(90));
        }
        let (parts, left_out) = stuck.without(vec![part(10, 20)], at(60));
        assert_eq!(parts, [part(11, 15), part(16, 20)]);
        assert_eq!(left_out, 2);
        assert_eq!(stuck.without(vec![part(10, 20)], at(100)), (vec![part(10, 20)], 0));
    }

    #[test]
    fn pauses_grow_with_failures_and_with_what_an_attempt_takes() {
        let mut stuck = Stuck::default();
        let pauses: Vec<u64> = (0..12).map(|_| stuck.give_up(7, at(1), at(0)).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
        stuck.forget(7);
        assert_eq!(stuck.give_up(7, at(360), at(0)), at(3240), "a tenth of the time");
        assert_eq!(stuck.give_up(7, at(9_999), at(0)), PAUSE_MAX);
    }

    #[test]
    fn what_is_long_past_is_forgotten_and_memory_is_bounded() {
        let mut stuck = Stuck::default();
        stuck.give_up(7, Duration::ZERO, at(0));
        stuck.without(Vec::new(), at(3_609));
        assert_eq!(stuck.0.len(), 1);
        stuck.without(Vec::new(), at(3_610));
        assert_eq!(stuck, Stuck::default());
        for second in 0..300 {
            stuck.give_up(second, Duration::ZERO, at(0));
        }
        assert_eq!(stuck.0.keys().next(), Some(&44));
        assert_eq!(stuck.0.len(), SECONDS_MAX);
    }
}
