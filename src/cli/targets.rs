//! `tailwater targets`: lists targets, and resumes one that is gone.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::model::clock::Clock;
use crate::storage::{Ledger, Reader, TargetRow};

/// What `tailwater targets` takes.
#[derive(Args, Clone, Debug)]
pub struct TargetsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Let a target that answered 410 have its deliveries again
    Resume {
        /// The target's name
        name: String,
    },
}

/// Lists targets with their figures, or changes one.
///
/// # Errors
/// When the ledger cannot be read, or does not know the target.
pub async fn run(args: TargetsArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let path = args.ledger.path(config)?;
    if let Some(Action::Resume { name }) = args.action {
        return resume(&path, &name).await;
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

async fn resume(path: &std::path::Path, name: &str) -> Result<Exit, Failure> {
    let reader = Reader::open(path).await?;
    require_known(&reader, name).await?;
    let ledger = Ledger::open_beside(path, Clock::system()).await?;
    let was_gone = ledger.resume_target(name).await?;
    ledger.close().await;
    println!("{name} {}", if was_gone { "is active again" } else { "was active already" });
    Ok(Exit::Done)
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
