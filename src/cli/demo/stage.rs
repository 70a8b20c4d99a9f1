//! Everything that plays in the demo: bound, started, looked at, stopped.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, RequestBudget};
use crate::cli::demo::DemoArgs;
use crate::cli::demo::audit::{Evidence, Stored, Witness};
use crate::cli::demo::closing::Figures;
use crate::cli::demo::live::{Phase, Snapshot};
use crate::cli::demo::recipe::{PATH, Recipe, new_key, new_secret};
use crate::cli::demo::routes::By;
use crate::cli::demo::trouble::{self, Seen};
use crate::cli::demo::weather::{is_batched, weather};
use crate::model::clock::Clock;
use crate::model::signature::VerifyKey;
use crate::model::timestamp::Timestamp;
use crate::poll::Status;
use crate::simulator::sink::{Sink, SinkHandle, SinkSettings};
use crate::simulator::{Cloud, Simulator};
use crate::storage::{HistoryFilter, Reader};

/// How long the bridge may take to stop once it has nothing left to do.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Ids read from the ledger at once.
const IDS_AT_ONCE: u32 = 5_000;

/// A target of the demo.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// Format of what it gets.
    pub(super) format: &'static str,
    /// What is special about it.
    pub(super) about: &'static str,
    pub(super) url: String,
    handle: SinkHandle,
}

/// All parts of the demo.
pub(super) struct Stage {
    pub(super) cloud_url: String,
    pub(super) webhook_url: String,
    pub(super) targets: Vec<Target>,
    /// The bridge's configuration, secrets masked.
    pub(super) recipe: String,
    ledger: std::path::PathBuf,
    cloud: Cloud,
    reader: Reader,
    polling: watch::Receiver<Status>,
    seen: Seen,
    waiting: Option<(App, Simulator, Vec<Sink>)>,
    bridge: JoinSet<anyhow::Result<()>>,
    world: JoinSet<anyhow::Result<()>>,
    stop_trouble: CancellationToken,
    stop_bridge: CancellationToken,
    stop_world: CancellationToken,
    /// From when on every entry is visible; known once no more are made.
    all_visible_at: Option<Timestamp>,
}

impl Stage {
    /// Binds everything to free ports of this machine. Nothing runs yet.
    pub(super) async fn build(args: &DemoArgs, ledger: &Path) -> anyhow::Result<Self> {
        let settings = weather(args);
        let simulator = Simulator::bind(settings.clone()).await.context("the simulated cloud")?;
        let (key, webhook) = (new_key(), new_secret());
        let verify = VerifyKey::parse(key.expose()).context("the demo's own key")?;
        let signed = SinkSettings { keys: vec![verify], ..SinkSettings::default() };
        let mut sinks = Vec::new();
        for settings in [signed, SinkSettings::default(), SinkSettings::default()] {
            sinks.push(Sink::bind(settings).await.context("a target")?);
        }
        let recipe = Recipe {
            ledger,
            base_url: simulator.base_url(),
            settings: &settings,
            urls: [sinks[0].url(), sinks[1].url(), sinks[2].url()],
            key: &key,
            webhook: &webhook,
        };
        let (config, recipe) = recipe.cook()?;
        let app = App::bind(config, Clock::system(), RequestBudget::Unlimited).await?;
        let webhook_url =
            format!("http://{}{PATH}", app.receiver_at().context("the receiver's address")?);
        let form = json!({ "name": "demo", "destination": webhook_url,
            "secret": webhook.expose(), "batching": is_batched(args) });
        simulator.cloud().register(&form).map_err(|why| anyhow!("the webhook: {why}"))?;
        let view = app.watch();
        let (_, polling) = view.sources().first().cloned().context("the demo's source")?;
        Ok(Self {
            cloud_url: simulator.base_url(),
            webhook_url,
            targets: targets(&sinks),
            recipe,
            ledger: ledger.to_owned(),
            cloud: simulator.cloud(),
            // Not the ledger itself: closing it waits for the last who holds it.
            reader: view.ledger.reader().clone(),
            polling,
            seen: Seen::default(),
            waiting: Some((app, simulator, sinks)),
            bridge: JoinSet::new(),
            world: JoinSet::new(),
            stop_trouble: CancellationToken::new(),
            stop_bridge: CancellationToken::new(),
            stop_world: CancellationToken::new(),
            all_visible_at: None,
        })
    }

    /// Starts everything.
    pub(super) fn raise_curtain(&mut self) {
        let Some((app, simulator, sinks)) = self.waiting.take() else { return };
        let stop = self.stop_world.clone();
        let flaky = self.targets[2].handle.clone();
        let watching =
            trouble::watch(self.seen.clone(), self.cloud.notices(), flaky.arrivals(), stop.clone());
        self.world.spawn(async move {
            watching.await;
            Ok(())
        });
        for sink in sinks {
            let stop = stop.clone();
            self.world.spawn(async move { sink.run(stop).await.context("a target") });
        }
        self.world.spawn(async move { simulator.run(stop).await.context("the simulated cloud") });
        let making = trouble::make(self.cloud.clone(), flaky, self.stop_trouble.clone());
        let stop = self.stop_world.clone();
        self.world.spawn(async move {
            making.await;
            stop.cancelled().await;
            Ok(())
        });
        self.bridge.spawn(app.run(self.stop_bridge.clone()));
    }

