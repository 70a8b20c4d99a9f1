//! The demo from its introduction to its figures.

use std::io::{Write, stdout};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cli::demo::DemoArgs;
use crate::cli::demo::audit::Audit;
use crate::cli::demo::closing::Closing;
use crate::cli::demo::live::{Live, Phase};
use crate::cli::demo::shelf::Shelf;
use crate::cli::demo::stage::Stage;
use crate::cli::exit::Exit;

/// How often the display and the end of draining are looked at.
const TICK: Duration = Duration::from_millis(200);

/// Draining ends when nothing has moved for this long: longer than the longest pause of
/// the retry schedule, a `Retry-After` and a failed poll together.
const STILL_MAX: Duration = Duration::from_secs(15);

/// Draining ends after this long in any case.
const DRAIN_MAX: Duration = Duration::from_mins(2);

/// Plays from the introduction to the figures; `enough` ends the traffic early.
///
/// Dropping it stops everything at once.
pub(super) async fn play(
    args: &DemoArgs,
    shelf: &Shelf,
    enough: &CancellationToken,
) -> anyhow::Result<Exit> {
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
    writeln!(out, "  cloud    {}, polled and pushing", stage.cloud_url)?;
    writeln!(out, "  webhook  {}, the bridge's receiver", stage.webhook_url)?;
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
