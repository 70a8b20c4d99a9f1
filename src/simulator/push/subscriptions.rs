//! `/events/v1beta1/subscriptions`: which webhook is told of what.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::simulator::cloud::Cloud;
use crate::simulator::push::api::{Allowed, Page, page};
use crate::simulator::push::problem::Problem;
use crate::simulator::push::webhook::{Subscription, uri};

/// Subscriptions in one answer, and in one request.
const LIMIT: usize = 10;

pub(super) fn routes() -> Router<Cloud> {
    let path = "/events/v1beta1/subscriptions";
    Router::new().route(path, get(list).post(create).patch(change).delete(remove))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    event_type: String,
    webhook: Resource,
    #[serde(default)]
    event_filter: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resource {
    resource_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    id: String,
    event_type: String,
}

#[derive(Deserialize)]
struct Asked {
    filter: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `filter=webhookId eq '<id>'` is demanded.
async fn list(
    _: Allowed,
    State(cloud): State<Cloud>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let wrong = || Problem::bad_request("filter", "write filter=webhookId eq '<id>'");
    let filter = asked.filter.ok_or_else(wrong)?;
    let id = filter.trim().strip_prefix("webhookId eq '").and_then(|rest| rest.strip_suffix('\''));
    let id = id.ok_or_else(wrong)?;
    let found = cloud.0.push.board().find(id)?.subscriptions.clone();
    let asked = Page { limit: asked.limit, offset: asked.offset };
    page(found.iter().map(|known| shown(known, &uri(id))).collect(), &asked, LIMIT)
}

/// All of the array, or none of it and a refusal.
async fn create(_: Allowed, State(cloud): State<Cloud>, body: Bytes) -> Result<Response, Problem> {
    let wanted: Vec<Wanted> = array(&body)?;
    let mut board = cloud.0.push.board();
    let mut made = Vec::new();
    for one in &wanted {
        let id = read(one);
        match id.and_then(|id| board.subscribe(id, &one.event_type)) {
            Ok(subscription) => made.push(subscription),
            Err(problem) => {
                board.unsubscribe(&made);
                return Err(problem);
            }
        }
    }
    let shown = |(one, id): (&Wanted, String)| {
        let Wanted { event_type, webhook, .. } = one;
        shown(&Subscription { id, event_type: event_type.clone() }, &webhook.resource_uri)
    };
    let items: Vec<Value> = wanted.iter().zip(made).map(shown).collect();
    Ok((StatusCode::CREATED, Json(listed(&items))).into_response())
}

/// The webhook that is meant.
fn read(wanted: &Wanted) -> Result<&str, Problem> {
    if wanted.event_type.is_empty() {
        return Err(Problem::field("eventType is missing"));
    }
    if !wanted.event_filter.is_empty() {
        return Err(Problem::field("this simulator knows no eventFilter: leave it out"));
    }
    let path = &wanted.webhook.resource_uri;
    let id = path.strip_prefix(&uri(""));
    id.ok_or_else(|| Problem::field("webhook.resourceUri is no webhook's"))
}

async fn change(
    _: Allowed,
    State(cloud): State<Cloud>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let changes: Vec<Change> = array(&body)?;
    let mut board = cloud.0.push.board();
    let mut items = Vec::new();
    for change in changes {
        let found = board.all().iter_mut().find_map(|webhook| {
            let id = webhook.id.clone();
            let mut known = webhook.subscriptions.iter_mut();
            known.find(|known| known.id == change.id).map(|known| (known, id))
        });
        let (known, id) = found.ok_or_else(|| Problem::not_found("subscription"))?;
        known.event_type = change.event_type;
        items.push(shown(known, &uri(&id)));
    }
    Ok(Json(listed(&items)))
}

/// `?id=…&id=…`
async fn remove(_: Allowed, State(cloud): State<Cloud>, uri: Uri) -> Result<StatusCode, Problem> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let ids: Vec<String> = form_urlencoded::parse(query)
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id.into_owned())
        .collect();
    if ids.is_empty() {
        return Err(Problem::bad_request("id", "write ?id=<subscription>"));
    }
    cloud.0.push.board().unsubscribe(&ids);
    Ok(StatusCode::NO_CONTENT)
}

/// At most [`LIMIT`] things of a kind.
fn array<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<Vec<T>, Problem> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request("body", error.to_string()))?;
    match value.as_array().map(Vec::len) {
        None => return Err(Problem::bad_request("body", "a JSON array is expected")),
        Some(0) => return Err(Problem::field("the array is empty")),
        Some(count) if count > LIMIT => {
            return Err(Problem::field(format!("the array has {LIMIT} elements at most")));
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|error| Problem::field(error.to_string()))
}

fn shown(subscription: &Subscription, webhook_uri: &str) -> Value {
    json!({ "id": subscription.id, "type": "events/subscription",
        "eventType": subscription.event_type, "webhook": { "resourceUri": webhook_uri } })
}

fn listed(items: &[Value]) -> Value {
    json!({ "count": items.len(), "items": items })
}