    /// Waits until a part ends by itself, which none should, and says why.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        let (who, ended) = tokio::select! {
            Some(ended) = self.bridge.join_next() => ("the bridge", ended),
            Some(ended) = self.world.join_next() => ("a part of the demo", ended),
            else => std::future::pending().await,
        };
        let error = match ended {
            Ok(Ok(())) => anyhow!("nobody asked it to"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        };
        error.context(format!("{who} ended by itself"))
    }

    /// How things stand.
    pub(super) async fn snapshot(&self, phase: Phase) -> anyhow::Result<Snapshot> {
        // In this order: what is stored has its deliveries, so that "all stored, none
        // pending" cannot be read from two moments that do not fit.
        let (stored, _) = self.reader.count_events().await.context("asking the ledger")?;
        let polled = self.reader.count_polled().await.context("asking the ledger")?;
        let pending = self.reader.count_pending(u32::MAX).await.context("asking the ledger")?;
        let status = self.polling.borrow().clone();
        let now = self.cloud.clock().now();
        let arrived = self.targets.iter().map(|target| {
            let report = target.handle.report();
            (target.name, report.distinct, report.repeats)
        });
        Ok(Snapshot {
            phase,
            made: self.cloud.made_count() as u64,
            stored: u64::try_from(stored).unwrap_or_default(),
            polled: u64::try_from(polled).unwrap_or_default(),
            pushing: self.cloud.pushed().waiting,
            pending: pending.into(),
            polls: status.runs,
            held_up: status.problem.map(|problem| problem.reason.as_str()),
            hidden_for: self.all_visible_at.map(|at| at.since(now)).unwrap_or_default(),
            arrived: arrived.collect(),
            trouble: self.seen.so_far().last,
        })
    }

    /// Ends traffic and trouble; the bridge goes on.
    pub(super) fn calm_down(&mut self) {
        self.cloud.end_traffic();
        self.stop_trouble.cancel();
        self.all_visible_at = self.cloud.made().iter().map(|made| made.visible_at).max();
    }

    /// Stops the bridge, then the rest, and takes the evidence from outside: the cloud's
    /// list, what each target holds, and the ids in the ledger's file.
    pub(super) async fn close(mut self) -> anyhow::Result<(Evidence, Figures)> {
        self.stop_bridge.cancel();
        let stopped = tokio::time::timeout(STOP_MAX, self.bridge.join_next()).await;
        if let Ok(Some(ended)) = stopped {
            ended.context("the bridge")?.context("the bridge")?;
        }
        self.stop_world.cancel();
        while let Some(ended) = self.world.join_next().await {
            ended.context("a part of the demo")??;
        }
        let targets = self.targets.iter().map(|target| Witness {
            name: target.name,
            format: target.format,
            arrivals: target.handle.first_arrivals(),
            report: target.handle.report(),
        });
        let pushed = self.cloud.pushed();
        let evidence = Evidence {
            made: self.cloud.made(),
            to_push: (pushed.waiting == 0)
                .then(|| (self.cloud.made_count() as u64).saturating_sub(pushed.withheld)),
            stored: stored(&self.ledger).await.context("reading the ledger's file")?,
            targets: targets.collect(),
        };
        let figures = Figures {
            polls: self.polling.borrow().runs,
            served: self.cloud.served(),
            pushed,
            seen: self.seen.so_far(),
        };
        Ok((evidence, figures))
    }
}

fn targets(sinks: &[Sink]) -> Vec<Target> {
    let about = [
        ("siem", "structured", "structured, signed and verified"),
        ("archive", "binary", "binary"),
        ("flaky", "structured", "structured, fails now and then"),
    ];
    let target = |(sink, (name, format, about)): (&Sink, _)| Target {
        name,
        format,
        about,
        url: sink.url(),
        handle: sink.handle(),
    };
    sinks.iter().zip(about).map(target).collect()
}

/// All events in the ledger's file, as any other reader finds them.
async fn stored(ledger: &Path) -> anyhow::Result<Vec<Stored>> {
    let reader = Reader::open(ledger).await?;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let filter = HistoryFilter {
            after,
            limit: IDS_AT_ONCE,
            oldest_first: true,
            ..HistoryFilter::default()
        };
        let rows = reader.list_history(&filter).await?;
        let Some(last) = rows.last() else { return Ok(all) };
        after = Some(last.sequence);
        all.extend(rows.into_iter().map(|row| Stored {
            id: row.id,
            by: match (row.lead_ms, row.push_seen_at) {
                (Some(lead_ms), _) => By::Both { lead_ms },
                (None, Some(_)) => By::Push,
                (None, None) => By::Poll,
            },
        }));
    }
}
