//! `/events/v1beta1/webhooks`, as far as the simulator needs it (HPE developer portal,
//! webhook API).

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::simulator::cloud::Cloud;
use crate::simulator::push::board::Task;
use crate::simulator::push::courier::prove;
use crate::simulator::push::form::Form;
use crate::simulator::push::problem::Problem;
use crate::simulator::push::subscriptions;
use crate::simulator::push::webhook::{Webhook, uri};
use crate::simulator::refusal::Refusal;
use crate::simulator::tokens::Standing;

/// All fields of a webhook at their longest are a few KiB.
const BODY_MAX: usize = 64 * 1024;

/// Webhooks in one answer, and deliveries.
const LIMIT: usize = 200;

pub(in crate::simulator) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/events/v1beta1/webhooks", get(list).post(create))
        .route("/events/v1beta1/webhooks/{id}", get(show).patch(change).delete(remove))
        .route("/events/v1beta1/webhooks/{id}/verify", post(verify))
        .route("/events/v1beta1/webhooks/{id}/recent-deliveries", get(deliveries))
        .route("/events/v1beta1/webhooks/{id}/delivery-failures/{failure_id}/retry", post(retry))
        .merge(subscriptions::routes())
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

/// A request with a token that is good.
pub(super) struct Allowed;

impl FromRequestParts<Cloud> for Allowed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, cloud: &Cloud) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION);
        let token = value
            .and_then(|value| value.to_str().ok()?.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token);
        let now = cloud.clock().now();
        match token.map(|token| cloud.0.tokens.check(token, now)) {
            Some(Standing::Valid) => Ok(Self),
            _ => Err(Problem::unauthorized()),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) limit: Option<usize>,
    pub(super) offset: Option<usize>,
}

/// The part of `all` that is asked for, at most `limit` at once.
pub(super) fn page(all: Vec<Value>, asked: &Page, limit: usize) -> Result<Json<Value>, Problem> {
    let (total, offset) = (all.len(), asked.offset.unwrap_or(0));
    let most = asked.limit.unwrap_or(limit);
    if most > limit {
        let why =
            format!("Invalid limit value '{most}' provided. Maximum allowed limit is {limit}.");
        return Err(Problem::bad_request("limit", why));
    }
    let items: Vec<Value> = all.into_iter().skip(offset).take(most).collect();
    Ok(Json(json!({ "count": items.len(), "items": items, "offset": offset, "total": total })))
}

async fn list(
    _: Allowed,
    State(cloud): State<Cloud>,
    Query(asked): Query<Page>,
) -> Result<Json<Value>, Problem> {
    page(cloud.webhooks(), &asked, LIMIT)
}

async fn create(_: Allowed, State(cloud): State<Cloud>, body: Bytes) -> Result<Response, Problem> {
    let now = cloud.clock().now();
    let id = cloud.0.push.board().create(Form::new(&body)?, now)?;
    cloud.nudge_pushes();
    let shown = with(&cloud, &id, |webhook| shown(&cloud, webhook))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, uri(&id))], Json(shown)).into_response())
}

async fn show(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    with(&cloud, &id, |webhook| shown(&cloud, webhook)).map(Json)
}

async fn change(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/merge-patch+json")) {
        let why = "the body must be application/merge-patch+json";
        return Err(Problem::bad_request("Content-Type", why));
    }
    let changed = with(&cloud, &id, |webhook| {
        webhook.edit(webhook.form.patched(&body)?, cloud.clock().now());
        Ok(shown(&cloud, webhook))
    })??;
    cloud.nudge_pushes();
    Ok(Json(changed))
}

async fn remove(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    cloud.0.push.board().remove(&id).map(|()| StatusCode::NO_CONTENT)
}

/// Challenges a webhook now, and tells what its receiver said.
async fn verify(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let job = cloud.0.push.board().verify(&id)?;
    let Task::Challenge { text, tries } = job.task.clone() else {
        return Err(Problem::not_found("challenge"));
    };
    let proof = prove(&cloud, &job, &text, tries).await;
    let message = proof.refused.unwrap_or_else(|| "Verified".to_owned());
    Ok(Json(json!({ "destinationResponse": { "statusCode": proof.heard.status.unwrap_or(0),
        "message": message, "requestedRate": proof.rate } })))
}

async fn deliveries(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path(id): Path<String>,
    Query(asked): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let workspace = &cloud.0.settings.workspace.id;
    let all = with(&cloud, &id, |webhook| webhook.shown_deliveries(workspace))?;
    page(all, &asked, LIMIT)
}

/// Sends a failed push again: with all its tries before it, as if it were new.
async fn retry(
    _: Allowed,
    State(cloud): State<Cloud>,
    Path((id, failure_id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    with(&cloud, &id, |webhook| {
        let parcel = webhook.find_failure(&failure_id);
        let parcel = parcel.ok_or_else(|| Problem::not_found("delivery failure"))?;
        webhook.queue.add_parcel(parcel, Instant::now());
        Ok(())
    })??;
    cloud.nudge_pushes();
    Ok(StatusCode::OK)
}

fn with<T>(cloud: &Cloud, id: &str, act: impl FnOnce(&mut Webhook) -> T) -> Result<T, Problem> {
    Ok(act(cloud.0.push.board().find(id)?))
}

fn shown(cloud: &Cloud, webhook: &mut Webhook) -> Value {
    webhook.shown(Instant::now(), &cloud.knobs().push)
}
