//! The loop of one target: reads what is owed, attempts it, settles what came of it.
//!
//! Properties kept:
//! - A delivery leaves *pending* only in the transaction that records its attempt (I5).
//! - At most `concurrency` requests are under way, and at most two windows in memory.
//! - At most one window, and the requests that fill it, is sent and not settled: what a
//!   crash, or a disk that is full, can make a target get twice.
//! - Reading, attempting and settling go on at the same time; outcomes that come in while
//!   a commit is under way go into the next one together.
//! - A nudge makes it fast; a slow timer makes it right: a lost nudge, or a replay or a
//!   pause from another process, costs a second.
//! - What a reading shows as pending may have been settled while it went on: the queue
//!   does not take it up again.
//! - Nothing new is sent while the ledger takes no outcomes: what a crash would repeat
//!   stays bounded by what was under way when the disk became full.
//!
//! Races accepted: an attempt that has reached the target but is not settled when the
//! process dies is made again, with the same id.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::Order;
use crate::dispatch::carry::{Ended, Report, carry};
use crate::dispatch::gate::{Gate, Opening};
use crate::dispatch::looking::Looking;
use crate::dispatch::queue::{Gathering, Load, PROBE, Queue};
use crate::dispatch::reading::{Reading, Wanted, read, ready};
use crate::dispatch::settling::{Settling, Unsettled};
use crate::dispatch::target::Target;
use crate::dispatch::telling::{tell_failure, tell_turn};
use crate::model::breaker::Turn;
use crate::model::clock::Clock;
use crate::model::delivery::{Fate, fate};
use crate::model::event::Sequence;
use crate::model::retry::RetryRule;
use crate::storage::{Ledger, Settlement, StorageError};

/// How long a nudge that got lost can delay a delivery.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// A worker at work.
pub(super) struct Run {
    target: Arc<Target>,
    ledger: Ledger,
    clock: Clock,
    rule: Gathering,
    report: mpsc::UnboundedSender<Report>,
    reports: mpsc::UnboundedReceiver<Report>,
    queue: Queue,
    /// Requests under way; each says whether it was a retry.
    flying: JoinSet<bool>,
    flying_retries: usize,
    settling: Settling,
    looking: Looking,
    reading: Option<BoxFuture<'static, Result<Reading, StorageError>>>,
    gate: Gate,
    /// Time since boot at which the rate limit lets the next request go, when it is that
    /// for which requests wait.
    next_turn: Option<Duration>,
    is_stopping: bool,
}

impl Run {
    /// A run that holds nothing yet.
    pub(super) fn new(target: impl Into<Arc<Target>>, ledger: Ledger, clock: Clock) -> Self {
        let target = target.into();
        let (report, reports) = mpsc::unbounded_channel();
        let rule = Gathering::new(&target.config);
        Self {
            rule,
            clock,
            report,
            reports,
            queue: Queue::default(),
            flying: JoinSet::new(),
            flying_retries: 0,
            settling: Settling::new(target.clone(), ledger.clone(), rule.capacity()),
            looking: Looking::new(),
            reading: None,
            gate: Gate::new(),
            next_turn: None,
            is_stopping: false,
            target,
            ledger,
        }
    }

