//! How a sink fails, changed while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A delay is at most this long: by then every sender has gone.
const MAX_DELAY: Duration = Duration::from_hours(1);

/// How a sink fails: nothing, unless a field says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinkFault {
    /// Answers with this status, 200 to 599, instead of 204.
    pub status: Option<u16>,
    /// Closes the connection without an answer; goes before `status`.
    pub drop: bool,
    /// Waits so long before it does anything else.
    pub delay_seconds: f64,
    /// Says `Retry-After` with so many seconds; without `status` that is a 503.
    pub retry_after: Option<u64>,
    /// Hits every n-th request; 0 counts as 1, which is every one.
    pub every: u64,
    /// Hits only among the first n requests after it was set; `None` for no end.
    pub first: Option<u64>,
    /// Takes and counts the events of a request all the same, as a target does whose
    /// answer is lost on the way.
    pub is_taken: bool,
}

impl Default for SinkFault {
    fn default() -> Self {
        Self {
            status: None,
            drop: false,
            delay_seconds: 0.0,
            retry_after: None,
            every: 1,
            first: None,
            is_taken: false,
        }
    }
}

impl SinkFault {
    /// Answers with `status`.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn drop() -> Self {
        Self { drop: true, ..Self::default() }
    }

    /// Answers well, but late.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self { delay_seconds: delay.as_secs_f64(), ..Self::default() }
    }

    /// Hits every `n`-th request only.
    #[must_use]
    pub fn every(self, n: u64) -> Self {
        Self { every: n, ..self }
    }

    /// Hits only among the first `n` requests.
    #[must_use]
    pub fn first(self, n: u64) -> Self {
        Self { first: Some(n), ..self }
    }

    /// What it does to the `number`-th request, counted from 1.
    fn on(&self, number: u64) -> Decision {
        let is_hit = number.is_multiple_of(self.every.max(1))
            && self.first.is_none_or(|first| number <= first);
        if !is_hit {
            return Decision::default();
        }
        let status = self.status.or(self.retry_after.map(|_| 503));
        Decision {
            delay: Duration::try_from_secs_f64(self.delay_seconds)
                .unwrap_or_default()
                .min(MAX_DELAY),
            answer: match status {
                _ if self.drop => Answer::None,
                Some(status) => Answer::Status(status),
                None => Answer::Normal,
            },
            retry_after: self.retry_after,
            is_taken: self.is_taken,
        }
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) delay: Duration,
    pub(super) answer: Answer,
    pub(super) retry_after: Option<u64>,
    pub(super) is_taken: bool,
}

/// How one request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    #[default]
    Normal,
    Status(u16),
    None,
}

/// The switch; clones share it.
#[derive(Clone, Debug)]
pub struct SinkFaults(Arc<Mutex<Switch>>);

#[derive(Debug)]
struct Switch {
    fault: SinkFault,
    /// Requests since it was set.
    requests: u64,
}

impl SinkFaults {
    pub(super) fn new(fault: SinkFault) -> Self {
        Self(Arc::new(Mutex::new(Switch { fault, requests: 0 })))
    }

    /// Replaces the fault and counts requests from 1 again.
    pub fn set(&self, fault: SinkFault) {
        *self.switch() = Switch { fault, requests: 0 };
    }

    /// Fails no more.
    pub fn clear(&self) {
        self.set(SinkFault::default());
    }

    /// The fault that is on.
    #[must_use]
    pub fn get(&self) -> SinkFault {
        self.switch().fault.clone()
    }

    pub(super) fn draw(&self) -> Decision {
        let mut switch = self.switch();
        switch.requests += 1;
        switch.fault.on(switch.requests)
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(fault: SinkFault) -> Vec<u64> {
        let faults = SinkFaults::new(fault);
        (1..=10).filter(|_| faults.draw() != Decision::default()).collect()
    }

    #[test]
    fn every_and_first_pick_the_requests() {
        assert_eq!(hits(SinkFault::status(500)).len(), 10);
        assert_eq!(hits(SinkFault::status(500).every(5)), [5, 10]);
        assert_eq!(hits(SinkFault::drop().first(2)), [1, 2]);
        assert_eq!(hits(SinkFault::drop().every(3).first(7)), [3, 6]);
        assert!(hits(SinkFault::default()).is_empty());
    }

    #[test]
    fn retry_after_alone_is_a_503() {
        let fault = SinkFault { retry_after: Some(10), ..SinkFault::default() };
        assert_eq!(fault.on(1).answer, Answer::Status(503));
        assert_eq!(SinkFault { drop: true, ..fault }.on(1).answer, Answer::None);
    }

    #[test]
    fn misspelt_keys_are_refused() {
        assert!(serde_json::from_str::<SinkFault>(r#"{"status":503,"every":5}"#).is_ok());
        assert!(serde_json::from_str::<SinkFault>(r#"{"state":503}"#).is_err());
    }
}
