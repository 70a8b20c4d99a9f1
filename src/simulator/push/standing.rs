//! How a webhook stands: what its challenge and its pushes have shown.
//!
//! From what HPE's user guide, blogs and FAQ say. Where they are silent, a guess: while a
//! webhook is pending its events wait for the challenge; while it is in error or disabled
//! they are lost.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::simulator::push::knobs::PushKnobs;

/// How often an event is tried before it is dropped (HPE developer portal, webhook FAQ).
pub const TRIES: u32 = 20;

/// For how long it is tried; a webhook without a failure for so long is active again.
const HOURS: Duration = Duration::from_hours(12);

/// Sum of the squares of 1 to 19: the pauses between 20 tries, as parts of [`HOURS`].
const SQUARES: u32 = 2_470;

/// Tries of a challenge: "a few" (HPE developer blog, eventing framework).
const CHALLENGES: u32 = 5;

/// The pause before the second try of a challenge, each further one four times as long: a
/// receiver that starts within the quarter of an hour is still found. A guess.
const CHALLENGE_PAUSE: Duration = Duration::from_secs(10);

/// What a webhook's `status` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// New or edited: its challenge is not answered yet.
    Pending,
    /// Gets events.
    Active,
    /// Gets events; one has failed within the last 12 hours.
    Warning,
    /// Gets nothing: its challenge, or all tries of an event, have failed.
    Error,
    /// Gets nothing: paused by its owner.
    Disabled,
}

/// A status, and what led to it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    status: Status,
    reason: Option<String>,
    failed_at: Option<Instant>,
}

impl Standing {
    /// How a new, edited, paused or resumed webhook stands.
    pub(super) fn edited(is_paused: bool, name: &str) -> Self {
        let reason = is_paused.then(|| format!("Webhook Disabled by user: {name}"));
        let status = if is_paused { Status::Disabled } else { Status::Pending };
        Self { status, reason, failed_at: None }
    }

    /// The status now; without a failure for 12 hours a warning is over.
    pub(super) fn status(&mut self, now: Instant, knobs: &PushKnobs) -> Status {
        if self.status == Status::Warning
            && self.failed_at.is_none_or(|at| now.duration_since(at) >= knobs.scaled(HOURS))
        {
            *self = Self { status: Status::Active, reason: None, failed_at: None };
        }
        self.status
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Its challenge was answered as it should, or none is asked for.
    pub(super) fn verified(&mut self) {
        if self.status != Status::Disabled {
            *self = Self { status: Status::Active, reason: None, failed_at: None };
        }
    }

    /// All tries of its challenge have failed.
    pub(super) fn refused(&mut self, reason: String) {
        if self.status != Status::Disabled {
            *self = Self { status: Status::Error, reason: Some(reason), failed_at: None };
        }
    }

    /// A push has failed for the `tries`-th time.
    pub(super) fn failed(&mut self, tries: u32, now: Instant) {
        if !matches!(self.status, Status::Active | Status::Warning) {
            return;
        }
        let status = if tries >= TRIES { Status::Error } else { Status::Warning };
        let reason = Some("Failure in Event Deliveries".to_owned());
        *self = Self { status, reason, failed_at: Some(now) };
    }
}

impl Status {
    /// Whether events are sent to it.
    pub(super) fn sends(self) -> bool {
        matches!(self, Self::Active | Self::Warning)
    }

    /// Whether events are kept for it.
    pub(super) fn keeps(self) -> bool {
        self.sends() || self == Self::Pending
    }
}

/// The pause after the `tries`-th failed try of an event: growing, 12 hours in all. How
/// HPE's grow is not published. `None`: it is dropped.
pub(super) fn pause(tries: u32, knobs: &PushKnobs) -> Option<Duration> {
    (tries < TRIES).then(|| knobs.scaled(HOURS * tries.pow(2) / SQUARES))
}

/// The pause after the `tries`-th failed challenge; `None`: it has failed for good.
pub(super) fn challenge_pause(tries: u32, knobs: &PushKnobs) -> Option<Duration> {
    let factor = 4_u32.pow(tries.saturating_sub(1).min(CHALLENGES));
    (tries < CHALLENGES).then(|| knobs.scaled(CHALLENGE_PAUSE * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOBS: fn() -> PushKnobs = PushKnobs::default;

    fn standing(status: Status) -> Standing {
        Standing { status, reason: None, failed_at: None }
    }

    #[test]
    fn twenty_tries_take_twelve_hours_with_growing_pauses() {
        let pauses: Vec<Duration> = (1..TRIES).filter_map(|tries| pause(tries, &KNOBS())).collect();
        assert_eq!(pauses.len(), 19);
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        let sum: Duration = pauses.iter().sum();
        assert!(HOURS.abs_diff(sum) < Duration::from_secs(1), "{sum:?}");
        assert_eq!(pause(TRIES, &KNOBS()), None);
        let challenges: Vec<u64> = (1..9)
            .map_while(|tries| challenge_pause(tries, &KNOBS()))
            .map(|p| p.as_secs())
            .collect();
        assert_eq!(challenges, [10, 40, 160, 640]);
    }

    type Move = fn(&mut Standing);

    #[test]
    fn every_status_moves_as_documented() {
        use Status::{Active, Disabled, Error, Pending, Warning};
        let now = Instant::now();
        let answered: Move = Standing::verified;
        let unanswered: Move = |standing| standing.refused("no".to_owned());
        let failed: Move = |standing| standing.failed(1, Instant::now());
        let last: Move = |standing| standing.failed(TRIES, Instant::now());
        for (from, to) in [
            (Pending, [Active, Error, Pending, Pending]),
            (Active, [Active, Error, Warning, Error]),
            (Warning, [Active, Error, Warning, Error]),
            (Error, [Active, Error, Error, Error]),
            (Disabled, [Disabled, Disabled, Disabled, Disabled]),
        ] {
            for (step, expected) in [answered, unanswered, failed, last].iter().zip(to) {
                let mut standing = standing(from);
                standing.failed_at = Some(now);
                step(&mut standing);
                assert_eq!(standing.status(now, &KNOBS()), expected, "from {from:?}");
            }
        }
        assert_eq!(Standing::edited(false, "a").status(now, &KNOBS()), Pending);
        let mut paused = Standing::edited(true, "a");
        assert_eq!(paused.status(now, &KNOBS()), Disabled);
        assert_eq!(paused.reason(), Some("Webhook Disabled by user: a"));
    }

    #[test]
    fn a_warning_is_over_after_twelve_hours_without_a_failure() {
        let now = Instant::now();
        let mut standing = standing(Status::Active);
        standing.failed(3, now);
        assert_eq!(standing.status(now + HOURS / 2, &KNOBS()), Status::Warning);
        assert_eq!(standing.reason(), Some("Failure in Event Deliveries"));
        assert_eq!(standing.status(now + HOURS, &KNOBS()), Status::Active);
        assert_eq!(standing.reason(), None);
    }
}
