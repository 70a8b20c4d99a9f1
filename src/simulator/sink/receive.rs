//! One request to a sink.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::envelope::http::decode;
use crate::model::envelope::{CloudEvent, Data, EnvelopeError};
use crate::model::timestamp::Timestamp;
use crate::simulator::sink::faults::{Answer, Decision, SinkFault};
use crate::simulator::sink::report::Report;
use crate::simulator::sink::verify::verify;
use crate::simulator::sink::{Arrival, Signature, SinkHandle};
use crate::simulator::spoil;

/// Room for a batch of large events; larger bodies get a 413.
const MAX_BODY: usize = 16 << 20;

/// Whether the router can take it: plain, and apart from the sink's own routes.
pub(super) fn is_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    path.starts_with('/') && path.chars().all(is_plain) && !path.starts_with("/sink/")
}

pub(super) async fn report(State(sink): State<SinkHandle>) -> Json<Report> {
    Json(sink.report())
}

pub(super) async fn shown_fault(State(sink): State<SinkHandle>) -> Json<SinkFault> {
    Json(sink.faults().get())
}

/// Replaces the fault by that of the body; `{}` for none.
pub(super) async fn set_fault(
    State(sink): State<SinkHandle>,
    Json(fault): Json<SinkFault>,
) -> Json<SinkFault> {
    sink.faults().set(fault);
    Json(sink.faults().get())
}

pub(super) async fn receive(
    State(sink): State<SinkHandle>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let decision = sink.0.faults.draw();
    sink.tally().counts.requests += 1;
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return refuse(&sink, StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or cut");
    };
    let arrived_at = sink.0.settings.clock.now();
    if !decision.delay.is_zero() {
        tokio::time::sleep(decision.delay).await;
    }
    if decision.answer != Answer::Normal && !decision.is_taken {
        return fail(&sink, decision);
    }
    match take(&sink, &headers, &body, arrived_at) {
        Err((status, reason)) => refuse(&sink, status, &reason),
        Ok(()) if decision.answer != Answer::Normal => fail(&sink, decision),
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Turns a request away on demand.
fn fail(sink: &SinkHandle, decision: Decision) -> Response {
    sink.tally().counts.failed_on_demand += 1;
    let status = match decision.answer {
        // A 1xx would be no answer at all.
        Answer::Status(code @ 200..) => StatusCode::from_u16(code).ok(),
        Answer::Status(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
        Answer::Normal | Answer::None => None,
    };
    let told = status.map(|status| status.as_u16());
    sink.tell(|| Arrival::Refused { status: told, reason: "on demand".to_owned() });
    let Some(status) = status else {
        return spoil::hang_up();
    };
    match decision.retry_after {
        Some(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())]).into_response(),
        None => status.into_response(),
    }
}

/// Turns a request away because of what it is.
fn refuse(sink: &SinkHandle, status: StatusCode, reason: &str) -> Response {
    if status != StatusCode::UNAUTHORIZED {
        sink.tally().counts.unreadable += 1;
    }
    let reason = reason.to_owned();
    sink.tell(|| Arrival::Refused { status: Some(status.as_u16()), reason: reason.clone() });
    (status, reason + "\n").into_response()
}

/// Counts all events of a request, or none and says why.
fn take(
    sink: &SinkHandle,
    headers: &HeaderMap,
    body: &[u8],
    arrived_at: Timestamp,
) -> Result<(), (StatusCode, String)> {
    let signature = verify(&sink.0.settings, headers, body, arrived_at);
    sink.tally().count_signature(signature);
    if !signature.is_acceptable() {
        return Err((StatusCode::UNAUTHORIZED, format!("signature {signature}")));
    }
    let received = decode(headers, body)
        .and_then(|received| received.events.into_iter().collect::<Result<Vec<_>, _>>());
    let events = match received {
        Ok(events) => events,
        Err(_) if is_plain(headers, body) => {
            sink.tally().counts.plain += 1;
            sink.tell(|| told_plain(body, signature));
            return Ok(());
        }
        Err(EnvelopeError::MediaType) => {
            let reason = EnvelopeError::MediaType.to_string();
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        Err(fault) => return Err((StatusCode::BAD_REQUEST, fault.to_string())),
    };
    let is_watched = sink.is_watched();
    let mut tally = sink.tally();
    for event in &events {
        let is_repeat = tally.count_event(event, arrived_at);
        if is_watched {
            sink.tell(|| told(event, signature, is_repeat));
        }
    }
    Ok(())
}

/// JSON that does not claim to be a `CloudEvent`.
fn is_plain(headers: &HeaderMap, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Claim {
        specversion: Option<IgnoredAny>,
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let claims = content_type.is_some_and(|kind| kind.starts_with("application/cloudevents"))
        || headers.contains_key("ce-specversion")
        || serde_json::from_slice::<Claim>(body).is_ok_and(|claim| claim.specversion.is_some());
    !claims
        && content_type.is_some_and(|kind| kind.contains("json"))
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The parts of an audit entry's data that people want to see.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    category: String,
    user: User,
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

fn told(event: &CloudEvent, signature: Signature, is_repeat: bool) -> Arrival {
    let about: About = match &event.data {
        Data::Json(json) => serde_json::from_str(json.get()).unwrap_or_default(),
        Data::None | Data::Text(_) | Data::Binary(_) => About::default(),
    };
    Arrival::Event {
        id: event.id.clone(),
        event_type: event.event_type.clone(),
        time: event.time.clone().unwrap_or_default(),
        about: [about.category, about.user.username, about.description],
        signature,
        is_repeat,
    }
}

fn told_plain(body: &[u8], signature: Signature) -> Arrival {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    Arrival::Event {
        id: String::new(),
        event_type: "plain JSON".to_owned(),
        time: String::new(),
        about: [text, String::new(), String::new()],
        signature,
        is_repeat: false,
    }
}
