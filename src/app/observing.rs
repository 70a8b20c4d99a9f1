//! What probes and metrics see of the other parts, and the listener that tells them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Look, Polled, Pushed, Running, RunningSource};
use crate::app::App;
use crate::config::{PollConfig, SourceConfig};
use crate::greenlake::AuditLog;
use crate::poll::{REQUEST_OUTCOMES, RUN_OUTCOMES, Reason, Status, Tally};
use crate::receive::PushTally;

/// Where to look for what can be told.
#[derive(Default)]
pub(super) struct Seen {
    sources: Vec<SeenSource>,
    targets: Vec<String>,
    min_free: u64,
}

struct SeenSource {
    name: String,
    poll: Option<SeenPoller>,
    push: Option<Arc<PushTally>>,
}

struct SeenPoller {
    poll: PollConfig,
    since: Duration,
    status: watch::Receiver<Status>,
    log: Arc<AuditLog>,
}

impl App {
    /// Makes the admin listener ready, if there is to be one.
    pub(super) fn bind_admin(&mut self) -> anyhow::Result<()> {
        let Some(config) = self.config.admin.clone() else { return Ok(()) };
        let (ledger, clock) = (self.ledger.clone(), self.clock.clone());
        let (admin, door) = Admin::bind(config, self.look(), ledger, clock)?;
        self.door = Some(door);
        let run = |stop: CancellationToken| async move {
            admin.run(stop).await.context("[admin] stopped")
        };
        self.ready.push(Box::new(move |stop| Box::pin(run(stop))));
        Ok(())
    }

    /// Has whoever asks see what the configuration says.
    pub(super) fn show(&mut self) {
        let config = &self.config;
        let seen = Seen {
            sources: config.sources.iter().map(|source| self.seen_source(source)).collect(),
            targets: config.targets.iter().map(|target| target.name.clone()).collect(),
            min_free: config.storage.min_free,
        };
        self.seen.send_replace(seen);
        if let Some(door) = &self.door {
            door.change(config.admin.as_ref());
        }
    }

    fn seen_source(&self, source: &SourceConfig) -> SeenSource {
        let seat = self.pollers.get(&source.name).filter(|_| source.poll.enabled);
        let poll = seat.map(|seat| SeenPoller {
            poll: source.poll.clone(),
            since: seat.since,
            status: seat.status.clone(),
            log: Arc::clone(&seat.log),
        });
        let push = source.push.as_ref().and_then(|_| self.tallies.get(&source.name).cloned());
        SeenSource { name: source.name.clone(), poll, push }
    }

    fn look(&self) -> Look {
        let (seen, refused) = (self.seen.subscribe(), self.control.refused.subscribe());
        Arc::new(move || {
            let seen = seen.borrow();
            Running {
                sources: seen.sources.iter().map(SeenSource::look).collect(),
                targets: seen.targets.clone(),
                min_free: seen.min_free,
                is_config_refused: refused.borrow().is_some(),
            }
        })
    }
}

impl SeenSource {
    fn look(&self) -> RunningSource {
        let pushed =
            |tally: &PushTally| Pushed { answers: tally.answers(), new_events: tally.new_events() };
        RunningSource {
            name: self.name.clone(),
            poll: self.poll.as_ref().map(SeenPoller::look),
            push: self.push.as_deref().map(pushed),
        }
    }
}

impl SeenPoller {
    fn look(&self) -> Polled {
        let status = self.status.borrow();
        let trouble = status.problem.as_ref().map(|problem| problem.reason);
        Polled {
            schedule: self.poll.schedule.clone(),
            jitter: self.poll.jitter,
            since: self.since,
            fresh_at: status.fresh_at,
            trouble: trouble.filter(|reason| reason.is_trouble()).map(Reason::as_str),
            polls: counts(&RUN_OUTCOMES, &status.run_outcomes),
            requests: counts(&REQUEST_OUTCOMES, &status.request_outcomes),
            new_events: status.new,
            token_dies_at: self.log.token_dies_at(),
        }
    }
}

/// A count for each outcome that there can be, 0 where there was none.
fn counts(outcomes: &[&'static str], tally: &Tally) -> Vec<(&'static str, u64)> {
    outcomes.iter().map(|outcome| (*outcome, tally.get(outcome).copied().unwrap_or(0))).collect()
}
