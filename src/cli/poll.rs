//! `tailwater poll`: one poll now.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::app::{RequestBudget, audit_log, wanting};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::cli::run::set_up_log;
use crate::config::{Config, Environment, SourceConfig};
use crate::model::clock::Clock;
use crate::model::event::Event;
use crate::model::event::Route;
use crate::poll::{DryRun, Reason, RunReport, ScanSettings, Scanner};
use crate::storage::{Ledger, Reader, StorageError};

/// What `tailwater poll` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Stored events are delivered by `tailwater run`.")]
pub struct PollArgs {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print the events and store nothing; the ledger stays byte for byte as it is
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Polls every source once.
///
/// # Errors
/// A bad configuration, a ledger that is refused or in use, or a source that could not
/// be read to the end.
pub async fn run(args: &PollArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let path = Config::find(config)?;
    let config = Config::load(&path, &Environment::of_process())?.config;
    set_up_log(&config.log)?;
    let sources = chosen(&config, args.source.as_deref())?;
    let clock = Clock::system();
    if args.dry_run {
        let mut exit = Exit::Done;
        for source in sources {
            exit = worse(exit, dry_run(&config, source, &clock, args.json).await?);
        }
        return Ok(exit);
    }
    let ledger = Ledger::open(&config.storage.path, clock.clone()).await?;
    let names = config.targets.iter().map(|target| target.name.clone()).collect();
    ledger.insert_targets(names).await?;
    let mut exit = Exit::Done;
    for source in sources {
        exit = worse(exit, poll(&config, source, &ledger, &clock, args.json).await?);
    }
    ledger.close().await;
    Ok(exit)
}

/// The sources to poll: the one that is named, or all that are enabled.
fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<Vec<&'a SourceConfig>, Failure> {
    let Some(name) = name else {
        return Ok(config.sources.iter().filter(|source| source.poll.enabled).collect());
    };
    let found: Vec<&SourceConfig> =
        config.sources.iter().filter(|source| source.name == name).collect();
    if found.is_empty() {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        let known = names.join(", ");
        return Err(Failure::usage(format!("there is no source {name:?}; there is: {known}")));
    }
    Ok(found)
}

async fn poll(
    config: &Config,
    source: &SourceConfig,
    ledger: &Ledger,
    clock: &Clock,
    as_json: bool,
) -> Result<Exit, Failure> {
    let targets = watch::channel(wanting(&config.targets, &source.name, Route::Poll)).1;
    let settings = ScanSettings::new(source, config.storage.min_free, targets);
    let log = audit_log(source, clock, RequestBudget::Documented)?;
    let wake = Arc::new(|| {});
    let mut scanner = Scanner::new(settings, log, ledger.clone(), clock.clone(), wake);
    let progress = Progress::new("");
    if progress.is_seen() {
        let (name, progress) = (source.name.clone(), Mutex::new(progress));
        scanner = scanner.telling(Arc::new(move |past| {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.tell(format_args!("{name}: {past}"));
        }));
    }
    let stop = CancellationToken::new();
    let report = scanner.run_through(&stop).await.map_err(anyhow::Error::from)?;
    drop(scanner);
    tell(&source.name, &report, as_json)?;
    Ok(report.problem.map_or(Exit::Done, |problem| exit_of(problem.reason)))
}

async fn dry_run(
    config: &Config,
    source: &SourceConfig,
    clock: &Clock,
    as_json: bool,
) -> Result<Exit, Failure> {
    let (coverage, learnt) = match Reader::open(&config.storage.path).await {
        Ok(reader) => {
            let learnt = reader.list_learnt(Some(&source.name)).await?.pop();
            (reader.find_coverage(&source.name).await?, learnt.map(|(_, learnt)| learnt))
        }
        Err(StorageError::Missing(_)) => (None, None),
        Err(error) => return Err(error.into()),
    };
    let name = source.name.clone();
    let mut seen = HashSet::new();
    let show = move |event: &Event| {
        if seen.insert(event.envelope.id.clone()) {
            show(&name, event, as_json);
        }
    };
    let settings = ScanSettings::new(source, 0, watch::channel(Vec::new()).1);
    let log = audit_log(source, clock, RequestBudget::Documented)?;
    let keep = DryRun::new(coverage, learnt, show);
    let mut scanner = Scanner::new(settings, log, keep, clock.clone(), Arc::new(|| {}));
    let stop = CancellationToken::new();
    // Without sweeps: they would show days of events that are there already.
    let report = loop {
        let report = scanner.run_once(&stop).await.map_err(anyhow::Error::from)?;
        if report.problem.as_ref().is_none_or(|problem| problem.reason != Reason::Budget) {
            break report;
        }
    };
    eprintln!("nothing was stored: this was a dry run");
    Ok(match report.problem {
        Some(problem) => {
            eprintln!("{}: {}: {}", source.name, problem.reason, problem.message);
            exit_of(problem.reason)
        }
        _ => Exit::Done,
    })
}

fn show(source: &str, event: &Event, as_json: bool) {
    let facts = &event.facts;
    let line = if as_json {
        json!({
            "source": source, "id": event.envelope.id, "time": event.occurred_at.to_rfc3339_millis(),
            "category": facts.category.as_deref(), "username": facts.username.as_deref(),
            "description": facts.description.as_deref(), "ip_address": facts.ip_address.as_deref(),
        })
        .to_string()
    } else {
        format!(
            "{}  {}  {}  {}  {}",
            event.occurred_at.to_rfc3339_secs(),
            event.envelope.id,
            output::or_dash(facts.category.as_ref()),
            output::or_dash(facts.username.as_ref()),
            output::or_dash(facts.description.as_ref()),
        )
    };
    // A reader that has had enough does not end the poll.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn tell(source: &str, report: &RunReport, as_json: bool) -> std::io::Result<()> {
    let watermark =
        report.watermark.map(super::super::model::timestamp::Timestamp::to_rfc3339_secs);
    let problem = report.problem.as_ref();
    let mut out = std::io::stdout();
    if as_json {
        let value = json!({
            "source": source, "new": report.new, "known": report.known, "late": report.late,
            "quarantined": report.quarantined, "outside": report.outside,
            "requests": report.requests, "complete_below": watermark,
            "problem": problem.map(|p| p.reason.as_str()), "message": problem.map(|p| &p.message),
        });
        return writeln!(out, "{value}");
    }
    let complete = watermark.map_or_else(String::new, |at| format!(", complete below {at}"));
    writeln!(
        out,
        "{source}: {} new, {} known, {} in quarantine, {} requests{complete}",
        report.new, report.known, report.quarantined, report.requests
    )?;
    match problem {
        Some(p) if p.reason != Reason::Budget => {
            writeln!(std::io::stderr(), "{source}: {}: {}", p.reason, p.message)
        }
        _ => Ok(()),
    }
}

fn exit_of(reason: Reason) -> Exit {
    match reason {
        Reason::Budget | Reason::Stopped => Exit::Done,
        Reason::Throttled | Reason::Unavailable | Reason::NoRoom | Reason::LedgerBusy => {
            Exit::TryAgain
        }
        Reason::AuthFailed
        | Reason::Forbidden
        | Reason::Rejected
        | Reason::Unreadable
        | Reason::Contradictory
        | Reason::Incomplete => Exit::Failed,
    }
}

/// The exit code of several polls: a failure outweighs a passing trouble.
fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Failed, _) | (_, Exit::Failed) => Exit::Failed,
        (Exit::Done, other) => other,
        (one, _) => one,
    }
}
