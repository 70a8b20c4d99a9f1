//! What the log says of a target: once when something turns, not at each attempt.

use crate::dispatch::target::Target;
use crate::model::breaker::Turn;
use crate::model::delivery::Attempt;
use crate::model::event::Sequence;
use crate::model::outcome::Reason;

/// Says for those who look closely that an attempt did not deliver.
pub(super) fn tell_failure(target: &Target, sequence: Sequence, attempt: &Attempt) {
    if let Some(reason) = attempt.outcome.reason() {
        tracing::debug!(
            target.name = target.name(),
            event.sequence = sequence,
            http.status = attempt.status,
            reason = reason.as_str(),
            "an attempt did not deliver"
        );
    }
}

/// Says that a target's state has turned by the answer to `attempt`.
pub(super) fn tell_turn(target: &Target, turn: Turn, attempt: &Attempt) {
    let (name, status) = (target.name(), attempt.status);
    match turn {
        Turn::Failing => tracing::warn!(
            target.name = name,
            http.status = status,
            reason = attempt.outcome.reason().map(Reason::as_str),
            "the target is failing: nothing has arrived in many attempts; what it is owed \
             waits, and one delivery at a time is tried"
        ),
        Turn::Recovered => {
            tracing::info!(target.name = name, "the target takes deliveries again");
        }
        Turn::Gone => tracing::warn!(
            target.name = name,
            "the target is gone: it answered 410; nothing is sent to it until \
             `tailwater targets resume`"
        ),
    }
}