    /// Works until `stop`, then lets requests under way end and settles them.
    pub(super) async fn until(
        mut self,
        stop: CancellationToken,
        nudge: &Notify,
    ) -> Result<(), StorageError> {
        self.looking.follow(self.ledger.reader().find_last_sequence().await?);
        let mut tick = tokio::time::interval(SLOW_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_stopping {
                self.queue.clear();
                self.reading = None;
                if self.flying.is_empty() && self.reports.is_empty() && self.settling.is_done() {
                    return Ok(());
                }
            } else {
                self.read();
                self.launch();
            }
            self.settling.start(self.is_stopping);
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled(), if !self.is_stopping => self.is_stopping = true,
                Some(report) = self.reports.recv() => {
                    self.note(report);
                    self.note_all();
                }
                Some(landed) = self.flying.join_next() => {
                    // Its slot is free only when its outcome is known: it may be that
                    // nothing more is to be sent.
                    self.note_all();
                    self.land(landed);
                    while let Some(landed) = self.flying.try_join_next() {
                        self.note_all();
                        self.land(landed);
                    }
                }
                settled = self.settling.committed() => {
                    let released = self.settling.after(settled)?;
                    self.after_settling(released);
                }
                reading = ready(&mut self.reading) => self.after_reading(reading)?,
                () = nudge.notified() => self.looking.again(),
                () = tokio::time::sleep(wake) => {}
                _ = tick.tick() => self.looking.anew(),
            }
        }
    }

    fn is_strict(&self) -> bool {
        self.target.config.order == Order::Strict
    }

    /// What may be sent now.
    fn opening(&self) -> Opening {
        // Nothing new is sent while the ledger takes no outcomes.
        let is_held_up = self.is_stopping || self.settling.is_stuck();
        if is_held_up { Opening::Closed } else { self.gate.opening(self.clock.uptime()) }
    }

    /// Whether a reading may start: there is room for what it brings, and a use for it.
    fn may_read(&self) -> bool {
        let fits = match self.opening() {
            Opening::Closed => false,
            Opening::Probe => self.queue.held() == 0 && self.flying.is_empty(),
            Opening::Open if self.is_strict() => self.queue.held() == 0,
            Opening::Open => {
                let window = self.rule.window();
                self.queue.fresh().max(self.queue.retries()) <= window / 2
                    && self.queue.held() <= 2 * window
            }
        };
        fits && self.may_read_state()
    }

    /// Whether the ledger holds the target's state: a turn may wait for its commit.
    fn may_read_state(&self) -> bool {
        self.reading.is_none() && !self.gate.is_ahead()
    }

    /// Starts a reading when there may be something to read.
    fn read(&mut self) {
        let now = self.clock.now();
        if self.may_read() && self.looking.is_worth_it(now) {
            let wanted = self.wanted();
            self.start_reading(wanted);
        } else if self.looking.is_state_old() && self.may_read_state() {
            // There may be no use for deliveries, but a pause is seen within a second.
            self.start_reading(Wanted::State);
        }
    }

    fn wanted(&mut self) -> Wanted {
        let (now, is_strict) = (self.clock.now(), self.is_strict());
        if self.gate.is_failing() {
            return Wanted::Probe { after: self.looking.begin_probe(), is_strict };
        }
        let (after, is_new) = self.looking.begin(now);
        if is_strict {
            let limit = u32::try_from(self.rule.max_events).unwrap_or(u32::MAX);
            return Wanted::Oldest { limit, now };
        }
        // What is held is still pending in the ledger, and is read once more.
        let limit = u32::try_from(self.rule.window() + self.queue.held()).unwrap_or(u32::MAX);
        Wanted::Window { after, is_new, limit, now }
    }

    fn start_reading(&mut self, wanted: Wanted) {
        self.looking.begin_state();
        self.queue.begin_reading();
        self.reading = Some(Box::pin(read(self.ledger.clone(), self.target.clone(), wanted)));
    }

    fn after_reading(
        &mut self,
        reading: Result<Reading, StorageError>,
    ) -> Result<(), StorageError> {
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) if error.is_passing() => {
                // The slow tick looks again, also for what is due.
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.looking.end(&reading);
        if self.gate.see(reading.state, self.clock.uptime()) {
            tracing::info!(target.name = self.target.name(), "is {} now", reading.state.as_str());
            self.queue.clear();
            self.looking.anew();
        }
        self.queue.extend_fresh(reading.fresh, self.clock.uptime());
        self.queue.extend_retries(reading.retries);
        Ok(())
    }

    fn launch(&mut self) {
        self.next_turn = None;
        let opening = self.opening();
        let (rule, slots) = match opening {
            Opening::Closed => return,
            Opening::Probe => (PROBE, PROBE.slots),
            Opening::Open => (self.rule, self.rule.slots),
        };
        let uptime = self.clock.uptime();
        while self.flying.len() < slots && self.queue.under_way() < self.rule.window() {
            if self.queue.next_lane(&rule, self.flying_retries, uptime).is_none() {
                return;
            }
            if let Err(at) = self.target.take_turn(uptime) {
                self.next_turn = Some(at);
                return;
            }
            let Some(load) = self.queue.next(&rule, self.flying_retries, uptime) else { return };
            if opening == Opening::Probe {
                self.gate.begin_probe();
            }
            self.send(load);
        }
    }

    fn send(&mut self, Load { deliveries, is_retry }: Load) {
        self.flying_retries += usize::from(is_retry);
        let (target, clock) = (self.target.clone(), self.clock.clone());
        let report = self.report.clone();
        self.flying.spawn(async move {
            carry(target, deliveries, clock, report).await;
            is_retry
        });
    }

    fn land(&mut self, landed: Result<bool, JoinError>) {
        match landed {
            Ok(is_retry) => self.flying_retries -= usize::from(is_retry),
            // Nobody would ever attempt its deliveries again: the process must start anew.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    fn note_all(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.note(report);
        }
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Ended(ended) => self.note_ended(ended),
            Report::LetGo(sequences) => {
                for sequence in sequences {
                    self.queue.release(sequence);
                }
            }
        }
    }

    fn note_ended(&mut self, ended: Ended) {
        let was_failing = self.gate.is_failing();
        let turn = if ended.is_head { self.note_answer(&ended) } else { None };
        let fate = self.fate(&ended, was_failing);
        if let Fate::RetryAt(at) = fate {
            self.looking.retry_at(at);
        }
        let Ended { sequence, is_first, attempt, is_split, .. } = ended;
        tell_failure(&self.target, sequence, &attempt);
        let settlement = Settlement { sequence, is_first, attempt, fate, turn };
        self.settling.push(Unsettled { settlement, is_last: !is_split });
    }

    /// What an answer shows of the target.
    fn note_answer(&mut self, ended: &Ended) -> Option<Turn> {
        let turn = self.gate.note(&ended.attempt, self.clock.uptime(), rand::random());
        if let Some(turn) = turn {
            tell_turn(&self.target, turn, &ended.attempt);
            // A reading under way shows the target as it was; what waits goes by the new
            // state.
            self.reading = None;
            self.queue.clear();
            self.looking.anew();
        } else if self.gate.is_failing() {
            self.looking.again();
        }
        turn
    }

    fn fate(&self, ended: &Ended, was_failing: bool) -> Fate {
        if ended.is_split {
            return Fate::Held;
        }
        let retry = &self.target.config.retry;
        let rule = RetryRule { schedule: &retry.schedule, give_up: retry.give_up };
        let first_attempt_at = ended.first_attempt_at.unwrap_or(ended.attempt.started_at);
        let fate = fate(&ended.attempt, ended.step, first_attempt_at, rule, rand::random());
        if was_failing { fate.while_failing() } else { fate }
    }

    fn after_settling(&mut self, released: Vec<Sequence>) {
        for sequence in released {
            self.queue.release(sequence);
        }
        if !self.settling.has_turn() {
            self.gate.caught_up();
        }
    }

    /// How long nothing will happen by itself.
    fn wake(&self) -> Duration {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let until = |at: Duration| at.saturating_sub(uptime);
        let is_ahead = |wait: &Duration| !wait.is_zero();
        let retry = self.looking.next_retry().filter(|_| self.may_read()).map(|at| at.since(now));
        let gate = self.gate.opens_at().map(until).filter(is_ahead);
        let batch = self.queue.ready_at(&self.rule).map(until).filter(is_ahead);
        let turn = self.next_turn.map(until);
        let gathering = self.settling.gathering(self.is_stopping);
        [retry, gate, batch, turn, gathering]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SLOW_TICK)
            .clamp(Duration::from_millis(1), SLOW_TICK)
    }
}

#[cfg(test)]
mod tests;
