//! The harness: starts the built binary against models of the outside, waits for facts,
//! and leaves nothing behind.
//!
//! A test has a [`Home`] (a folder with a configuration and a ledger), a [`CloudServer`]
//! and some [`SinkServer`]s in this process, and starts [`Process`]es of the binary. All
//! sockets are on port 0; whatever is dropped is stopped.

pub(crate) mod audit;
pub(crate) mod cloud;
pub(crate) mod disk;
pub(crate) mod fickle;
pub(crate) mod home;
pub(crate) mod hostile;
pub(crate) mod http2;
pub(crate) mod nth_call;
pub(crate) mod preload;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod push;
pub(crate) mod raw;
pub(crate) mod shifted_clocks;
pub(crate) mod sinks;
pub(crate) mod systemd;
pub(crate) mod tls;
pub(crate) mod wal;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use audit::Audit;
pub(crate) use cloud::CloudServer;
pub(crate) use home::{Home, Setup};
pub(crate) use process::{Done, Process};
pub(crate) use proxy::{Proxy, Wire};
pub(crate) use push::{Pusher, entry};
pub(crate) use raw::RawServer;
pub(crate) use sinks::SinkServer;

/// Enough for anything that works, on a busy machine, in an unoptimised build.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// A number from the environment: how much of something, or which.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Waits until `look` finds something, and returns it. The only place that waits by time.
///
/// Panics, and says `what` did not come about, when `limit` is over.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        sleep(PAUSE).await;
    }
}

/// As [`eventually`], for a plain condition.
pub(crate) async fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    eventually(what, limit, async || is_so().then_some(())).await;
}
