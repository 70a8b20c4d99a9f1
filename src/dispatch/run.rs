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

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::config::Order;
use crate::dispatch::attempt::pause_until;
use crate::dispatch::carry::{Ended, carry};
use crate::dispatch::queue::{Gathering, Load, Queue};
use crate::dispatch::reading::{Look, Reading, Wanted, read, ready};
use crate::dispatch::settling::{Settled, settle, take};
use crate::dispatch::target::Target;
use crate::dispatch::trend::Trend;
use crate::model::clock::Clock;
use crate::model::delivery::Fate;
use crate::model::event::Sequence;
use crate::model::outcome::Outcome;
use crate::model::timestamp::Timestamp;
use crate::storage::{Ledger, StorageError, TargetState};

/// How long a nudge that got lost can delay a delivery.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// How long an outcome waits for others to be committed with, unless [`SETTLE_FULL`] of
/// them are there: each commit costs a flush to disk and the pages that it touches.
const SETTLE_GATHER: Duration = Duration::from_millis(4);

/// Outcomes that are worth a commit of their own.
const SETTLE_FULL: usize = 128;

/// A worker at work.
pub(super) struct Run {
    target: Arc<Target>,
    ledger: Ledger,
    clock: Clock,
    rule: Gathering,
    report: mpsc::UnboundedSender<Ended>,
    outcomes: mpsc::UnboundedReceiver<Ended>,
    queue: Queue,
    /// Requests under way; each says whether it was a retry.
    flying: JoinSet<bool>,
    flying_retries: usize,
    /// Outcomes that wait for the next commit.
    ended: Vec<Ended>,
    /// When the first of them came.
    ended_since: Instant,
    settling: Option<BoxFuture<'static, Settled>>,
    reading: Option<BoxFuture<'static, Result<Reading, StorageError>>>,
    look: Look,
    /// Fresh deliveries up to here have been read.
    after: Sequence,
    /// The highest that `after` has been: above it nothing was ever taken up.
    newest: Sequence,
    next_retry: Option<Timestamp>,
    trend: Trend,
    paused_until: Option<Timestamp>,
    /// As the last reading showed it, or gone since.
    state: TargetState,
    /// A second has passed since the state was read.
    is_state_old: bool,
    /// The ledger did not take the last outcomes.
    is_stuck: bool,
    is_stopping: bool,
}

impl Run {
    /// A run that holds nothing yet.
    pub(super) fn new(target: Target, ledger: Ledger, clock: Clock) -> Self {
        let (report, outcomes) = mpsc::unbounded_channel();
        Self {
            rule: Gathering::new(&target.config),
            target: Arc::new(target),
            ledger,
            clock,
            report,
            outcomes,
            queue: Queue::default(),
            flying: JoinSet::new(),
            flying_retries: 0,
            ended: Vec::new(),
            ended_since: Instant::now(),
            settling: None,
            reading: None,
            look: Look::Again,
            after: 0,
            newest: 0,
            next_retry: None,
            trend: Trend::default(),
            paused_until: None,
            state: TargetState::Active,
            is_state_old: false,
            is_stuck: false,
            is_stopping: false,
        }
    }

    /// Works until `stop`, then lets requests under way end and settles them.
    pub(super) async fn until(
        mut self,
        stop: CancellationToken,
        nudge: &Notify,
    ) -> Result<(), StorageError> {
        let mut tick = tokio::time::interval(SLOW_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_stopping {
                self.queue.clear();
                self.reading = None;
                if self.flying.is_empty() && self.outcomes.is_empty() && self.is_settled() {
                    return Ok(());
                }
            } else {
                self.read();
                self.launch();
            }
            self.settle();
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled(), if !self.is_stopping => self.is_stopping = true,
                Some(ended) = self.outcomes.recv() => {
                    self.note(ended);
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
                settled = ready(&mut self.settling) => self.after_settling(settled)?,
                reading = ready(&mut self.reading) => self.after_reading(reading)?,
                () = nudge.notified() => self.look = Look::Again,
                () = tokio::time::sleep(wake) => {}
                _ = tick.tick() => self.look_at_everything(),
            }
        }
    }

    fn is_strict(&self) -> bool {
        self.target.config.order == Order::Strict
    }

    fn is_settled(&self) -> bool {
        self.ended.is_empty() && self.settling.is_none()
    }

    /// Looks at everything anew: for replays, for pauses, and after one.
    fn look_at_everything(&mut self) {
        (self.look, self.is_state_old) = (Look::Again, true);
        self.after = 0;
    }

    /// Whether a reading may start: there is room for what it brings, and a use for it.
    fn may_read(&self) -> bool {
        let window = self.rule.window();
        let has_room = self.queue.fresh().max(self.queue.retries()) <= window / 2
            && self.queue.held() <= 2 * window;
        let has_head = self.is_strict() && self.queue.held() > 0;
        self.may_read_state() && has_room && !has_head && !self.is_held_up()
    }

    /// Whether the ledger holds the target's state: a 410 may wait for its commit.
    fn may_read_state(&self) -> bool {
        let is_ahead = self.state != TargetState::Active && !self.is_settled();
        self.reading.is_none() && !is_ahead
    }

    /// Whether nothing may be sent, for a reason that the ledger does not hold.
    fn is_held_up(&self) -> bool {
        let is_paused = self.paused_until.is_some_and(|until| until > self.clock.now());
        self.is_stopping || self.is_stuck || is_paused
    }

