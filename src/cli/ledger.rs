//! Where the ledger of a command is.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::Failure;
use crate::config::{Config, Environment};

/// Where the ledger is, for commands that need nothing else of the configuration.
#[derive(Args, Clone, Debug)]
pub(super) struct LedgerArgs {
    /// The ledger's file [default: storage.path of the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    ledger: Option<PathBuf>,
}

impl LedgerArgs {
    /// The ledger's path. Whoever reads history may lack the daemon's secrets, so faults
    /// of other sections do not matter here.
    pub(super) fn path(&self, config: Option<PathBuf>) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.ledger {
            return Ok(path.clone());
        }
        let file = Config::find(config)?;
        Ok(Config::ledger_path(&file, &Environment::of_process())?)
    }
}
