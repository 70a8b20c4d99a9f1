//! Whether a target is failing, and how often it is asked whether it is back.

use std::time::Duration;

use crate::model::delivery::Attempt;
use crate::model::outcome::Outcome;
use crate::model::retry::jittered;

/// Failures in a row that make a target *failing*: fewer are the hiccups that retries are
/// for.
const FAILURES: u32 = 10;

/// Pauses before the probes of a failing target, the last one again and again: a restart
/// of the target costs seconds, and one that is dead for a week gets six requests an hour.
const PROBE_PAUSES: [Duration; 9] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
];

/// What an attempt tells of the target, whatever it tells of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It took the request, or read it and said no.
    Alive,
    /// It could not be reached, or did not do its work.
    Failing,
    /// Neither.
    Nothing,
}

impl Sign {
    /// Reads it off an attempt.
    ///
    /// 429 is no failure: the target is there and says "slower", and is obeyed. A 400, 413,
    /// 415 or 422 is about one event. What was never sent tells nothing.
    #[must_use]
    pub const fn of(attempt: &Attempt) -> Self {
        match (attempt.outcome, attempt.status) {
            (Outcome::Delivered, _) | (Outcome::Rejected, Some(_)) => Self::Alive,
            (Outcome::Rejected, None) | (Outcome::Gone, _) | (Outcome::Retry(_), Some(429)) => {
                Self::Nothing
            }
            (Outcome::Retry(_), _) => Self::Failing,
        }
    }
}

/// A change of how a target stands, shown by an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Too many failures in a row: from now on it gets probes only.
    Failing,
    /// It was failing and is back.
    Recovered,
    /// It answered 410: it gets nothing until an operator resumes it.
    Gone,
}

/// Counts failures in a row, and the probes of a target that is failing.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    /// Failed probes while it is open; `None`: it is closed.
    probes: Option<usize>,
}

impl Breaker {
    /// Opens it for a target that is known to be failing, or closes it.
    pub fn set(&mut self, is_open: bool) {
        *self = Self { failures: 0, probes: is_open.then_some(0) };
    }

    /// Whether the target is failing.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.probes.is_some()
    }

    /// Takes the sign of one request into account; tells what turned by it.
    pub fn note(&mut self, sign: Sign) -> Option<Turn> {
        match sign {
            Sign::Nothing => None,
            Sign::Alive => {
                let was_open = self.is_open();
                self.set(false);
                was_open.then_some(Turn::Recovered)
            }
            // What was under way when it opened.
            Sign::Failing if self.is_open() => None,
            Sign::Failing if self.failures + 1 < FAILURES => {
                self.failures += 1;
                None
            }
            Sign::Failing => {
                self.set(true);
                Some(Turn::Failing)
            }
        }
    }

    /// How long to wait before the next probe, longer each time. `chance` is a random
    /// number in `[0, 1)`.
    pub fn next_pause(&mut self, chance: f64) -> Duration {
        let step = self.probes.unwrap_or(0);
        self.probes = self.probes.map(|probes| probes.saturating_add(1));
        jittered(PROBE_PAUSES[step.min(PROBE_PAUSES.len() - 1)], chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Reason;
    use crate::model::timestamp::Timestamp;

    fn attempt(status: Option<u16>, outcome: Outcome) -> Attempt {
        Attempt {
            started_at: Timestamp::from_secs(100),
            duration: Duration::ZERO,
            status,
            outcome,
            retry_after: None,
            answer: None,
        }
    }

    #[test]
    fn every_answer_has_its_sign() {
        for status in 100..=599 {
            let expected = match status {
                200..=299 | 400 | 413 | 415 | 422 => Sign::Alive,
                410 | 429 => Sign::Nothing,
                _ => Sign::Failing,
            };
            let answered = attempt(Some(status), Outcome::of_status(status));
            assert_eq!(Sign::of(&answered), expected, "{status}");
        }
        for reason in [
            Reason::Dns,
            Reason::Refused,
            Reason::Tls,
            Reason::Timeout,
            Reason::Reset,
            Reason::Network,
        ] {
            assert_eq!(Sign::of(&attempt(None, Outcome::Retry(reason))), Sign::Failing);
        }
        assert_eq!(Sign::of(&attempt(None, Outcome::Rejected)), Sign::Nothing, "never sent");
    }

    fn turns(signs: &[Sign]) -> Vec<Turn> {
        let mut breaker = Breaker::default();
        signs.iter().filter_map(|sign| breaker.note(*sign)).collect()
    }

    #[test]
    fn ten_failures_in_a_row_open_it_and_one_success_closes_it() {
        use Sign::{Alive, Failing, Nothing};
        let some = |sign, count| vec![sign; count];
        for (signs, expected) in [
            (some(Failing, 9), vec![]),
            (some(Failing, 10), vec![Turn::Failing]),
            (some(Failing, 50), vec![Turn::Failing]),
            ([some(Failing, 9), some(Alive, 1), some(Failing, 9)].concat(), vec![]),
            ([some(Failing, 9), some(Nothing, 5), some(Failing, 1)].concat(), vec![Turn::Failing]),
            (some(Nothing, 50), vec![]),
            (
                [some(Failing, 12), some(Nothing, 3), some(Alive, 3), some(Failing, 9)].concat(),
                vec![Turn::Failing, Turn::Recovered],
            ),
            (
                [some(Failing, 10), some(Alive, 1), some(Failing, 10)].concat(),
                vec![Turn::Failing, Turn::Recovered, Turn::Failing],
            ),
        ] {
            assert_eq!(turns(&signs), expected, "{signs:?}");
        }
    }

    #[test]
    fn pauses_between_probes_grow_up_to_ten_minutes_and_start_anew_after_a_recovery() {
        let mut breaker = Breaker::default();
        breaker.set(true);
        let pauses: Vec<u64> = (0..11).map(|_| breaker.next_pause(0.5).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 5, 10, 30, 60, 120, 300, 600, 600, 600]);
        for (chance, seconds) in [(0.0, 480.0), (0.999_999, 720.0)] {
            let pause = breaker.next_pause(chance).as_secs_f64();
            assert!((pause - seconds).abs() < 0.01, "{chance}: {pause}");
        }
        breaker.note(Sign::Alive);
        breaker.set(true);
        assert_eq!(breaker.next_pause(0.5), Duration::from_secs(1));
    }
}
