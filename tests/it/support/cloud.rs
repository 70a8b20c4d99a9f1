//! A simulated GreenLake cloud in this process.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
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
    _task: JoinSet<()>,
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
        Self { base_url, cloud, secret, stop, _task: task }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Changes something by the management API, with a token of its own; what it answers.
    pub(crate) async fn patch(&self, path: &str, changes: &Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let Settings { workspace, client_id, .. } = Settings::default();
        let url = format!("{}/authorization/v2/oauth2/{}/token", self.base_url, workspace.id);
        let form = format!(
            "grant_type=client_credentials&client_id={client_id}&client_secret={}",
            self.secret
        );
        let form =
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let read = async |request: reqwest::RequestBuilder| -> Value {
            let answer = request.send().await.expect("an answer").bytes().await.expect("a body");
            serde_json::from_slice(&answer).expect("JSON")
        };
        let token = read(form).await;
        let token = token["access_token"].as_str().expect("a token");
        let request = client.patch(format!("{}{path}", self.base_url)).bearer_auth(token);
        let request = request.header("content-type", "application/merge-patch+json");
        read(request.body(changes.to_string())).await
    }

    /// Ids of everything made so far.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.cloud.made().into_iter().map(|made| made.id).collect()
    }

    /// Makes `count` entries now and again `every` so often, until the answer is dropped.
    pub(crate) fn feed(&self, count: u64, every: Duration) -> Feed {
        let cloud = self.cloud.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut tick = tokio::time::interval(every);
            loop {
                tick.tick().await;
                let now = cloud.clock().now();
                cloud.generate(count, now, now);
            }
        });
        Feed(task)
    }

    /// Makes `count` entries that happen now.
    pub(crate) fn make(&self, count: u64) {
        let now = self.cloud.clock().now();
        self.cloud.generate(count, now, now);
    }

    /// Makes `count` entries that happened a moment ago. The cloud takes up to 40 ms to show an
    /// entry: a single poll may be too quick for one that happens now.
    pub(crate) fn make_visible(&self, count: u64) {
        let now = self.cloud.clock().now();
        let (from, until) = (Duration::from_secs(9), Duration::from_secs(1));
        self.cloud.generate(count, now.minus(from), now.minus(until));
    }
}

/// Entries that keep coming; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Feed(#[expect(dead_code, reason = "dropping it is what ends it")] JoinSet<()>);

impl Drop for CloudServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
