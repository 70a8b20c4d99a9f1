//! A test of a target: one event of our own, sent at once and past the ledger.

use bytes::Bytes;
use serde_json::json;

use crate::dispatch::attempt::{attempt, unsent};
use crate::dispatch::request::message;
use crate::dispatch::target::Target;
use crate::model::clock::Clock;
use crate::model::delivery::Attempt;
use crate::model::envelope::{CloudEvent, json as format};
use crate::model::outcome::Outcome;
use crate::model::own_event::envelope;
use crate::model::timestamp::Timestamp;
use crate::storage::Due;

/// The envelope's `type` of a test event.
pub const TEST_TYPE: &str = "com.tailwater.target.test";

/// Sends one event that says it is a test, in the target's format, with its headers and
/// signatures. Nothing of it is stored, and the target's state does not matter.
///
/// Dropping it leaves unknown whether the target has it.
pub async fn send_test(target: &Target, clock: &Clock) -> Attempt {
    let event = test_event(target.name(), clock.now(), rand::random());
    let due = Due {
        sequence: 0,
        step: 0,
        first_attempt_at: None,
        is_first: true,
        event_source: event.source.as_str().into(),
        event_id: event.id.as_str().into(),
        body: Bytes::from(format::to_vec(&event)),
    };
    match message(target, &[due]) {
        Ok(message) => attempt(target, message, clock).await,
        Err(error) => unsent(clock, Outcome::Rejected, &error.to_string()),
    }
}

/// The event of a test at `now`; `number` tells tests apart. Its data:
/// `{"target": "siem", "message": "…"}`.
fn test_event(name: &str, now: Timestamp, number: u64) -> CloudEvent {
    let data = json!({
        "target": name,
        "message": "A test by `tailwater targets test`: nothing has happened in GreenLake.",
    });
    envelope(name, TEST_TYPE, format!("test-{number:016x}"), now, &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_marked_as_one_and_is_a_valid_event() {
        let now = Timestamp::from_secs(1_734_698_100);
        let event = test_event("my-siem", now, 7);
        assert_eq!(event.id, "test-0000000000000007");
        assert_eq!(event.source, "//tailwater/targets/my-siem");
        assert_ne!(event.id, test_event("my-siem", now, 8).id);
        let read = format::parse(&format::to_vec(&event)).unwrap();
        assert_eq!(
            (read.event_type.as_str(), read.subject.as_deref()),
            (TEST_TYPE, Some("my-siem"))
        );
    }
}
