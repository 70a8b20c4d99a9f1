//! The one place that knows everybody: opens what is configured, runs it, changes it while
//! it runs, stops it.
//!
//! Floor 4. [`App::bind`] makes everything ready and starts nothing; [`App::run`] runs
//! until it is told to stop, and takes another configuration meanwhile ([`Control`]);
//! [`lifecycle`] is signals and systemd around the two.

mod change;
mod control;
mod difference;
pub mod lifecycle;
mod observing;
mod parts;
mod polling;
mod receiving;
pub mod reload;
mod schedule;
mod seat;
mod upkeep;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::admin::Door;
use crate::app::change::{PollerSeat, WorkerSeat};
use crate::app::control::{ORDERS_MAX, Order, Statuses};
use crate::app::observing::Seen;
use crate::app::parts::Upkeep;
use crate::app::schedule::Crons;
use crate::app::seat::{Part, Wanted, occupy};
use crate::config::{Config, TargetConfig};
use crate::model::clock::Clock;
use crate::model::event::Route;
use crate::receive::{Inlets, PushTally};
use crate::storage::Ledger;

pub use control::{Control, Watch};
pub use difference::{Difference, Moves, NeedsRestart};
pub use polling::{RequestBudget, audit_log};

/// Everything that is configured, ready to run.
pub struct App {
    /// What runs is as this says.
    config: Config,
    ledger: Ledger,
    clock: Clock,
    budget: RequestBudget,
    crons: Crons,
    workers: BTreeMap<String, WorkerSeat>,
    pollers: BTreeMap<String, PollerSeat>,
    /// Where webhooks are taken; `None` without a receiver.
    inlets: Option<Inlets>,
    /// Where the receiver listens.
    receiver_at: Option<SocketAddr>,
    /// By the source's name: what rings when a push comes.
    bells: BTreeMap<String, Arc<Notify>>,
    /// By the source's name: what came to its webhook.
    tallies: BTreeMap<String, Arc<PushTally>>,
    /// Who may ask how things stand; `None` without an admin listener.
    door: Option<Door>,
    /// What can be told to whoever asks.
    seen: watch::Sender<Seen>,
    upkeep: Wanted<Upkeep>,
    /// Tell every worker that new deliveries are there.
    nudges: watch::Sender<Vec<Arc<Notify>>>,
    statuses: watch::Sender<Statuses>,
    /// Seats that nobody has taken yet.
    ready: Vec<Start>,
    orders: mpsc::Receiver<Order>,
    control: Control,
}

/// Starts what sits in a seat, given what will stop it.
type Start = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> + Send>;

impl App {
    /// Opens the ledger and makes pollers, workers and listeners ready. Nothing runs yet; no
    /// request has been sent.
    ///
    /// # Errors
    /// When the ledger is refused, or a source's or target's client cannot be made.
    pub async fn bind(config: Config, clock: Clock, budget: RequestBudget) -> anyhow::Result<Self> {
        let ledger = Ledger::open(&config.storage.path, clock.clone()).await?;
        // Those of an earlier run; the first change makes today's.
        ledger.subscribe_targets(Vec::new()).await?;
        let (control, orders) = mpsc::channel(ORDERS_MAX);
        let mut app = Self {
            config: Config { sources: Vec::new(), targets: Vec::new(), ..config.clone() },
            ledger,
            clock,
            budget,
            crons: Crons::default(),
            workers: BTreeMap::new(),
            pollers: BTreeMap::new(),
            inlets: None,
            receiver_at: None,
            bells: BTreeMap::new(),
            tallies: BTreeMap::new(),
            door: None,
            seen: watch::Sender::default(),
            upkeep: watch::Sender::default(),
            nudges: watch::Sender::default(),
            statuses: watch::Sender::default(),
            ready: Vec::new(),
            orders,
            control: Control { orders: control, refused: watch::Sender::default() },
        };
        app.upkeep = app.seat(Upkeep(app.ledger.clone()), config.storage.keep);
        app.change(config).await?;
        app.bind_receiver().await?;
        app.bind_admin()?;
        Ok(app)
    }

    /// What can be seen of it from outside, also while it runs.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { ledger: self.ledger.clone(), sources: self.statuses.subscribe() }
    }

    /// What changes it while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs until `stop`, then ends the page in hand, settles what is under way and closes
    /// the ledger.
    ///
    /// Dropping it stops at once: what is not committed is asked for again, what is not
    /// settled is delivered again.
    ///
    /// # Errors
    /// When a part ends by itself; the others have been stopped then.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        let first = loop {
            for start in self.ready.drain(..) {
                tasks.spawn(start(stop.clone()));
            }
            tokio::select! {
                () = stop.cancelled() => break None,
                ended = tasks.join_next() => break ended,
                Some((config, answer)) = self.orders.recv() => {
                    // Who asked may have left; the configuration is taken nevertheless.
                    let _ = answer.send(self.change(config).await);
                }
            }
        };
        let result = join(first, &mut tasks, &stop).await;
        let Self { ledger, .. } = self;
        ledger.close().await;
        result
    }

    /// Makes a seat for `part`, which is to run with `settings`.
    fn seat<P: Part>(&mut self, part: P, settings: P::Settings) -> Wanted<P> {
        let (wanted, receiver) = watch::channel(Some(settings));
        self.ready.push(Box::new(move |stop| Box::pin(occupy(part, receiver, stop))));
        wanted
    }
}

/// Waits for every task, `first` being one that has ended already; one that ends before
/// `stop` stops the others.
async fn join(
    first: Option<Result<anyhow::Result<()>, JoinError>>,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    let mut next = match first {
        None => tasks.join_next().await,
        first => first,
    };
    while let Some(ended) = next {
        stop.cancel();
        match ended.unwrap_or_else(|error| Err(error.into())) {
            Err(error) if result.is_ok() => result = Err(error),
            Err(error) => tracing::error!("{error:#}"),
            Ok(()) => {}
        }
        next = tasks.join_next().await;
    }
    result
}

/// Names of the targets that get what this source brings first by `route`.
#[must_use]
pub fn wanting(targets: &[TargetConfig], source: &str, route: Route) -> Vec<String> {
    let wants = |target: &&TargetConfig| target.wants(source, route);
    targets.iter().filter(wants).map(|target| target.name.clone()).collect()
}
