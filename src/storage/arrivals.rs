//! Pushes that come at the same time are stored together: the statements of one ingest
//! cost as much as those of sixty.
//!
//! Properties kept:
//! - A push that comes alone, after another one that did, waits for no window; the next
//!   ones gather while it is stored. Where many came at once, some milliseconds are waited
//!   for as many again, or for half of them: see [`group_size`].
//! - Each push hears of its own success, after the commit (I6), and of its own failure: when
//!   a group fails for another reason than the disk's, each of it is tried alone.
//! - Pushes of one source are stored in the order in which they came.
//!
//! Races accepted: a caller that drops its future does not take its push back.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::model::event::Route;
use crate::storage::error::StorageError;
use crate::storage::ingest::{Ingest, Ingested, Store};

/// Pushes that wait; more make their callers wait.
const QUEUE_MAX: usize = 256;

/// Pushes in one group.
const GROUP_MAX: usize = 64;

/// From so many at once on, each half is a group of its own.
const HALVES_MIN: usize = 32;

/// How long the first of a group waits for the others: they were answered just now, and are
/// about to push again. Without it, the first to come back would be stored alone while all
/// others wait for its commit.
const GATHER: Duration = Duration::from_millis(2);

/// Larger pushes are stored by themselves: they gain nothing, and would be held twice.
const EVENTS_MAX: usize = 64;

/// A push, and who waits for it.
#[derive(Debug)]
struct Arrival {
    ingest: Ingest,
    reply: oneshot::Sender<Result<Ingested, StorageError>>,
}

/// Where pushes gather. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Arrivals(mpsc::Sender<Arrival>);

/// What has to run for them.
#[derive(Debug)]
pub(super) struct Arriving {
    arrivals: mpsc::Receiver<Arrival>,
    store: Store,
}

impl Arrivals {
    /// Makes the place, and the task that must be run for it.
    pub(super) fn new(store: Store) -> (Self, Arriving) {
        let (send, arrivals) = mpsc::channel(QUEUE_MAX);
        (Self(send), Arriving { arrivals, store })
    }

    /// Whether an ingest is one to gather.
    pub(super) fn take(ingest: &Ingest) -> bool {
        ingest.route == Route::Push
            && ingest.events.len() <= EVENTS_MAX
            && ingest.unreadable.is_empty()
    }

    /// Stores a push, maybe together with others.
    pub(super) async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Arrival { ingest, reply }).await;
        sent.map_err(|_| StorageError::Closed)?;
        answer.await.unwrap_or(Err(StorageError::Closed))
    }
}

impl Arriving {
    /// Stores what comes until every [`Arrivals`] is gone.
    pub(super) async fn run(mut self) {
        let (mut group, mut before) = (Vec::with_capacity(GROUP_MAX), 0);
        while let Some(first) = self.arrivals.recv().await {
            group.push(first);
            let size = group_size(before, 1 + self.arrivals.len());
            self.gather(&mut group, size).await;
            before = group.len();
            let alike = sort(mem::take(&mut group));
            join_all(alike.into_iter().map(|group| self.store(group))).await;
        }
    }

    /// Waits until the group has this size, for [`GATHER`] at most.
    async fn gather(&mut self, group: &mut Vec<Arrival>, size: usize) {
        let end = Instant::now() + GATHER;
        while group.len() < size {
            let room = size - group.len();
            match timeout_at(end, self.arrivals.recv_many(group, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    async fn store(&self, group: Vec<Arrival>) {
        let (ingests, replies): (Vec<Ingest>, Vec<_>) =
            group.into_iter().map(|arrival| (arrival.ingest, arrival.reply)).unzip();
        let ingests = Arc::new(ingests);
        let answers: Vec<_> = match self.store.ingest(ingests.clone()).await {
            Ok(ingested) => ingested.into_iter().map(Ok).collect(),
            Err(error) if error.is_passing() || ingests.len() == 1 => {
                replies.iter().map(|_| Err(error.again())).collect()
            }
            Err(_) => self.store_each(&ingests).await,
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // The caller may have gone; the push is stored all the same.
            let _ = reply.send(answer);
        }
    }

    async fn store_each(&self, ingests: &[Ingest]) -> Vec<Result<Ingested, StorageError>> {
        let mut answers = Vec::with_capacity(ingests.len());
        for ingest in ingests {
            let stored = self.store.ingest(Arc::new(vec![ingest.clone()])).await;
            answers.push(stored.map(|ingested| ingested.first().copied().unwrap_or_default()));
        }
        answers
    }
}

/// How many pushes the next group is to have, where so many were in the one before it, whose
/// senders have just been answered, and so many wait.
///
/// While one half of many is stored, the other half is read: storing keeps one processor busy,
/// and the disk.
fn group_size(before: usize, waiting: usize) -> usize {
    let all = before + waiting;
    if all < HALVES_MIN {
        return before.max(waiting);
    }
    all.div_ceil(2).min(GROUP_MAX)
}

/// Groups of one source and one list of targets, each in the order in which they came.
fn sort(arrivals: Vec<Arrival>) -> Vec<Vec<Arrival>> {
    let mut groups: Vec<Vec<Arrival>> = Vec::new();
    for arrival in arrivals {
        let is_alike = |group: &&mut Vec<Arrival>| {
            let Ingest { source, targets, .. } = &group[0].ingest;
            *source == arrival.ingest.source && *targets == arrival.ingest.targets
        };
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(arrival),
            None => groups.push(vec![arrival]),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
