//! `tailwater backup`: a consistent copy of the ledger.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::storage::Reader;

/// What `tailwater backup` takes.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The copy; must not exist yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Writes the copy.
///
/// # Errors
/// When the ledger cannot be read or the copy cannot be written; then there is no copy.
pub async fn run(args: &BackupArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    reader.backup(&args.to).await?;
    let bytes = std::fs::metadata(&args.to)?.len();
    println!("{} holds {bytes} bytes, checked", args.to.display());
    Ok(Exit::Done)
}
