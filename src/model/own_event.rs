//! Events of our own about targets: what turned, and what became a dead letter.
//!
//! They go into the ledger in the transaction of what they tell, and to the targets that
//! subscribe to them (`own_events`), never to the one that they are about.

use std::collections::BTreeMap;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::model::breaker::Turn;
use crate::model::delivery::Attempt;
use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{Event, Facts};
use crate::model::outcome::Reason;
use crate::model::timestamp::Timestamp;

/// The beginning of the envelope's `source` of every event that is not GreenLake's.
pub const OWN_SOURCE: &str = "//tailwater/";

/// Dead letters that an event names; the others are counted.
pub const NAMED_MAX: usize = 10;

/// An envelope about the target of that name: `id` is unique among those of one target.
#[must_use]
pub fn envelope(
    target: &str,
    event_type: &str,
    id: String,
    now: Timestamp,
    data: &Value,
) -> CloudEvent {
    CloudEvent {
        id,
        source: format!("{OWN_SOURCE}targets/{target}"),
        event_type: event_type.to_owned(),
        subject: Some(target.to_owned()),
        time: Some(now.to_rfc3339_millis()),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        extensions: BTreeMap::new(),
        data: to_raw_value(data).map_or(Data::None, Data::Json),
    }
}

/// The event that tells of `turn`, shown by `attempt` and stored at `now`. Its data:
///
/// ```json
/// {"target": "siem", "state": "failing", "reason": "refused", "status": null}
/// ```
#[must_use]
pub fn turned(target: &str, turn: Turn, attempt: &Attempt, now: Timestamp) -> Event {
    let (word, state) = match turn {
        Turn::Failing => ("failing", "failing"),
        Turn::Recovered => ("recovered", "active"),
        Turn::Gone => ("gone", "gone"),
    };
    let reason = attempt.outcome.reason().map(Reason::as_str);
    let data =
        json!({ "target": target, "state": state, "reason": reason, "status": attempt.status });
    let description = match reason {
        Some(reason) => format!("Target {target} is {state}: {reason}"),
        None => format!("Target {target} has recovered"),
    };
    let id = format!("{word}-{}", now.to_rfc3339());
    let event_type = format!("com.tailwater.target.{word}");
    event(envelope(target, &event_type, id, now, &data), description, now)
}

/// Deliveries that have become dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// How many.
    pub count: i64,
    /// The first of them, at most [`NAMED_MAX`]: the envelope's `source` and `id`.
    pub named: Vec<(String, String)>,
}

/// The event that tells of dead letters of a target, stored at `now`. Its data:
///
/// ```json
/// {"target": "siem", "count": 3, "events": [{"source": "//global…", "id": "…"}]}
/// ```
#[must_use]
pub fn died(target: &str, dead: &Dead, now: Timestamp) -> Event {
    let named: Vec<Value> =
        dead.named.iter().map(|(source, id)| json!({ "source": source, "id": id })).collect();
    let data = json!({ "target": target, "count": dead.count, "events": named });
    let description = format!("Dead letters of target {target}: {}", dead.count);
    let id = format!("dead-{}", now.to_rfc3339());
    event(envelope(target, "com.tailwater.delivery.dead", id, now, &data), description, now)
}

fn event(envelope: CloudEvent, description: String, now: Timestamp) -> Event {
    let facts = Facts { description: Some(description.into()), ..Facts::default() };
    // It belongs to no workspace.
    Event { workspace_id: String::new(), occurred_at: now, envelope, facts }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::envelope::json as format;
    use crate::model::outcome::Outcome;

    const NOW: Timestamp = Timestamp::from_micros(1_734_698_100_000_007);

    fn data(event: &Event) -> Value {
        let Data::Json(data) = &event.envelope.data else { panic!("no data") };
        serde_json::from_str(data.get()).unwrap()
    }

    #[test]
    fn a_turn_is_told_with_what_has_shown_it() {
        let attempt = |status| Attempt {
            started_at: NOW,
            duration: Duration::ZERO,
            status: Some(status),
            outcome: Outcome::of_status(status),
            retry_after: None,
            answer: None,
        };
        for (turn, status, word, state, description) in [
            (Turn::Failing, 503, "failing", "failing", "Target siem is failing: status"),
            (Turn::Recovered, 204, "recovered", "active", "Target siem has recovered"),
            (Turn::Recovered, 400, "recovered", "active", "Target siem is active: rejected"),
            (Turn::Gone, 410, "gone", "gone", "Target siem is gone: gone"),
        ] {
            let event = turned("siem", turn, &attempt(status), NOW);
            assert_eq!(event.envelope.event_type, format!("com.tailwater.target.{word}"));
            assert_eq!(event.envelope.id, format!("{word}-2024-12-20T12:35:00.000007Z"));
            assert_eq!(event.envelope.source, "//tailwater/targets/siem");
            assert_eq!(data(&event)["state"], state);
            assert_eq!(data(&event)["status"], status);
            assert_eq!(event.facts.description.as_deref(), Some(description));
            assert!(format::parse(&format::to_vec(&event.envelope)).is_ok());
        }
    }

    #[test]
    fn dead_letters_are_counted_and_the_first_are_named() {
        let named = vec![("//a".to_owned(), "e1".to_owned())];
        let event = died("siem", &Dead { count: 1_000, named }, NOW);
        assert_eq!(event.envelope.event_type, "com.tailwater.delivery.dead");
        let data = data(&event);
        assert_eq!((&data["target"], &data["count"]), (&"siem".into(), &1_000.into()));
        assert_eq!(data["events"], json!([{ "source": "//a", "id": "e1" }]));
    }
}
