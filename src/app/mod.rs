//! The one place that knows everybody: opens what is configured, runs it, stops it.
//!
//! Floor 4. [`App::bind`] makes everything ready and starts nothing; [`App::run`] runs
//! until it is told to stop; [`lifecycle`] is signals and systemd around the two.

pub mod lifecycle;
mod schedule;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::schedule::Schedule as Crons;
use crate::config::{Config, Schedule, SourceConfig, TargetConfig};
use crate::dispatch::{Target, Worker};
use crate::greenlake::AuditLog;
use crate::model::clock::Clock;
use crate::model::event::Route;
use crate::poll::{Poller, ScanSettings, Scanner, Status, Timing};
use crate::storage::Ledger;

/// Requests a minute that a poller may send to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBudget {
    /// What HPE allows, with room to spare.
    Documented,
    /// As many as it likes: for a simulator on this machine.
    Unlimited,
}

/// Everything that is configured, ready to run.
pub struct App {
    ledger: Ledger,
    pollers: Vec<Poller<AuditLog, Ledger>>,
    workers: Vec<Worker>,
    crons: Vec<(String, Arc<Notify>)>,
    keep: Duration,
    watch: Watch,
}

/// What can be seen of a running [`App`] from outside. Clones see the same.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Answers questions about the ledger and takes an operator's changes.
    pub ledger: Ledger,
    /// How polling fares, by the source's name.
    pub sources: Vec<(String, watch::Receiver<Status>)>,
}

impl App {
    /// Opens the ledger and makes pollers and workers ready. Nothing runs yet; no request
    /// has been sent.
    ///
    /// # Errors
    /// When the ledger is refused, or a source's or target's client cannot be made.
    pub async fn bind(config: Config, clock: Clock, budget: RequestBudget) -> anyhow::Result<Self> {
        let ledger = Ledger::open(&config.storage.path, clock.clone()).await?;
        let names = config.targets.iter().map(|target| target.name.clone()).collect();
        ledger.insert_targets(names).await.context("making the targets known")?;
        let hears = config.targets.iter().filter(|target| target.enabled && target.own_events);
        ledger.subscribe_targets(hears.map(|target| target.name.clone()).collect()).await?;
        let (workers, nudges) = workers(&config.targets, &ledger, &clock).await?;
        let enabled: Vec<SourceConfig> =
            config.sources.into_iter().filter(|source| source.poll.enabled).collect();
        let count = enabled.len();
        let mut app = Self {
            watch: Watch { ledger: ledger.clone(), sources: Vec::new() },
            ledger,
            pollers: Vec::new(),
            workers,
            crons: Vec::new(),
            keep: config.storage.keep,
        };
        for (index, source) in enabled.into_iter().enumerate() {
            let targets = wanting(&config.targets, &source.name);
            let settings = ScanSettings::new(&source, config.storage.min_free, targets);
            let log = audit_log(&source, &clock, budget)?;
            let nudges = nudges.clone();
            let wake = Arc::new(move || nudges.iter().for_each(|nudge| nudge.notify_one()));
            let scanner = Scanner::new(settings, log, app.ledger.clone(), clock.clone(), wake);
            let tick = Arc::new(Notify::new());
            if let Schedule::Cron(line) = &source.poll.schedule {
                app.crons.push((line.clone(), tick.clone()));
            }
            let timing = Timing::new(&source.poll, index, count);
            let (poller, seen) = Poller::new(scanner, timing, tick);
            app.pollers.push(poller);
            app.watch.sources.push((source.name, seen));
        }
        Ok(app)
    }

    /// What can be seen of it from outside, also while it runs.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Runs until `stop`, then ends the page in hand, settles what is under way and closes
    /// the ledger.
    ///
    /// Dropping it stops at once: what is not committed is asked for again, what is not
    /// settled is delivered again.
    ///
    /// # Errors
    /// When a part ends by itself; the others have been stopped then.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { ledger, pollers, workers, crons, keep, watch } = self;
        drop(watch);
        let crons = Crons::start(crons).await?;
        let mut tasks = JoinSet::new();
        for poller in pollers {
            let stop = stop.clone();
            tasks.spawn(async move { poller.run(stop).await.map_err(anyhow::Error::from) });
        }
        for worker in workers {
            let stop = stop.clone();
            tasks.spawn(async move { worker.run(stop).await.context("delivering stopped") });
        }
        let (upkeep_stop, upkeep_ledger) = (stop.clone(), ledger.clone());
        tasks.spawn(async move { upkeep::run(upkeep_ledger, keep, upkeep_stop).await });
        let result = join(&mut tasks, &stop).await;
        drop(crons);
        ledger.close().await;
        result
    }
}

/// Waits for every task; one that ends before `stop` stops the others.
async fn join(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let was_asked = stop.is_cancelled();
        let ended = ended.unwrap_or_else(|error: JoinError| Err(error.into()));
        if let Err(error) = ended {
            stop.cancel();
            if result.is_ok() {
                result = Err(error);
            } else {
                tracing::error!("{error:#}");
            }
        } else if !was_asked {
            stop.cancel();
            result = result.and_then(|()| anyhow::bail!("a part ended without being asked to"));
        }
    }
    result
}

async fn workers(
    targets: &[TargetConfig],
    ledger: &Ledger,
    clock: &Clock,
) -> anyhow::Result<(Vec<Worker>, Vec<Arc<Notify>>)> {
    let (mut workers, mut nudges) = (Vec::new(), Vec::new());
    for config in targets.iter().filter(|target| target.enabled) {
        let (id, _) = ledger
            .reader()
            .find_target(&config.name)
            .await?
            .with_context(|| format!("the ledger lost target {:?}", config.name))?;
        let target = Target::new(id, config.clone())?;
        let nudge = Arc::new(Notify::new());
        workers.push(Worker::new(target, ledger.clone(), clock.clone(), nudge.clone()));
        nudges.push(nudge);
    }
    Ok((workers, nudges))
}

/// Names of the targets that get what this source brings by polling.
#[must_use]
pub fn wanting(targets: &[TargetConfig], source: &str) -> Vec<String> {
    let wants = |target: &&TargetConfig| target.wants(source, Route::Poll);
    targets.iter().filter(wants).map(|target| target.name.clone()).collect()
}

/// The client of a source.
///
/// # Errors
/// When its proxy or CA file cannot be used.
pub fn audit_log(
    source: &SourceConfig,
    clock: &Clock,
    budget: RequestBudget,
) -> anyhow::Result<AuditLog> {
    let log = AuditLog::new(source, clock.clone())
        .with_context(|| format!("source {:?}", source.name))?;
    Ok(match budget {
        RequestBudget::Documented => log,
        RequestBudget::Unlimited => log.with_budget(None),
    })
}
