//! `tailwater demo`: a simulated cloud, the bridge and three targets in one process.
//!
//! What it tells at the end is measured from outside: the cloud's own list of entries
//! against what the targets and the ledger's file really hold, id by id (`audit.rs`).

mod audit;
mod closing;
mod live;
mod play;
mod recipe;
mod routes;
mod shelf;
mod stage;
mod trouble;
mod weather;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio_util::sync::CancellationToken;

use crate::app::lifecycle::Signals;
use crate::cli::demo::play::play;
use crate::cli::demo::shelf::Shelf;
use crate::cli::exit::{Exit, Failure};
use crate::config::Environment;
use crate::telemetry::log::{self, Form};

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
