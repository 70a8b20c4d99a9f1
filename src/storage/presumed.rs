//! What may be presumed of the next ingest, so that the ledger need not be asked first.
//!
//! Where the last ingest of a route brought only events that were new, the next one most
//! likely does too: it is stored as if so, without a look for them. The ledger's own
//! constraints refuse it whole where that is wrong (`event_once` an event that is known, and
//! `ledger.next_sequence` a sequence that was not the next), and it is done again with a look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::event::{Route, Sequence};

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Presumed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The sequence that the next new event gets, as far as this process knows.
    next: Sequence,
    /// Whether the last ingest brought only new events.
    is_news: [bool; 2],
}

impl Presumed {
    /// The sequence that the next new event gets, where the next ingest of `route` may be
    /// presumed to bring only such.
    pub(super) fn next(&self, route: Route) -> Option<Sequence> {
        let state = self.lock();
        state.is_news[index(route)].then_some(state.next)
    }

    /// Notes where an ingest leaves the ledger, and whether it brought only new events. It
    /// need not be committed yet: what is presumed wrongly is refused.
    pub(super) fn note(&self, route: Route, next: Sequence, is_news: bool) {
        let mut state = self.lock();
        state.next = next;
        state.is_news[index(route)] = is_news;
    }

    /// Notes that what was presumed of `route` was wrong.
    pub(super) fn doubt(&self, route: Route) {
        self.lock().is_news[index(route)] = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(route: Route) -> usize {
    match route {
        Route::Poll => 0,
        Route::Push => 1,
    }
}

#[cfg(test)]
mod tests;
