//! What the bridge costs beside a bare client loop, as ratios from one run.
//!
//! ```text
//! cargo bench --bench bridge              # everything, some four minutes
//! cargo bench --bench bridge -- --events 20000 --rounds 1 --idle 0
//! ```
//!
//! The *bare loop* posts the same bodies to the same sink with the same concurrency and
//! client settings, and stores nothing. The *bridge* polls a simulated cloud, stores
//! every entry durably, and delivers each signed. Both run as a process of their own; this
//! one is the cloud and the sink. Time counts from when each is ready, with nothing asked
//! for or sent yet, to its last event, so it includes the cloud's work.

#![expect(clippy::cast_precision_loss, reason = "counts and ticks are far below 2^52")]

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use clap::{Parser, Subcommand};
use tailwater::simulator::{Settings, Simulator, UNLIMITED};
use tailwater::transport::{ClientOptions, client, read_bounded};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Bridge, Setup, Sink, median, mib, processor_of, run_bridge, target};

const SINGLE: &str = "format = \"structured\"";
const BATCH: &str = "format = \"batch\"\nbatch = { max_events = 100, max_wait = \"1s\" }";

#[derive(Parser)]
struct Args {
    /// Events in each run
    #[arg(long, default_value_t = 50_000)]
    events: u64,
    /// Runs of each kind; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Requests under way at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Seconds to watch the idle daemon; 0 leaves it out
    #[arg(long, default_value_t = 90)]
    idle: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The process that runs the bridge
    Bridge { config: PathBuf },
    /// The process that runs the bare loop
    Bare { url: String, bodies: PathBuf, concurrency: usize },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.role {
        Some(Role::Bridge { config }) => runtime.block_on(run_bridge(&config)),
        Some(Role::Bare { url, bodies, concurrency }) => {
            runtime.block_on(bare(&url, &bodies, concurrency))
        }
        None => runtime.block_on(measure(&args)),
    }
}

