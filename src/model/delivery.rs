//! Bringing one event to one target: what is owed, and how it can end.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::outcome::{Outcome, Reason};
use crate::model::retry::{Failure, RetryRule};
use crate::model::timestamp::Timestamp;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Still owed.
    Pending,
    /// The target answered 2xx.
    Delivered,
    /// A dead letter: not tried again unless an operator replays it.
    Dead,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The word for it in tables and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// One HTTP request for a delivery, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Our wall time when it was sent.
    pub started_at: Timestamp,
    /// Until the end of the answer, or until it failed.
    pub duration: Duration,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What it came to.
    pub outcome: Outcome,
    /// What the target asked us to wait, capped at
    /// [`RETRY_AFTER_MAX`](crate::model::outcome::RETRY_AFTER_MAX).
    pub retry_after: Option<Duration>,
    /// The beginning of the answer, or of the error; redacted.
    pub answer: Option<String>,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered.
    Delivered,
    /// It stays pending until then.
    RetryAt(Timestamp),
    /// It stays pending where it is: the attempt was about the target.
    Held,
    /// It is a dead letter.
    Dead(Reason),
}

impl Fate {
    /// The same for an attempt at a target that was failing: what failed there says
    /// nothing of the delivery, which keeps its place in the schedule. Its patience ends
    /// all the same, or a delivery that makes its target fail would never end.
    #[must_use]
    pub const fn while_failing(self) -> Self {
        match self {
            Self::RetryAt(_) => Self::Held,
            Self::Delivered | Self::Held | Self::Dead(_) => self,
        }
    }
}

/// Decides what becomes of a delivery whose attempt number `step` (from 0, since it was
/// made or replayed) was `attempt`. `chance` is a random number in `[0, 1)`.
#[must_use]
pub fn fate(
    attempt: &Attempt,
    step: u32,
    first_attempt_at: Timestamp,
    rule: RetryRule<'_>,
    chance: f64,
) -> Fate {
    match attempt.outcome {
        Outcome::Delivered => Fate::Delivered,
        Outcome::Rejected => Fate::Dead(Reason::Rejected),
        Outcome::Gone => Fate::Held,
        Outcome::Retry(reason) => {
            let now = attempt.started_at.plus(attempt.duration);
            let failure = Failure { step, first_attempt_at, now, retry_after: attempt.retry_after };
            match rule.next_attempt_at(failure, chance) {
                Some(at) => Fate::RetryAt(at),
                None => Fate::Dead(reason),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            started_at: Timestamp::from_secs(100),
            duration: Duration::from_secs(1),
            status: None,
            outcome,
            retry_after: None,
            answer: None,
        }
    }

    #[test]
    fn a_delivery_leaves_pending_only_by_2xx_or_by_a_decision() {
        let schedule = [Duration::from_secs(5)];
        let patient = RetryRule { schedule: &schedule, give_up: Duration::from_mins(1) };
        let spent = RetryRule { schedule: &schedule, give_up: Duration::from_secs(1) };
        let first = Timestamp::from_secs(100);
        let retry = Outcome::Retry(Reason::Timeout);
        for (outcome, rule, expected) in [
            (Outcome::Delivered, patient, Fate::Delivered),
            (Outcome::Rejected, patient, Fate::Dead(Reason::Rejected)),
            (Outcome::Gone, spent, Fate::Held),
            (retry, patient, Fate::RetryAt(Timestamp::from_secs(106))),
            (retry, spent, Fate::Dead(Reason::Timeout)),
        ] {
            assert_eq!(fate(&attempt(outcome), 0, first, rule, 0.5), expected, "{outcome:?}");
        }
    }

    #[test]
    fn an_attempt_at_a_failing_target_moves_no_delivery_on_but_may_end_it() {
        for (fate, expected) in [
            (Fate::Delivered, Fate::Delivered),
            (Fate::RetryAt(Timestamp::from_secs(106)), Fate::Held),
            (Fate::Held, Fate::Held),
            (Fate::Dead(Reason::Rejected), Fate::Dead(Reason::Rejected)),
            (Fate::Dead(Reason::Timeout), Fate::Dead(Reason::Timeout)),
        ] {
            assert_eq!(fate.while_failing(), expected);
        }
    }
}
