//! Reading what is owed to a target from the ledger.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::dispatch::target::Target;
use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::{Due, Ledger, Owed, StorageError, TargetState};

/// Whether the ledger may hold something that the queue does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It may: read on from where the last reading ended.
    Again,
    /// It does not, as far as the last reading showed.
    Done,
}

/// What one reading brought.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) fresh: Vec<Due>,
    /// Fresh deliveries up to here have been looked at.
    pub(super) seen: Sequence,
    pub(super) retries: Vec<Due>,
    pub(super) next_retry: Option<Timestamp>,
    /// There was no more of it.
    pub(super) is_whole: bool,
    /// Nothing is owed now unless it is active.
    pub(super) state: TargetState,
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Fresh deliveries above this one.
    pub(super) after: Sequence,
    /// Nothing above it was ever taken up.
    pub(super) is_new: bool,
    /// Of fresh deliveries and of retries, at most.
    pub(super) limit: u32,
    /// Retries that are due by then.
    pub(super) now: Timestamp,
    /// Only the oldest delivery.
    pub(super) is_strict: bool,
}

/// Reads the target's state, and what is owed to it where that is `wanted`. Dropping it
/// changes nothing.
pub(super) async fn read(
    ledger: Ledger,
    target: Arc<Target>,
    wanted: Option<Wanted>,
) -> Result<Reading, StorageError> {
    let reader = ledger.reader();
    let nothing = Owed { state: TargetState::Active, has_fresh: false, next_retry: None };
    let owed = reader.find_owed(target.id).await?.unwrap_or(nothing);
    let state = owed.state;
    let (Some(wanted), TargetState::Active) = (wanted, state) else {
        let (fresh, retries) = (Vec::new(), Vec::new());
        return Ok(Reading { fresh, seen: 0, retries, next_retry: None, is_whole: true, state });
    };
    if wanted.is_strict {
        return read_head(&ledger, &target, wanted.now).await;
    }
    let Wanted { after, is_new, limit, now, .. } = wanted;
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
    Ok(Reading { fresh, seen, retries, next_retry, is_whole, state })
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
    let (retries, seen, state) = (Vec::new(), 0, TargetState::Active);
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
