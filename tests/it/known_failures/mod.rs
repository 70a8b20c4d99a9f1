//! Ways in which other pollers are known to fail, each against the built binary. The list
//! of all, and which test shows that ours does not, is `docs/known-failures.md`.

mod lost;
mod repeated;
mod storms;

use std::time::Duration;

use tailwater::model::clock::Clock;
use tailwater::simulator::notice::Notice;
use tailwater::simulator::{Settings, UNLIMITED};
use tokio::sync::broadcast::Receiver;

use crate::support::{Audit, CloudServer, Home, SOON, eventually, until};

/// Back-offs after several failures in a row are part of it.
const LONG: Duration = Duration::from_secs(90);

/// Small pages, from some minutes back; read again for seconds only.
const SMALL_PAGES: &str = "interval = \"1s\"\noverlap = \"3s\"\nstart = \"5m\"\npage_limit = 20";

/// A cloud whose time stands still unless the test moves it.
async fn cloud_in_time() -> CloudServer {
    let clock = Clock::manual(Clock::system().now().truncated_to_second());
    let settings = Settings { clock, requests_per_minute: UNLIMITED, ..Settings::default() };
    CloudServer::with(settings).await
}

/// Moves the cloud's time, and waits until a poll has begun and ended since.
async fn pass(cloud: &CloudServer, time: Duration) {
    cloud.cloud.clock().advance(time);
    let before = cloud.cloud.served().log_requests;
    until("polls go on", LONG, || cloud.cloud.served().log_requests >= before + 2).await;
}

/// Entries spread over the last `span`.
fn generate(cloud: &CloudServer, count: u64, span: Duration) {
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(count, now.minus(span), now);
}

/// Entries that all happened in one second, so long ago.
fn generate_ties(cloud: &CloudServer, count: u64, ago: Duration) {
    let at = cloud.cloud.clock().now().minus(ago).truncated_to_second();
    cloud.cloud.generate(count, at, at);
}

/// Waits until the ledger holds everything that was made.
async fn complete(home: &Home, cloud: &CloudServer) {
    eventually("history is complete", LONG, async || {
        let is_there = home.ledger().exists();
        (is_there && Audit::live(home).await.ids().await == cloud.ids()).then_some(())
    })
    .await;
}

/// Waits until `poll_log` has `count` rows of which `condition` is true.
async fn logged(home: &Home, condition: &str, count: i64) {
    let sql = format!("SELECT count(*) FROM poll_log WHERE {condition}");
    eventually(&format!("{count} rows: {condition}"), LONG, async || {
        let is_there = home.ledger().exists();
        (is_there && Audit::live(home).await.value::<i64>(&sql).await >= count).then_some(())
    })
    .await;
}

/// All that has to be true of the ledger at any moment; `targets` want everything.
async fn audit(home: &Home, cloud: &CloudServer, targets: i64) {
    Audit::live(home).await.check(&cloud.cloud.made(), targets).await;
}

/// The list requests that were answered with a page.
fn pages(notices: &mut Receiver<Notice>) -> Vec<String> {
    let mut pages = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        if let Notice::Page { request, .. } = notice {
            pages.push(request);
        }
    }
    pages
}

/// How soon a daemon has to stop.
const STOP: Duration = SOON;
