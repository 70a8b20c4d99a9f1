//! What the receiver costs beside the same HTTP route that does nothing, and how long a push
//! takes to a target's socket.
//!
//! ```text
//! cargo bench --bench receiver                 # everything, about a minute
//! cargo bench --bench receiver -- --pushes 2000 --rounds 1 --singles 50
//! ```
//!
//! The *null route* is an axum route that reads the body and answers 200. The *receiver* is
//! the daemon: it checks the signature over the body, reads the event, commits it with
//! `synchronous=FULL`, and answers then. Both are processes of their own, and so is who
//! pushes: the same signed bodies over the same number of connections, each waiting for its
//! answer before its next push. For the single pushes the daemon has one target, this
//! process, and nothing else to do.

#![expect(clippy::cast_precision_loss, reason = "counts and microseconds are far below 2^52")]

#[expect(dead_code, reason = "nothing is polled here")]
mod fixture;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use clap::{Parser, Subcommand};
use serde_json::json;
use tailwater::model::clock::Clock;
use tailwater::model::signature::sign_greenlake;
use tailwater::simulator::Settings;
use tailwater::storage::Reader;
use tailwater::transport::{ClientOptions, client, read_bounded};
use tokio::task::JoinSet;

use crate::fixture::{Bridge, Sink, median, mib, run_bridge, target};

const SECRET: &str = "the-secret-of-the-webhook";

/// Single pushes that are not counted: connections are made, pages are read.
const WARM_UP: usize = 20;

#[derive(Parser)]
struct Args {
    /// Pushes in each run
    #[arg(long, default_value_t = 30_000)]
    pushes: usize,
    /// Runs of each kind; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that push at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Pushes one after the other; 0 leaves them out
    #[arg(long, default_value_t = 500)]
    singles: usize,
    /// Milliseconds between two of them
    #[arg(long, default_value_t = 20)]
    pause: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The process that runs the daemon
    Bridge { config: PathBuf },
    /// The process that answers 200 and does nothing
    Null { port: u16 },
    /// The process that pushes as fast as it is answered
    Load { url: String, pushes: PathBuf, connections: usize },
    /// The process that pushes one after the other
    Single { url: String, pushes: PathBuf, pause: u64 },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.role {
        Some(Role::Bridge { config }) => runtime.block_on(run_bridge(&config)),
        Some(Role::Null { port }) => runtime.block_on(null(port)),
        Some(Role::Load { url, pushes, connections }) => {
            runtime.block_on(load(&url, &pushes, connections))
        }
        Some(Role::Single { url, pushes, pause }) => {
            runtime.block_on(single(&url, &pushes, Duration::from_millis(pause)))
        }
        None => runtime.block_on(measure(&args)),
    }
}

