//! A run that stores nothing.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::coverage::Coverage;
use crate::model::event::Event;
use crate::model::lateness::{Curve, Learnt};
use crate::poll::Keep;
use crate::storage::{Ingest, Ingested, PollRequest, StorageError};

/// Takes the ledger's place in a dry run: shows each event and forgets it.
///
/// It holds no ledger, only the coverage read from one and what it has read since in
/// memory, so there is nothing it could write to. Events that the ledger has already are shown, too.
pub struct DryRun<F> {
    coverage: Mutex<Option<Coverage>>,
    learnt: Option<Learnt>,
    show: Mutex<F>,
}

impl<F: FnMut(&Event) + Send> DryRun<F> {
    /// A dry run from `coverage` (`None`: as at the very first start) and with what was
    /// `learnt` so far, that calls `show` for each event, page by page, oldest first within
    /// a page.
    pub fn new(coverage: Option<Coverage>, learnt: Option<Learnt>, show: F) -> Self {
        Self { coverage: Mutex::new(coverage), learnt, show: Mutex::new(show) }
    }
}

impl<F: FnMut(&Event) + Send> Keep for DryRun<F> {
    async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        let mut show = lock(&self.show);
        ingest.events.iter().for_each(&mut *show);
        if ingest.coverage.is_some() {
            *lock(&self.coverage) = ingest.coverage;
        }
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let quarantined = count(ingest.unreadable.len());
        Ok(Ingested { new: count(ingest.events.len()), quarantined, ..Ingested::default() })
    }

    async fn log_request(&self, _source: &str, _request: PollRequest) -> Result<(), StorageError> {
        Ok(())
    }

    async fn find_coverage(&self, _source: &str) -> Result<Option<Coverage>, StorageError> {
        Ok(lock(&self.coverage).clone())
    }

    async fn find_learnt(&self, _source: &str) -> Result<Option<Learnt>, StorageError> {
        Ok(self.learnt.clone())
    }

    async fn find_curve(&self, _source: &str, _window: Duration) -> Result<Curve, StorageError> {
        Ok(Curve::default())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
