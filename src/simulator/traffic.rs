//! How busy the simulated workspace is, and the task that makes it so.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::simulator::cloud::Cloud;

/// Entries a second above which arrivals are no longer spaced one by one.
const FINEST_STEP: Duration = Duration::from_millis(5);

/// How busy the workspace is while the simulator runs.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Traffic {
    /// New entries a second on average, at random moments; 0 for none.
    pub rate: f64,
    /// Crowds of entries on top of it.
    pub burst: Option<Burst>,
    /// Entries that become visible late.
    pub late: Late,
}

/// A crowd of entries at one moment, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Entries in one burst.
    pub size: u32,
    /// Time from one burst to the next.
    pub every: Duration,
}

/// Which part of the entries becomes visible how late.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Late {
    /// 0.0 to 1.0.
    pub fraction: f64,
    /// Time from creation until it is visible.
    pub delay: Duration,
}

/// Makes entries at the pace of `traffic` until `stop`, or until the store is full.
pub(super) async fn run(cloud: &Cloud, traffic: Traffic, stop: &CancellationToken) {
    let began = Instant::now();
    let mut next_entry = (traffic.rate > 0.0).then_some(began);
    let mut next_burst = traffic.burst.map(|burst| began + burst.every);
    loop {
        let due = match (next_entry, next_burst) {
            (None, None) => return stop.cancelled().await,
            (Some(at), None) | (None, Some(at)) => at,
            (Some(entry), Some(burst)) => entry.min(burst),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(due.max(Instant::now() + FINEST_STEP)) => {}
        }
        let now = Instant::now();
        let mut count: u64 = 0;
        while let Some(at) = next_entry.filter(|at| *at <= now) {
            count += 1;
            next_entry = at.checked_add(cloud.pause(traffic.rate));
        }
        if let (Some(burst), Some(at)) = (traffic.burst, next_burst)
            && at <= now
        {
            count += u64::from(burst.size);
            next_burst = Some(at + burst.every.max(FINEST_STEP));
        }
        if !cloud.make_now(count) {
            return stop.cancelled().await;
        }
    }
}
