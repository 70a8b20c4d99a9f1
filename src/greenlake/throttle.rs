//! How long the source wants us to wait: from an answer's headers and body.

use std::time::Duration;

use http::HeaderMap;

use crate::model::timestamp::Timestamp;
use crate::transport;

/// No hint is obeyed for longer: a broken header must not stop a source for a day.
pub(crate) const MAX_WAIT: Duration = Duration::from_hours(1);

/// Wait after a 429 without any hint. Limits are counted by the minute (HPE developer
/// portal, rate limiting), so a few seconds help already; the caller's back-off grows.
pub(crate) const WAIT_WITHOUT_HINT: Duration = Duration::from_secs(5);

/// Headers that state when the limit starts anew: seconds (HPE developer portal, rate
/// limiting; IAM rate limits) or a date-time (webhook API). Names ignore case.
const RESET_HEADERS: [&str; 2] = ["ratelimit-reset", "x-ratelimit-reset"];

const REMAINING_HEADERS: [&str; 2] = ["ratelimit-remaining", "x-ratelimit-remaining"];

/// The longest wait that an answer of `status` asks for, at most 1 h.
///
/// Looks at `Retry-After`, at both reset headers and at `in_body`, the body's
/// `retryAfterSeconds`. `now` is the server's time. The reset headers come with every
/// answer, so for anything but 429 they count only when nothing remains: a 500 with 57
/// requests left is not about the limit. `None` when the answer asks for nothing.
pub(crate) fn wait_of(
    status: u16,
    headers: &HeaderMap,
    in_body: Option<Duration>,
    now: Timestamp,
) -> Option<Duration> {
    let reset = if status == 429 || is_used_up(headers) { reset_of(headers, now) } else { None };
    let hints = [transport::retry_after(headers, now), reset, in_body];
    hints.into_iter().flatten().max().map(|wait| wait.min(MAX_WAIT))
}

/// How long no further request is allowed: the reset, when nothing remains.
///
/// For any answer, also a good one. At most 1 h; `None` while something remains.
pub(crate) fn hold_of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let wait = if is_used_up(headers) { reset_of(headers, now) } else { None };
    wait.map(|wait| wait.min(MAX_WAIT))
}

fn is_used_up(headers: &HeaderMap) -> bool {
    values(headers, REMAINING_HEADERS).any(|text| text.parse() == Ok(0_u64))
}

fn reset_of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    values(headers, RESET_HEADERS).filter_map(|text| parse_reset(text, now)).max()
}

fn values<'a>(headers: &'a HeaderMap, names: [&'a str; 2]) -> impl Iterator<Item = &'a str> {
    let found = names.into_iter().flat_map(|name| headers.get_all(name));
    found.filter_map(|value| value.to_str().ok()).map(str::trim)
}

fn parse_reset(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_up(seconds);
    }
    // The description says "UTC date-time" and shows no sample: the Z may be missing.
    let at = Timestamp::parse_rfc3339(text)
        .or_else(|| Timestamp::parse_rfc3339(&format!("{}Z", text.replacen(' ', "T", 1))))?;
    Some(at.since(now))
}

/// Whole seconds, rounded up; `None` for negative ones and what is no number.
pub(crate) fn seconds_up(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2024-12-20T12:34:53Z
    const NOW: Timestamp = Timestamp::from_secs(1_734_698_093);

    fn headers(lines: &str) -> HeaderMap {
        let pairs = lines.split('|').filter_map(|line| line.split_once(':'));
        let name = |text: &str| http::HeaderName::try_from(text.trim()).expect("a name");
        pairs.map(|(key, value)| (name(key), value.trim().parse().expect("a value"))).collect()
    }

    #[test]
    fn every_hint_counts_and_the_longest_wins() {
        for (status, lines, in_body, wait) in [
            (429, "", None, None),
            (429, "retry-after: 7", None, Some(7)),
            (429, "retry-after: Fri, 20 Dec 2024 12:35:53 GMT", None, Some(60)),
            (429, "rateLimit-reset: 48", None, Some(48)),
            (429, "X-RateLimit-Reset: 12", None, Some(12)),
            (429, "X-RateLimit-Reset: 2.5", None, Some(3)),
            (429, "X-RateLimit-Reset: 2024-12-20T12:35:03Z", None, Some(10)),
            (429, "X-RateLimit-Reset: 2024-12-20 12:35:03", None, Some(10)),
            (429, "X-RateLimit-Reset: 2024-12-20T12:00:00Z", None, Some(0)),
            (429, "", Some(30), Some(30)),
            (429, "retry-after: 7|ratelimit-reset: 48|x-ratelimit-reset: 9", Some(30), Some(48)),
            (429, "retry-after: 50|ratelimit-reset: 48", Some(30), Some(50)),
            (429, "retry-after: 5|ratelimit-reset: 8", Some(30), Some(30)),
            (429, "ratelimit-remaining: 3|ratelimit-reset: 48", None, Some(48)),
            (429, "retry-after: -7", None, None),
            (429, "ratelimit-reset: -7", None, None),
            (429, "ratelimit-reset: nan", None, None),
            (429, "ratelimit-reset: soon|retry-after: later", None, None),
            (429, "retry-after: 86400", None, Some(3600)),
            (429, "ratelimit-reset: 99999999999999999999999", None, Some(3600)),
            (429, "x-ratelimit-reset: 2999-01-01T00:00:00Z", None, Some(3600)),
            (429, "", Some(u64::MAX), Some(3600)),
            (500, "ratelimit-remaining: 57|ratelimit-reset: 48", None, None),
            (500, "ratelimit-remaining: 57|ratelimit-reset: 48", Some(30), Some(30)),
            (500, "ratelimit-remaining: 0|ratelimit-reset: 48", Some(30), Some(48)),
            (503, "retry-after: 120", None, Some(120)),
        ] {
            let wait = wait.map(Duration::from_secs);
            let in_body = in_body.map(Duration::from_secs);
            assert_eq!(wait_of(status, &headers(lines), in_body, NOW), wait, "{status} {lines}");
        }
    }

    #[test]
    fn a_used_up_limit_holds_until_its_reset() {
        for (lines, hold) in [
            ("ratelimit-limit: 100|ratelimit-remaining: 0|ratelimit-reset: 48", Some(48)),
            ("x-ratelimit-remaining: 0|x-ratelimit-reset: 2024-12-20T12:35:03Z", Some(10)),
            ("ratelimit-remaining: 1|ratelimit-reset: 48", None),
            ("ratelimit-remaining: 0", None),
            ("ratelimit-remaining: -1|ratelimit-reset: 48", None),
            ("ratelimit-remaining: 0|ratelimit-reset: 99999", Some(3600)),
            ("retry-after: 9", None),
        ] {
            let hold = hold.map(Duration::from_secs);
            assert_eq!(hold_of(&headers(lines), NOW), hold, "{lines}");
        }
    }
}
