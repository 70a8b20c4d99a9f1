//! Answers of the webhook API that refuse: HPE's error bodies.
//!
//! Which status the limits and the field checks have is documented only as a list; 422
//! with `HPE_GL_EVENTS_INVALID_REQUEST_BODY` for all of a body's fields is a guess.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::simulator::refusal::debug_id;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    pub(super) message: String,
    /// The part of the request that is wrong, for a 400.
    subject: Option<&'static str>,
}

impl Problem {
    /// 400: the request cannot be read.
    pub(super) fn bad_request(subject: &'static str, message: impl Into<String>) -> Self {
        Self {
            subject: Some(subject),
            ..Self::plain(StatusCode::BAD_REQUEST, "HPE_GL_ERROR_BAD_REQUEST", message)
        }
    }

    /// 422: a field of the body is not as it should be.
    pub(super) fn field(message: impl Into<String>) -> Self {
        let code = "HPE_GL_EVENTS_INVALID_REQUEST_BODY";
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 401
    pub(super) fn unauthorized() -> Self {
        let message = "Invalid JWT token in Request";
        Self::plain(StatusCode::UNAUTHORIZED, "HPE_GL_ERROR_UNAUTHORIZED", message)
    }

    /// 404
    pub(super) fn not_found(what: &str) -> Self {
        let message = format!("{what} not found");
        Self::plain(StatusCode::NOT_FOUND, "HPE_GL_ERROR_NOT_FOUND", message)
    }

    fn plain(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), subject: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "errorCode": self.code, "message": self.message,
            "debugId": debug_id(), "httpStatusCode": self.status.as_u16() });
        if let Some(subject) = self.subject {
            let issue = json!({ "source": "request", "subject": subject,
                "description": self.message });
            let detail = json!({ "type": "hpe.greenlake.bad_request", "issues": [issue] });
            body["errorDetails"] = json!([detail]);
        }
        (self.status, Json(body)).into_response()
    }
}
