//! `tailwater demo`: a simulated cloud, the bridge and three targets in one process.
//!
//! What it tells at the end is measured from outside: the cloud's own list of entries
//! against what the targets and the ledger's file really hold, id by id ([`audit`]).

mod audit;
mod closing;
mod live;
mod recipe;
mod shelf;
mod stage;
mod trouble;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::app::lifecycle::Signals;
use crate::cli::demo::audit::Audit;
use crate::cli::demo::closing::Closing;
use crate::cli::demo::live::{Live, Phase};
use crate::cli::demo::shelf::Shelf;
use crate::cli::demo::stage::Stage;
use crate::cli::exit::{Exit, Failure};
use crate::config::Environment;
use crate::telemetry::log::{self, Form};

/// How often the display and the end of draining are looked at.
const TICK: Duration = Duration::from_millis(200);

/// Draining ends when nothing has moved for this long: longer than the longest pause of
/// the retry schedule, a `Retry-After` and a failed poll together.
const STILL_MAX: Duration = Duration::from_secs(15);

/// Draining ends after this long in any case.
const DRAIN_MAX: Duration = Duration::from_mins(2);

/// What `tailwater demo` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long entries are made, such as 30s [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
    /// New entries on average, such as 25/s or 90/m
    #[arg(long, default_value = "25/s", value_parser = super::simulate::parse_rate)]
    rate: f64,
    /// The same seed makes the same entries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the ledger in this new file, to look into it afterwards
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Print the configuration that the bridge runs with, too
    #[arg(long)]
    show_config: bool,
    /// Log to standard error what the bridge does
    #[arg(long)]
    log: bool,
}

/// Runs the demo for as long as asked or until a signal, drains, and prints the figures.
/// A second signal ends it at once, without figures.
///
/// # Errors
/// When something cannot be started or ends by itself, or after a second signal.
pub async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    refuse_proxy(&Environment::of_process())?;
    let mut signals = Signals::new()?;
    if args.log {
        log::init(Form::Text, "info").context("the log")?;
    }
    let shelf = Shelf::take(args.keep.as_deref())?;
    let enough = CancellationToken::new();
    tokio::select! {
        exit = play(&args, &shelf, &enough) => Ok(exit?),
        () = two(&mut signals, &enough) => {
            Err(anyhow!("ended at once; nothing was counted").into())
        }
    }
}

/// The environment's proxy would get what is meant for this machine.
fn refuse_proxy(environment: &Environment) -> Result<(), Failure> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let named = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let Some(name) = named.into_iter().find(|name| value(name).is_some()) else { return Ok(()) };
    let spared = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
    if spared.contains("127.0.0.") || spared.trim() == "*" {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{name} would take the demo's requests away from this machine; \
         write NO_PROXY=127.0.0.1 tailwater demo"
    )))
}

/// Waits for two signals; the first one says that it is `enough`.
async fn two(signals: &mut Signals, enough: &CancellationToken) {
    signals.next().await;
    enough.cancel();
    signals.next().await;
}

async fn play(args: &DemoArgs, shelf: &Shelf, enough: &CancellationToken) -> anyhow::Result<Exit> {
    let mut stage = Stage::build(args, shelf.path()).await?;
    let mut live = Live::new(args.log);
    introduce(args, shelf, &stage)?;
    stage.raise_curtain();
    let began = Instant::now();
    let end = args.length.and_then(|length| began.checked_add(length));
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !enough.is_cancelled() && end.is_none_or(|end| Instant::now() < end) {
        tokio::select! {
            () = enough.cancelled() => {}
            () = sleep_until(end) => {}
            ended = stage.ended() => return Err(ended),
            _ = tick.tick() => {
                let phase = Phase::Running { since: began.elapsed(), length: args.length };
                live.show(&stage.snapshot(phase).await?)?;
            }
        }
    }
    let is_drained = drain(&mut stage, &mut live, began).await?;
    let closing = close(stage, is_drained).await?;
    live.end()?;
    let mut out = stdout().lock();
    for line in closing.lines() {
        writeln!(out, "{line}")?;
    }
    for line in shelf.hints() {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(if closing.audit.is_clean() { Exit::Done } else { Exit::Failed })
}

async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Ends the traffic and all trouble and waits until the bridge has nothing left to do;
/// false when it had to stop waiting.
async fn drain(stage: &mut Stage, live: &mut Live, began: Instant) -> anyhow::Result<bool> {
    stage.calm_down();
    let drained_from = Instant::now();
    let (mut moved_at, mut before) = (drained_from, None);
    let mut tick = interval(TICK);
    loop {
        tokio::select! {
            ended = stage.ended() => return Err(ended),
            _ = tick.tick() => {}
        }
        let phase = Phase::Draining { since: began.elapsed(), waited: drained_from.elapsed() };
        let snapshot = stage.snapshot(phase).await?;
        live.show(&snapshot)?;
        if snapshot.wait().is_none() {
            return Ok(true);
        }
        let progress = Some(snapshot.progress());
        if progress != before {
            (moved_at, before) = (Instant::now(), progress);
        }
        if moved_at.elapsed() >= STILL_MAX || drained_from.elapsed() >= DRAIN_MAX {
            return Ok(false);
        }
    }
}

/// Stops everything and takes the evidence.
async fn close(stage: Stage, is_drained: bool) -> anyhow::Result<Closing> {
    let (evidence, figures) = stage.close().await?;
    Ok(Closing { audit: Audit::of(&evidence), figures, is_drained })
}

fn introduce(args: &DemoArgs, shelf: &Shelf, stage: &Stage) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "A simulated GreenLake cloud, the bridge and three targets on this machine.")?;
    writeln!(out, "  cloud    {}", stage.cloud_url)?;
    writeln!(out, "  ledger   {}", shelf.describe())?;
    for target in &stage.targets {
        writeln!(out, "  {:<8} {}, {}", target.name, target.url, target.about)?;
    }
    if args.show_config {
        writeln!(out, "\n{}", stage.recipe)?;
    }
    let end = if args.length.is_some() { "Ctrl-C ends it earlier" } else { "Ctrl-C ends it" };
    writeln!(out, "{end}: it drains and prints the figures; twice ends it at once.\n")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> bool {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        refuse_proxy(&pairs.collect()).is_err()
    }

    #[test]
    fn a_proxy_that_would_take_our_requests_is_refused() {
        assert!(!refused(&[]));
        assert!(!refused(&[("http_proxy", "")]));
        assert!(!refused(&[("https_proxy", "http://proxy:1")]));
        assert!(refused(&[("http_proxy", "http://proxy:1")]));
        assert!(refused(&[("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", "example.com")]));
        assert!(!refused(&[("HTTP_PROXY", "http://proxy:1"), ("no_proxy", "a,127.0.0.1")]));
        assert!(!refused(&[("HTTP_PROXY", "http://proxy:1"), ("NO_PROXY", "*")]));
    }
}
