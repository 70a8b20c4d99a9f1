//! Answers that are no page: HPE's error bodies.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::model::timestamp::Timestamp;
use crate::simulator::faults::{Hint, HintForm};

/// What is wrong with a request, in the words of `errorDetails[].issues[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Which part of the request.
    pub source: &'static str,
    /// Which parameter.
    pub subject: &'static str,
    /// What is wrong with it.
    pub description: String,
}

impl Issue {
    /// A fault in the `filter` parameter.
    #[must_use]
    pub fn filter(description: String) -> Self {
        Self { source: "query.parameter", subject: "filter", description }
    }
}

/// An answer that is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400
    BadRequest(Issue),
    /// 401; what the body says about `access_token`.
    Unauthorized(&'static str),
    /// 403: a foreign token, or the role is missing.
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 429
    TooManyRequests(Hint, Timestamp),
    /// 500
    Internal(Hint, Timestamp),
}

impl Refusal {
    fn parts(&self) -> (StatusCode, &'static str, &'static str, Option<Value>) {
        let metadata = |metadata: Value| {
            Some(json!({ "type": "hpe.greenlake.metadata",
                "source": "hpe.greenlake.audit-log", "metadata": metadata }))
        };
        let pause = |hint: &Hint| {
            (hint.form == HintForm::Body).then(
                || json!({ "type": "hpe.greenlake.retry_info", "retryAfterSeconds": hint.seconds }),
            )
        };
        match self {
            Self::BadRequest(issue) => {
                let issue = json!({ "source": issue.source, "subject": issue.subject,
                    "description": issue.description });
                let detail = json!({ "type": "hpe.greenlake.bad_request", "issues": [issue] });
                let code = "HPE_GL_ERROR_BAD_REQUEST";
                (StatusCode::BAD_REQUEST, code, "Bad request error", Some(detail))
            }
            Self::Unauthorized(token) => {
                let detail = metadata(json!({ "access_token": token }));
                let code = "HPE_GL_ERROR_UNAUTHORIZED";
                (StatusCode::UNAUTHORIZED, code, "UNAUTHORIZED", detail)
            }
            Self::Forbidden => {
                let detail = metadata(json!({ "access_token": "invalid" }));
                (StatusCode::FORBIDDEN, "HPE_GL_ERROR_FORBIDDEN", "FORBIDDEN", detail)
            }
            Self::NotFound => {
                let detail = json!({ "type": "hpe.greenlake.not_found",
                    "source": "hpe.greenlake.audit-log", "metadata": { "id": "not found" } });
                (StatusCode::NOT_FOUND, "HPE_GL_ERROR_NOT_FOUND", "Not found", Some(detail))
            }
            Self::MethodNotAllowed => {
                let code = "HPE_GL_ERROR_METHOD_NOT_ALLOWED";
                (StatusCode::METHOD_NOT_ALLOWED, code, "Method not allowed", None)
            }
            Self::TooManyRequests(hint, _) => {
                let message = "Too many requests. Please try again later.";
                let code = "hpe.greenlake.too_many_requests";
                (StatusCode::TOO_MANY_REQUESTS, code, message, pause(hint))
            }
            Self::Internal(hint, _) => {
                let code = "HPE_GL_ERROR_INTERNAL_SERVER_ERROR";
                let message = "Internal server error";
                (StatusCode::INTERNAL_SERVER_ERROR, code, message, pause(hint))
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message, detail) = self.parts();
        let mut body = json!({ "errorCode": code, "message": message, "debugId": debug_id(),
            "httpStatusCode": status.as_u16() });
        if let Some(detail) = detail {
            body["errorDetails"] = json!([detail]);
        }
        let mut response = (status, Json(body)).into_response();
        if let Self::TooManyRequests(hint, now) | Self::Internal(hint, now) = self
            && let Some((name, value)) = hint_header(hint, now)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The last second that dates can tell: the end of the year 9999.
const LAST_SECS: i64 = 253_402_300_799;

/// The header that carries the hint; `None` for hints in the body and for none at all.
fn hint_header(hint: Hint, now: Timestamp) -> Option<(HeaderName, HeaderValue)> {
    let until = Timestamp::from_secs(now.secs().saturating_add(hint.seconds).clamp(0, LAST_SECS));
    let (name, value) = match hint.form {
        HintForm::None | HintForm::Body => return None,
        HintForm::RetryAfter => (header::RETRY_AFTER, hint.seconds.to_string()),
        HintForm::RetryAfterDate => (header::RETRY_AFTER, http_date(until)),
        HintForm::RatelimitReset => {
            (HeaderName::from_static("ratelimit-reset"), hint.seconds.to_string())
        }
        HintForm::XRatelimitReset => {
            (HeaderName::from_static("x-ratelimit-reset"), hint.seconds.to_string())
        }
        HintForm::XRatelimitResetDate => {
            (HeaderName::from_static("x-ratelimit-reset"), until.to_rfc3339_secs())
        }
    };
    Some((name, HeaderValue::try_from(value).ok()?))
}

/// An instant as HTTP writes it (RFC 9110, 5.6.7), rounded down.
pub(super) fn http_date(at: Timestamp) -> String {
    let secs = u64::try_from(at.secs()).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs))
}

pub(super) fn debug_id() -> String {
    dashed(rand::random())
}

/// A number as UUIDs are written.
pub(super) fn dashed(number: u128) -> String {
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
