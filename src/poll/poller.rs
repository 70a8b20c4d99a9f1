//! The task of one source: a run whenever one is due.
//!
//! Keeps true: one run at a time; due times lie on a grid of time since boot, so a
//! suspended machine or a set clock neither loses a poll nor causes a burst of them; a
//! pause that the source asked for is kept, whoever nudges. A cron schedule only nudges;
//! a slow timer stands behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{Overlap, PollConfig, Schedule};
use crate::model::lateness::Learnt;
use crate::model::timestamp::Timestamp;
use crate::poll::due::{NextRun, next_due, pause, phase, stagger};
use crate::poll::past::Past;
use crate::poll::report::{Problem, Reason, RunReport, Tally, add};
use crate::poll::scanner::{ScanSettings, Scanner};
use crate::poll::{Keep, Log, PollError};

/// Longest sleep in one piece. The runtime's timers stand still while the machine is
/// suspended; afterwards a due run starts within this time.
const NAP: Duration = Duration::from_secs(5);

/// A cron schedule that has not nudged for this long is polled without: a daily line has
/// nudged by then.
const CRON_NET: Duration = Duration::from_hours(25);

/// Longest sweep in one run of a cron schedule, whose next nudge nobody knows here.
const CRON_SWEEP: Duration = Duration::from_secs(10);

/// Shortest pause before a run that only a push asks for: 12 a minute at most, an eighth
/// of the requests that HPE allows.
const NUDGE_PAUSE: Duration = Duration::from_secs(5);

/// Problems with at least this pause are told each time, others only when they begin.
const SLOW_ENOUGH_TO_TELL: Duration = Duration::from_mins(1);

/// When runs are due.
#[derive(Clone, Debug)]
pub struct Timing {
    /// By interval, or by nudges.
    pub schedule: Schedule,
    /// Each due time is delayed by up to this much, at random.
    pub jitter: Duration,
    /// Wait before the first run, and after each ring of a cron line.
    pub first: Duration,
    /// By how much the grid of due times lies behind the start.
    pub phase: Duration,
}

impl Timing {
    /// The timing of source number `index` of `count`; the first one starts at once, the
    /// others follow within seconds and are then spread over the interval.
    #[must_use]
    pub fn new(poll: &PollConfig, index: usize, count: usize) -> Self {
        let (first, phase) = match poll.schedule {
            Schedule::Interval(every) => (stagger(index, count, every), phase(index, count, every)),
            Schedule::Cron(_) => (stagger(index, count, Duration::MAX), Duration::ZERO),
        };
        Self { schedule: poll.schedule.clone(), jitter: poll.jitter, first, phase }
    }

    /// When the run after `ran` is due.
    fn due_after(&self, ran: Ran) -> Duration {
        match self.schedule {
            Schedule::Interval(interval) => next_due(ran.due, interval, ran.started),
            Schedule::Cron(_) => ran.ended + CRON_NET,
        }
    }

    /// Until when a run that is due at `due` and began at `started` may sweep.
    fn sweep_until(&self, due: Duration, started: Duration) -> Duration {
        match self.schedule {
            Schedule::Interval(interval) => next_due(due, interval, started),
            Schedule::Cron(_) => started + CRON_SWEEP,
        }
    }
}

/// How a source's polling fares, for the watchdog, `STATUS` and people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Wall time at which the last run ended; `None` before the first.
    pub last_run_at: Option<Timestamp>,
    /// Wall time of the last run that read everything unsettled.
    pub last_complete_at: Option<Timestamp>,
    /// Time since boot at the last run that read up to the present, complete or not.
    pub fresh_at: Option<Duration>,
    /// Below it history is complete.
    pub watermark: Option<Timestamp>,
    /// Why the last run was partial; `None` after a complete one.
    pub problem: Option<Problem>,
    /// Events stored for the first time since the program started.
    pub new: u64,
    /// Runs since the program started, partial ones included.
    pub runs: u64,
    /// Requests sent since the program started.
    pub requests: u64,
    /// What the runs came to: [`RUN_OUTCOMES`](crate::poll::RUN_OUTCOMES).
    pub run_outcomes: Tally,
    /// What the requests came to: [`REQUEST_OUTCOMES`](crate::poll::REQUEST_OUTCOMES).
    pub request_outcomes: Tally,
    /// How far the reading of the past has come; `None`: there is none to read.
    pub past: Option<Past>,
    /// What the learnt overlap is, and on how many entries it rests; `None` before it was
    /// looked at, and where the overlap is fixed.
    pub learnt: Option<Learnt>,
}

