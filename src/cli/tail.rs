//! `tailwater tail`: follows events as they come.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{Exit, Failure};
use crate::cli::filter::{MatchArgs, SpanArgs};
use crate::cli::ledger::LedgerArgs;
use crate::cli::{history, output, until_signal};
use crate::model::event::Sequence;
use crate::storage::{Follower, HistoryFilter, HistoryRow, StorageError};

/// Between two looks for what is new: fresh enough for somebody who watches, and a look
/// at a ledger where nothing is new reads one page of it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Events read at once: some hundred KiB.
const PAGE: u32 = 256;

/// What `tailwater tail` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "It follows the ledger, beside a running daemon, until Ctrl-C.")]
pub struct TailArgs {
    /// Begin with the event of this sequence [default: with the next one that comes]
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "since")]
    from: Option<Sequence>,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    matching: MatchArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Follows events until a signal comes or nobody reads standard output any more.
///
/// # Errors
/// When a filter makes no sense or the ledger cannot be read.
pub async fn run(args: &TailArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = args.span.narrow(args.matching.filter())?;
    let mut follower = Follower::open(&args.ledger.path(config)?).await?;
    let after = first_after(&mut follower, args.from, &filter).await?;
    let filter = HistoryFilter { after: Some(after), limit: PAGE, oldest_first: true, ..filter };
    let as_json = args.json;
    until_signal(|stop| follow(follower, filter, as_json, stop)).await
}

/// The sequence below the first event that is to be shown.
async fn first_after(
    follower: &mut Follower,
    from: Option<Sequence>,
    filter: &HistoryFilter,
) -> Result<Sequence, StorageError> {
    if let Some(from) = from {
        return Ok(from.saturating_sub(1));
    }
    let reader = follower.reader().await?;
    if filter.from.is_none() {
        return reader.find_last_sequence().await;
    }
    let enclosed = reader.enclose(filter.clone()).await?;
    Ok(enclosed.after.unwrap_or(0))
}

async fn follow(
    mut follower: Follower,
    mut filter: HistoryFilter,
    as_json: bool,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        // A daemon that commits for long is waited for.
        match show_new(&mut follower, &mut filter, as_json, &stop).await {
            Err(error) if !is_passing(&error) => return Err(error),
            _ => {}
        }
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(StorageError::is_passing)
}

/// Shows what has come since `filter.after`, and moves that on.
async fn show_new(
    follower: &mut Follower,
    filter: &mut HistoryFilter,
    as_json: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let reader = follower.reader().await?;
    let last = reader.find_last_sequence().await?;
    while filter.after.is_some_and(|after| after < last) && !stop.is_cancelled() {
        filter.through = Some(last);
        let rows = reader.list_history(filter).await?;
        show(&rows, as_json)?;
        // What does not match is not looked at again.
        let full_page = rows.last().filter(|_| rows.len() as u64 >= u64::from(PAGE));
        filter.after = Some(full_page.map_or(last, |row| row.sequence));
    }
    Ok(())
}

fn show(rows: &[HistoryRow], as_json: bool) -> std::io::Result<()> {
    let mut out = output::out();
    for row in rows {
        if as_json {
            writeln!(out, "{}", history::json(row))?;
        } else {
            writeln!(out, "{}", line(row))?;
        }
    }
    out.flush()
}

/// One event on one line: what users write cannot break it, nor drive the terminal.
fn line(row: &HistoryRow) -> String {
    let line = format!(
        "{}  {}  {}  {}  {}",
        row.sequence,
        row.time,
        output::or_dash(row.category.as_ref()),
        output::or_dash(row.username.as_ref()),
        output::or_dash(row.description.as_ref()),
    );
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
