//! Storing what came of attempts.

use std::sync::Arc;
use std::time::Duration;

use crate::dispatch::carry::Ended;
use crate::dispatch::target::Target;
use crate::model::event::Sequence;
use crate::storage::{Ledger, Settlement, StorageError};

/// The deliveries that are done with for now; or why nothing was stored, and all of it.
pub(super) type Settled = Result<Vec<Sequence>, (StorageError, Vec<Ended>)>;

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
