//! Carries one delivery, or one batch, to the target and says what became of each.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::dispatch::attempt::{attempt, unsent};
use crate::dispatch::request::message;
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::model::delivery::{Attempt, Fate, fate};
use crate::model::outcome::Outcome;
use crate::model::retry::RetryRule;
use crate::storage::{Due, Settlement};

/// What became of a delivery in one attempt.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) settlement: Settlement,
    /// `false`: the same delivery goes on in a smaller batch at once.
    pub(super) is_last: bool,
}

/// Attempts `deliveries` in one request. A batch that is rejected is halved until only
/// the culprit is buried. The report's queue is bounded by the worker's window.
pub(super) async fn carry(
    target: Arc<Target>,
    deliveries: Vec<Due>,
    clock: Clock,
    report: UnboundedSender<Ended>,
) {
    let mut parts = vec![deliveries];
    while let Some(mut part) = parts.pop() {
        let made = match message(&target, &part) {
            Ok(message) => attempt(&target, message, &clock).await,
            Err(error) => unsent(&clock, Outcome::Rejected, &error.to_string()),
        };
        let is_split = made.outcome == Outcome::Rejected && part.len() > 1;
        for due in &part {
            let settlement = settle(&target, due, &made, is_split);
            // The worker outlives its attempts; if it died, the deliveries are pending.
            let _ = report.send(Ended { settlement, is_last: !is_split });
        }
        if is_split {
            let tail = part.split_off(part.len() / 2);
            parts.extend([tail, part]);
        }
    }
}

fn settle(target: &Target, due: &Due, made: &Attempt, is_split: bool) -> Settlement {
    let ended_at = made.started_at.plus(made.duration);
    let fate = if is_split {
        Fate::RetryAt(ended_at)
    } else {
        let retry = &target.config.retry;
        let rule = RetryRule { schedule: &retry.schedule, give_up: retry.give_up };
        let first_attempt_at = due.first_attempt_at.unwrap_or(made.started_at);
        fate(made, due.step, first_attempt_at, rule, rand::random())
    };
    Settlement { sequence: due.sequence, attempt: made.clone(), fate }
}
