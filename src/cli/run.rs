//! `tailwater run`: the daemon.

use std::path::PathBuf;

use crate::app::lifecycle;
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Environment, LogConfig, LogFormat};
use crate::model::clock::Clock;
use crate::telemetry::log::{self, Form, LogFilter};

/// Runs the daemon until it is told to stop; SIGHUP has it read its configuration again.
///
/// # Errors
/// A bad configuration, a ledger that is refused, or a part that ended by itself.
pub async fn run(config: Option<PathBuf>) -> Result<Exit, Failure> {
    let path = Config::find(config)?;
    let loaded = Config::load(&path, &Environment::of_process())?;
    let filter = set_up_log(&loaded.config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    lifecycle::run(loaded, filter, Clock::system()).await?;
    Ok(Exit::Done)
}

/// Sends the log where the configuration says; what it lets through can be changed.
pub(super) fn set_up_log(config: &LogConfig) -> Result<LogFilter, Failure> {
    let form = match config.format {
        LogFormat::Auto => Form::Auto,
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
        LogFormat::Journald => Form::Journald,
    };
    log::init(form, &config.filter).map_err(|error| anyhow::Error::new(error).into())
}
