//! SIGHUP: the configuration is read again, and taken whole or not at all.
//!
//! Signals that come while one is dealt with are one more. What is wrong with a file is
//! told in the log and to systemd, in the words of `tailwater check`.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::app::control::Refused;
use crate::app::lifecycle::tell;
use crate::app::{Control, Difference};
use crate::config::{Config, Environment, Faults, Loaded};
use crate::telemetry::log::LogFilter;

/// How long the configuration and its secrets may take to be read. A file that hangs, on a
/// network that is away, must not hold up the next signal for ever.
const READ_MAX: Duration = Duration::from_secs(30);

/// Reads the configuration again when it is told to.
pub(super) struct Reloader {
    path: PathBuf,
    control: Control,
    filter: LogFilter,
}

impl Reloader {
    /// Reads the file at `path`, has the app changed by `control` and the log by `filter`.
    pub(super) fn new(path: PathBuf, control: Control, filter: LogFilter) -> Self {
        Self { path, control, filter }
    }

    /// Why the last configuration was not taken.
    pub(super) fn refused(&self) -> watch::Receiver<Refused> {
        self.control.refused.subscribe()
    }

    /// Reloads at each signal; signals that come meanwhile are one. Never ends.
    pub(super) async fn follow(self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            // systemd takes the first without the second for a fault (`sd_notify(3)`).
            if let Ok(now) = NotifyState::monotonic_usec_now() {
                tell(&[NotifyState::Reloading, now]);
            }
            let refused = self.reload().await.err().map(|error| told(&error));
            tell(&[NotifyState::Ready]);
            self.control.refused.send_replace(refused);
        }
        std::future::pending::<()>().await;
    }

    /// Takes what the file says now.
    ///
    /// # Errors
    /// Why it was not taken; nothing has changed.
    async fn reload(&self) -> anyhow::Result<()> {
        tracing::info!(file = %self.path.display(), "reading the configuration again");
        let Loaded { config, warnings, .. } = read(self.path.clone()).await?;
        let filter = config.log.filter.clone();
        let difference = self.control.change(config).await?;
        if difference.log_filter
            && let Err(error) = self.filter.set(&filter)
        {
            tracing::error!("{error}");
        }
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        tell_done(&difference);
        Ok(())
    }
}

/// Reads and checks the file, in a thread of its own: secrets may be in files that hang.
async fn read(path: PathBuf) -> anyhow::Result<Loaded> {
    let (answer, answered) = oneshot::channel();
    let load = move || {
        // Nobody waits any more when it took too long.
        let _ = answer.send(Config::load(&path, &Environment::of_process()));
    };
    thread::Builder::new().name("configuration".to_owned()).spawn(load)?;
    let loaded = timeout(READ_MAX, answered).await;
    let loaded = loaded.map_err(|_| anyhow!("reading it took more than {READ_MAX:?}"))?;
    Ok(loaded.context("reading it broke off")??)
}

fn tell_done(difference: &Difference) {
    tracing::info!("reloaded: {difference}");
    for key in &difference.waiting {
        tracing::warn!("{key} changes only with a restart: it is as before");
    }
}

/// Logs why a configuration was not taken, and puts it into a line.
fn told(error: &anyhow::Error) -> String {
    let faults: Vec<String> = match error.downcast_ref::<Faults>() {
        Some(Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        None => vec![format!("{error:#}")],
    };
    for fault in &faults {
        tracing::error!("{fault}");
    }
    tracing::error!("the configuration was not taken: everything stays as it was");
    let first = faults.first().map_or("", String::as_str);
    match faults.len() {
        0 | 1 => format!("configuration not taken: {first}"),
        count => format!("configuration not taken: {first} (and {} more)", count - 1),
    }
}
