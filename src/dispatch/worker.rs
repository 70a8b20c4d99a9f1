//! The worker of one target: reads what is owed, attempts it, settles what came of it.
//!
//! Properties kept:
//! - A delivery leaves *pending* only in the transaction that records its attempt (I5).
//! - At most `concurrency` requests are under way, and at most two windows in memory.
//! - At most one window, and the request that fills it, is sent and not settled: what a
//!   crash, or a disk that is full, can make a target get twice.
//! - Reading, attempting and settling go on at the same time; outcomes that come in while
//!   a commit is under way go into the next one together.
//! - A nudge makes it fast; a slow timer makes it right: a lost nudge, or a replay from
//!   another process, costs a second.
//!
//! Races accepted: an attempt that has reached the target but is not settled when the
//! process dies is made again, with the same id.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::{Format, Order};
use crate::dispatch::attempt::pause_until;
use crate::dispatch::carry::{Ended, carry};
use crate::dispatch::queue::{Gathering, Load, Queue};
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::model::delivery::Fate;
use crate::model::event::Sequence;
use crate::model::outcome::Outcome;
use crate::model::timestamp::Timestamp;
use crate::storage::{Due, Ledger, Settlement, StorageError, TargetState};

/// How long a nudge that got lost can delay a delivery.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// Settlements in one transaction: bounds how long others wait for the writer.
const SETTLE_MAX: usize = 1000;

/// Brings a target its deliveries.
#[derive(Debug)]
pub struct Worker {
    target: Arc<Target>,
    ledger: Ledger,
    clock: Clock,
    nudge: Arc<Notify>,
}

impl Worker {
    /// Makes the worker of `target`; `nudge` tells it that new deliveries are there.
    #[must_use]
    pub fn new(target: Target, ledger: Ledger, clock: Clock, nudge: Arc<Notify>) -> Self {
        Self { target: Arc::new(target), ledger, clock, nudge }
    }

    /// Works until `stop`, then lets requests under way end and settles them.
    ///
    /// Dropping it leaves deliveries pending whose outcome was not settled yet; they are
    /// attempted again, with the same ids.
    ///
    /// # Errors
    /// When the ledger fails for good. A full disk is waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StorageError> {
        let (report, outcomes) = mpsc::unbounded_channel();
        let config = &self.target.config;
        let is_strict = config.order == Order::Strict;
        let rule = Gathering {
            max_events: if config.format == Format::Batch { config.batch.max_events } else { 1 },
            max_wait: if config.format == Format::Batch {
                config.batch.max_wait
            } else {
                Duration::ZERO
            },
            slots: if is_strict { 1 } else { config.concurrency },
        };
        let run = Run {
            target: self.target,
            ledger: self.ledger,
            clock: self.clock,
            rule,
            is_strict,
            report,
            queue: Queue::default(),
            flying: JoinSet::new(),
            flying_retries: 0,
            ended: Vec::new(),
            settling: None,
            reading: None,
            look: Look::Again,
            after: 0,
            next_retry: None,
            paused_until: None,
            is_gone: false,
        };
        run.until(stop, outcomes, &self.nudge).await
    }
}

/// Whether the ledger may hold something that the queue does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It may: read on from where the last reading ended.
    Again,
    /// It does not, as far as the last reading showed.
    Done,
}

/// What one reading brought.
#[derive(Debug)]
struct Reading {
    fresh: Vec<Due>,
    retries: Vec<Due>,
    next_retry: Option<Timestamp>,
    /// There was no more of it.
    is_whole: bool,
    is_gone: bool,
}

type Settled = Result<Vec<Sequence>, (StorageError, Vec<Ended>)>;

struct Run {
    target: Arc<Target>,
    ledger: Ledger,
    clock: Clock,
    rule: Gathering,
    is_strict: bool,
    report: mpsc::UnboundedSender<Ended>,
    queue: Queue,
    /// Requests under way; each says whether it was a retry.
    flying: JoinSet<bool>,
    flying_retries: usize,
    /// Outcomes that wait for the next commit.
    ended: Vec<Ended>,
    settling: Option<BoxFuture<'static, Settled>>,
    reading: Option<BoxFuture<'static, Result<Reading, StorageError>>>,
    look: Look,
    /// Fresh deliveries up to here have been read.
    after: Sequence,
    next_retry: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    is_gone: bool,
}

