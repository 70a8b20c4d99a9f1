//! A running app, as it is seen and changed from outside.

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};

use crate::app::Difference;
use crate::config::Config;
use crate::poll::Status;
use crate::storage::Ledger;

/// Configurations that wait to be taken: one is enough, who asks waits for the answer.
pub(super) const ORDERS_MAX: usize = 1;

/// How polling fares, by the source's name.
pub(super) type Statuses = Vec<(String, watch::Receiver<Status>)>;

/// A configuration to be taken, and who wants to know what it came to.
pub(super) type Order = (Config, oneshot::Sender<anyhow::Result<Difference>>);

/// What can be seen of a running [`App`](crate::app::App) from outside. Clones see the same.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Answers questions about the ledger and takes an operator's changes.
    pub ledger: Ledger,
    pub(super) sources: watch::Receiver<Statuses>,
}

impl Watch {
    /// How polling fares now, by the source's name, in the order of the file. A source that
    /// is changed keeps its receiver.
    #[must_use]
    pub fn sources(&self) -> Vec<(String, watch::Receiver<Status>)> {
        self.sources.borrow().clone()
    }
}

/// Why the last configuration was not taken, in a line; `None` when it was.
pub(super) type Refused = Option<String>;

/// Changes a running [`App`](crate::app::App). Clones change the same.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) orders: mpsc::Sender<Order>,
    /// Told by whoever reads configurations.
    pub(super) refused: watch::Sender<Refused>,
}

impl Control {
    /// Has the app run as `config` says from now on, and tells what that changed. What is
    /// not changed is not touched; what is changed ends what it has under way first.
    ///
    /// Dropping it leaves open whether the configuration is taken.
    ///
    /// # Errors
    /// When it is not taken; then everything goes on as before.
    pub async fn change(&self, config: Config) -> anyhow::Result<Difference> {
        let stopping = "it is stopping";
        let (answer, answered) = oneshot::channel();
        self.orders.send((config, answer)).await.ok().context(stopping)?;
        answered.await.context(stopping)?
    }
}
