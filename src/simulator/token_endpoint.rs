//! `POST /authorization/v2/oauth2/{workspace_id}/token`: client credentials, nothing else.
//!
//! Errors are those of RFC 6749, 5.2; what GreenLake itself answers is not documented.

use std::sync::atomic::Ordering::Relaxed;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::form_urlencoded;

use crate::simulator::cloud::Cloud;
use crate::simulator::faults::{FaultKind, Place};
use crate::simulator::notice::Notice;
use crate::simulator::refusal::Refusal;
use crate::simulator::spoil;

pub(super) fn routes() -> Router<Cloud> {
    Router::new().route("/authorization/v2/oauth2/{workspace_id}/token", post(issue))
}

async fn issue(
    State(cloud): State<Cloud>,
    Path(workspace_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    cloud.0.counters.token_requests.fetch_add(1, Relaxed);
    let verdict = cloud.0.faults.draw(Place::Token);
    tokio::time::sleep(verdict.delay).await;
    let now = cloud.clock().now();
    match verdict.kind {
        Some(FaultKind::TooManyRequests) => {
            return told(&cloud, Refusal::TooManyRequests(verdict.hint, now), "on demand");
        }
        Some(FaultKind::ServerError) => {
            return told(&cloud, Refusal::Internal(verdict.hint, now), "on demand");
        }
        Some(FaultKind::Forbidden) => return told(&cloud, Refusal::Forbidden, "on demand"),
        _ => {}
    }
    if let Err(refused) = check(&cloud, &workspace_id, &headers, &body) {
        return told(&cloud, refused, refused.code);
    }
    let life = cloud.knobs().token_life_seconds;
    let token = cloud.0.tokens.issue(now, life);
    cloud.0.counters.tokens.fetch_add(1, Relaxed);
    cloud.tell(|| Notice::Token { life });
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": life });
    match verdict.kind {
        Some(FaultKind::CutBody) => spoil::cut(&body.to_string().into_bytes()),
        Some(FaultKind::Garbage) => spoil::garbage(),
        Some(FaultKind::HangUp) => spoil::hang_up(),
        _ => ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
    }
}

fn told(cloud: &Cloud, refusal: impl IntoResponse, reason: &str) -> Response {
    let response = refusal.into_response();
    cloud.tell(|| Notice::Refused {
        request: "a token".to_owned(),
        reason: format!("{} {reason}", response.status().as_u16()),
    });
    response
}

/// An error answer of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    code: &'static str,
    description: &'static str,
}

impl Refused {
    const UNSUPPORTED: Self = Self {
        code: "unsupported_grant_type",
        description: "only client_credentials is supported",
    };

    const fn client(description: &'static str) -> Self {
        Self { code: "invalid_client", description }
    }

    const fn request(description: &'static str) -> Self {
        Self { code: "invalid_request", description }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code, "error_description": self.description }));
        if self.code == "invalid_client" {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"GreenLake\"")];
            return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

fn check(cloud: &Cloud, workspace: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(Refused::request("the body must be application/x-www-form-urlencoded"));
    }
    let field = |wanted: &str| {
        form_urlencoded::parse(body)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    match field("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(Refused::UNSUPPORTED),
        None => return Err(Refused::request("grant_type is missing")),
    }
    let in_body = field("client_id").zip(field("client_secret"));
    let (id, secret) = match (in_body, basic(headers)) {
        (Some(_), Some(_)) => return Err(Refused::request("two ways of authentication at once")),
        (Some(pair), None) | (None, Some(pair)) => pair,
        (None, None) => return Err(Refused::client("no client authentication")),
    };
    let settings = &cloud.0.settings;
    if id != settings.client_id || secret != settings.client_secret.expose() {
        return Err(Refused::client("unknown client or wrong secret"));
    }
    if workspace != settings.workspace.id {
        return Err(Refused::client("the client does not belong to this workspace"));
    }
    Ok(())
}

/// Id and secret of an HTTP Basic header, each form-encoded (RFC 6749, 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        form_urlencoded::parse(part.as_bytes()).next().map(|(name, _)| name.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
