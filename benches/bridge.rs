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
//! one is the cloud and the sink. Time counts from the bridge's start to the sink's last
//! event, so it includes the cloud's work and the program's start.

#![expect(clippy::cast_precision_loss, reason = "counts and ticks are far below 2^52")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use tailwater::app::{App, RequestBudget};
use tailwater::config::{Config, Environment};
use tailwater::model::clock::Clock;
use tailwater::simulator::{Settings, Simulator, UNLIMITED};
use tailwater::transport::{ClientOptions, client, read_bounded};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The program's own, for every process: the bare loop gains by it, too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Longest time for one run; beyond it something is broken.
const RUN_MAX: Duration = Duration::from_mins(5);

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
        Some(Role::Bridge { config }) => runtime.block_on(bridge(&config)),
        Some(Role::Bare { url, bodies, concurrency }) => {
            runtime.block_on(bare(&url, &bodies, concurrency))
        }
        None => runtime.block_on(measure(&args)),
    }
}

/// The bridge, at full speed, until it is killed.
async fn bridge(config: &Path) -> Result<()> {
    let config = Config::load(config, &Environment::default())?.config;
    let app = App::bind(config, Clock::system(), RequestBudget::Unlimited).await?;
    app.run(CancellationToken::new()).await
}

/// The bare loop; prints the seconds it took.
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
    println!("{}", started.elapsed().as_secs_f64());
    Ok(())
}

/// A target that counts and does nothing else.
#[derive(Clone, Default)]
struct Sink(Arc<Counts>);

#[derive(Default)]
struct Counts {
    events: AtomicUsize,
    is_keeping: AtomicBool,
    bodies: Mutex<Vec<Bytes>>,
}

impl Sink {
    async fn start(serving: &mut JoinSet<std::io::Result<()>>) -> Result<(Self, String)> {
        let sink = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = Router::new().route("/", post(receive)).with_state(sink.clone());
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok((sink, url))
    }

    fn reset(&self) {
        self.0.events.store(0, Ordering::SeqCst);
    }

