//! Upkeep of the ledger: prunes what is older than it has to be kept.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::storage::Ledger;

/// Time between two rounds: what is too old by an hour does no harm.
const ROUND: Duration = Duration::from_secs(3600);

/// Pause between two steps of a round, so that others get at the writer.
const STEP: Duration = Duration::from_millis(50);

/// Prunes at once and then every hour, until `stop`.
///
/// # Errors
/// When the ledger fails for good. A full disk is waited out: deleting needs space too.
pub(super) async fn run(
    ledger: Ledger,
    keep: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = round.tick() => {}
        }
        while prune(&ledger, keep).await? {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(STEP) => {}
            }
        }
    }
}

/// One step; whether there is more to do.
async fn prune(ledger: &Ledger, keep: Duration) -> anyhow::Result<bool> {
    match ledger.prune(keep).await {
        Ok(is_unfinished) => Ok(is_unfinished),
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, "nothing was pruned; trying again in an hour");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
