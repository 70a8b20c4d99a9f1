//! The request limit of one client: so many a minute, told in headers on every answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::timestamp::Timestamp;
use crate::simulator::knobs::LimitHeaders;

/// The limit's period (HPE developer portal, rate limiting).
const PERIOD: Duration = Duration::from_mins(1);

/// Requests left and time to go, counted in fixed minutes from the first request on.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<Minute>);

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
    /// Counts a request at `uptime`; one above `limit` is not counted.
    pub(super) fn take(&self, uptime: Duration, limit: u32) -> Allowance {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match minute.began {
            Some(began) if uptime.saturating_sub(began) < PERIOD => began,
            _ => {
                *minute = Minute { began: Some(uptime), used: 0 };
                uptime
            }
        };
        let is_within = minute.used < limit;
        minute.used += u32::from(is_within);
        let left = PERIOD.saturating_sub(uptime.saturating_sub(began));
        Allowance {
            limit,
            remaining: limit.saturating_sub(minute.used),
            reset: left.as_millis().div_ceil(1_000).try_into().unwrap_or(60),
            is_within,
        }
    }
}

impl Allowance {
    /// Adds the three headers, as `form` has them.
    pub(super) fn tell(self, form: LimitHeaders, now: Timestamp, headers: &mut HeaderMap) {
        let names = match form {
            LimitHeaders::None => return,
            LimitHeaders::Ratelimit => {
                ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            }
            LimitHeaders::XRatelimit | LimitHeaders::XRatelimitDate => {
                ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
            }
        };
        let reset = match form {
            LimitHeaders::XRatelimitDate => {
                let at = now.plus(Duration::from_secs(self.reset)).to_rfc3339_secs();
                HeaderValue::try_from(at).expect("digits and letters")
            }
            _ => HeaderValue::from(self.reset),
        };
        let values = [HeaderValue::from(self.limit), HeaderValue::from(self.remaining), reset];
        for (name, value) in names.into_iter().zip(values) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_a_minute_and_then_starts_again() {
        let quota = Quota::default();
        let at = Duration::from_secs(1_000);
        let first = quota.take(at, 2);
        assert_eq!((first.remaining, first.reset, first.is_within), (1, 60, true));
        assert!(quota.take(at + Duration::from_secs(10), 2).is_within);
        let third = quota.take(at + Duration::from_millis(12_500), 2);
        assert_eq!((third.remaining, third.reset, third.is_within), (0, 48, false));
        assert!(quota.take(at + PERIOD, 2).is_within);
    }
}