    async fn wait_for(&self, events: u64) -> Result<()> {
        let wanted = usize::try_from(events)?;
        let started = Instant::now();
        while self.0.events.load(Ordering::SeqCst) < wanted {
            let got = self.0.events.load(Ordering::SeqCst);
            ensure!(started.elapsed() < RUN_MAX, "only {got} of {wanted} events came");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

async fn receive(State(sink): State<Sink>, body: Bytes) -> StatusCode {
    let events = if body.first() == Some(&b'[') {
        body.windows(15).filter(|window| *window == b"{\"specversion\":").count()
    } else {
        1
    };
    if sink.0.is_keeping.load(Ordering::Relaxed) {
        sink.0.bodies.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    }
    sink.0.events.fetch_add(events, Ordering::SeqCst);
    StatusCode::NO_CONTENT
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
        let (mut bare, mut single, mut batch, mut peak) = (vec![], vec![], vec![], 0);
        for round in 0..*rounds {
            bare.push(self.bare(&bodies)?);
            let (rate, kib) = self.bridge(&format!("single-{round}"), SINGLE).await?;
            single.push(rate);
            peak = peak.max(kib);
            batch.push(self.bridge(&format!("batch-{round}"), BATCH).await?.0);
        }
        println!("{events} events, {concurrency} at once, {rounds} rounds, medians");
        println!("bare loop                     {:>8.0} events/s", median(bare.clone()));
        println!("bridge, one POST an event     {:>8.0} events/s", median(single.clone()));
        println!("bridge, batches of 100        {:>8.0} events/s", median(batch.clone()));
        println!(
            "bridge / bare loop            {:>8.2}   (reach 0.40, aim 0.60)",
            ratio(&single, &bare)
        );
        println!("batches / single              {:>8.2}   (reach 2.50)", ratio(&batch, &single));
        println!("bridge, peak resident memory  {:>8.1} MiB", mib(peak));
        if self.args.idle > 0 {
            let (cpu, kib) = self.idle().await?;
            println!("idle, resident memory         {:>8.1} MiB (reach 30)", mib(kib));
            println!("idle, of one core             {cpu:>8.2} %   (reach 0.50)");
        }
        Ok(())
    }

    /// One run of the bridge whose bodies are kept, for the bare loop to post.
    async fn keep_bodies(&self) -> Result<PathBuf> {
        self.sink.0.is_keeping.store(true, Ordering::SeqCst);
        self.bridge("bodies", SINGLE).await?;
        self.sink.0.is_keeping.store(false, Ordering::SeqCst);
        let bodies =
            std::mem::take(&mut *self.sink.0.bodies.lock().unwrap_or_else(PoisonError::into_inner));
        let lines: Vec<&[u8]> = bodies.iter().map(AsRef::as_ref).collect();
        let path = self.dir.join("bodies");
        std::fs::write(&path, lines.join(&b'\n'))?;
        Ok(path)
    }

    /// Events a second of the bare loop.
    fn bare(&self, bodies: &Path) -> Result<f64> {
        self.sink.reset();
        let output = Command::new(std::env::current_exe()?)
            .args(["bare", &self.url])
            .arg(bodies)
            .arg(self.args.concurrency.to_string())
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(self.args.events as f64 / text.trim().parse::<f64>().context("the bare loop")?)
    }

    /// Events a second of the bridge, and its peak memory in KiB.
    async fn bridge(&self, name: &str, format: &str) -> Result<(f64, u64)> {
        self.sink.reset();
        let config = self.config(name, "1s", "3700s", &self.target("one", format))?;
        let started = Instant::now();
        let bridge = Bridge::start(&config)?;
        self.sink.wait_for(self.args.events).await?;
        let seconds = started.elapsed().as_secs_f64();
        Ok((self.args.events as f64 / seconds, bridge.memory("VmHWM:")?))
    }

    /// Percent of a core, and resident memory in KiB, of a daemon with ten targets and
    /// nothing to do but to poll every 30 s.
    async fn idle(&self) -> Result<(f64, u64)> {
        let targets: Vec<String> = (0..10).map(|n| self.target(&format!("t{n}"), SINGLE)).collect();
        let config = self.config("idle", "30s", "now", &targets.concat())?;
        let bridge = Bridge::start(&config)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (before, started) = (bridge.ticks()?, Instant::now());
        tokio::time::sleep(Duration::from_secs(self.args.idle)).await;
        let ticks = bridge.ticks()? - before;
        // A tick is 10 ms on Linux (sysconf(3): _SC_CLK_TCK is 100), a percent of a second.
        Ok((ticks as f64 / started.elapsed().as_secs_f64(), bridge.memory("VmRSS:")?))
    }

    fn target(&self, name: &str, format: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nurl = {:?}\nconcurrency = {}\n{format}\n\
             signing = {{ standard = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"] }}\n",
            self.url, self.args.concurrency
        )
    }

    fn config(&self, name: &str, interval: &str, start: &str, targets: &str) -> Result<PathBuf> {
        let settings = Settings::default();
        let ledger = self.dir.join(format!("{name}.db"));
        let text = format!(
            "[storage]\npath = \"{}\"\n[[source]]\nname = \"cloud\"\nworkspace_id = {:?}\n\
             client_id = {:?}\nclient_secret = {:?}\nbase_url = {:?}\n[source.poll]\n\
             interval = {interval:?}\nstart = {start:?}\n{targets}",
            ledger.display(),
            settings.workspace.id,
            settings.client_id,
            settings.client_secret.expose(),
            self.cloud,
        );
        let path = self.dir.join(format!("{name}.toml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// A bridge in a process of its own; killed when dropped.
struct Bridge(Child);

impl Bridge {
    fn start(config: &Path) -> Result<Self> {
        let exe = std::env::current_exe()?;
        Ok(Self(Command::new(exe).arg("bridge").arg(config).spawn()?))
    }

    fn memory(&self, field: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
        Ok(line.split_whitespace().nth(1).context("no value")?.parse()?)
    }

    /// Processor time used so far, in ticks (proc(5): utime and stime).
    fn ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> =
            stat.rsplit(") ").next().context("no fields")?.split_whitespace().collect();
        let field =
            |index: usize| -> Result<u64> { Ok(fields.get(index).context("short")?.parse()?) };
        Ok(field(11)? + field(12)?)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ratio(one: &[f64], other: &[f64]) -> f64 {
    median(one.iter().zip(other).map(|(one, other)| one / other).collect())
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
