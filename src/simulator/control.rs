//! Routes that the real cloud does not have: faults, entries and counters of this one.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::timestamp::Timestamp;
use crate::simulator::cloud::{Cloud, Served};
use crate::simulator::entry::{Entry, Made};
use crate::simulator::faults::Fault;
use crate::simulator::knobs::Knobs;
use crate::simulator::push::board::Pushed;

/// Entries made by one request, at most.
const MAX_COUNT: u64 = 1_000_000;

/// Entries listed in one answer unless the request asks for another number.
const LISTED: usize = 1_000_000;

pub(super) fn routes() -> Router<Cloud> {
    Router::new()
        .route("/simulator/faults", get(list_faults).put(set_faults))
        .route("/simulator/entries", get(list_entries).post(make_entries))
        .route("/simulator/knobs", get(list_knobs).patch(turn_knobs))
        .route("/simulator/served", get(served))
        .route("/simulator/webhooks", get(webhooks))
        .route("/simulator/pushed", get(pushed))
}

async fn list_faults(State(cloud): State<Cloud>) -> Json<Vec<Fault>> {
    Json(cloud.faults().list())
}

/// Replaces all faults by those of the body, a JSON array.
async fn set_faults(
    State(cloud): State<Cloud>,
    Json(faults): Json<Vec<Fault>>,
) -> Json<Vec<Fault>> {
    cloud.faults().set(faults);
    Json(cloud.faults().list())
}

async fn list_knobs(State(cloud): State<Cloud>) -> Json<Knobs> {
    Json(cloud.knobs())
}

/// Turns the knobs that the body, a JSON object, names, inside `push` as well; the others
/// stay.
async fn turn_knobs(State(cloud): State<Cloud>, Json(turned): Json<Value>) -> Response {
    match cloud.knobs().turned(turned) {
        Ok(knobs) => {
            cloud.set_knobs(knobs);
            Json(knobs).into_response()
        }
        Err(error) => refused(&error.to_string()),
    }
}

/// Every webhook as its owner sees it, without asking for a token.
async fn webhooks(State(cloud): State<Cloud>) -> Json<Vec<Value>> {
    Json(cloud.webhooks())
}

async fn pushed(State(cloud): State<Cloud>) -> Json<Pushed> {
    Json(cloud.pushed())
}

async fn served(State(cloud): State<Cloud>) -> Json<Served> {
    Json(cloud.served())
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    skip: usize,
    #[serde(default = "listed")]
    limit: usize,
}

fn listed() -> usize {
    LISTED
}

/// An entry as the list of everything made has it.
#[derive(Serialize)]
struct Told {
    id: String,
    created_at: String,
    visible_at: String,
}

impl From<Made> for Told {
    fn from(made: Made) -> Self {
        Self {
            id: made.id,
            created_at: made.created_at.to_rfc3339(),
            visible_at: made.visible_at.to_rfc3339(),
        }
    }
}

/// Everything made, in the order of making.
async fn list_entries(State(cloud): State<Cloud>, Query(listing): Query<Listing>) -> Response {
    let entries: Vec<_> =
        cloud.made_since(listing.skip).into_iter().take(listing.limit).map(Told::from).collect();
    Json(json!({ "total": cloud.made_count(), "entries": entries })).into_response()
}

/// Either `count` invented entries over the last `over_seconds`, or one with an own text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default = "one")]
    count: u64,
    #[serde(default)]
    over_seconds: u64,
    id: Option<String>,
    description: Option<String>,
    created_at: Option<String>,
    visible_at: Option<String>,
}

fn one() -> u64 {
    1
}

async fn make_entries(State(cloud): State<Cloud>, Json(order): Json<Order>) -> Response {
    let now = cloud.clock().now();
    if order.count > MAX_COUNT {
        return refused(&format!("count is at most {MAX_COUNT}"));
    }
    let made = match (&order.id, &order.description) {
        (Some(id), description) => {
            let description = description.as_deref().unwrap_or("Made by hand");
            let Some(created_at) = read_time(order.created_at.as_deref(), now) else {
                return refused("created_at must be RFC 3339");
            };
            let Some(visible_at) = read_time(order.visible_at.as_deref(), created_at) else {
                return refused("visible_at must be RFC 3339");
            };
            let mut entry = Entry::new(id, created_at, description);
            entry.visible_at = visible_at;
            let told = Made::from(&entry);
            if cloud.insert(entry) { vec![told] } else { Vec::new() }
        }
        (None, Some(_)) => return refused("an entry with an own description needs an id"),
        (None, None) => {
            cloud.generate(order.count, now.minus(Duration::from_secs(order.over_seconds)), now)
        }
    };
    let entries: Vec<_> = made.into_iter().map(Told::from).collect();
    (StatusCode::CREATED, Json(json!({ "entries": entries }))).into_response()
}

fn read_time(text: Option<&str>, default: Timestamp) -> Option<Timestamp> {
    text.map_or(Some(default), Timestamp::parse_rfc3339)
}

fn refused(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
}
