//! What came to a source's webhook, in figures: since the process started.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// Every status that a webhook's path answers with.
pub const PUSH_STATUSES: [u16; 10] = [200, 202, 400, 401, 405, 408, 413, 415, 429, 503];

/// Counts answers by their status, and new events.
#[derive(Debug, Default)]
pub struct PushTally {
    answers: [AtomicU64; PUSH_STATUSES.len()],
    new: AtomicU64,
}

impl PushTally {
    /// Counts an answer.
    pub(super) fn count(&self, status: StatusCode) {
        let place = PUSH_STATUSES.iter().position(|known| *known == status.as_u16());
        if let Some(answers) = place.and_then(|place| self.answers.get(place)) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts events that were stored for the first time.
    pub(super) fn add_new(&self, events: u64) {
        self.new.fetch_add(events, Ordering::Relaxed);
    }

    /// Answers so far by status, every one of [`PUSH_STATUSES`].
    #[must_use]
    pub fn answers(&self) -> Vec<(u16, u64)> {
        let counts = self.answers.iter().map(|count| count.load(Ordering::Relaxed));
        PUSH_STATUSES.into_iter().zip(counts).collect()
    }

    /// Events that pushes have brought first.
    #[must_use]
    pub fn new_events(&self) -> u64 {
        self.new.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::answer::Answer;

    #[test]
    fn every_answer_has_its_place() {
        let tally = PushTally::default();
        let all = [
            Answer::Taken,
            Answer::Verified(String::new()),
            Answer::Unauthorized,
            Answer::Unreadable,
            Answer::TooLarge,
            Answer::TooSlow,
            Answer::MediaType,
            Answer::Method,
            Answer::TooMany(std::time::Duration::ZERO),
            Answer::Unavailable,
        ];
        for answer in all {
            tally.count(answer.status());
        }
        assert_eq!(tally.answers(), PUSH_STATUSES.map(|status| (status, 1)));
    }
}
