//! Storing what came of attempts.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::dispatch::carry::Ended;
use crate::dispatch::target::Target;
use crate::model::event::Sequence;
use crate::storage::{Ledger, Settlement, StorageError};

/// Settlements in one transaction: bounds how long others wait for the writer.
const SETTLE_MAX: usize = 1000;

/// The deliveries that are done with for now; or why nothing was stored, and all of it.
pub(super) type Settled = Result<Vec<Sequence>, (StorageError, Vec<Ended>)>;

/// Says why an attempt did not deliver.
pub(super) fn log(target: &Target, settlement: &Settlement) {
    let attempt = &settlement.attempt;
    if let Some(reason) = attempt.outcome.reason() {
        tracing::debug!(
            target.name = target.name(),
            event.sequence = settlement.sequence,
            http.status = attempt.status,
            %reason,
            "an attempt did not deliver"
        );
    }
}

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
        Ok(()) => Ok(ended
            .iter()
            .filter(|ended| ended.is_last)
            .map(|ended| ended.settlement.sequence)
            .collect()),
        Err(error) => Err((error, ended)),
    }
}
