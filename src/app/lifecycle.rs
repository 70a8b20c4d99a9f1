//! The life of the process: signals, and what systemd is told.

use std::io;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::control::Refused;
use crate::app::reload::Reloader;
use crate::app::{App, RequestBudget, Watch};
use crate::config::Loaded;
use crate::model::clock::Clock;
use crate::telemetry::log::LogFilter;

/// How long a soft stop may take: a target's answer within its default limit of 15 s, a
/// page of the source in hand, and their commits.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often systemd is told how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Pending deliveries that are counted for it; a backlog of millions is not worth reading
/// every ten seconds. `tailwater targets` counts them all.
const PENDING_SHOWN: u32 = 10_000;

/// By this much systemd is asked to wait longer for a start that checks or migrates a
/// large ledger, again and again while it goes on.
const STARTING: Duration = Duration::from_mins(1);

/// Binds and runs until SIGTERM or SIGINT, then stops softly; a second signal, or
/// 30 seconds, stop it at once. What is not settled by then is delivered again later.
///
/// SIGHUP has it read the file again that `loaded` came from, and `filter` follows it.
///
/// # Errors
/// When it cannot start, or a part ends by itself.
pub async fn run(loaded: Loaded, filter: LogFilter, clock: Clock) -> anyhow::Result<()> {
    let Loaded { config, path, .. } = loaded;
    let mut signals = Signals::new().context("listening to signals")?;
    // From now on one waits until there is something to reload.
    let hangups = signal(SignalKind::hangup()).context("listening to signals")?;
    let app = tokio::select! {
        app = starting(App::bind(config, clock.clone(), RequestBudget::Documented)) => app?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Ok(());
        }
    };
    let watch = app.watch();
    tracing::info!(sources = watch.sources().len(), "running");
    tell(&[NotifyState::Ready]);
    let reloader = Reloader::new(path, app.control(), filter);
    let refused = reloader.refused();
    let stop = CancellationToken::new();
    let mut running = pin!(app.run(stop.clone()));
    tokio::select! {
        ended = &mut running => return ended.and_then(|()| Err(anyhow!("it ended by itself"))),
        () = report(watch, refused, &clock) => {}
        () = reloader.follow(hangups) => {}
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    stop.cancel();
    tokio::select! {
        ended = running => {
            tracing::info!("stopped");
            ended
        }
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; what is not settled is delivered again");
            Ok(())
        }
        () = tokio::time::sleep(DRAIN_MAX) => {
            tracing::warn!(
                "not everything ended within {DRAIN_MAX:?}; what is not settled is delivered again"
            );
            Ok(())
        }
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Listens from now on; they no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

/// Waits for `start`, asking systemd for patience meanwhile.
async fn starting<T>(start: impl Future<Output = T>) -> T {
    let mut start = pin!(start);
    let mut asking = tokio::time::interval(STARTING / 2);
    loop {
        tokio::select! {
            started = &mut start => return started,
            _ = asking.tick() => {
                let micros = u32::try_from(STARTING.as_micros()).unwrap_or(u32::MAX);
                tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
            }
        }
    }
}

/// Tells systemd how things stand, and pings its watchdog as long as the ledger answers.
/// Never ends.
async fn report(watch: Watch, mut refused: watch::Receiver<Refused>, clock: &Clock) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(STATUS_EVERY, |limit| (limit / 3).min(STATUS_EVERY));
    let mut tick = tokio::time::interval(every.max(Duration::from_millis(100)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = refused.changed() => {}
        }
        match watch.ledger.ping().await {
            Ok(()) => {
                let mut status = status(&watch, clock).await;
                if let Some(why) = &*refused.borrow_and_update() {
                    status = format!("{why}; {status}");
                }
                tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            }
            Err(error) => tracing::error!(%error, "the ledger does not answer"),
        }
    }
}

/// `production: polled 3 s ago; 0 deliveries pending`
async fn status(watch: &Watch, clock: &Clock) -> String {
    let now = clock.now();
    let mut parts: Vec<String> = watch
        .sources()
        .iter()
        .map(|(name, status)| {
            let status = status.borrow();
            let polled = match (&status.past, status.last_complete_at) {
                (Some(past), _) => format!("reading the past, {} %", past.percent()),
                (None, Some(at)) => format!("polled {} s ago", now.since(at).as_secs()),
                (None, None) => "not polled yet".to_owned(),
            };
            let learnt = status.learnt.as_ref().map_or_else(String::new, |learnt| {
                format!(", overlap {} s by {} entries", learnt.overlap_secs, learnt.entries)
            });
            match &status.problem {
                Some(problem) if problem.reason.is_trouble() => {
                    format!("{name}: {polled}{learnt}, held up: {}", problem.reason)
                }
                _ => format!("{name}: {polled}{learnt}"),
            }
        })
        .collect();
    if let Ok(pending) = watch.ledger.reader().count_pending(PENDING_SHOWN).await {
        let or_more = if pending == PENDING_SHOWN { " or more" } else { "" };
        parts.push(format!("{pending}{or_more} deliveries pending"));
    }
    parts.join("; ")
}

/// Without systemd there is nobody to tell, which is no fault.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
