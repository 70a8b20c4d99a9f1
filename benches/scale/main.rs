//! Large ledgers: backfill, ten million events, and one dead target, as ratios in one run.
//!
//! ```text
//! cargo bench --bench scale                # everything
//! cargo bench --bench scale -- --only ledger
//! cargo bench --bench scale -- --events 100000 --ledger 1000000 --seconds 10
//! ```
//!
//! The cloud and the sinks are this process; each bridge is a process of its own. Ten
//! million events take some 4 GB in the temporary folder (`TMPDIR`).

mod backfill;
mod dead_target;
#[path = "../fixture/mod.rs"]
mod fixture;
mod ledger;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use tailwater::simulator::{Settings, Simulator, Traffic, UNLIMITED};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Args {
    /// Entries of the backfill, and deliveries that the dead target is owed
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events of the large ledger
    #[arg(long, default_value_t = 10_000_000)]
    ledger: u64,
    /// Seconds of each measurement that goes on by itself
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Leave out the other
    #[arg(long)]
    only: Option<Part>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The backfill, and on its ledger the dead target
    Backfill,
    /// The large ledger beside an empty one
    Ledger,
}

#[derive(Subcommand)]
enum Role {
    /// The process that runs the bridge
    Bridge { config: PathBuf },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.role {
        Some(Role::Bridge { config }) => runtime.block_on(fixture::run_bridge(&config)),
        None => runtime.block_on(measure(&args)),
    }
}

async fn measure(args: &Args) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("tailwater-scale-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = parts(args, &dir).await;
    std::fs::remove_dir_all(dir)?;
    result
}

async fn parts(args: &Args, dir: &Path) -> Result<()> {
    if args.only != Some(Part::Ledger) {
        backfill::measure(args, dir).await?;
        dead_target::measure(args, dir).await?;
    }
    if args.only != Some(Part::Backfill) {
        ledger::measure(args, dir).await?;
    }
    Ok(())
}

/// A cloud with `entries` over the last `over`, and `rate` more each second.
async fn start_cloud(
    serving: &mut JoinSet<std::io::Result<()>>,
    entries: u64,
    over: std::time::Duration,
    rate: f64,
) -> Result<String> {
    let traffic = Traffic { rate, ..Traffic::default() };
    let settings = Settings { requests_per_minute: UNLIMITED, traffic, ..Settings::default() };
    let simulator = Simulator::bind(settings).await?;
    let (cloud, url) = (simulator.cloud(), simulator.base_url());
    let now = cloud.clock().now();
    let made = cloud.generate(entries, now.minus(over), now).len();
    ensure!(made as u64 == entries, "the cloud made only {made} entries");
    serving.spawn(simulator.run(CancellationToken::new()));
    Ok(url)
}
