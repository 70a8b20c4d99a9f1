//! A backfill of months: memory, and whether the last event costs what the first did.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::fixture::{Bridge, Setup, Sink, mib, target};
use crate::{Args, start_cloud};

/// Parts of the backfill whose costs are compared.
const PARTS: u64 = 10;

/// Reads, stores and delivers everything; leaves the ledger `backfill.db` behind.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) async fn measure(args: &Args, dir: &Path) -> Result<()> {
    let mut serving = JoinSet::new();
    let days = Duration::from_hours(80 * 24);
    let cloud = start_cloud(&mut serving, args.events, days, 0.0).await?;
    let (sink, url) = Sink::start(&mut serving).await?;
    let (poll, targets) = ("interval = \"1s\"\nstart = \"81d\"", target("one", &url, 64, ""));
    let setup = Setup { dir, name: "backfill", cloud: &cloud, poll, targets: &targets };
    let (bridge, _) = Bridge::start(&setup.write()?)?;
    let started = Instant::now();
    let part = args.events / PARTS;
    let (mut costs, mut before) = (Vec::new(), bridge.processor()?);
    for _ in 0..PARTS {
        sink.wait_for(part).await?;
        let now = bridge.processor()?;
        costs.push((now - before) / part as f64);
        before = now;
    }
    sink.wait_for(args.events % PARTS).await?;
    let rate = args.events as f64 / started.elapsed().as_secs_f64();
    let (first, last) = (costs[1], costs[costs.len() - 1]);
    println!("backfill of {} events over 80 days, one target", args.events);
    println!("events/s                      {rate:>10.0}");
    println!(
        "peak resident memory          {:>10.1} MiB (reach 128)",
        mib(bridge.memory("VmHWM:")?)
    );
    println!("processor time an event, tenths of it, µs: {}", shown(&costs));
    println!("last tenth / second           {:>10.2}   (reach: flat)", last / first);
    bridge.stop()
}

fn shown(costs: &[f64]) -> String {
    costs.iter().map(|cost| format!("{cost:.0}")).collect::<Vec<_>>().join(" ")
}
