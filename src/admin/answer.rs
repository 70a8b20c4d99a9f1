//! Answers: a line of text, or why not as a problem document (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why something is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// There is nothing at this path.
    NotFound,
    /// This path is only read.
    Method,
    /// Nothing that is asked here has a body.
    Body,
    /// It does not carry the token.
    Unauthorized,
    /// The answer took too long, or the daemon stops.
    Unavailable,
    /// Not ready, for these reasons.
    NotReady(Vec<String>),
}

impl Problem {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unavailable | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "there are /healthz, /readyz and /metrics".to_owned(),
            Self::Method => "ask with GET".to_owned(),
            Self::Body => "ask without a body".to_owned(),
            Self::Unauthorized => "send Authorization: Bearer and admin.token".to_owned(),
            Self::Unavailable => "the ledger does not answer in time; ask again".to_owned(),
            Self::NotReady(reasons) => reasons.join("\n"),
        }
    }

    /// The document, indented: each reason stands on a line of its own.
    pub(super) fn into_response(self) -> Response<Body> {
        let status = self.status();
        let mut document = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        if let Self::NotReady(reasons) = &self {
            document["reasons"] = json!(reasons);
        }
        let mut response = answer(PROBLEM, format!("{document:#}\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        response
    }
}

/// A line of text.
pub(super) fn text(line: &'static str) -> Response<Body> {
    answer(TEXT, format!("{line}\n"))
}

/// 200 with a body that nobody on the way may keep: it is old in a moment.
pub(super) fn answer(content_type: HeaderValue, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
