//! `OPTIONS`: may this origin send, and how much (CloudEvents web hook 1.0.2, 4.2).
//!
//! GreenLake asks so for a webhook's rate (HPE developer portal, changelog of events,
//! October 2025); which of the headers it sends is not published.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// Requests a minute that a sender may count on: 100 a second. A workspace makes a few a
/// minute; a commit of the ledger holds some dozens.
const RATE: u32 = 6_000;

const REQUEST_ORIGIN: &str = "webhook-request-origin";
const REQUEST_RATE: &str = "webhook-request-rate";
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// The answer to `OPTIONS`. Permission is in its headers; without them there is none.
pub(super) fn answer(origins: &[String], headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let answer = response.headers_mut();
    answer.insert(header::ALLOW, HeaderValue::from_static("POST"));
    if let Some(origin) = allowed(origins, headers) {
        answer.insert(ALLOWED_ORIGIN, origin);
        answer.insert(ALLOWED_RATE, HeaderValue::from(rate(headers)));
    }
    *response.status_mut() = StatusCode::OK;
    response
}

/// The origin to permit: the one that asks, if it may, to the letter; for one that does
/// not say who it is, any, if any may.
fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let may = |origin: &[u8]| origins.iter().any(|known| known.as_bytes() == origin);
    match headers.get(REQUEST_ORIGIN) {
        Some(origin) => (may(origin.as_bytes()) || may(b"*")).then(|| origin.clone()),
        None => may(b"*").then(|| HeaderValue::from_static("*")),
    }
}

/// What is asked for, if that is a number, but no more than [`RATE`].
fn rate(headers: &HeaderMap) -> u32 {
    let asked = headers.get(REQUEST_RATE).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|value| value.trim().parse::<u32>().ok());
    asked.filter(|rate| *rate > 0).map_or(RATE, |rate| rate.min(RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(origins: &[&str], origin: Option<&str>, rate: &str) -> [Option<String>; 2] {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(REQUEST_ORIGIN, origin.parse().unwrap());
        }
        headers.insert(REQUEST_RATE, rate.parse().unwrap());
        let response = answer(&origins, &headers);
        assert_eq!(
            (response.status(), &response.headers()["allow"]),
            (StatusCode::OK, &"POST".parse().unwrap())
        );
        [ALLOWED_ORIGIN, ALLOWED_RATE].map(|name| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        })
    }

    #[test]
    fn an_origin_is_permitted_to_the_letter() {
        let some = |origin: &str, rate: &str| [Some(origin.to_owned()), Some(rate.to_owned())];
        let known = ["greenlake.hpe.com", "b.example"];
        assert_eq!(ask(&known, Some("greenlake.hpe.com"), "120"), some("greenlake.hpe.com", "120"));
        for other in
            ["greenlake.hpe.com.evil.example", "greenlake.hpe.co", "GreenLake.hpe.com", "*", ""]
        {
            assert_eq!(ask(&known, Some(other), "120"), [None, None], "{other}");
        }
        assert_eq!(ask(&known, None, "120"), [None, None]);
        assert_eq!(ask(&["*"], Some("any.example"), "1"), some("any.example", "1"));
        assert_eq!(ask(&["*"], None, "x"), some("*", "6000"));
        for (asked, granted) in [("0", "6000"), ("-1", "6000"), ("99999", "6000"), (" 7 ", "7")] {
            assert_eq!(ask(&["*"], None, asked)[1].as_deref(), Some(granted));
        }
    }
}
