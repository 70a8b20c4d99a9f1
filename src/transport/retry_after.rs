//! The `Retry-After` header.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::model::timestamp::Timestamp;

/// How long the peer asks to wait (RFC 9110, 10.2.3): seconds or an HTTP date.
///
/// `now` is the time by the peer's clock where it is known (its `Date`), else ours.
/// A date in the past means zero. `None` without the header, or when it is neither of
/// the two (negative, a fraction, anything else); of several the longest counts. The
/// result is not capped: that is the caller's decision.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    values.filter_map(|text| parse(text.trim(), now)).max()
}

fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::default().plus(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_count_and_garbage_does_not() {
        // 2024-12-20T12:34:53Z
        let now = Timestamp::from_secs(1_734_698_093);
        for (text, seconds) in [
            ("0", Some(0)),
            ("30", Some(30)),
            (" 30 ", Some(30)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Fri, 20 Dec 2024 12:35:53 GMT", Some(60)),
            ("Fri, 20 Dec 2024 12:00:00 GMT", Some(0)),
            ("Friday, 20-Dec-24 12:35:53 GMT", Some(60)),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("2024-12-20T12:35:53Z", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn the_longest_of_several_counts() {
        let mut headers = HeaderMap::new();
        for text in ["5", "soon", "20"] {
            headers.append(RETRY_AFTER, HeaderValue::from_static(text));
        }
        let wait = retry_after(&headers, Timestamp::default());
        assert_eq!(wait, Some(Duration::from_secs(20)));
    }
}