/// What makes a poll of a source due before its time; rings merge.
#[derive(Clone, Debug, Default)]
pub struct Bells {
    /// Its cron line.
    pub cron: Arc<Notify>,
    /// A push. Such a run is labelled, waits for its turn, and moves no other one.
    pub push: Arc<Notify>,
}

/// Polls one source until it is stopped.
pub struct Poller<L, K> {
    scanner: Scanner<L, K>,
    timing: Timing,
    bells: Bells,
    status: watch::Sender<Status>,
    failures: u32,
    /// The last run that ended by itself.
    ran: Option<Ran>,
    /// The next run; `None` before the poller has started.
    next: Option<NextRun>,
    /// When the first run would have been due, had it not been made at once.
    grid: Option<Duration>,
}

/// When a run was due, and when it was made.
#[derive(Clone, Copy, Debug)]
struct Ran {
    due: Duration,
    started: Duration,
    ended: Duration,
}

impl<L: Log, K: Keep> Poller<L, K> {
    /// A poller over `scanner`. Each ring of `bells` makes a run due.
    #[must_use]
    pub fn new(
        scanner: Scanner<L, K>,
        timing: Timing,
        bells: Bells,
    ) -> (Self, watch::Receiver<Status>) {
        let (status, receiver) = watch::channel(Status::default());
        let poller =
            Self { scanner, timing, bells, status, failures: 0, ran: None, next: None, grid: None };
        (poller, receiver)
    }

    /// Goes on with other settings from the next [`Poller::run`] on; with `log`, through
    /// another client.
    ///
    /// The next run stays on the grid of the last one's due time; a run that was cut short
    /// goes on at once. A pause is kept, but for one that another client may not need.
    pub fn change(&mut self, settings: ScanSettings, timing: Timing, log: Option<L>)
    where
        K: Clone,
    {
        let problem = self.status.borrow().problem.as_ref().map(|problem| problem.reason);
        let is_mended = log.is_some() && problem != Some(Reason::Throttled);
        match log {
            Some(log) => self.scanner = self.scanner.renewed(settings, log),
            None => self.scanner.settings = settings,
        }
        self.timing = timing;
        let (Some(ran), Some(next)) = (self.ran, self.next) else { return };
        // A due time far ahead is a cron line's: it is on no grid.
        let is_near = |interval| ran.due <= ran.started + interval;
        let due = match self.timing.schedule {
            Schedule::Interval(interval) if is_near(interval) => ran.due,
            Schedule::Interval(_) | Schedule::Cron(_) => ran.started,
        };
        let ran = Ran { due, ..ran };
        self.ran = Some(ran);
        let due = self.timing.due_after(ran) + self.jitter();
        self.next = Some(next.changed(due, self.scanner.clock.uptime(), is_mended));
    }

    /// Polls until `stop`, then ends with the page in hand committed; may be called again
    /// then, and goes on.
    ///
    /// # Errors
    /// When the ledger fails for good; nothing of the page in hand was stored.
    pub async fn run(&mut self, stop: CancellationToken) -> Result<(), PollError> {
        let now = self.scanner.clock.uptime();
        let grid = *self.grid.get_or_insert(now + self.timing.phase);
        let mut next = *self.next.get_or_insert(NextRun::at(now + self.timing.first));
        while let Some(is_nudged) = self.wait(next, &stop).await {
            self.scanner.is_nudged = is_nudged;
            let started = self.scanner.clock.uptime();
            let due = self.ran.map_or(grid, |ran| self.timing.due_after(ran));
            let sweep_until = self.timing.sweep_until(due, started);
            let report = self.scanner.poll(sweep_until, &stop).await?;
            let ended = self.scanner.clock.uptime();
            let is_cut_short = report.problem.as_ref().is_some_and(|p| p.reason == Reason::Stopped);
            let pause = self.learn(report);
            if is_cut_short {
                next = NextRun::at(started);
            } else {
                let ran = Ran { due, started, ended };
                self.ran = Some(ran);
                next = match pause {
                    None => NextRun::at(self.timing.due_after(ran) + self.jitter()),
                    Some(Duration::ZERO) => NextRun::at(ended),
                    Some(pause) => NextRun { at: ended + pause, not_before: ended + pause },
                };
            }
            self.next = Some(next);
            // What a nudged run has left over was asked for by the same push.
            self.scanner.is_nudged &= pause == Some(Duration::ZERO);
        }
        Ok(())
    }

