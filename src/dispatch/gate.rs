//! Whether anything may be sent to a target, and how much: what the ledger says of it, what
//! its answers said, and whether it is failing.
//!
//! Pure: answers and instants go in, an [`Opening`] comes out. Instants are boot-time: a
//! wall clock that is set makes no pause longer or shorter.

use std::time::Duration;

use crate::model::breaker::{Breaker, Sign, Turn};
use crate::model::delivery::Attempt;
use crate::model::outcome::Outcome;
use crate::storage::TargetState;

/// How long nothing is sent after a 429 that does not say how long: otherwise one burst
/// too large would cost every delivery of the window an attempt.
const SLOWER: Duration = Duration::from_secs(1);

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing.
    Closed,
    /// One delivery, to find out whether the target is back.
    Probe,
    /// Whatever is owed.
    Open,
}

/// How a target stands with its worker.
#[derive(Debug)]
pub(super) struct Gate {
    /// As the ledger last showed it, or as its answers have shown it since.
    state: TargetState,
    /// Something turned that the ledger does not hold yet.
    is_ahead: bool,
    breaker: Breaker,
    probe_at: Duration,
    is_probing: bool,
    paused_until: Duration,
}

impl Gate {
    /// Open, until the ledger or an answer says otherwise.
    pub(super) fn new() -> Self {
        Self {
            state: TargetState::Active,
            is_ahead: false,
            breaker: Breaker::default(),
            probe_at: Duration::ZERO,
            is_probing: false,
            paused_until: Duration::ZERO,
        }
    }

    /// What may be sent at `uptime`.
    pub(super) fn opening(&self, uptime: Duration) -> Opening {
        if self.opens_at().is_none_or(|at| at > uptime) || self.is_probing {
            return Opening::Closed;
        }
        if self.is_failing() { Opening::Probe } else { Opening::Open }
    }