/// The null route, until its standard input ends.
async fn null(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let router = Router::new().fallback(async |_: Bytes| StatusCode::OK);
    println!("ready");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

/// A signature and the body that it signs.
#[derive(Clone)]
struct Push {
    signature: String,
    body: Bytes,
}

/// Reads what [`Bench::write_pushes`] has written.
fn read_pushes(path: &Path) -> Result<Vec<Push>> {
    let text = std::fs::read_to_string(path)?;
    let push = |line: &str| {
        let (signature, body) = line.split_once(' ')?;
        let body = Bytes::copy_from_slice(body.as_bytes());
        Some(Push { signature: signature.to_owned(), body })
    };
    text.lines().map(|line| push(line).context("no push")).collect()
}

async fn post(client: &reqwest::Client, url: &str, push: &Push) -> Result<()> {
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("hpe-webhook-signature", &push.signature)
        .body(push.body.clone());
    let answer = request.send().await?.error_for_status()?;
    read_bounded(answer, 65_536).await?;
    Ok(())
}

/// Pushes everything over so many connections; prints the seconds it took.
async fn load(url: &str, pushes: &Path, connections: usize) -> Result<()> {
    let pushes = Arc::new(read_pushes(pushes)?);
    let options = ClientOptions { pool_max_idle_per_host: connections, ..Default::default() };
    let (client, next) = (client(&options)?, Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut lanes: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..connections {
        let (client, next, pushes) = (client.clone(), next.clone(), pushes.clone());
        let url = url.to_owned();
        lanes.spawn(async move {
            while let Some(push) = pushes.get(next.fetch_add(1, Ordering::Relaxed)) {
                post(&client, &url, push).await?;
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

/// Pushes one after the other; prints when each was sent and when it was answered, in
/// microseconds since the epoch.
async fn single(url: &str, pushes: &Path, pause: Duration) -> Result<()> {
    let (clock, client) = (Clock::system(), client(&ClientOptions::default())?);
    for push in read_pushes(pushes)? {
        tokio::time::sleep(pause).await;
        let sent = clock.now().micros();
        post(&client, url, &push).await?;
        println!("{sent} {}", clock.now().micros());
    }
    Ok(())
}

/// What one run came to.
#[derive(Clone, Copy)]
struct Run {
    /// Pushes a second.
    rate: f64,
    /// Microseconds of the server's processor time a push.
    cost: f64,
    /// Its peak memory in KiB.
    peak: u64,
}

struct Bench<'a> {
    args: &'a Args,
    dir: PathBuf,
}

async fn measure(args: &Args) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("tailwater-receiver-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = Bench { args, dir: dir.clone() }.report().await;
    std::fs::remove_dir_all(dir)?;
    result
}

impl Bench<'_> {
    async fn report(&self) -> Result<()> {
        let Args { pushes, rounds, connections, singles, .. } = self.args;
        let path = self.write_pushes("pushes", *pushes)?;
        let (mut null, mut receiver) = (Vec::new(), Vec::new());
        for round in 0..*rounds {
            null.push(self.null(&path)?);
            receiver.push(self.receiver(&path, round).await?);
        }
        println!("{pushes} pushes, {connections} connections, {rounds} rounds, medians");
        println!("                          pushes/s   processor time, µs a push");
        for (name, runs) in [("null route", &null), ("receiver", &receiver)] {
            let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
            println!("{name:<22}  {:>10.0}  {:>10.1}", of(|r| r.rate), of(|r| r.cost));
        }
        let ratios = receiver.iter().zip(&null).map(|(one, other)| one.rate / other.rate);
        println!("receiver / null route   {:>10.2}   (reach 0.50)", median(ratios.collect()));
        let peak = receiver.iter().map(|run| run.peak).max().unwrap_or_default();
        println!("peak resident memory    {:>10.1} MiB", mib(peak));
        if *singles > 0 {
            self.report_singles(*singles).await?;
        }
        Ok(())
    }

    async fn report_singles(&self, singles: usize) -> Result<()> {
        let (to_target, to_answer) = self.singles(singles).await?;
        println!("{singles} single pushes           p50       p99");
        for (name, times, reach) in [
            ("to the target's socket", to_target, "   (reach 5 and 20)"),
            ("to the answer", to_answer, ""),
        ] {
            let (half, most) = (quantile(&times, 0.5), quantile(&times, 0.99));
            println!("{name:<22}  {half:>6.2} ms {most:>6.2} ms{reach}");
        }
        Ok(())
    }

    /// Writes signed events, one a line, none twice.
    fn write_pushes(&self, name: &str, count: usize) -> Result<PathBuf> {
        let (workspace, now) = (Settings::default().workspace.id, Clock::system().now());
        let mut text = String::new();
        for number in 0..count {
            let id = format!("{name}-{number:012}");
            let body = json!({
                "specversion": "1.0", "id": id, "datacontenttype": "application/json",
                "source": "//global.api.greenlake.hpe.com/audit-log",
                "type": "com.hpe.greenlake.audit-log.v1.logs.created",
                "time": now.to_rfc3339_millis(),
                "data": {
                    "id": id, "user": {"username": "jane@example.com"},
                    "workspace": {"id": workspace, "workspace_name": null, "workspace_type": null},
                    "application": {"id": "00000000-0000-0000-0000-000000000000"},
                    "category": "user_management", "description": "User jane@example.com logged in",
                    "created_at": now.millis(), "updated_at": now.millis(),
                    "additional_info": {"ip_address": "203.0.113.7", "account_name": "Example"},
                    "has_details": false,
                },
            })
            .to_string();
            let signature = sign_greenlake(SECRET.as_bytes(), body.as_bytes());
            text.extend([signature.as_str(), " ", &body, "\n"]);
        }
        let path = self.dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn null(&self, pushes: &Path) -> Result<Run> {
        let port = free_port()?;
        let server = Bridge::start_as("null", OsStr::new(&port.to_string()))?;
        let seconds = self.load(port, pushes)?;
        self.run(&server, seconds)
    }

    async fn receiver(&self, pushes: &Path, round: usize) -> Result<Run> {
        let port = free_port()?;
        let name = format!("round-{round}");
        let server = Bridge::start_as("bridge", self.config(&name, port, "")?.as_os_str())?;
        let seconds = self.load(port, pushes)?;
        let run = self.run(&server, seconds)?;
        server.stop()?;
        let reader = Reader::open(&self.dir.join(format!("{name}.db"))).await?;
        let (stored, _) = reader.count_events().await?;
        ensure!(usize::try_from(stored)? == self.args.pushes, "only {stored} were stored");
        Ok(run)
    }

    fn run(&self, server: &Bridge, seconds: f64) -> Result<Run> {
        let pushes = self.args.pushes as f64;
        Ok(Run {
            rate: pushes / seconds,
            cost: server.processor()? / pushes,
            peak: server.memory("VmHWM:")?,
        })
    }

    /// Has everything pushed by a process of its own; the seconds it took.
    fn load(&self, port: u16, pushes: &Path) -> Result<f64> {
        let connections = self.args.connections.to_string();
        let said = run_role(&["load", &url(port)], pushes, &connections)?;
        said.trim().parse().context("the load did not say how long it took")
    }

    /// Milliseconds from sending each single push to its arrival at the target, and to its
    /// answer.
    async fn singles(&self, singles: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let count = singles + WARM_UP;
        let pushes = self.write_pushes("single", count)?;
        let mut serving = JoinSet::new();
        let (sink, sink_url) = Sink::start(&mut serving).await?;
        sink.keep();
        let port = free_port()?;
        let target = target("one", &sink_url, 16, "format = \"structured\"");
        let config = self.config("singles", port, &target)?;
        let _server = Bridge::start_as("bridge", config.as_os_str())?;
        let pause = self.args.pause.to_string();
        let url = url(port);
        let asking =
            tokio::task::spawn_blocking(move || run_role(&["single", &url], &pushes, &pause));
        let said = asking.await??;
        sink.wait_for(count as u64).await?;
        let arrived: BTreeMap<usize, i64> =
            sink.take_kept().iter().filter_map(|(at, body)| Some((number(body)?, *at))).collect();
        let (mut to_target, mut to_answer) = (Vec::new(), Vec::new());
        for (number, line) in said.lines().enumerate().skip(WARM_UP) {
            let (sent, answered) = line.split_once(' ').context("two instants")?;
            let sent: i64 = sent.parse()?;
            let at = arrived.get(&number).with_context(|| format!("{number} did not arrive"))?;
            to_target.push((at - sent) as f64 / 1_000.0);
            to_answer.push((answered.parse::<i64>()? - sent) as f64 / 1_000.0);
        }
        Ok((to_target, to_answer))
    }

    fn config(&self, name: &str, port: u16, targets: &str) -> Result<PathBuf> {
        let text = format!(
            "[storage]\npath = \"{}\"\n[receiver]\nlisten = \"127.0.0.1:{port}\"\n\
             [log]\nfilter = \"warn\"\n\
             [[source]]\nname = \"cloud\"\nworkspace_id = {:?}\nclient_id = \"none\"\n\
             client_secret = \"none\"\n[source.poll]\nenabled = false\n\
             [source.push]\npath = \"/hook\"\nsecret = {SECRET:?}\n{targets}",
            self.dir.join(format!("{name}.db")).display(),
            Settings::default().workspace.id,
        );
        let path = self.dir.join(format!("{name}.toml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// Runs this program in a role to its end; what it printed.
fn run_role(role: &[&str], pushes: &Path, last: &str) -> Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .args(role)
        .arg(pushes)
        .arg(last)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{role:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// A port that nobody had a moment ago.
fn free_port() -> Result<u16> {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    Ok(TcpListener::bind(address)?.local_addr()?.port())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hook")
}

/// The number of the single push that a body tells of.
fn number(body: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"single-")?;
    rest.split_once('"')?.0.parse().ok()
}

/// The value that a part `share` of `times` does not exceed; NaN of none.
fn quantile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