    /// Waits until `next`, or a ring that may be heard. Says whether only a push asks for
    /// the run; `None` when it is time to stop.
    async fn wait(&self, mut next: NextRun, stop: &CancellationToken) -> Option<bool> {
        let mut is_nudged = self.scanner.is_nudged;
        let free = self.ran.map_or(Duration::ZERO, |ran| ran.ended + NUDGE_PAUSE);
        loop {
            let now = self.scanner.clock.uptime();
            if stop.is_cancelled() {
                return None;
            }
            let Some(left) = next.at.checked_sub(now).filter(|left| !left.is_zero()) else {
                return Some(is_nudged);
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = self.bells.cron.notified() => {
                    let delay = match self.timing.schedule {
                        Schedule::Interval(_) => Duration::ZERO,
                        Schedule::Cron(_) => self.timing.first + self.jitter(),
                    };
                    let at = (now + delay).max(next.not_before);
                    if at <= next.at {
                        (next.at, is_nudged) = (at, false);
                    }
                }
                () = self.bells.push.notified() => {
                    let at = now.max(next.not_before).max(free);
                    if at < next.at {
                        (next.at, is_nudged) = (at, true);
                    }
                }
                () = sleep(left.min(NAP)) => {}
            }
        }
    }

    fn jitter(&self) -> Duration {
        self.timing.jitter.mul_f64(rand::random::<f64>())
    }

    /// Publishes and logs what the run came to; comes back with the pause that it asks for.
    fn learn(&mut self, report: RunReport) -> Option<Duration> {
        let hurts = report.problem.as_ref().is_some_and(|problem| problem.reason.is_trouble());
        self.failures = if hurts { self.failures.saturating_add(1) } else { 0 };
        let pause = pause(report.problem.as_ref(), self.failures, rand::random());
        self.tell(&report, pause);
        let (now, uptime) = (self.scanner.clock.now(), self.scanner.clock.uptime());
        let past = self.scanner.past;
        let is_auto = self.scanner.settings.overlap == Overlap::Auto;
        let learnt = self.scanner.learnt.clone().filter(|_| is_auto);
        self.status.send_modify(|status| {
            status.last_run_at = Some(now);
            if report.problem.is_none() {
                status.last_complete_at = Some(now);
            }
            if report.is_fresh {
                status.fresh_at = Some(uptime);
            }
            status.watermark = report.watermark.or(status.watermark);
            status.runs += 1;
            status.new += report.new;
            status.requests += u64::from(report.requests);
            let outcome = report.problem.as_ref().map_or("complete", |p| p.reason.as_str());
            *status.run_outcomes.entry(outcome).or_default() += 1;
            add(&mut status.request_outcomes, &report.outcomes);
            status.problem = report.problem;
            status.past = past;
            status.learnt = learnt;
        });
        pause
    }

    fn tell(&self, report: &RunReport, pause: Option<Duration>) {
        let source = &self.scanner.settings.name;
        let before = self.status.borrow().problem.as_ref().map(|problem| problem.reason);
        let is_slow = pause.is_some_and(|pause| pause >= SLOW_ENOUGH_TO_TELL);
        match &report.problem {
            Some(Problem { reason: Reason::Rejected, message, .. }) => {
                tracing::error!(source, pause = ?pause, "the source refuses our query: {message}");
            }
            Some(Problem { reason, message, .. }) if reason.is_trouble() => {
                if before != Some(*reason) || is_slow {
                    tracing::warn!(source, %reason, pause = ?pause, "polling is held up: {message}");
                } else {
                    tracing::debug!(source, %reason, pause = ?pause, "still held up: {message}");
                }
            }
            _ => {
                if before.is_some_and(Reason::is_trouble) {
                    tracing::info!(source, "polling goes on");
                }
                let (new, requests) = (report.new, report.requests);
                tracing::debug!(source, new, requests, "polled");
            }
        }
    }
}

#[cfg(test)]
mod tests;
