//! Whether a target takes its deliveries: told once when that changes, not at each attempt.

use crate::dispatch::target::Target;
use crate::model::outcome::Reason;
use crate::storage::Settlement;

/// Failures in a row after which a target counts as failing: fewer are the hiccups that
/// retries are for.
const FAILING_AFTER: u32 = 10;

/// How a target's attempts have gone of late.
#[derive(Debug, Default)]
pub(super) struct Trend {
    failures: u32,
}

/// A change that somebody should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Failing,
    Recovered,
}

impl Trend {
    /// Takes an attempt into account, and logs it.
    pub(super) fn note(&mut self, target: &Target, settlement: &Settlement) {
        let (attempt, target_name) = (&settlement.attempt, target.name());
        let reason = attempt.outcome.reason();
        let (status, why) = (attempt.status, reason.map(Reason::as_str));
        if let Some(reason) = why {
            tracing::debug!(
                target.name = target_name,
                event.sequence = settlement.sequence,
                http.status = status,
                reason,
                "an attempt did not deliver"
            );
        }
        match self.turn(reason.is_none()) {
            Some(Turn::Failing) => tracing::warn!(
                target.name = target_name,
                http.status = status,
                reason = why,
                "the target takes nothing: {FAILING_AFTER} attempts in a row have failed; \
                 they are retried"
            ),
            Some(Turn::Recovered) => {
                tracing::info!(target.name = target_name, "the target takes deliveries again");
            }
            None => {}
        }
    }

    fn turn(&mut self, is_delivered: bool) -> Option<Turn> {
        let before = self.failures;
        self.failures = if is_delivered { 0 } else { before.saturating_add(1) };
        match (before, self.failures) {
            (_, FAILING_AFTER) if before < FAILING_AFTER => Some(Turn::Failing),
            (FAILING_AFTER.., 0) => Some(Turn::Recovered),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(attempts: &[bool]) -> Vec<Turn> {
        let mut trend = Trend::default();
        attempts.iter().filter_map(|delivered| trend.turn(*delivered)).collect()
    }

    #[test]
    fn a_change_is_told_once() {
        let failing = vec![false; 50];
        assert_eq!(turns(&failing), [Turn::Failing]);
        assert_eq!(
            turns(&[failing.clone(), vec![true; 3]].concat()),
            [Turn::Failing, Turn::Recovered]
        );
        assert_eq!(turns(&[vec![false; 9], vec![true; 3]].concat()), []);
        assert_eq!(turns(&[failing.clone(), vec![true], failing].concat()).len(), 3);
    }
}
