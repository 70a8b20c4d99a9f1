//! When the next run is due, as pure functions over time since boot.

use std::time::Duration;

use crate::poll::report::{Problem, Reason};

/// Sources make their first poll one after the other within this time, so that a restart
/// with fifty workspaces is not one burst; the last of them still polls soon.
const STAGGER: Duration = Duration::from_secs(5);

/// Longest pause after failures: an outage of the source costs at most this much more.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// First pause when the source failed; doubles, and the wait is any part of it.
const BACK_OFF: Duration = Duration::from_secs(1);

/// First pause when somebody has to mend something; doubles.
const SLOW_RETRY: Duration = Duration::from_secs(5);

/// Pause before looking again whether the disk has room: it is back at work well within
/// ten seconds.
const ROOM_RETRY: Duration = Duration::from_secs(5);

/// No pause is shorter: what fails at once must not become a hot loop.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// When to run next, in time since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// Due then.
    pub at: Duration,
    /// Nudges are not heard before.
    pub not_before: Duration,
}

impl NextRun {
    /// Due at `at`, or as soon as somebody nudges.
    #[must_use]
    pub const fn at(at: Duration) -> Self {
        Self { at, not_before: Duration::ZERO }
    }

    /// The next run after a change of settings by which it is due at `due`.
    ///
    /// What is overdue stays so. A pause is kept, unless what caused it may be mended by
    /// the change: then there is no reason to wait.
    #[must_use]
    pub fn changed(self, due: Duration, now: Duration, is_mended: bool) -> Self {
        let is_pause = self.not_before > now;
        match (is_pause, is_mended) {
            _ if self.at <= now => self,
            (true, false) => self,
            (true, true) => Self::at(now),
            (false, _) => Self::at(due),
        }
    }
}

