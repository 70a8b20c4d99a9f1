//! The worker of one target: what stands still while it runs.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::dispatch::run::Run;
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::storage::{Ledger, StorageError};

/// Brings a target its deliveries.
#[derive(Debug)]
pub struct Worker {
    target: Arc<Target>,
    ledger: Ledger,
    clock: Clock,
    nudge: Arc<Notify>,
}

impl Worker {
    /// Makes the worker of `target`; `nudge` tells it that new deliveries are there.
    ///
    /// One may follow another of the same target, for example with other settings, as soon
    /// as the other has ended: what that one has settled is not sent again.
    #[must_use]
    pub fn new(
        target: impl Into<Arc<Target>>,
        ledger: Ledger,
        clock: Clock,
        nudge: Arc<Notify>,
    ) -> Self {
        Self { target: target.into(), ledger, clock, nudge }
    }

    /// Works until `stop`, then lets requests under way end and settles them.
    ///
    /// Dropping it leaves deliveries pending whose outcome was not settled yet; they are
    /// attempted again, with the same ids.
    ///
    /// # Errors
    /// When the ledger fails for good. A full disk is waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StorageError> {
        Run::new(self.target, self.ledger, self.clock).until(stop, &self.nudge).await
    }
}
