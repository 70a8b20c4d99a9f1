//! A stretch that takes several questions: one for each part that the source can tell apart.
//!
//! It counts as read only with the last of them, and as of the first one's request: what
//! turned up in between may have been missed by those before.

use crate::poll::Log;

/// The questions about one stretch, in their order.
#[derive(Debug)]
pub(super) struct Parts {
    terms: std::vec::IntoIter<String>,
    first_asked: Option<i64>,
    /// Entries in the part that had most of them.
    pub(super) fullest: u64,
}

/// One question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Filter term; empty for none.
    pub(super) term: String,
    /// Whether the stretch is read whole with it.
    pub(super) is_last: bool,
    /// Server time at which the first part was asked for, seconds; `None` for the first.
    pub(super) first_asked: Option<i64>,
}

/// A part that was read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholePart {
    /// Entries in it.
    pub(super) entries: u64,
    /// Server time at which it was asked for, seconds.
    pub(super) asked_at: i64,
}

impl Parts {
    /// All parts that `log` has.
    pub(super) fn of(log: &impl Log) -> Self {
        Self { terms: log.parts().into_iter(), first_asked: None, fullest: 0 }
    }

    /// The next question; `None` when all have been asked.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        let term = self.terms.next()?;
        let is_last = self.terms.as_slice().is_empty();
        Some(Part { term, is_last, first_asked: self.first_asked })
    }

    /// The part asked for last was read whole.
    pub(super) fn whole(&mut self, part: WholePart) {
        self.first_asked.get_or_insert(part.asked_at);
        self.fullest = self.fullest.max(part.entries);
    }
}
