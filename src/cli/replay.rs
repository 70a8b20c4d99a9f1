//! `tailwater replay`: delivers again.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::targets::require_known;
use crate::model::clock::Clock;
use crate::storage::{Ledger, Reader, Replay};

/// What `tailwater replay` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "A running daemon starts within a second; without one, the \
deliveries are made when it next runs. A replayed event keeps its id.")]
pub struct ReplayArgs {
    /// To this target
    #[arg(long, value_name = "NAME")]
    target: String,
    /// The event with this id, whether or not the target has had it
    #[arg(long, value_name = "ID", required_unless_present = "dead", conflicts_with = "dead")]
    event: Option<String>,
    /// Every dead letter of the target
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Makes deliveries pending again.
///
/// # Errors
/// When the ledger does not know the target or the event, or cannot be written; then
/// nothing is replayed.
pub async fn run(args: ReplayArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let path = args.ledger.path(config)?;
    let target = require_known(&Reader::open(&path).await?, &args.target).await?;
    let replay = match &args.event {
        Some(id) => Replay::Event { id: id.clone() },
        None => Replay::DeadLetters,
    };
    let ledger = Ledger::open_beside(&path, Clock::system()).await?;
    let count = ledger.replay(target, replay).await;
    ledger.close().await;
    match (count?, args.event) {
        (0, Some(id)) => Err(anyhow!("the ledger holds no event {id:?}").into()),
        (count, _) => {
            let plural = if count == 1 { "delivery is" } else { "deliveries are" };
            println!("{count} {plural} pending again for {}", args.target);
            Ok(Exit::Done)
        }
    }
}