    /// When it opens, or opened, by itself; `None`: only by an operator.
    pub(super) fn opens_at(&self) -> Option<Duration> {
        match self.state {
            TargetState::Active => Some(self.paused_until),
            TargetState::Failing => Some(self.paused_until.max(self.probe_at)),
            TargetState::Paused | TargetState::Gone => None,
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.state == TargetState::Failing
    }

    /// Whether the ledger's word on the target would be older than its answers.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Notes that the ledger holds everything that has turned.
    pub(super) fn caught_up(&mut self) {
        self.is_ahead = false;
    }

    /// Notes that a probe is under way.
    pub(super) fn begin_probe(&mut self) {
        self.is_probing = true;
    }

    /// Takes over what the ledger says; `true` when that is new. A target that is known to
    /// be failing, as after a restart, is probed at once.
    pub(super) fn see(&mut self, state: TargetState, uptime: Duration) -> bool {
        if state == self.state {
            return false;
        }
        self.state = state;
        self.breaker.set(state == TargetState::Failing);
        (self.probe_at, self.paused_until) = (uptime, Duration::ZERO);
        true
    }

    /// Takes the answer to one request into account; tells what turned by it. `chance` is
    /// a random number in `[0, 1)`.
    pub(super) fn note(
        &mut self,
        attempt: &Attempt,
        uptime: Duration,
        chance: f64,
    ) -> Option<Turn> {
        let was_probing = std::mem::take(&mut self.is_probing);
        if let Some(pause) = pause(attempt) {
            self.paused_until = self.paused_until.max(uptime + pause);
        }
        if !matches!(self.state, TargetState::Active | TargetState::Failing) {
            return None;
        }
        let turn = match attempt.outcome {
            Outcome::Gone => Some(Turn::Gone),
            _ => self.breaker.note(Sign::of(attempt)),
        };
        if turn == Some(Turn::Failing) || (was_probing && turn.is_none()) {
            let asked = attempt.retry_after.unwrap_or_default();
            self.probe_at = uptime + self.breaker.next_pause(chance).max(asked);
        }
        self.state = match turn? {
            Turn::Failing => TargetState::Failing,
            Turn::Recovered => TargetState::Active,
            Turn::Gone => TargetState::Gone,
        };
        self.is_ahead = true;
        turn
    }
}

/// How long nothing may be sent to a target that answered like this: it said that it is
/// overloaded, and until when (CloudEvents web hook 1.0.2, 2.2: 429 with `Retry-After`).
fn pause(attempt: &Attempt) -> Option<Duration> {
    match attempt.status {
        Some(429) => Some(attempt.retry_after.unwrap_or(SLOWER)),
        Some(503) => attempt.retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);
    /// Time since boot at which these stories begin.
    const NOW: Duration = Duration::from_hours(1);

    fn answered(status: u16, retry_after: Option<u64>) -> Attempt {
        Attempt {
            started_at: Timestamp::from_secs(100),
            duration: SECOND,
            status: Some(status),
            outcome: Outcome::of_status(status),
            retry_after: retry_after.map(Duration::from_secs),
            answer: None,
        }
    }

    fn failing() -> Gate {
        let mut gate = Gate::new();
        let turns: Vec<_> =
            (0..12).filter_map(|_| gate.note(&answered(500, None), NOW, 0.5)).collect();
        assert_eq!(turns, [Turn::Failing]);
        gate
    }

    #[test]
    fn only_an_overloaded_target_is_left_alone_and_for_as_long_as_it_says() {
        for (status, retry_after, expected) in [
            (429, Some(7), 7),
            (429, Some(0), 0),
            (429, None, 1),
            (503, Some(7), 7),
            (503, None, 0),
            (500, Some(7), 0),
            (404, Some(7), 0),
        ] {
            let mut gate = Gate::new();
            gate.note(&answered(status, retry_after), NOW, 0.5);
            let opens_at = gate.opens_at().unwrap().max(NOW);
            assert_eq!(opens_at, NOW + expected * SECOND, "{status} {retry_after:?}");
            assert_eq!(gate.opening(opens_at), Opening::Open);
        }
        let mut gate = Gate::new();
        gate.note(&answered(429, Some(60)), NOW, 0.5);
        gate.note(&answered(429, Some(5)), NOW, 0.5);
        assert_eq!(gate.opening(NOW + 59 * SECOND), Opening::Closed, "the longest counts");
    }

    #[test]
    fn a_failing_target_gets_one_probe_at_a_time_with_growing_pauses() {
        let mut gate = failing();
        assert!(gate.is_ahead());
        gate.caught_up();
        assert_eq!(gate.opening(NOW), Opening::Closed);
        let (mut now, almost) = (NOW, Duration::from_micros(999_999));
        for pause in [1, 2, 5, 10, 30] {
            assert_eq!(gate.opening(now + (pause - 1) * SECOND + almost), Opening::Closed);
            now += pause * SECOND;
            assert_eq!(gate.opening(now), Opening::Probe);
            gate.begin_probe();
            assert_eq!(gate.opening(now), Opening::Closed);
            assert_eq!(gate.note(&answered(502, None), now, 0.5), None);
        }
        now += 60 * SECOND;
        gate.begin_probe();
        assert_eq!(gate.note(&answered(204, None), now, 0.5), Some(Turn::Recovered));
        assert_eq!(gate.opening(now), Opening::Open);
    }

    #[test]
    fn a_probe_is_not_sent_before_the_target_asked_for_it() {
        for (status, asked) in [(503, 90), (404, 90), (429, 90)] {
            let mut gate = failing();
            gate.begin_probe();
            gate.note(&answered(status, Some(asked)), NOW, 0.5);
            assert_eq!(gate.opening(NOW + 89 * SECOND), Opening::Closed, "{status}");
            assert_eq!(gate.opening(NOW + 90 * SECOND), Opening::Probe, "{status}");
        }
    }

    #[test]
    fn a_late_answer_from_before_it_failed_makes_no_pause_longer() {
        let mut gate = failing();
        let opens_at = gate.opens_at();
        gate.note(&answered(500, None), NOW + SECOND / 2, 0.5);
        assert_eq!(gate.opens_at(), opens_at);
    }

    #[test]
    fn an_operator_and_a_410_close_it_and_a_restart_probes_at_once() {
        let mut gate = Gate::new();
        assert_eq!(gate.note(&answered(410, None), NOW, 0.5), Some(Turn::Gone));
        assert_eq!((gate.opening(NOW), gate.opens_at()), (Opening::Closed, None));
        assert_eq!(gate.note(&answered(200, None), NOW, 0.5), None, "it has to be resumed");
        assert!(gate.see(TargetState::Active, NOW));
        assert_eq!(gate.opening(NOW), Opening::Open);
        assert!(gate.see(TargetState::Paused, NOW));
        assert_eq!(gate.opens_at(), None);

        let mut gate = Gate::new();
        assert!(gate.see(TargetState::Failing, NOW));
        assert!(!gate.see(TargetState::Failing, NOW));
        assert_eq!(gate.opening(NOW), Opening::Probe);
        let mut gate = failing();
        assert!(gate.see(TargetState::Active, NOW));
        assert_eq!(gate.opening(NOW), Opening::Open, "resumed");
        let turns: Vec<_> =
            (0..10).filter_map(|_| gate.note(&answered(500, None), NOW, 0.5)).collect();
        assert_eq!(turns, [Turn::Failing]);
    }
}
