//! The way of one request, from its head to its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use tokio::time::timeout;

use crate::admin::answer::{Problem, answer, text};
use crate::admin::desk::Desk;
use crate::admin::metrics::{self, CONTENT_TYPE};
use crate::admin::readiness::{self, Now};
use crate::config::Secret;
use crate::model::signature::same_secret;
use crate::transport::Seat;

/// How long an answer may take: shorter than a scrape usually waits, and than a stopping
/// daemon waits for answers under way.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The one path that asks for no token: it tells nothing but that somebody answers.
const ALIVE: &str = "/healthz";

/// Everything that can be asked.
pub(super) fn router(desk: &Arc<Desk>) -> Router {
    Router::new()
        .route(ALIVE, get(async || text("alive")))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .fallback(async || Problem::NotFound.into_response())
        .method_not_allowed_fallback(async || Problem::Method.into_response())
        .layer(from_fn_with_state(Arc::clone(desk), guard))
        .with_state(Arc::clone(desk))
}

/// Lets those through who may ask, and bounds what an answer may take.
async fn guard(
    State(desk): State<Arc<Desk>>,
    Extension(seat): Extension<Seat>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let _busy = seat.busy();
    if request.uri().path() != ALIVE && !is_allowed(desk.token().as_ref(), request.headers()) {
        return Problem::Unauthorized.into_response();
    }
    if !request.body().is_end_stream() {
        return Problem::Body.into_response();
    }
    match timeout(ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::Unavailable.into_response(),
    }
}

/// `Authorization: Bearer <token>`: one header, compared in constant time.
fn is_allowed(token: Option<&Secret>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let given = value.as_bytes().split_at_checked(7);
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    given.is_some_and(|(_, given)| same_secret(given.trim_ascii(), token.expose().as_bytes()))
}

async fn ready(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let ledger = desk.probe().await;
    let now = Now { at: desk.clock.now(), uptime: desk.clock.uptime() };
    let reasons = readiness::reasons(&(desk.look)(), &ledger, now);
    if reasons.is_empty() { text("ready") } else { Problem::NotReady(reasons).into_response() }
}

async fn figures(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    answer(content_type, metrics::text(&desk).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_and_without_one_all_is_open() {
        let token = Secret::new("a-token-of-some-length");
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        for (values, expected) in [
            (&[][..], false),
            (&["Bearer a-token-of-some-length"], true),
            (&["bearer   a-token-of-some-length "], true),
            (&["a-token-of-some-length"], false),
            (&["Bearer a-token-of-some-lengt"], false),
            (&["Bearer a-token-of-some-length2"], false),
            (&["Bearer "], false),
            (&["Basic a-token-of-some-length"], false),
            (&["Bearer x", "Bearer a-token-of-some-length"], false),
        ] {
            assert_eq!(is_allowed(Some(&token), &with(values)), expected, "{values:?}");
            assert!(is_allowed(None, &with(values)));
        }
    }
}