/// The first due time after `started`, on the grid of `interval` through `due`.
///
/// Always later than `started`; due times that a long run or a suspended machine missed
/// collapse into the run that started then.
#[must_use]
pub fn next_due(due: Duration, interval: Duration, started: Duration) -> Duration {
    let Some(late) = started.checked_sub(due) else { return due };
    let interval = interval.max(Duration::from_millis(1));
    let into = late.as_nanos() % interval.as_nanos();
    let left = interval.as_nanos() - into;
    started.saturating_add(Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
}

/// How long source number `index` of `count` waits before its first poll; the first, and
/// so a single one, not at all.
#[must_use]
pub fn stagger(index: usize, count: usize, interval: Duration) -> Duration {
    phase(index, count, interval.min(STAGGER))
}

/// How far source number `index` of `count` lies behind the first within `interval`: from
/// its second poll on each has a place of its own, all as far apart as can be.
#[must_use]
pub fn phase(index: usize, count: usize, interval: Duration) -> Duration {
    let share = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    interval / share(count).max(1) * share(index.min(count))
}

/// How long to wait after a run with `problem`, the `failures`-th in a row (from 1);
/// `None`: as scheduled. `chance` is a random number from 0 up to and without 1.
#[must_use]
pub fn pause(problem: Option<&Problem>, failures: u32, chance: f64) -> Option<Duration> {
    let problem = problem?;
    let pause = match problem.reason {
        Reason::Stopped | Reason::Incomplete => return None,
        Reason::Budget => return Some(Duration::ZERO),
        Reason::Throttled => problem.wait.unwrap_or_default() + BACK_OFF.mul_f64(chance),
        Reason::Unavailable | Reason::Unreadable | Reason::LedgerBusy => {
            doubled(BACK_OFF, failures).mul_f64(chance)
        }
        Reason::AuthFailed | Reason::Forbidden | Reason::Rejected | Reason::Contradictory => {
            doubled(SLOW_RETRY, failures).mul_f64(1.0 - chance / 4.0)
        }
        Reason::NoRoom => ROOM_RETRY,
    };
    Some(pause.max(MIN_PAUSE))
}

fn doubled(first: Duration, failures: u32) -> Duration {
    let times = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_next_due_time_is_on_the_grid_and_later() {
        for (due, started, next) in [
            (100, 100, 130),
            (100, 101, 130),
            (100, 129, 130),
            (100, 130, 160),
            (100, 250, 280),
            (100, 1_000_017, 1_000_030),
            (100, 90, 100),
        ] {
            assert_eq!(next_due(s(due), s(30), s(started)), s(next), "{due} {started}");
        }
    }

    #[test]
    fn a_change_moves_the_next_run_but_neither_what_is_overdue_nor_a_pause() {
        let paused = NextRun { at: s(160), not_before: s(160) };
        for (case, next, is_mended, expected) in [
            ("a longer or shorter interval", NextRun::at(s(130)), false, NextRun::at(s(145))),
            ("another client, no trouble", NextRun::at(s(130)), true, NextRun::at(s(145))),
            ("overdue", NextRun::at(s(100)), false, NextRun::at(s(100))),
            ("paused", paused, false, paused),
            ("paused for what may be mended", paused, true, NextRun::at(s(110))),
        ] {
            assert_eq!(next.changed(s(145), s(110), is_mended), expected, "{case}");
        }
    }

    #[test]
    fn sources_start_one_after_the_other_and_a_single_one_at_once() {
        assert_eq!(stagger(0, 1, s(30)), s(0));
        assert_eq!(stagger(0, 50, s(30)), s(0));
        assert_eq!(stagger(25, 50, s(30)), Duration::from_millis(2_500));
        assert_eq!(stagger(49, 50, s(1)), Duration::from_millis(980));
        assert_eq!(stagger(3, 0, s(1)), s(0));
    }

    #[test]
    fn no_tenth_of_an_interval_holds_more_than_its_share_of_fifty_sources() {
        for interval in [s(1), s(30), s(86_400)] {
            let mut tenths = [0; 10];
            for index in 0..50 {
                let place = phase(index, 50, interval);
                assert!(place < interval);
                let tenth = place.as_nanos() * 10 / interval.as_nanos();
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }
            assert_eq!(tenths, [5; 10]);
        }
        assert_eq!(phase(0, 1, s(30)), s(0));
        assert_eq!(phase(1, 2, s(30)), s(15));
    }

    #[test]
    fn each_problem_has_its_pause() {
        use Reason as R;
        let at = |reason, wait: Option<u64>, failures, chance| {
            let problem = Problem { reason, message: String::new(), wait: wait.map(s) };
            pause(Some(&problem), failures, chance)
        };
        assert_eq!(pause(None, 0, 0.5), None);
        for reason in [R::Stopped, R::Incomplete] {
            assert_eq!(at(reason, None, 1, 0.5), None);
        }
        assert_eq!(at(R::Budget, None, 1, 0.5), Some(s(0)));
        assert_eq!(at(R::NoRoom, None, 9, 0.5), Some(s(5)));
        assert_eq!(at(R::Throttled, Some(48), 1, 0.0), Some(s(48)));
        assert_eq!(at(R::Throttled, None, 1, 0.0), Some(MIN_PAUSE));
        for reason in [R::Unavailable, R::Unreadable, R::LedgerBusy] {
            assert_eq!(at(reason, None, 1, 0.5), Some(Duration::from_millis(500)));
            assert_eq!(at(reason, None, 4, 0.5), Some(s(4)));
            assert_eq!(at(reason, None, 4, 0.0), Some(MIN_PAUSE));
            assert_eq!(at(reason, None, 1_000, 0.5), Some(s(150)));
        }
        for reason in [R::AuthFailed, R::Forbidden, R::Rejected, R::Contradictory] {
            assert_eq!(at(reason, None, 1, 0.0), Some(s(5)));
            assert_eq!(at(reason, None, 3, 0.0), Some(s(20)));
            assert_eq!(at(reason, None, 33, 0.0), Some(s(300)));
        }
    }
}
