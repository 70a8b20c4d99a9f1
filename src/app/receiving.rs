//! The receiver, and what each source's webhook feeds.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::{App, wanting};
use crate::config::{Config, SourceConfig, TargetConfig};
use crate::model::event::Route;
use crate::receive::{Inlet, Polled, PushTally, Receiver, Wake};
use crate::storage::Ledger;

impl App {
    /// Makes the receiver ready, if there is to be one.
    pub(super) async fn bind_receiver(&mut self) -> anyhow::Result<()> {
        let Some(config) = self.config.receiver.clone() else { return Ok(()) };
        let (ledger, clock) = (self.ledger.clone(), self.clock.clone());
        let receiver = Receiver::bind(config, self.webhooks(), ledger, clock).await?;
        self.inlets = Some(receiver.inlets());
        self.receiver_at = Some(receiver.address());
        let run = |stop: CancellationToken| async move {
            receiver.run(stop).await.context("receiving stopped")
        };
        self.ready.push(Box::new(move |stop| Box::pin(run(stop))));
        Ok(())
    }

    /// Where webhooks are received: with `listen` on port 0, nobody else knows. `None`
    /// without a receiver.
    #[must_use]
    pub fn receiver_at(&self) -> Option<SocketAddr> {
        self.receiver_at
    }

    /// Has a running receiver take what the configuration says.
    pub(super) fn replace_inlets(&mut self) {
        let webhooks = self.webhooks();
        if let Some(inlets) = &self.inlets {
            inlets.replace(webhooks);
        }
    }

    /// What rings in the poller of a source when a push comes.
    pub(super) fn bell(&mut self, source: &str) -> Arc<Notify> {
        Arc::clone(self.bells.entry(source.to_owned()).or_default())
    }

    /// What counts the pushes of a source.
    fn tally(&mut self, source: &str) -> Arc<PushTally> {
        Arc::clone(self.tallies.entry(source.to_owned()).or_default())
    }

    /// What tells every worker that new deliveries are there.
    pub(super) fn wake(&self) -> Wake {
        let nudges = self.nudges.subscribe();
        Arc::new(move || nudges.borrow().iter().for_each(|nudge| nudge.notify_one()))
    }

    /// The webhooks of all sources that have one.
    fn webhooks(&mut self) -> Vec<Inlet> {
        let sources = self.config.sources.clone();
        sources.iter().filter_map(|source| self.webhook(source)).collect()
    }

    fn webhook(&mut self, source: &SourceConfig) -> Option<Inlet> {
        let push = source.push.clone()?;
        Some(Inlet {
            source: source.name.clone(),
            workspace_id: source.workspace_id.clone(),
            polled: Polled::new(source),
            min_free: self.config.storage.min_free,
            targets: wanting(&self.config.targets, &source.name, Route::Push),
            hearers: hearing_of(&self.config.targets, &source.name),
            ledger: self.ledger.clone(),
            wake: self.wake(),
            nudge: push.nudge.then(|| self.bell(&source.name)),
            tally: self.tally(&source.name),
            push,
        })
    }
}

/// Names of the targets that get our own events and what this source brings.
fn hearing_of(targets: &[TargetConfig], source: &str) -> Vec<String> {
    let hears = |target: &&TargetConfig| {
        let wants = [Route::Poll, Route::Push].iter().any(|route| target.wants(source, *route));
        target.own_events && wants
    };
    targets.iter().filter(hears).map(|target| target.name.clone()).collect()
}

/// Lets the ledger know which sources have a webhook.
pub(super) async fn note_webhooks(ledger: &Ledger, config: &Config) -> anyhow::Result<()> {
    for source in &config.sources {
        let horizon = source.push.as_ref().map(|push| push.horizon);
        let noted = ledger.note_webhook(&source.name, horizon).await;
        noted.with_context(|| format!("source {:?}", source.name))?;
    }
    Ok(())
}
