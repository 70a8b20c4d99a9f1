use serde_json::{Value, json};

use super::*;
use crate::greenlake::wire::read_page;
use crate::model::envelope::json::parse;

const OWN: &str = "11111111111111111111111111111111";

/// The published push (HPE developer blog), and the page that shows the same entry.
const PUSH: &[u8] = include_bytes!("../../../../tests/vectors/greenlake/push-audit-log.json");
const PAGE: &[u8] = include_bytes!("../../../../tests/vectors/greenlake/poll-v1-page.json");
const CHALLENGE: &[u8] = include_bytes!("../../../../tests/vectors/greenlake/challenge.json");
const OTHER: &[u8] =
    include_bytes!("../../../../tests/vectors/greenlake/push-expiring-subscription.json");

fn received_at() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn read(body: &[u8]) -> Pushed {
    read_push(parse(body).unwrap(), OWN, received_at()).unwrap()
}

fn envelope(data: &Value) -> CloudEvent {
    let event = json!({
        "specversion": "1.0", "id": "envelope-id", "source": "https://h/audit-log",
        "type": "com.hpe.greenlake.audit-log.v1beta1.logs.created",
        "time": "2024-09-04T01:30:20.52Z", "data": data,
    });
    parse(event.to_string().as_bytes()).unwrap()
}

fn is_same(pushed: &Event, polled: &Event) -> bool {
    (&pushed.workspace_id, &pushed.envelope.source, &pushed.envelope.id)
        == (&polled.workspace_id, &polled.envelope.source, &polled.envelope.id)
}

#[test]
fn the_published_push_is_the_event_that_a_poll_makes() {
    let polled = read_page(PAGE, OWN).unwrap().events.remove(0);
    let Pushed { event, listed } = read(PUSH);
    assert!(is_same(&event, &polled), "{event:?}");
    assert_eq!(event.facts, polled.facts);
    assert_eq!(event.occurred_at.truncated_to_second(), polled.occurred_at);
    assert_eq!(event.occurred_at.millis(), 1_734_698_093_161);
    assert_eq!(event.envelope.event_type, polled.envelope.event_type);
    assert_eq!(event.envelope.subject, polled.envelope.subject);
    assert_eq!(listed, Listed::Platform);
    let sent: CloudEvent = parse(PUSH).unwrap();
    assert_eq!(event.envelope.data, sent.data, "passed on byte for byte");
}

#[test]
fn an_entry_in_the_form_of_the_rest_api_is_known_by_its_own_id() {
    let page: Value = serde_json::from_slice(PAGE).unwrap();
    let polled = read_page(PAGE, OWN).unwrap().events.remove(0);
    let pushed = read_push(envelope(&page["items"][0]), OWN, received_at()).unwrap();
    assert!(is_same(&pushed.event, &polled), "{pushed:?}");
    assert_eq!(pushed.event.facts, polled.facts);
    assert_eq!(pushed.event.occurred_at, polled.occurred_at);
    assert_eq!(pushed.listed, Listed::Platform);
}

#[test]
fn an_entry_in_the_form_of_the_catalogue_is_known_by_its_envelope() {
    let data = json!({
        "app_slug": "x", "customer_id": "22222222222222222222222222222222", "username": "a@b.c",
        "audit_info": {"username": "jane@example.com", "category": "User Management",
            "audit_created_at": "2024-09-04T01:30:19Z", "additional_info": {"ip_address": "::1"}},
    });
    let pushed = read_push(envelope(&data), OWN, received_at()).unwrap();
    let event = &pushed.event;
    assert_eq!(pushed.listed, Listed::Nowhere);
    assert_eq!(
        (event.envelope.id.as_str(), event.envelope.source.as_str()),
        ("envelope-id", AUDIT_SOURCE)
    );
    assert_eq!(event.workspace_id, "2".repeat(32));
    assert_eq!(event.envelope.subject.as_deref(), Some(event.workspace_id.as_str()));
    assert_eq!(event.facts.category.as_deref(), Some("user_management"));
    assert_eq!(event.facts.username.as_deref(), Some("a@b.c"));
    assert_eq!(event.facts.ip_address.as_deref(), Some("::1"));
    assert_eq!(event.occurred_at, Timestamp::parse_rfc3339("2024-09-04T01:30:19Z").unwrap());
}

#[test]
fn another_event_is_left_as_it_is() {
    let Pushed { event, listed } = read(OTHER);
    assert_eq!(event.envelope, parse(OTHER).unwrap());
    assert_eq!((event.workspace_id.as_str(), listed), (OWN, Listed::Nowhere));
    let time = Timestamp::parse_rfc3339("2024-10-30T21:09:16.127443Z").unwrap();
    assert_eq!(event.occurred_at, time);
    let mut bare = event.envelope;
    (bare.time, bare.subject) = (None, Some("3".repeat(32)));
    let bare = read_push(bare, OWN, received_at()).unwrap().event;
    assert_eq!((bare.occurred_at, bare.workspace_id), (received_at(), "3".repeat(32)));
}

#[test]
fn what_is_left_out_is_made_up_for() {
    let pushed = read_push(envelope(&json!({"id": "x"})), OWN, received_at()).unwrap();
    assert_eq!((pushed.event.workspace_id.as_str(), pushed.listed), (OWN, Listed::Service));
    assert_eq!(pushed.event.occurred_at.millis(), 1_725_413_420_520);
    assert_eq!(pushed.event.facts, Facts::default());
    let mut untimed = envelope(&json!({"id": "x", "created_at": "soon"}));
    (untimed.time, untimed.datacontenttype) = (None, None);
    let event = read_push(untimed, OWN, received_at()).unwrap().event;
    assert_eq!(event.envelope.time, Some(received_at().to_rfc3339()));
    assert_eq!(event.envelope.datacontenttype.as_deref(), Some("application/json"));
}

#[test]
fn an_entry_that_is_none_is_told() {
    for data in [json!([]), json!("text"), json!(7), json!(null), json!({"id": "a\u{1}"})] {
        let read = read_push(envelope(&data), OWN, received_at());
        assert!(read.is_err(), "{data}: {read:?}");
    }
}

#[test]
fn challenges_are_recognised_in_either_form() {
    let challenge = parse(CHALLENGE).unwrap();
    let found = find_challenge(&challenge);
    assert_eq!(found.as_deref(), Some("8cbecfea-d708-4706-bba3-669225084a10"));
    let mut short = challenge.clone();
    short.event_type = "hpe.greenlake.events.v1beta1.webhooks.verification".to_owned();
    assert_eq!(find_challenge(&short), found);
    short.event_type = "com.hpe.greenlake.events.v1beta1.webhooks.created".to_owned();
    assert_eq!(find_challenge(&short), None);
    for body in [PUSH, OTHER] {
        assert_eq!(find_challenge(&parse(body).unwrap()), None);
    }
    let mut number = challenge;
    number.data = Data::Json(RawValue::from_string("{\"challengeRequest\":7}".to_owned()).unwrap());
    assert_eq!(find_challenge(&number), None);
}
