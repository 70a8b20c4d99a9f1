//! Storing what came of attempts.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::dispatch::reading::ready;
use crate::dispatch::target::Target;
use crate::model::delivery::Fate;
use crate::model::event::Sequence;
use crate::model::outcome::Reason;
use crate::storage::{Ledger, Settlement, StorageError};

/// Settlements in one transaction: bounds how long others wait for the writer.
const SETTLE_MAX: usize = 1000;

/// How long an outcome waits for others to be committed with, unless [`SETTLE_FULL`] of
/// them are there: each commit costs a flush to disk and the pages that it touches.
const SETTLE_GATHER: Duration = Duration::from_millis(20);

/// Outcomes that are worth a commit of their own.
const SETTLE_FULL: usize = SETTLE_MAX;

/// Pause before outcomes that could not be stored are tried again.
const STUCK_PAUSE: Duration = Duration::from_secs(1);

/// A delivery whose attempt is to be stored.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) settlement: Settlement,
    /// `false`: the same delivery goes on in a smaller batch at once.
    pub(super) is_last: bool,
}

/// The deliveries that are done with for now; or why nothing was stored, and all of it.
type Settled = Result<Vec<Sequence>, (StorageError, Vec<Unsettled>)>;

/// Outcomes on their way into the ledger: those that wait, and the commit under way.
pub(super) struct Settling {
    target: Arc<Target>,
    ledger: Ledger,
    waiting: Vec<Unsettled>,
    /// When the first of them came.
    since: Instant,
    /// As many as can be under way at once: more will not come by waiting.
    full: usize,
    committing: Option<BoxFuture<'static, Settled>>,
    /// The ledger did not take the last outcomes.
    is_stuck: bool,
}

impl Settling {
    /// Nothing is on its way; at most `capacity` deliveries are ever under way.
    pub(super) fn new(target: Arc<Target>, ledger: Ledger, capacity: usize) -> Self {
        Self {
            target,
            ledger,
            waiting: Vec::new(),
            since: Instant::now(),
            full: SETTLE_FULL.min(capacity),
            committing: None,
            is_stuck: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.committing.is_none()
    }

    /// Whether the ledger takes no outcomes.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Whether something that waits has shown a turn of the target.
    pub(super) fn has_turn(&self) -> bool {
        self.waiting.iter().any(|unsettled| unsettled.settlement.turn.is_some())
    }

    #[cfg(test)]
    pub(super) fn waiting(&mut self) -> Vec<Unsettled> {
        mem::take(&mut self.waiting)
    }

    pub(super) fn push(&mut self, unsettled: Unsettled) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.waiting.push(unsettled);
    }

    /// How long the outcomes in hand wait for others; zero when it is time to commit,
    /// `None` when there is nothing to commit, or a commit under way.
    pub(super) fn gathering(&self, is_stopping: bool) -> Option<Duration> {
        if self.committing.is_some() || self.waiting.is_empty() {
            return None;
        }
        let is_full = self.waiting.len() >= self.full;
        if is_full || is_stopping || self.is_stuck {
            return Some(Duration::ZERO);
        }
        Some(SETTLE_GATHER.saturating_sub(self.since.elapsed()))
    }

    /// Starts a commit of what has ended, when it is time.
    pub(super) fn start(&mut self, is_stopping: bool) {
        if self.gathering(is_stopping).is_none_or(|wait| !wait.is_zero()) {
            return;
        }
        let now = take(&mut self.waiting);
        self.since = Instant::now();
        let delay = if self.is_stuck { STUCK_PAUSE } else { Duration::ZERO };
        let (ledger, target) = (self.ledger.clone(), self.target.clone());
        self.committing = Some(Box::pin(settle(ledger, target, now, delay)));
    }

    /// Waits for the commit under way; for ever if there is none.
    pub(super) async fn committed(&mut self) -> Settled {
        ready(&mut self.committing).await
    }

    /// Takes note of how a commit ended: the deliveries that are done with for now.
    ///
    /// # Errors
    /// When the ledger fails for good. A full disk is waited out: nothing is lost.
    pub(super) fn after(&mut self, settled: Settled) -> Result<Vec<Sequence>, StorageError> {
        let name = self.target.name();
        match settled {
            Ok(released) => {
                if mem::take(&mut self.is_stuck) {
                    tracing::info!(target.name = name, "outcomes are stored again");
                }
                Ok(released)
            }
            Err((error, mut unsettled)) if error.is_passing() => {
                if !mem::replace(&mut self.is_stuck, true) {
                    tracing::warn!(
                        target.name = name,
                        %error,
                        "outcomes cannot be stored; nothing is sent until they can"
                    );
                }
                unsettled.append(&mut self.waiting);
                self.waiting = unsettled;
                Ok(Vec::new())
            }
            Err((error, _)) => Err(error),
        }
    }
}

/// Takes out of `waiting` what goes into one transaction. A delivery may stand in it once;
/// its next round waits for the next.
fn take(waiting: &mut Vec<Unsettled>) -> Vec<Unsettled> {
    let mut seen = HashSet::new();
    let (now, later): (Vec<_>, Vec<_>) = mem::take(waiting).into_iter().partition(|unsettled| {
        seen.len() < SETTLE_MAX && seen.insert(unsettled.settlement.sequence)
    });
    *waiting = later;
    now
}

/// Settles `ended` after `delay`. Dropping it leaves open whether they are settled.
async fn settle(
    ledger: Ledger,
    target: Arc<Target>,
    ended: Vec<Unsettled>,
    delay: Duration,
) -> Settled {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let settlements: Vec<Settlement> = ended.iter().map(|ended| ended.settlement.clone()).collect();
    match ledger.settle(target.id, settlements).await {
        Ok(()) => {
            tell_dead(&target, &ended);
            let last = ended.iter().filter(|ended| ended.is_last);
            Ok(last.map(|ended| ended.settlement.sequence).collect())
        }
        Err(error) => Err((error, ended)),
    }
}

/// Says how many deliveries have just been buried: once a commit, however many.
fn tell_dead(target: &Target, ended: &[Unsettled]) {
    let is_dead = |ended: &&Unsettled| matches!(ended.settlement.fate, Fate::Dead(_));
    let mut dead = ended.iter().filter(is_dead);
    let Some(first) = dead.next() else { return };
    tracing::warn!(
        target.name = target.name(),
        dead = 1 + dead.count(),
        event.sequence = first.settlement.sequence,
        reason = first.settlement.attempt.outcome.reason().map(Reason::as_str),
        "deliveries are dead letters now; `tailwater replay --dead` makes them pending again"
    );
}