impl Run {
    async fn until(
        mut self,
        stop: CancellationToken,
        mut outcomes: mpsc::UnboundedReceiver<Ended>,
        nudge: &Notify,
    ) -> Result<(), StorageError> {
        let mut is_stopping = false;
        let mut tick = tokio::time::interval(SLOW_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if is_stopping {
                self.queue.clear();
                self.reading = None;
                if self.flying.is_empty() && outcomes.is_empty() && self.is_settled() {
                    return Ok(());
                }
            } else {
                self.read();
                self.launch();
            }
            self.settle();
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled(), if !is_stopping => is_stopping = true,
                Some(ended) = outcomes.recv() => {
                    self.note(ended);
                    while let Ok(ended) = outcomes.try_recv() {
                        self.note(ended);
                    }
                }
                Some(landed) = self.flying.join_next() => {
                    self.land(landed.unwrap_or(false));
                    while let Some(landed) = self.flying.try_join_next() {
                        self.land(landed.unwrap_or(false));
                    }
                }
                settled = ready(&mut self.settling) => self.after_settling(settled).await?,
                reading = ready(&mut self.reading) => self.after_reading(reading)?,
                () = nudge.notified() => self.look = Look::Again,
                () = tokio::time::sleep(wake) => {}
                _ = tick.tick() => self.look_at_everything(),
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.ended.is_empty() && self.settling.is_none()
    }

    /// Looks at everything anew: for replays, and after a pause.
    fn look_at_everything(&mut self) {
        self.look = Look::Again;
        self.after = 0;
    }

    /// Starts a reading when the window has room and there may be something to read.
    fn read(&mut self) {
        let now = self.clock.now();
        let window = self.rule.window();
        let has_due_retry = self.next_retry.is_some_and(|at| at <= now);
        let is_wanted = self.look == Look::Again || has_due_retry;
        if !is_wanted || !self.can_read() {
            return;
        }
        let wanted = Wanted {
            after: self.after,
            // What is held is still pending in the ledger, and is read once more.
            limit: u32::try_from(window + self.queue.held()).unwrap_or(u32::MAX),
            now,
            is_strict: self.is_strict,
        };
        self.look = Look::Done;
        self.queue.begin_reading();
        self.reading = Some(Box::pin(read(self.ledger.clone(), self.target.clone(), wanted)));
    }

    /// Whether there is room for more, and nothing speaks against reading it now.
    fn can_read(&self) -> bool {
        let window = self.rule.window();
        let has_room = self.queue.fresh().max(self.queue.retries()) <= window / 2
            && self.queue.held() <= 2 * window;
        let has_head = self.is_strict && self.queue.held() > 0;
        let is_leaving = self.is_gone && !self.is_settled();
        self.reading.is_none() && has_room && !has_head && !is_leaving
    }

    fn after_reading(
        &mut self,
        reading: Result<Reading, StorageError>,
    ) -> Result<(), StorageError> {
        let reading = match reading {
            Ok(reading) => reading,
            // The slow tick looks again.
            Err(error) if error.is_passing() => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(last) = reading.fresh.last() {
            self.after = self.after.max(last.sequence);
        }
        if !reading.is_whole {
            self.look = Look::Again;
        }
        self.is_gone = reading.is_gone;
        self.next_retry = reading.next_retry;
        self.queue.extend_fresh(reading.fresh, self.clock.uptime());
        self.queue.extend_retries(reading.retries);
        Ok(())
    }

    /// Whether anything may be sent now.
    fn is_open(&self) -> bool {
        !self.is_gone && self.paused_until.is_none_or(|until| until <= self.clock.now())
    }

    fn launch(&mut self) {
        if !self.is_open() {
            return;
        }
        let uptime = self.clock.uptime();
        let window = self.rule.window();
        while self.flying.len() < self.rule.slots && self.queue.under_way() < window {
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

    fn land(&mut self, is_retry: bool) {
        self.flying_retries -= usize::from(is_retry);
    }

    fn note(&mut self, ended: Ended) {
        let attempt = &ended.settlement.attempt;
        if let Some(until) = pause_until(attempt) {
            self.paused_until = self.paused_until.max(Some(until));
        }
        if attempt.outcome == Outcome::Gone {
            // A reading under way may still have seen it active.
            (self.is_gone, self.reading) = (true, None);
            self.look_at_everything();
        }
        if let Fate::RetryAt(at) = ended.settlement.fate {
            self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
        }
        if let Some(reason) = attempt.outcome.reason() {
            tracing::debug!(
                target.name = self.target.name(),
                event.sequence = ended.settlement.sequence,
                http.status = attempt.status,
                %reason,
                "an attempt did not deliver"
            );
        }
        self.ended.push(ended);
    }

    /// Starts a commit of what has ended, unless one is under way.
    fn settle(&mut self) {
        if self.settling.is_some() || self.ended.is_empty() {
            return;
        }
        // A delivery may stand in a transaction once; its next round waits for the next.
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = mem::take(&mut self.ended)
            .into_iter()
            .partition(|ended| seen.len() < SETTLE_MAX && seen.insert(ended.settlement.sequence));
        self.ended = later;
        self.settling = Some(Box::pin(settle(self.ledger.clone(), self.target.clone(), now)));
    }

    async fn after_settling(&mut self, settled: Settled) -> Result<(), StorageError> {
        match settled {
            Ok(released) => {
                for sequence in released {
                    self.queue.release(sequence);
                }
                Ok(())
            }
            Err((error, mut unsettled)) if error.is_passing() => {
                tracing::warn!(
                    target.name = self.target.name(),
                    %error,
                    "outcomes could not be stored; trying again"
                );
                unsettled.append(&mut self.ended);
                self.ended = unsettled;
                tokio::time::sleep(SLOW_TICK).await;
                Ok(())
            }
            Err((error, _)) => Err(error),
        }
    }

    /// How long nothing will happen by itself.
    fn wake(&self) -> Duration {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        // Without room, a retry that is due waits for an outcome.
        let retry = self.next_retry.filter(|_| self.can_read()).map(|at| at.since(now));
        let pause = self.paused_until.map(|until| until.since(now)).filter(|wait| !wait.is_zero());
        let batch = self.queue.ready_at(&self.rule).map(|at| at.saturating_sub(uptime));
        let batch = batch.filter(|wait| !wait.is_zero());
        [retry, pause, batch]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SLOW_TICK)
            .clamp(Duration::from_millis(1), SLOW_TICK)
    }
}

/// Waits for a future that may not be there; there is none afterwards.
async fn ready<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => {
            let value = future.await;
            *slot = None;
            value
        }
        None => std::future::pending().await,
    }
}

struct Wanted {
    after: Sequence,
    limit: u32,
    now: Timestamp,
    is_strict: bool,
}

async fn read(
    ledger: Ledger,
    target: Arc<Target>,
    wanted: Wanted,
) -> Result<Reading, StorageError> {
    let reader = ledger.reader();
    let state = reader.find_target(target.name()).await?;
    let is_gone = state.is_some_and(|(_, state)| state == TargetState::Gone);
    if is_gone {
        let (fresh, retries) = (Vec::new(), Vec::new());
        return Ok(Reading { fresh, retries, next_retry: None, is_whole: true, is_gone });
    }
    if wanted.is_strict {
        return read_head(&ledger, &target, wanted.now).await;
    }
    let Wanted { after, limit, now, .. } = wanted;
    let fresh = reader.list_fresh(target.id, after, limit).await?;
    let retries = reader.list_retries(target.id, now, limit).await?;
    let next_retry = reader.find_next_retry(target.id, now).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_whole = fresh.len() < limit && retries.len() < limit;
    Ok(Reading { fresh, retries, next_retry, is_whole, is_gone })
}

/// For strict order: the oldest delivery if it is due, and nothing else.
async fn read_head(
    ledger: &Ledger,
    target: &Target,
    now: Timestamp,
) -> Result<Reading, StorageError> {
    let head = ledger.reader().find_head(target.id).await?;
    let next_retry = head.as_ref().and_then(|(_, next)| *next);
    let fresh: Vec<Due> = head
        .filter(|(_, next)| next.is_none_or(|at| at <= now))
        .map(|(due, _)| due)
        .into_iter()
        .collect();
    // With the head in hand, what follows it can only be read when it is settled.
    let is_whole = fresh.is_empty();
    Ok(Reading { fresh, retries: Vec::new(), next_retry, is_whole, is_gone: false })
}

async fn settle(ledger: Ledger, target: Arc<Target>, ended: Vec<Ended>) -> Settled {
    let settlements: Vec<Settlement> = ended.iter().map(|ended| ended.settlement.clone()).collect();
    match ledger.settle(target.id, settlements).await {
        Ok(()) => Ok(ended
            .iter()
            .filter(|ended| ended.is_last)
            .map(|ended| ended.settlement.sequence)
            .collect()),
        Err(error) => Err((error, ended)),
    }
}
