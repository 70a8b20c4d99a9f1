//! `tailwater replay`: delivers again.

mod pace;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::cli::filter::{MatchArgs, SpanArgs, describe};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::cli::replay::pace::Pace;
use crate::cli::simulate::parse_rate;
use crate::cli::targets::require_known;
use crate::config::{Config, Environment};
use crate::model::clock::Clock;
use crate::model::event::Sequence;
use crate::storage::{
    HistoryFilter, Ledger, OperationId, Reader, Replay, Scope, StorageError, Which,
};

/// Times that a step is tried while another process holds the ledger, for five seconds
/// each: a minute.
const TRIES: u32 = 12;

/// Events that a dry run shows.
const SHOWN: u32 = 5;

/// What `tailwater replay` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "A running daemon starts within a second; without one, the \
deliveries are made when it next runs. A replayed event keeps its id.")]
pub struct ReplayArgs {
    /// To this target
    #[arg(long, value_name = "NAME")]
    target: String,
    /// The event with this id, whether or not the target has had it
    #[arg(
        long,
        value_name = "ID",
        required_unless_present_any = ["dead", "missed", "since", "until", "source", "category",
            "user", "text", "route"],
        conflicts_with_all = ["dead", "missed", "since", "until", "source", "category", "user",
            "text", "route"]
    )]
    event: Option<String>,
    /// Only dead letters of the target
    #[arg(long, conflicts_with = "missed")]
    dead: bool,
    /// Only what the target has neither had nor is owed, also from before it was added
    #[arg(long, requires = "since")]
    missed: bool,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    matching: MatchArgs,
    /// Say how many events it would be, show the first, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Make so many deliveries pending a second, such as 100/s; 0/s: all at once
    #[arg(long, default_value = "0/s", value_parser = parse_rate)]
    rate: f64,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl ReplayArgs {
    fn which(&self) -> Which {
        match (self.dead, self.missed) {
            (true, _) => Which::DeadLetters,
            (_, true) => Which::Missed,
            _ => Which::Every,
        }
    }

    /// What is asked for, in words.
    fn selection(&self, filter: &HistoryFilter) -> String {
        let which = match self.which() {
            Which::DeadLetters => "dead letters",
            Which::Missed => "missed",
            Which::Every => "",
        };
        let parts = [which.to_owned(), describe(filter)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Makes deliveries pending, again or for the first time.
///
/// # Errors
/// When a filter makes no sense, the ledger does not know the target or the event, or
/// cannot be written; what has been made pending by then stays so, and is recorded.
pub async fn run(args: &ReplayArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let path = args.ledger.path(config.clone())?;
    let filter = args.span.narrow(args.matching.filter())?;
    let filter = HistoryFilter { id: args.event.clone(), ..filter };
    let selection = args.selection(&filter);
    let reader = Reader::open(&path).await?;
    let target = require_known(&reader, &args.target).await?;
    let scope = if args.missed { find_scope(&args.target, config) } else { None };
    let filter = reader.enclose(filter).await?;
    let replay = Replay { target, which: args.which(), filter, scope };
    if args.dry_run {
        return dry_run(&reader, &replay, &args.target).await;
    }
    let ledger = Ledger::open_beside(&path, Clock::system()).await?;
    let done = deliver_again(&ledger, &replay, selection, args.rate).await;
    ledger.close().await;
    match (done?, &args.event) {
        (0, Some(id)) => Err(anyhow!("the ledger holds no event {id:?}").into()),
        (count, _) => {
            let plural = if count == 1 { "delivery is" } else { "deliveries are" };
            println!("{count} {plural} pending again for {}", args.target);
            Ok(Exit::Done)
        }
    }
}

/// What the target subscribes to: it has not missed the rest. `None` where the
/// configuration does not tell.
fn find_scope(target: &str, config: Option<PathBuf>) -> Option<Scope> {
    let loaded =
        Config::find(config).and_then(|path| Config::load(&path, &Environment::of_process()));
    let targets = loaded.map(|loaded| loaded.config.targets).unwrap_or_default();
    if let Some(found) = targets.into_iter().find(|one| one.name == target) {
        return Some(Scope { sources: found.sources, routes: found.routes });
    }
    eprintln!(
        "note: no readable configuration tells which sources {target} subscribes to; events of \
         all sources count as missed, unless --source names one"
    );
    None
}

/// Makes everything pending, step by step; how much that was.
async fn deliver_again(
    ledger: &Ledger,
    replay: &Replay,
    selection: String,
    rate: f64,
) -> Result<u64, StorageError> {
    let operation = ledger.begin_replay(replay.target, selection).await?;
    let reader = ledger.reader();
    let mut progress = Progress::new("deliveries are pending again");
    let total = if progress.is_seen() {
        u64::try_from(reader.count_replay(replay).await?).ok()
    } else {
        None
    };
    let mut pace = Pace::new(rate);
    let (mut after, mut done) = (replay.filter.after.unwrap_or(0), 0);
    loop {
        let step = reader.list_replay(replay, after, pace.step()).await?;
        let Some(last) = step.last() else { return Ok(done) };
        after = *last;
        pace.begin();
        done += patiently(ledger, operation, replay, &step).await?;
        progress.show(done, total);
        pace.rest(done).await;
    }
}

/// One step, tried again while another process holds the ledger.
async fn patiently(
    ledger: &Ledger,
    operation: OperationId,
    replay: &Replay,
    step: &[Sequence],
) -> Result<u64, StorageError> {
    let mut tries = 1;
    loop {
        match ledger.replay(operation, replay.target, replay.which, step.to_vec()).await {
            Err(StorageError::Busy) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Says how many events it would be, and shows the first.
async fn dry_run(reader: &Reader, replay: &Replay, target: &str) -> Result<Exit, Failure> {
    let count = reader.count_replay(replay).await?;
    let mut rows = Vec::new();
    let after = replay.filter.after.unwrap_or(0);
    for sequence in reader.list_replay(replay, after, SHOWN).await? {
        let (after, through) = (Some(sequence - 1), Some(sequence));
        let one = HistoryFilter { after, through, limit: 1, ..HistoryFilter::default() };
        rows.extend(reader.list_history(&one).await?);
    }
    let cells = rows.iter().map(|row| {
        let description = output::or_dash(row.description.as_ref());
        vec![row.sequence.to_string(), row.time.clone(), row.id.clone(), description]
    });
    output::table(&["SEQUENCE", "TIME", "EVENT", "DESCRIPTION"], cells, "no events")?;
    let plural = if count == 1 { "delivery" } else { "deliveries" };
    println!("{count} {plural} would be pending for {target}; nothing was changed");
    Ok(Exit::Done)
}
