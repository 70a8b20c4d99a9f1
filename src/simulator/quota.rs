//! The request limit of one client: so many a minute, told in headers on every answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The limit's period (HPE developer portal, rate limiting).
const PERIOD: Duration = Duration::from_mins(1);

/// Requests left and time to go, counted in fixed minutes from the first request on.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u32,
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    began: Option<Duration>,
    used: u32,
}

/// What the headers of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    limit: u32,
    remaining: u32,
    /// Whole seconds, rounded up, until the count starts again.
    pub(super) reset: u64,
    /// Whether this request is within the limit.
    pub(super) is_within: bool,
}

impl Quota {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, minute: Mutex::default() }
    }

    /// Counts a request at `uptime`; one above the limit is not counted.
    pub(super) fn take(&self, uptime: Duration) -> Allowance {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match minute.began {
            Some(began) if uptime.saturating_sub(began) < PERIOD => began,
            _ => {
                *minute = Minute { began: Some(uptime), used: 0 };
                uptime
            }
        };
        let is_within = minute.used < self.limit;
        minute.used += u32::from(is_within);
        let left = PERIOD.saturating_sub(uptime.saturating_sub(began));
        Allowance {
            limit: self.limit,
            remaining: self.limit - minute.used,
            reset: left.as_millis().div_ceil(1_000).try_into().unwrap_or(60),
            is_within,
        }
    }
}

impl Allowance {
    /// Adds the three headers of the developer portal's sample.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let mut add = |name, value: u64| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        };
        add("ratelimit-limit", self.limit.into());
        add("ratelimit-remaining", self.remaining.into());
        add("ratelimit-reset", self.reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_a_minute_and_then_starts_again() {
        let quota = Quota::new(2);
        let at = Duration::from_secs(1_000);
        let first = quota.take(at);
        assert_eq!((first.remaining, first.reset, first.is_within), (1, 60, true));
        assert!(quota.take(at + Duration::from_secs(10)).is_within);
        let third = quota.take(at + Duration::from_millis(12_500));
        assert_eq!((third.remaining, third.reset, third.is_within), (0, 48, false));
        assert!(quota.take(at + PERIOD).is_within);
    }
}
