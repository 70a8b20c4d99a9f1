//! One target that is down with a backlog, and what another one notices of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tailwater::model::clock::Clock;
use tailwater::model::timestamp::Timestamp;
use tailwater::storage::{HistoryFilter, Ledger, Replay, Which};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fixture::{Bridge, Setup, Sink, median, mib, target};
use crate::{Args, start_cloud};

/// New events a second during the measurement.
const RATE: f64 = 50.0;

/// Deliveries made pending in one transaction.
const STEP: u32 = 10_000;

/// Measurements without and with the dead target, by turns.
const ROUNDS: usize = 3;

/// What one measurement came to.
struct Seen {
    /// Milliseconds from the commit to the live target, 99th percentile.
    p99: f64,
    /// The same, median.
    p50: f64,
    /// KiB.
    resident: f64,
}

/// Goes on with the ledger of the backfill.
pub(crate) async fn measure(args: &Args, dir: &Path) -> Result<()> {
    let mut serving = JoinSet::new();
    let cloud = start_cloud(&mut serving, 0, Duration::from_mins(1), RATE).await?;
    let (sink, live_url) = Sink::start(&mut serving).await?;
    // Bound and dropped: connections are refused.
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let live = target("live", &live_url, 64, "");
    let dead = target("dead", &format!("http://127.0.0.1:{port}/"), 64, "");
    let off = format!("{live}{dead}enabled = false\n");
    let on = format!("{live}{dead}");
    let poll = "interval = \"1s\"\nstart = \"now\"";
    let setup =
        |targets: &str| Setup { dir, name: "backfill", cloud: &cloud, poll, targets }.write();
    // Makes the targets known, and catches up with the cloud.
    let (bridge, _) = Bridge::start(&setup(&off)?)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    bridge.stop()?;
    let owed = owe_everything(&dir.join("backfill.db")).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(watch(&setup(&off)?, &sink, args.seconds).await?);
        with.push(watch(&setup(&on)?, &sink, args.seconds).await?);
    }
    let of = |seen: &[Seen], value: fn(&Seen) -> f64| median(seen.iter().map(value).collect());
    let (calm, busy) = (of(&without, |s| s.p99), of(&with, |s| s.p99));
    println!(
        "one dead target that is owed {owed} deliveries; {RATE} events a second to another one"
    );
    println!(
        "the other's p50 without, with {:>10.1} {:>8.1} ms",
        of(&without, |s| s.p50),
        of(&with, |s| s.p50)
    );
    println!("the other's p99 without, with {calm:>10.1} {busy:>8.1} ms");
    println!("p99 with / without            {:>10.2}   (reach 1.10)", busy / calm);
    let (before, after) = (of(&without, |s| s.resident), of(&with, |s| s.resident));
    println!("peak memory without, with     {:>10.1} {:>8.1} MiB", before / 1024.0, after / 1024.0);
    Ok(())
}

/// Makes a delivery of each event pending for the dead target, as `tailwater replay` does.
async fn owe_everything(path: &Path) -> Result<u64> {
    let ledger = Ledger::open(path, Clock::system()).await?;
    let (target, _) = ledger.reader().find_target("dead").await?.context("no target")?;
    let replay =
        Replay { target, which: Which::Missed, filter: HistoryFilter::default(), scope: None };
    let operation = ledger.begin_replay(target, "everything".to_owned()).await?;
    let (mut owed, mut after) = (0, 0);
    loop {
        let found = ledger.reader().list_replay(&replay, after, STEP).await?;
        let Some(last) = found.last().copied() else { break };
        after = last;
        owed += ledger.replay(operation, target, replay.which, found).await?;
    }
    ledger.close().await;
    Ok(owed)
}

/// Runs the bridge for some seconds, once it has caught up.
async fn watch(config: &Path, sink: &Sink, seconds: u64) -> Result<Seen> {
    let (bridge, _) = Bridge::start(config)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    sink.keep();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let kept = sink.take_kept();
    let resident = mib(bridge.memory("VmHWM:")?) * 1024.0;
    bridge.stop()?;
    let mut waits: Vec<f64> = kept.iter().filter_map(|(at, body)| waited(*at, body)).collect();
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or(f64::NAN);
    Ok(Seen { p99: at(99), p50: at(50), resident })
}

/// Milliseconds between `recordedtime` and the arrival.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a day are far below 2^52")]
fn waited(at: i64, body: &[u8]) -> Option<f64> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let recorded = Timestamp::parse_rfc3339(event["recordedtime"].as_str()?)?;
    Some((at - recorded.micros()) as f64 / 1_000.0)
}
