//! What sits in the seats: a worker a target, a poller a source, upkeep.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::schedule::Crons;
use crate::app::seat::Part;
use crate::app::upkeep;
use crate::config::Schedule;
use crate::dispatch::{Target, Worker};
use crate::greenlake::AuditLog;
use crate::model::clock::Clock;
use crate::poll::{Poller, ScanSettings, Timing};
use crate::storage::Ledger;

/// Brings one target its deliveries. Requests under way when its settings change end with
/// the old ones, each within the target's own limit, before the next worker starts.
pub(super) struct Delivering {
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) nudge: Arc<Notify>,
}

impl Part for Delivering {
    type Settings = Arc<Target>;

    async fn run(&mut self, target: Arc<Target>, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { ledger, clock, nudge } = self;
        let worker = Worker::new(target, ledger.clone(), clock.clone(), nudge.clone());
        worker.run(stop).await.context("delivering stopped")
    }
}

/// How one source is polled.
#[derive(Clone)]
pub(super) struct HowToPoll {
    pub(super) settings: ScanSettings,
    pub(super) timing: Timing,
    pub(super) log: Arc<AuditLog>,
}

/// Polls one source.
pub(super) struct Polling {
    pub(super) poller: Poller<Arc<AuditLog>, Ledger>,
    /// The client that the poller has.
    pub(super) log: Arc<AuditLog>,
    pub(super) crons: Crons,
    /// Makes a poll due.
    pub(super) bell: Arc<Notify>,
}

impl Part for Polling {
    type Settings = HowToPoll;

    async fn run(&mut self, how: HowToPoll, stop: CancellationToken) -> anyhow::Result<()> {
        let HowToPoll { settings, timing, log } = how;
        let ringing = match &timing.schedule {
            Schedule::Cron(line) => Some(self.crons.ring(line, self.bell.clone()).await?),
            Schedule::Interval(_) => None,
        };
        let is_other = !Arc::ptr_eq(&self.log, &log);
        self.log = Arc::clone(&log);
        self.poller.change(settings, timing, is_other.then_some(log));
        self.poller.run(stop).await?;
        match ringing {
            Some(ringing) => ringing.silence().await,
            None => Ok(()),
        }
    }
}

/// Prunes what is older than it has to be kept.
pub(super) struct Upkeep(pub(super) Ledger);

impl Part for Upkeep {
    type Settings = Duration;

    async fn run(&mut self, keep: Duration, stop: CancellationToken) -> anyhow::Result<()> {
        upkeep::run(self.0.clone(), keep, stop).await
    }
}
