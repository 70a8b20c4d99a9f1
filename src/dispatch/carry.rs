//! Carries one delivery, or one batch, to the target and says what came of it.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::dispatch::attempt::{attempt, unsent};
use crate::dispatch::request::message;
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::model::delivery::Attempt;
use crate::model::event::Sequence;
use crate::model::outcome::Outcome;
use crate::model::timestamp::Timestamp;
use crate::storage::Due;

/// News of deliveries under way.
#[derive(Debug)]
pub(super) enum Report {
    /// An attempt has ended.
    Ended(Ended),
    /// These are not under way any more, without an attempt of their own.
    LetGo(Vec<Sequence>),
}

/// What one attempt came to for one delivery.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) sequence: Sequence,
    /// Its place in the retry schedule when it was sent.
    pub(super) step: u32,
    pub(super) first_attempt_at: Option<Timestamp>,
    pub(super) is_first: bool,
    pub(super) attempt: Attempt,
    /// The first one of its request: a target is judged by requests.
    pub(super) is_head: bool,
    /// The same delivery goes on in a smaller batch at once.
    pub(super) is_split: bool,
}

/// Attempts `deliveries` in one request. A batch that is rejected is halved until only
/// the culprit is buried, as long as the target takes or rejects what comes: what is left
/// when it does neither is let go. The report's queue is bounded by the worker's window.
pub(super) async fn carry(
    target: Arc<Target>,
    deliveries: Vec<Due>,
    clock: Clock,
    report: UnboundedSender<Report>,
) {
    // The worker outlives its attempts; if it died, the deliveries are pending.
    let tell = |news| _ = report.send(news);
    let mut parts = vec![deliveries];
    while let Some(mut part) = parts.pop() {
        let made = match message(&target, &part) {
            Ok(message) => attempt(&target, message, &clock).await,
            Err(error) => unsent(&clock, Outcome::Rejected, &error.to_string()),
        };
        let is_split = made.outcome == Outcome::Rejected && part.len() > 1;
        for (index, due) in part.iter().enumerate() {
            tell(Report::Ended(Ended {
                sequence: due.sequence,
                step: due.step,
                first_attempt_at: due.first_attempt_at,
                is_first: due.is_first,
                attempt: made.clone(),
                is_head: index == 0,
                is_split,
            }));
        }
        if !matches!(made.outcome, Outcome::Delivered | Outcome::Rejected) {
            tell(Report::LetGo(parts.concat().iter().map(|due| due.sequence).collect()));
            return;
        }
        if is_split {
            for due in &mut part {
                due.is_first = false;
            }
            let tail = part.split_off(part.len() / 2);
            parts.extend([tail, part]);
        }
        if !parts.is_empty() {
            target.turn(&clock).await;
        }
    }
}
