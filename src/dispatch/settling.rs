//! Storing what came of attempts.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::dispatch::carry::Ended;
use crate::dispatch::target::Target;
use crate::model::delivery::Fate;
use crate::model::event::Sequence;
use crate::model::outcome::Reason;
use crate::storage::{Ledger, Settlement, StorageError};

/// Settlements in one transaction: bounds how long others wait for the writer.
const SETTLE_MAX: usize = 1000;

/// The deliveries that are done with for now; or why nothing was stored, and all of it.
pub(super) type Settled = Result<Vec<Sequence>, (StorageError, Vec<Ended>)>;

/// Takes out of `ended` what goes into one transaction. A delivery may stand in it once;
/// its next round waits for the next.
pub(super) fn take(ended: &mut Vec<Ended>) -> Vec<Ended> {
    let mut seen = HashSet::new();
    let (now, later): (Vec<_>, Vec<_>) = mem::take(ended)
        .into_iter()
        .partition(|ended| seen.len() < SETTLE_MAX && seen.insert(ended.settlement.sequence));
    *ended = later;
    now
}

/// Settles `ended` after `delay`. Dropping it leaves open whether they are settled.
pub(super) async fn settle(
    ledger: Ledger,
    target: Arc<Target>,
    ended: Vec<Ended>,
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
fn tell_dead(target: &Target, ended: &[Ended]) {
    let is_dead = |ended: &&Ended| matches!(ended.settlement.fate, Fate::Dead(_));
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
