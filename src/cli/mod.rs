//! The command line: one file a command.
//!
//! Floor 5. Errors go to standard error once, with what to do; what was asked for goes to
//! standard output, plain enough for a pipe.

pub mod backup;
pub mod check;
pub mod compare;
pub mod config;
pub mod deliveries;
pub mod demo;
mod exit;
pub mod export;
mod filter;
pub mod history;
mod ledger;
pub mod manual;
mod output;
pub mod poll;
mod progress;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod sink;
pub mod tail;
pub mod targets;
mod when;

use std::path::PathBuf;
use std::pin::pin;

use clap::{CommandFactory, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::app::lifecycle::Signals;

pub use exit::{Exit, Failure};

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TAILWATER_COMMIT"), ")");

/// Carries HPE GreenLake's audit log to webhooks: polled, kept once, delivered as signed
/// CloudEvents
#[derive(Debug, Parser)]
#[command(name = "tailwater", version = VERSION, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 check found faults, \
75 try again later, 78 bad configuration.")]
pub struct Cli {
    /// Configuration [default: config.toml, then /etc/tailwater/config.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: poll every source, deliver to every target
    Run,
    /// Check the configuration; --online also asks every source
    Check(check::CheckArgs),
    /// Poll once now, then exit
    Poll(poll::PollArgs),
    /// List events
    History(history::HistoryArgs),
    /// Follow events as they come
    Tail(tail::TailArgs),
    /// Write events to a file: CSV, or CloudEvents one a line or as one batch
    Export(export::ExportArgs),
    /// List deliveries, or the attempts of one
    Deliveries(deliveries::DeliveriesArgs),
    /// List targets; test, pause or resume one
    Targets(targets::TargetsArgs),
    /// Deliver again: one event, dead letters, a stretch of time, what a target missed
    Replay(replay::ReplayArgs),
    /// Compare polling with push: who was first, by how much, who missed what
    Compare(compare::CompareArgs),
    /// Write a consistent copy of the ledger, beside a running daemon or without one
    Backup(backup::BackupArgs),
    /// Print the effective configuration, secrets masked
    Config(config::ConfigArgs),
    /// See it work, without an account: a simulated cloud, the bridge, three targets
    Demo(demo::DemoArgs),
    /// Run a GreenLake cloud on this machine: token endpoint, audit log, faults on demand
    Simulate(simulate::Args),
    /// Run a target on this machine that prints, verifies, counts, and fails on demand
    Sink(sink::Args),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(manual::ManArgs),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`] holds the exit code and what to tell.
    pub async fn run(self) -> Result<Exit, Failure> {
        let path = self.config;
        match self.command {
            Command::Run => run::run(path).await,
            Command::Check(args) => Ok(check::run(&args, path).await?),
            Command::Poll(args) => poll::run(&args, path).await,
            Command::History(args) => history::run(args, path).await,
            Command::Tail(args) => tail::run(&args, path).await,
            Command::Export(args) => export::run(&args, path).await,
            Command::Deliveries(args) => deliveries::run(args, path).await,
            Command::Targets(args) => targets::run(args, path).await,
            Command::Replay(args) => replay::run(&args, path).await,
            Command::Compare(args) => compare::run(args, path).await,
            Command::Backup(args) => backup::run(&args, path).await,
            Command::Config(args) => config::run(&args, path).map(|()| Exit::Done),
            Command::Demo(args) => demo::run(args).await,
            Command::Simulate(args) => until_signal(|stop| simulate::run(args, stop)).await,
            Command::Sink(args) => until_signal(|stop| sink::run(args, stop)).await,
            Command::Completions(args) => manual::completions(&args, &mut Self::command()),
            Command::Man(args) => manual::man(&args, Self::command()),
        }
    }
}

/// Runs something until it ends or a signal comes; then it may tidy up.
async fn until_signal<F: Future<Output = anyhow::Result<()>>>(
    start: impl FnOnce(CancellationToken) -> F,
) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let mut running = pin!(start(stop.clone()));
    tokio::select! {
        ended = &mut running => ended?,
        _ = signals.next() => {
            stop.cancel();
            running.await?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
