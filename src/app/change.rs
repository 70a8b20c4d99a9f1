//! Makes what runs be as a configuration says: the first one, or another one later.
//!
//! First everything that may fail, which starts, stops and changes nothing; then, at one
//! go, everything that cannot. So a configuration is taken whole or not at all, and what
//! it does not change is not touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};

use crate::app::difference::{Difference, Moves, difference, keeps_client};
use crate::app::parts::{Delivering, HowToPoll, Polling};
use crate::app::receiving::note_webhooks;
use crate::app::seat::Wanted;
use crate::app::{App, audit_log, wanting};
use crate::config::{Config, SourceConfig, TargetConfig};
use crate::dispatch::Target;
use crate::greenlake::AuditLog;
use crate::model::event::Route;
use crate::poll::{Bells, Poller, ScanSettings, Scanner, Status, Timing};
use crate::storage::Ledger;

/// The seat of a target's worker.
pub(super) struct WorkerSeat {
    wanted: Wanted<Delivering>,
}

/// The seat of a source's poller.
pub(super) struct PollerSeat {
    wanted: Wanted<Polling>,
    /// Who gets a delivery of what it stores.
    targets: watch::Sender<Vec<String>>,
    pub(super) log: Arc<AuditLog>,
    /// What `log` was made of.
    source: SourceConfig,
    pub(super) status: watch::Receiver<Status>,
    /// Time since boot when it was made.
    pub(super) since: Duration,
}

impl App {
    /// Makes everything be as `config` says; what it came to.
    ///
    /// # Errors
    /// When it cannot be so; then nothing has changed.
    pub(super) async fn change(&mut self, config: Config) -> anyhow::Result<Difference> {
        let difference = difference(&self.config, &config)?;
        let logs = self.logs(&config, &difference.sources)?;
        let targets = self.targets(&config, &difference.targets)?;
        let targets = known(&self.ledger, &config, targets).await?;
        let hears = hearing(&config);
        if hears != hearing(&self.config) {
            self.ledger.subscribe_targets(hears).await.context("subscribing targets")?;
        }
        note_webhooks(&self.ledger, &config).await?;
        self.seat_workers(&difference.targets, targets);
        self.seat_pollers(&config, &difference.sources, &logs);
        if difference.keep {
            self.upkeep.send_replace(Some(config.storage.keep));
        }
        self.config = config;
        self.replace_inlets();
        self.show();
        Ok(difference)
    }

    /// Clients of the sources that are added or changed, by name.
    fn logs(
        &self,
        config: &Config,
        moves: &Moves,
    ) -> anyhow::Result<BTreeMap<String, Arc<AuditLog>>> {
        let sources = config.sources.iter().filter(|source| moves.starts(&source.name));
        sources.map(|source| Ok((source.name.clone(), self.log(source)?))).collect()
    }

    /// The targets that are added or changed, in the order of the file.
    fn targets(&self, config: &Config, moves: &Moves) -> anyhow::Result<Vec<Target>> {
        let make = |config: &TargetConfig| {
            let target = Target::new(0, config.clone())?;
            let seat = self.workers.get(&config.name);
            let earlier = seat.and_then(|seat| seat.wanted.borrow().clone());
            Ok(match earlier {
                Some(earlier) => target.succeeding(&earlier),
                None => target,
            })
        };
        config.targets.iter().filter(|target| moves.starts(&target.name)).map(make).collect()
    }

    /// The client of a source: the one it has, where that will do.
    fn log(&self, source: &SourceConfig) -> anyhow::Result<Arc<AuditLog>> {
        let make = || audit_log(source, &self.clock, self.budget);
        Ok(match self.pollers.get(&source.name) {
            None => Arc::new(make()?),
            Some(seat) if keeps_client(&seat.source, source) => Arc::clone(&seat.log),
            Some(seat) => Arc::new(make()?.succeeding(&seat.log)),
        })
    }

