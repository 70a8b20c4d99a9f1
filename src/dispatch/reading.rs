//! Reading what is owed to a target from the ledger.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::dispatch::target::Target;
use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::{Due, Ledger, Owed, StorageError, TargetState};

/// Retries of which a probe is chosen by chance: one may be what the target fails on.
const PROBE_CHOICE: u32 = 16;

/// What one reading brought.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) fresh: Vec<Due>,
    /// Fresh deliveries up to here have been looked at; `None`: nothing was looked for.
    pub(super) seen: Option<Sequence>,
    pub(super) retries: Vec<Due>,
    pub(super) next_retry: Option<Timestamp>,
    /// There was no more of it.
    pub(super) is_whole: bool,
    /// Nothing is owed now unless it is active.
    pub(super) state: TargetState,
}

/// What is to be read beside the target's state.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// Nothing.
    State,
    /// What is owed now.
    Window {
        /// Fresh deliveries above this one.
        after: Sequence,
        /// Nothing above it was ever taken up.
        is_new: bool,
        /// Of fresh deliveries and of retries, at most.
        limit: u32,
        /// Retries that are due by then.
        now: Timestamp,
    },
    /// The oldest deliveries, one request's worth, if the first is due: for strict order.
    Oldest {
        /// At most.
        limit: u32,
        /// The first is due by then.
        now: Timestamp,
    },
    /// One delivery, due or not, to find out whether a failing target is back: the oldest
    /// in strict order, else another one than last time.
    Probe {
        /// A fresh one above this.
        after: Sequence,
        is_strict: bool,
    },
}

/// Reads the target's state, and what is owed to it where that is wanted and the state
/// lets it have it. Dropping it changes nothing.
pub(super) async fn read(
    ledger: Ledger,
    target: Arc<Target>,
    wanted: Wanted,
) -> Result<Reading, StorageError> {
    let Some(owed) = ledger.reader().find_owed(target.id).await? else {
        return Ok(Reading::nothing(TargetState::Active));
    };
    if owed.has_untold_dead {
        ledger.tell_dead(target.id).await?;
    }
    let mut reading = match (wanted, owed.state) {
        (Wanted::Window { after, is_new, limit, now }, TargetState::Active) => {
            read_window(&ledger, &target, owed, (after, is_new, limit, now)).await?
        }
        (Wanted::Oldest { limit, now }, TargetState::Active) => {
            read_oldest(&ledger, &target, limit, now).await?
        }
        (Wanted::Probe { is_strict: true, .. }, TargetState::Failing) => {
            read_oldest(&ledger, &target, 1, Timestamp::from_micros(i64::MAX)).await?
        }
        (Wanted::Probe { after, .. }, TargetState::Failing) => {
            read_probe(&ledger, &target, after).await?
        }
        (_, state) => Reading::nothing(state),
    };
    reading.state = owed.state;
    if let Some(resumed_at) = owed.resumed_at {
        for due in reading.fresh.iter_mut().chain(&mut reading.retries) {
            due.first_attempt_at = due.first_attempt_at.map(|at| at.max(resumed_at));
        }
    }
    Ok(reading)
}

impl Reading {
    fn nothing(state: TargetState) -> Self {
        let (fresh, retries) = (Vec::new(), Vec::new());
        Self { fresh, seen: None, retries, next_retry: None, is_whole: true, state }
    }
}

async fn read_window(
    ledger: &Ledger,
    target: &Target,
    owed: Owed,
    (after, is_new, limit, now): (Sequence, bool, u32, Timestamp),
) -> Result<Reading, StorageError> {
    let reader = ledger.reader();
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let recent = if is_new { ledger.take_recent(target.name(), after, most) } else { None };
    let (fresh, seen) = if let Some(recent) = recent {
        recent
    } else if !owed.has_fresh {
        (Vec::new(), after)
    } else {
        let fresh = reader.list_fresh(target.id, after, limit).await?;
        let seen = fresh.last().map_or(after, |due| due.sequence);
        (fresh, seen)
    };
    let (retries, next_retry) = match owed.next_retry {
        Some(at) if at <= now => (
            reader.list_retries(target.id, now, limit).await?,
            reader.find_next_retry(target.id, now).await?,
        ),
        next_retry => (Vec::new(), next_retry),
    };
    let is_whole = fresh.len() < most && retries.len() < most;
    let (seen, state) = (Some(seen), TargetState::Active);
    Ok(Reading { fresh, seen, retries, next_retry, is_whole, state })
}

/// A fresh delivery above `after`, else any retry, else a fresh one from the beginning.
async fn read_probe(
    ledger: &Ledger,
    target: &Target,
    after: Sequence,
) -> Result<Reading, StorageError> {
    let reader = ledger.reader();
    let mut fresh = reader.list_fresh(target.id, after, 1).await?;
    if fresh.is_empty() {
        let end = Timestamp::from_micros(i64::MAX);
        fresh = reader.list_retries(target.id, end, PROBE_CHOICE).await?;
        if fresh.is_empty() {
            fresh = reader.list_fresh(target.id, 0, 1).await?;
        } else {
            fresh = vec![fresh.swap_remove(rand::random_range(0..fresh.len()))];
        }
    }
    // Retries stand for the end of the round: after one, the oldest fresh delivery follows.
    let is_fresh = |due: &&Due| due.step == 0;
    let seen = fresh.first().filter(is_fresh).map_or(0, |due| due.sequence);
    Ok(Reading { fresh, seen: Some(seen), ..Reading::nothing(TargetState::Failing) })
}

/// For strict order: the oldest deliveries if the first of them is due, and nothing else.
/// Those behind it go along, due or not: they only waited for it.
async fn read_oldest(
    ledger: &Ledger,
    target: &Target,
    limit: u32,
    now: Timestamp,
) -> Result<Reading, StorageError> {
    let head = ledger.reader().find_head(target.id).await?;
    let next_retry = head.as_ref().and_then(|(_, next)| *next);
    let head = head.filter(|(_, next)| next.is_none_or(|at| at <= now)).map(|(due, _)| due);
    let mut fresh: Vec<Due> = head.into_iter().collect();
    if let (Some(sequence), 2..) = (fresh.first().map(|head| head.sequence), limit) {
        fresh.extend(ledger.reader().list_behind(target.id, sequence, limit - 1).await?);
    }
    // With the head in hand, what follows it can only be read when it is settled.
    let is_whole = fresh.is_empty();
    let (retries, seen, state) = (Vec::new(), None, TargetState::Active);
    Ok(Reading { fresh, seen, retries, next_retry, is_whole, state })
}

/// Waits for a future that may not be there; there is none afterwards.
pub(super) async fn ready<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => {
            let value = future.await;
            *slot = None;
            value
        }
        None => std::future::pending().await,
    }
}