/// The bare loop; prints the seconds it took, and its microseconds of processor time.
async fn bare(url: &str, bodies: &Path, concurrency: usize) -> Result<()> {
    let text = std::fs::read_to_string(bodies)?;
    let bodies: Arc<Vec<Bytes>> =
        Arc::new(text.lines().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect());
    let options = ClientOptions { pool_max_idle_per_host: concurrency, ..Default::default() };
    let (client, next) = (client(&options)?, Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut lanes: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..concurrency {
        let (client, next, bodies) = (client.clone(), next.clone(), bodies.clone());
        let url = url.to_owned();
        lanes.spawn(async move {
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let request = client
                    .post(&url)
                    .header("content-type", "application/cloudevents+json; charset=utf-8")
                    .body(body.clone());
                let answer = request.send().await?.error_for_status()?;
                read_bounded(answer, 65_536).await?;
            }
            Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    println!("{} {}", started.elapsed().as_secs_f64(), processor_of("self")?);
    Ok(())
}

/// What one run came to.
#[derive(Clone, Copy)]
struct Run {
    /// Events a second.
    rate: f64,
    /// Microseconds of processor time an event, of the bridge or the loop.
    cost: f64,
    /// The same of this process: the cloud and the sink.
    around: f64,
    /// Peak memory in KiB; 0: not looked at.
    peak: u64,
}

/// Everything a measurement needs.
struct Bench<'a> {
    args: &'a Args,
    dir: PathBuf,
    cloud: String,
    sink: Sink,
    url: String,
}

async fn measure(args: &Args) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("tailwater-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let settings = Settings { requests_per_minute: UNLIMITED, ..Settings::default() };
    let simulator = Simulator::bind(settings).await?;
    let (cloud, base_url) = (simulator.cloud(), simulator.base_url());
    let now = cloud.clock().now();
    let made = cloud.generate(args.events, now.minus(Duration::from_hours(1)), now).len();
    ensure!(made as u64 == args.events, "the cloud made only {made} entries");
    let mut serving = JoinSet::new();
    serving.spawn(simulator.run(CancellationToken::new()));
    let (sink, url) = Sink::start(&mut serving).await?;
    let bench = Bench { args, dir: dir.clone(), cloud: base_url, sink, url };
    let result = bench.report().await;
    std::fs::remove_dir_all(dir)?;
    result
}

impl Bench<'_> {
    async fn report(&self) -> Result<()> {
        let Args { events, rounds, concurrency, .. } = self.args;
        let bodies = self.keep_bodies().await?;
        let (mut bare, mut single, mut batch) = (vec![], vec![], vec![]);
        for round in 0..*rounds {
            bare.push(self.bare(&bodies).await?);
            single.push(self.bridge(&format!("single-{round}"), SINGLE).await?);
            batch.push(self.bridge(&format!("batch-{round}"), BATCH).await?);
        }
        println!("{events} events, {concurrency} at once, {rounds} rounds, medians");
        println!("                                events/s   processor time, µs an event");
        println!("                                           its own   cloud and sink");
        for (name, runs) in [
            ("bare loop", &bare),
            ("bridge, one POST an event", &single),
            ("bridge, batches of 100", &batch),
        ] {
            let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
            let (rate, cost, around) = (of(|r| r.rate), of(|r| r.cost), of(|r| r.around));
            println!("{name:<28}  {rate:>10.0}  {cost:>8.1}  {around:>15.1}");
        }
        let over = ratio(&single, &bare);
        println!("bridge / bare loop            {over:>10.2}   (reach 0.40, aim 0.60)");
        println!("batches / single              {:>10.2}   (reach 2.50)", ratio(&batch, &single));
        let peak = single.iter().map(|run| run.peak).max().unwrap_or_default();
        println!("bridge, peak resident memory  {:>10.1} MiB", mib(peak));
        if self.args.idle > 0 {
            let (cpu, kib) = self.idle().await?;
            println!("idle, resident memory         {:>10.1} MiB (reach 30)", mib(kib));
            println!("idle, of one core             {cpu:>10.2} %   (reach 0.50)");
        }
        Ok(())
    }

    /// One run of the bridge whose bodies are kept, for the bare loop to post.
    async fn keep_bodies(&self) -> Result<PathBuf> {
        self.sink.keep();
        self.bridge("bodies", SINGLE).await?;
        let bodies = self.sink.take_kept();
        let lines: Vec<&[u8]> = bodies.iter().map(|(_, body)| body.as_ref()).collect();
        let path = self.dir.join("bodies");
        std::fs::write(&path, lines.join(&b'\n'))?;
        Ok(path)
    }

    async fn bare(&self, bodies: &Path) -> Result<Run> {
        let before = processor_of("self")?;
        let output = Command::new(std::env::current_exe()?)
            .args(["bare", &self.url])
            .arg(bodies)
            .arg(self.args.concurrency.to_string())
            .stderr(Stdio::inherit())
            .output()?;
        self.sink.wait_for(self.args.events).await?;
        let text = String::from_utf8(output.stdout)?;
        let (seconds, cost) = text.trim().split_once(' ').context("the bare loop")?;
        let events = self.args.events as f64;
        Ok(Run {
            rate: events / seconds.parse::<f64>()?,
            cost: cost.parse::<f64>()? / events,
            around: (processor_of("self")? - before) / events,
            peak: 0,
        })
    }

    async fn bridge(&self, name: &str, format: &str) -> Result<Run> {
        let target = target("one", &self.url, self.args.concurrency, format);
        let config = self.config(name, "interval = \"1s\"\nstart = \"3700s\"", &target)?;
        let (bridge, _) = Bridge::start(&config)?;
        let (before, started) = (processor_of("self")?, Instant::now());
        self.sink.wait_for(self.args.events).await?;
        let seconds = started.elapsed().as_secs_f64();
        let events = self.args.events as f64;
        Ok(Run {
            rate: events / seconds,
            cost: bridge.processor()? / events,
            around: (processor_of("self")? - before) / events,
            peak: bridge.memory("VmHWM:")?,
        })
    }

    /// Percent of a core, and resident memory in KiB, of a daemon with ten targets and
    /// nothing to do but to poll every 30 s.
    async fn idle(&self) -> Result<(f64, u64)> {
        let concurrency = self.args.concurrency;
        let targets: Vec<String> =
            (0..10).map(|n| target(&format!("t{n}"), &self.url, concurrency, SINGLE)).collect();
        let poll = "interval = \"30s\"\nstart = \"now\"";
        let config = self.config("idle", poll, &targets.concat())?;
        let (bridge, _) = Bridge::start(&config)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (before, started) = (bridge.processor()?, Instant::now());
        tokio::time::sleep(Duration::from_secs(self.args.idle)).await;
        let used = (bridge.processor()? - before) / 1_000_000.0;
        let share = 100.0 * used / started.elapsed().as_secs_f64();
        let resident = bridge.memory("VmRSS:")?;
        bridge.stop()?;
        Ok((share, resident))
    }

    fn config(&self, name: &str, poll: &str, targets: &str) -> Result<PathBuf> {
        Setup { dir: &self.dir, name, cloud: &self.cloud, poll, targets }.write()
    }
}

fn ratio(one: &[Run], other: &[Run]) -> f64 {
    median(one.iter().zip(other).map(|(one, other)| one.rate / other.rate).collect())
}
