//! Upkeep of the ledger: prunes what is older than it has to be kept.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::model::event::Sequence;
use crate::storage::Ledger;

/// Time between two rounds: what is too old by an hour does no harm.
const ROUND: Duration = Duration::from_hours(1);

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
        let mut after = Some(0);
        while let Some(from) = after {
            after = prune(&ledger, keep, from).await?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(STEP) => {}
            }
        }
    }
}

/// One step from above `after`; where the next one goes on.
async fn prune(
    ledger: &Ledger,
    keep: Duration,
    after: Sequence,
) -> anyhow::Result<Option<Sequence>> {
    match ledger.prune(keep, after).await {
        Ok(next) => Ok(next),
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, "nothing was pruned; trying again in an hour");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
