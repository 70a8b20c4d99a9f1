//! `tailwater targets`: lists targets; tests, pauses and resumes them.

mod trial;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::model::clock::Clock;
use crate::storage::{Ledger, Reader, TargetRow, TargetState};

/// What `tailwater targets` takes.
#[derive(Args, Clone, Debug)]
pub struct TargetsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Send one event to a target that says it is a test; 1 unless the answer is 2xx
    Test {
        /// The target's name
        name: String,
    },
    /// Send nothing more to a target until it is resumed; what it is owed waits
    Pause {
        /// The target's name
        name: String,
    },
    /// Let a target that is paused, failing, or that answered 410, have its deliveries again
    Resume {
        /// The target's name
        name: String,
    },
}

/// Lists targets with their figures, or changes one.
///
/// # Errors
/// When the ledger cannot be read, or does not know the target; for a test, when the
/// configuration is bad or does not know it.
pub async fn run(args: TargetsArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    if let Some(Action::Test { name }) = &args.action {
        return trial::run(name, args.json, config).await;
    }
    let path = args.ledger.path(config)?;
    match args.action {
        Some(Action::Pause { name }) => return turn(&path, &name, TargetState::Paused).await,
        Some(Action::Resume { name }) => return turn(&path, &name, TargetState::Active).await,
        Some(Action::Test { .. }) | None => {}
    }
    let rows = Reader::open(&path).await?.list_targets().await?;
    if args.json {
        output::json_lines(&rows)?;
    } else {
        let headings =
            ["TARGET", "STATE", "SINCE", "PENDING", "DEAD", "DELIVERED", "LAST DELIVERY"];
        output::table(&headings, rows.iter().map(cells), "no targets")?;
    }
    Ok(Exit::Done)
}

/// Pauses or resumes a target and says how it stands then.
async fn turn(path: &Path, name: &str, wanted: TargetState) -> Result<Exit, Failure> {
    require_known(&Reader::open(path).await?, name).await?;
    let ledger = Ledger::open_beside(path, Clock::system()).await?;
    let turned = match wanted {
        TargetState::Active => ledger.resume_target(name).await,
        TargetState::Paused | TargetState::Gone | TargetState::Failing => {
            ledger.pause_target(name).await
        }
    };
    let found = ledger.reader().find_target(name).await;
    ledger.close().await;
    let (turned, state) = (turned?, found?.map_or(wanted, |(_, state)| state));
    println!("{name} {}", told(turned, state));
    Ok(Exit::Done)
}

/// How a target stands after a pause or a resumption that did something, or did not.
fn told(turned: bool, state: TargetState) -> &'static str {
    match (state, turned) {
        (TargetState::Active, true) => "is active again",
        (TargetState::Active, false) => "was active already",
        (TargetState::Failing, _) => "is failing: it gets one delivery at a time",
        (TargetState::Paused, true) => "is paused: nothing is sent to it until it is resumed",
        (TargetState::Paused, false) => "was paused already",
        (TargetState::Gone, _) => "is gone: nothing is sent to it until it is resumed",
    }
}

/// The key of a target, or a failure that names those there are.
pub(super) async fn require_known(reader: &Reader, name: &str) -> Result<i64, Failure> {
    if let Some((id, _)) = reader.find_target(name).await? {
        return Ok(id);
    }
    let names: Vec<String> = reader.list_targets().await?.into_iter().map(|row| row.name).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(anyhow!("the ledger knows no target {name:?}; it knows: {known}").into())
}

fn cells(row: &TargetRow) -> Vec<String> {
    vec![
        row.name.clone(),
        row.state.as_str().to_owned(),
        row.state_since.clone(),
        row.pending.to_string(),
        row.dead.to_string(),
        row.delivered_total.to_string(),
        output::or_dash(row.last_delivered_at.as_ref()),
    ]
}