    fn seat_workers(&mut self, moves: &Moves, targets: Vec<Target>) {
        for target in targets {
            let (name, target) = (target.name().to_owned(), Arc::new(target));
            if let Some(seat) = self.workers.get(&name) {
                seat.wanted.send_replace(Some(target));
                continue;
            }
            let nudge = Arc::new(Notify::new());
            let part = Delivering {
                ledger: self.ledger.clone(),
                clock: self.clock.clone(),
                nudge: Arc::clone(&nudge),
            };
            let wanted = self.seat(part, target);
            self.nudges.send_modify(|nudges| nudges.push(nudge));
            self.workers.insert(name, WorkerSeat { wanted });
        }
        for seat in moves.removed.iter().filter_map(|name| self.workers.get(name)) {
            seat.wanted.send_replace(None);
        }
    }

    fn seat_pollers(
        &mut self,
        config: &Config,
        moves: &Moves,
        logs: &BTreeMap<String, Arc<AuditLog>>,
    ) {
        let enabled = || config.sources.iter().filter(|source| source.poll.enabled);
        for (index, source) in enabled().enumerate() {
            let timing = Timing::new(&source.poll, index, enabled().count());
            self.seat_poller(config, source, timing, logs.get(&source.name));
        }
        for seat in moves.removed.iter().filter_map(|name| self.pollers.get(name)) {
            seat.wanted.send_replace(None);
        }
        let statuses = enabled().filter_map(|source| {
            Some((source.name.clone(), self.pollers.get(&source.name)?.status.clone()))
        });
        self.statuses.send_replace(statuses.collect());
    }

    /// Has a source polled with `log`; without one, only who gets what it brings may have
    /// changed.
    fn seat_poller(
        &mut self,
        config: &Config,
        source: &SourceConfig,
        timing: Timing,
        log: Option<&Arc<AuditLog>>,
    ) {
        let mut seat = self.pollers.get_mut(&source.name);
        let targets =
            seat.as_ref().map_or_else(watch::Sender::default, |seat| seat.targets.clone());
        targets.send_replace(wanting(&config.targets, &source.name, Route::Poll));
        let Some(log) = log else { return };
        let settings = ScanSettings::new(source, config.storage.min_free, targets.subscribe());
        let how = HowToPoll { settings, timing, log: Arc::clone(log) };
        if let Some(seat) = &mut seat {
            (seat.log, seat.source) = (Arc::clone(log), source.clone());
            seat.wanted.send_replace(Some(how));
            return;
        }
        let push = self.bell(&source.name);
        let (part, status) = self.polling(&how, push);
        let wanted = self.seat(part, how);
        let (log, source) = (Arc::clone(log), source.clone());
        let (name, since) = (source.name.clone(), self.clock.uptime());
        self.pollers.insert(name, PollerSeat { wanted, targets, log, source, status, since });
    }

    fn polling(&self, how: &HowToPoll, push: Arc<Notify>) -> (Polling, watch::Receiver<Status>) {
        let HowToPoll { settings, timing, log } = how.clone();
        let wake = self.wake();
        let (ledger, clock) = (self.ledger.clone(), self.clock.clone());
        let scanner = Scanner::new(settings, Arc::clone(&log), ledger, clock, wake);
        let bells = Bells { cron: Arc::default(), push };
        let bell = Arc::clone(&bells.cron);
        let (poller, status) = Poller::new(scanner, timing, bells);
        (Polling { poller, log, crons: self.crons.clone(), bell }, status)
    }
}

/// Names of the targets that get our own events.
fn hearing(config: &Config) -> Vec<String> {
    let hears = config.targets.iter().filter(|target| target.enabled && target.own_events);
    hears.map(|target| target.name.clone()).collect()
}

/// `targets` under their keys in the ledger, which gets to know all of the configuration's
/// first; it is written to only where some are new.
async fn known(
    ledger: &Ledger,
    config: &Config,
    targets: Vec<Target>,
) -> anyhow::Result<Vec<Target>> {
    let reader = ledger.reader();
    let mut new = Vec::new();
    for TargetConfig { name, .. } in &config.targets {
        if reader.find_target(name).await?.is_none() {
            new.push(name.clone());
        }
    }
    if !new.is_empty() {
        ledger.insert_targets(new).await.context("making the targets known")?;
    }
    let mut known = Vec::new();
    for target in targets {
        let found = reader.find_target(target.name()).await?;
        let (id, _) = found.with_context(|| format!("the ledger lost {:?}", target.name()))?;
        known.push(target.with_id(id));
    }
    Ok(known)
}
