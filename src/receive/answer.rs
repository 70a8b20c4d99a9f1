//! What a sender hears: short, and nothing that helps a stranger.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// When a sender should try again after a 503: a full disk is seldom mended sooner, and
/// GreenLake tries for hours.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The methods of a webhook's path.
const METHODS: HeaderValue = HeaderValue::from_static("POST, OPTIONS");

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All of it that can be read is on disk.
    Taken,
    /// The answer to a challenge: 64 hex digits.
    Verified(String),
    /// No signature of ours, or not the key that is asked for.
    Unauthorized,
    /// Signed, and nothing of it can be read.
    Unreadable,
    /// The body is over the limit.
    TooLarge,
    /// The body took too long.
    TooSlow,
    /// Nothing that carries events.
    MediaType,
    /// Nothing is received at this path.
    NotFound,
    /// Neither POST nor OPTIONS.
    Method,
    /// Too many challenges; another one is heard after this long.
    TooMany(Duration),
    /// It cannot be stored now.
    Unavailable,
}

impl Answer {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            // On disk, and on its way: CloudEvents web hook 1.0.2, 2.2.
            Self::Taken => StatusCode::ACCEPTED,
            Self::Verified(_) => StatusCode::OK,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = match &self {
            Self::Verified(digest) => format!("{{\"verification\":\"{digest}\"}}"),
            _ => String::new(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            Self::Verified(_) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
            }
            Self::Method => {
                headers.insert(header::ALLOW, METHODS);
            }
            Self::TooMany(wait) => {
                headers.insert(header::RETRY_AFTER, seconds(wait));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, seconds(RETRY_AFTER));
            }
            _ => {}
        }
        response
    }
}

/// Whole seconds, at least one.
fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_but_that_to_a_challenge_says_anything() {
        use axum::body::HttpBody;
        let all = [
            (Answer::Taken, 202, None),
            (Answer::Unauthorized, 401, None),
            (Answer::Unreadable, 400, None),
            (Answer::TooLarge, 413, None),
            (Answer::TooSlow, 408, None),
            (Answer::MediaType, 415, None),
            (Answer::NotFound, 404, None),
            (Answer::Method, 405, None),
            (Answer::TooMany(Duration::from_millis(1_001)), 429, Some("2")),
            (Answer::Unavailable, 503, Some("30")),
        ];
        for (answer, status, retry_after) in all {
            let response = answer.into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.body().size_hint().exact(), Some(0));
            let found = response.headers().get(header::RETRY_AFTER);
            assert_eq!(found.and_then(|value| value.to_str().ok()), retry_after);
        }
        let verified = Answer::Verified("ab".to_owned()).into_response();
        assert_eq!(verified.headers()[header::CONTENT_TYPE], "application/json");
    }
}
