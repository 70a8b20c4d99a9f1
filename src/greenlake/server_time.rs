//! What time it is at the source.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::DATE;

use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;

/// The source's clock, known from the `Date` of its last answer and carried on by our
/// boot-time clock. Stepping our wall clock does not move it.
///
/// A `Date` was made before it arrived and has no fraction, so this runs behind the
/// source's clock by up to a second and the network's delay, never ahead.
#[derive(Debug)]
pub(crate) struct ServerTime {
    clock: Clock,
    /// A `Date` and the boot-time at which it arrived.
    last: Mutex<Option<(Timestamp, Duration)>>,
}

impl ServerTime {
    /// Knows nothing yet and answers with the wall clock.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::new(None) }
    }

    /// Takes note of an answer that arrived just now. One without `Date` changes nothing.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
        let Some(since_epoch) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else {
            return;
        };
        let date = Timestamp::default().plus(since_epoch);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((date, self.clock.uptime()));
    }

    /// The source's time now; ours before any answer.
    pub(crate) fn now(&self) -> Timestamp {
        self.known().unwrap_or_else(|| self.clock.now())
    }

    /// The source's time now; `None` before any answer.
    pub(crate) fn known(&self) -> Option<Timestamp> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(date, arrived)| date.plus(self.clock.uptime().saturating_sub(arrived)))
    }

    /// Seconds by which the source's clock is ahead of ours; negative when behind.
    /// `None` before any answer.
    pub(crate) fn offset(&self) -> Option<i64> {
        self.known().map(|known| known.secs() - self.clock.now().secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(date: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, http::HeaderValue::from_static(date))])
    }

    #[test]
    fn the_last_date_is_carried_on_by_our_clock() {
        let clock = Clock::manual(Timestamp::from_secs(1_734_690_000));
        let server = ServerTime::new(clock.clone());
        assert_eq!((server.now(), server.offset()), (clock.now(), None));

        // 1734698093 by the server's clock.
        server.note(&dated("Fri, 20 Dec 2024 12:34:53 GMT"));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(server.now(), Timestamp::from_micros(1_734_698_094_500_000));
        assert_eq!(server.offset(), Some(8_093));

        server.note(&dated("yesterday"));
        server.note(&HeaderMap::new());
        assert_eq!(server.now(), Timestamp::from_micros(1_734_698_094_500_000));
    }
}
