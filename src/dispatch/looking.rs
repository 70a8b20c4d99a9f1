//! How far a worker has looked into the ledger, and whether it is time to look again.

use crate::dispatch::reading::Reading;
use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::TargetState;

/// What is known of the ledger, and what is not.
#[derive(Debug)]
pub(super) struct Looking {
    /// The ledger may hold something that the queue does not.
    is_due: bool,
    /// A second has passed since the target's state was read.
    is_state_old: bool,
    /// Fresh deliveries up to here have been read.
    after: Sequence,
    /// The highest that `after` has been: above it nothing was ever taken up. `None` until
    /// all that was there at the start has been read, which others may have taken up.
    newest: Option<Sequence>,
    /// The last probe was this one, or none above it: each probe brings another delivery,
    /// for one may be what the target fails on.
    probed: Sequence,
    next_retry: Option<Timestamp>,
}

impl Looking {
    /// Nothing has been looked at.
    pub(super) fn new() -> Self {
        Self {
            is_due: true,
            is_state_old: false,
            after: 0,
            newest: None,
            probed: 0,
            next_retry: None,
        }
    }

    /// Another worker may have taken up anything up to `last`, and settled it.
    pub(super) fn follow(&mut self, last: Sequence) {
        self.newest = Some(last);
    }

    /// There may be something new.
    pub(super) fn again(&mut self) {
        self.is_due = true;
    }

    /// Everything is looked at anew: for replays, for pauses, and after one.
    pub(super) fn anew(&mut self) {
        (self.is_due, self.is_state_old) = (true, true);
        self.after = 0;
    }

    /// A retry is due then.
    pub(super) fn retry_at(&mut self, at: Timestamp) {
        self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
    }

    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        self.next_retry
    }

    pub(super) fn is_state_old(&self) -> bool {
        self.is_state_old
    }

    /// Whether there may be something to read.
    pub(super) fn is_worth_it(&self, now: Timestamp) -> bool {
        self.is_due || self.next_retry.is_some_and(|at| at <= now)
    }

    /// Notes that a reading begins that shows at least the target's state.
    pub(super) fn begin_state(&mut self) {
        self.is_state_old = false;
    }

    /// Notes that a reading of what is owed begins: fresh deliveries above which one, and
    /// whether nothing above it was ever taken up.
    pub(super) fn begin(&mut self, now: Timestamp) -> (Sequence, bool) {
        self.is_due = false;
        self.next_retry = self.next_retry.filter(|at| *at > now);
        (self.after, self.newest.is_some_and(|newest| self.after >= newest))
    }

    /// Notes that a probe is looked for: above which delivery.
    pub(super) fn begin_probe(&mut self) -> Sequence {
        self.is_due = false;
        self.probed
    }

    /// Notes what a reading has shown.
    pub(super) fn end(&mut self, reading: &Reading) {
        self.is_due |= !reading.is_whole;
        match reading.state {
            TargetState::Active => {
                if let Some(seen) = reading.seen {
                    self.after = self.after.max(seen);
                    if reading.is_whole || self.newest.is_some() {
                        self.newest = self.newest.max(Some(self.after));
                    }
                }
                // What failed a moment ago may not have been in the ledger yet.
                self.next_retry = self.next_retry.into_iter().chain(reading.next_retry).min();
            }
            TargetState::Failing => self.probed = reading.seen.unwrap_or(self.probed),
            TargetState::Paused | TargetState::Gone => self.after = 0,
        }
    }
}
