//! A simulated GreenLake cloud in this process.

use std::collections::BTreeSet;

use tailwater::simulator::{Cloud, Settings, Simulator, UNLIMITED};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub(crate) struct CloudServer {
    pub(crate) base_url: String,
    pub(crate) cloud: Cloud,
    secret: String,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl CloudServer {
    /// A cloud without a request limit; nothing happens in it by itself.
    pub(crate) async fn start() -> Self {
        Self::with(Settings { requests_per_minute: UNLIMITED, ..Settings::default() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let secret = settings.client_secret.expose().to_owned();
        let simulator = Simulator::bind(settings).await.expect("a free port");
        let (base_url, cloud) = (simulator.base_url(), simulator.cloud());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        let until = stop.clone();
        task.spawn(async move { simulator.run(until).await.expect("the simulator runs") });
        Self { base_url, cloud, secret, stop, task }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Ids of everything made so far.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.cloud.made().into_iter().map(|made| made.id).collect()
    }

    /// Stops making entries and answering.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}