    /// Starts a reading when there may be something to read.
    fn read(&mut self) {
        let now = self.clock.now();
        let has_due_retry = self.next_retry.is_some_and(|at| at <= now);
        if !self.may_read() || (self.look == Look::Done && !has_due_retry) {
            // There may be no use for deliveries, but a pause is seen within a second.
            if self.is_state_old && self.may_read_state() {
                self.start_reading(None);
            }
            return;
        }
        let wanted = Wanted {
            after: self.after,
            is_new: self.after >= self.newest,
            // What is held is still pending in the ledger, and is read once more.
            limit: u32::try_from(self.rule.window() + self.queue.held()).unwrap_or(u32::MAX),
            now,
            is_strict: self.is_strict(),
        };
        self.look = Look::Done;
        self.next_retry = self.next_retry.filter(|at| *at > now);
        self.start_reading(Some(wanted));
    }

    fn start_reading(&mut self, wanted: Option<Wanted>) {
        self.is_state_old = false;
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
        self.after = self.after.max(reading.seen);
        self.newest = self.newest.max(self.after);
        if !reading.is_whole {
            self.look = Look::Again;
        }
        if mem::replace(&mut self.state, reading.state) != reading.state {
            tracing::info!(target.name = self.target.name(), "is {} now", reading.state.as_str());
        }
        if reading.state != TargetState::Active {
            self.queue.clear();
            self.after = 0;
        }
        // What failed a moment ago may not have been in the ledger yet.
        self.next_retry = self.next_retry.into_iter().chain(reading.next_retry).min();
        self.queue.extend_fresh(reading.fresh, self.clock.uptime());
        self.queue.extend_retries(reading.retries);
        Ok(())
    }

    fn launch(&mut self) {
        if self.state != TargetState::Active || self.is_held_up() {
            return;
        }
        let uptime = self.clock.uptime();
        while self.flying.len() < self.rule.slots && self.queue.under_way() < self.rule.window() {
            let Some(load) = self.queue.next(&self.rule, self.flying_retries, uptime) else {
                return;
            };
            let Load { deliveries, is_retry } = load;
            self.flying_retries += usize::from(is_retry);
            let (target, clock) = (self.target.clone(), self.clock.clone());
            let report = self.report.clone();
            self.flying.spawn(async move {
                carry(target, deliveries, clock, report).await;
                is_retry
            });
        }
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
        while let Ok(ended) = self.outcomes.try_recv() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Ended) {
        let attempt = &ended.settlement.attempt;
        if let Some(until) = pause_until(attempt) {
            self.paused_until = self.paused_until.max(Some(until));
        }
        if attempt.outcome == Outcome::Gone {
            // A reading under way may still have seen it active.
            (self.state, self.reading) = (TargetState::Gone, None);
            self.look_at_everything();
        }
        if let Fate::RetryAt(at) = ended.settlement.fate {
            self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
        }
        self.trend.note(&self.target, &ended.settlement);
        if self.ended.is_empty() {
            self.ended_since = Instant::now();
        }
        self.ended.push(ended);
    }

    /// How long the outcomes in hand wait for others; zero when it is time to commit.
    fn gathering(&self) -> Duration {
        let is_full = self.ended.len() >= SETTLE_FULL.min(self.rule.capacity());
        if is_full || self.is_stopping || self.is_stuck {
            return Duration::ZERO;
        }
        SETTLE_GATHER.saturating_sub(self.ended_since.elapsed())
    }

    /// Starts a commit of what has ended, unless one is under way.
    fn settle(&mut self) {
        let is_empty = self.ended.is_empty();
        if self.settling.is_some() || is_empty || !self.gathering().is_zero() {
            return;
        }
        let now = take(&mut self.ended);
        self.ended_since = Instant::now();
        let delay = if self.is_stuck { SLOW_TICK } else { Duration::ZERO };
        let (ledger, target) = (self.ledger.clone(), self.target.clone());
        self.settling = Some(Box::pin(settle(ledger, target, now, delay)));
    }

    fn after_settling(&mut self, settled: Settled) -> Result<(), StorageError> {
        let target = self.target.name();
        match settled {
            Ok(released) => {
                if mem::take(&mut self.is_stuck) {
                    tracing::info!(target.name = target, "outcomes are stored again");
                }
                for sequence in released {
                    self.queue.release(sequence);
                }
                Ok(())
            }
            Err((error, mut unsettled)) if error.is_passing() => {
                if !mem::replace(&mut self.is_stuck, true) {
                    tracing::warn!(
                        target.name = target,
                        %error,
                        "outcomes cannot be stored; nothing is sent until they can"
                    );
                }
                unsettled.append(&mut self.ended);
                self.ended = unsettled;
                Ok(())
            }
            Err((error, _)) => Err(error),
        }
    }

    /// How long nothing will happen by itself.
    fn wake(&self) -> Duration {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let retry = self.next_retry.filter(|_| self.may_read()).map(|at| at.since(now));
        let pause = self.paused_until.map(|until| until.since(now)).filter(|wait| !wait.is_zero());
        let batch = self.queue.ready_at(&self.rule).map(|at| at.saturating_sub(uptime));
        let batch = batch.filter(|wait| !wait.is_zero());
        let is_gathering = self.settling.is_none() && !self.ended.is_empty();
        let gathering = is_gathering.then(|| self.gathering());
        [retry, pause, batch, gathering]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SLOW_TICK)
            .clamp(Duration::from_millis(1), SLOW_TICK)
    }
}

#[cfg(test)]
mod tests;
