//! Entries as pushed events, in each published form; keys in the published order.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::timestamp::Timestamp;
use crate::simulator::entry::{Entry, Workspace};
use crate::simulator::push::knobs::{PushKnobs, Shape};
use crate::simulator::refusal::dashed;
use crate::simulator::render;

/// The audit log as a source of events (HPE developer blog, eventing framework).
const SOURCE: &str = "//global.api.greenlake.hpe.com/audit-log";

/// What webhooks subscribe to.
pub(super) const TYPE: &str = "com.hpe.greenlake.audit-log.v1.logs.created";

/// The type in HPE's standard for events.
const TYPE_C: &str = "com.hpe.greenlake.audit-log.v1beta1.logs.created";

const SCHEMA: &str = "https://developer.greenlake.hpe.com/docs/greenlake/services/audit-logs/\
                      public/catalog/audit-log-event-latest/paths/Audit%20Log%20Created/post/";

const CHALLENGE: &str = "com.hpe.greenlake.events.v1beta1.webhooks.verification";

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<&'static str>,
    time: String,
    data: Box<RawValue>,
}

#[derive(Serialize)]
struct DataA<'a> {
    id: &'a str,
    user: Value,
    workspace: WorkspaceA<'a>,
    application: Value,
    category: String,
    description: &'a str,
    created_at: i64,
    updated_at: i64,
    additional_info: BTreeMap<String, String>,
    has_details: bool,
}

#[derive(Serialize)]
struct WorkspaceA<'a> {
    id: &'a str,
    workspace_name: Option<&'a str>,
    workspace_type: Option<&'a str>,
}

/// An entry as an event: its id, and its compact JSON.
pub(super) fn event(entry: &Entry, workspace: &Workspace, knobs: &PushKnobs) -> (String, Vec<u8>) {
    let (id, kind, data) = match knobs.shape {
        Shape::A => (entry.id.to_string(), TYPE, raw(&data_a(entry, workspace, knobs))),
        Shape::B => (other_id(&entry.id), TYPE, raw(&data_b(entry, workspace))),
        Shape::C => (other_id(&entry.id), TYPE_C, render::rest_v1(entry, workspace)),
    };
    let event = Envelope {
        specversion: "1.0",
        id: &id,
        source: SOURCE,
        kind: named(kind, knobs),
        subject: knobs.with_subject.then_some(workspace.id.as_str()),
        datacontenttype: "application/json",
        dataschema: (knobs.shape == Shape::A).then_some(SCHEMA),
        time: time(entry.created_at, knobs.stripped_zeros),
        data,
    };
    let body = serde_json::to_vec(&event).expect("texts and a JSON value");
    (id, body)
}

/// A challenge with the text that is to be answered. HPE's sample without `com.` leaves
/// the scheme out of its source, too.
pub(super) fn challenge(
    text: &str,
    id: &str,
    workspace: &Workspace,
    now: Timestamp,
    knobs: &PushKnobs,
) -> Vec<u8> {
    let scheme = if knobs.without_com { "" } else { "https:" };
    let source = format!("{scheme}//global.api.greenlake.hpe.com/events");
    let event = json!({ "data": { "challengeRequest": text },
        "datacontenttype": "application/json", "id": id, "source": source,
        "specversion": "1.0", "subject": workspace.id, "time": now.to_rfc3339_secs(),
        "type": named(CHALLENGE, knobs) });
    event.to_string().into_bytes()
}

fn named<'a>(kind: &'a str, knobs: &PushKnobs) -> &'a str {
    if knobs.without_com { kind.trim_start_matches("com.") } else { kind }
}

fn data_a<'a>(entry: &'a Entry, workspace: &'a Workspace, knobs: &PushKnobs) -> DataA<'a> {
    let mut info: BTreeMap<String, String> =
        entry.info.iter().map(|(name, value)| (snake_case(name), value.clone())).collect();
    info.insert("account_name".to_owned(), workspace.name.clone());
    if let Some(address) = entry.ip_address {
        for name in ["ip_address", "ip_address_str"] {
            info.insert(name.to_owned(), address.to_string());
        }
    }
    DataA {
        id: &entry.id,
        user: json!({ "username": entry.username }),
        workspace: WorkspaceA {
            id: &workspace.id,
            workspace_name: knobs.with_workspace_name.then_some(workspace.name.as_str()),
            workspace_type: knobs.with_workspace_name.then_some(workspace.kind.as_str()),
        },
        application: json!({ "id": entry.service.id }),
        category: entry.category.to_lowercase().replace(' ', "_"),
        description: &entry.description,
        created_at: entry.created_at.millis(),
        updated_at: entry.created_at.millis(),
        additional_info: info,
        has_details: entry.has_details,
    }
}

/// Every key that the catalogue has; which values real ones would have is not published.
fn data_b(entry: &Entry, workspace: &Workspace) -> Value {
    let at = entry.created_at.to_rfc3339_millis();
    let info: BTreeMap<&str, &str> =
        entry.info.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    json!({ "app_slug": entry.service.name, "customer_id": workspace.id,
        "username": entry.username, "app_instance_id": entry.service.id,
        "application_customer_id": workspace.id, "audit_details": {},
        "enable_streaming": "true",
        "audit_info": { "username": entry.username, "category": entry.category,
            "customer_name": workspace.name, "account_type": workspace.kind, "msp_id": "",
            "audit_created_at": at, "additional_info": info,
            "has_details": entry.has_details },
        "created_at": at })
}

fn raw(data: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).expect("texts, numbers and maps with text keys")
}

/// The id of a batch that begins with this event, the same at each try.
pub(super) fn batch_id(first: &str) -> String {
    other_id(&format!("batch {first}"))
}

/// The id of an envelope that is not the entry's, the same at each try: a UUID.
fn other_id(id: &str) -> String {
    let digest = Sha256::digest(id);
    dashed(digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

/// Milliseconds, in real pushes without the zeros at their end.
fn time(at: Timestamp, is_stripped: bool) -> String {
    let text = at.to_rfc3339_millis();
    if !is_stripped {
        return text;
    }
    if at.millis() % 1_000 == 0 {
        return at.to_rfc3339_secs();
    }
    format!("{}Z", text.trim_end_matches('Z').trim_end_matches('0'))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for char in name.chars() {
        if char.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace {
            id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
            name: "HPEDEV -GLCP- Hackshack".to_owned(),
            kind: "STANDALONE".to_owned(),
        }
    }

    fn entry() -> Entry {
        let at = Timestamp::parse_rfc3339("2024-12-20T12:34:53.161Z").unwrap();
        let text = "User john.doe@hpedev.io logged out";
        Entry {
            username: "john.doe@hpedev.io".into(),
            ip_address: Some("194.9.99.5".parse().unwrap()),
            ..Entry::new("uJoQ5JMB_HAPiq2sSllt", at, text)
        }
    }

    fn pushed(knobs: &PushKnobs) -> Value {
        let (id, body) = event(&entry(), &workspace(), knobs);
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(event["id"], id);
        assert_eq!(event["specversion"], "1.0");
        event
    }

    fn published(name: &str) -> Value {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/greenlake/");
        let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn shape_a_is_what_was_captured() {
        let mut captured = published("push-audit-log.json");
        // The author of the capture has masked one of the two.
        captured["data"]["additional_info"]["ip_address_str"] = json!("194.9.99.5");
        assert_eq!(pushed(&PushKnobs::default()), captured);
        let (_, body) = event(&entry(), &workspace(), &PushKnobs::default());
        let text = String::from_utf8(body).unwrap();
        let start = r#"{"specversion":"1.0","id":"uJoQ5JMB_HAPiq2sSllt","source":"//global"#;
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn the_other_shapes_have_the_published_keys() {
        let b = pushed(&PushKnobs { shape: Shape::B, ..PushKnobs::default() });
        let (data, info) = (&b["data"], &b["data"]["audit_info"]);
        assert_eq!(data["customer_id"], workspace().id);
        assert_eq!(info["username"], "john.doe@hpedev.io");
        assert_eq!(info["audit_created_at"], "2024-12-20T12:34:53.161Z");
        let names = |object: &Value| object.as_object().unwrap().len();
        assert_eq!((names(data), names(info), data.get("id")), (9, 8, None));

        let c = pushed(&PushKnobs { shape: Shape::C, ..PushKnobs::default() });
        assert_eq!(c["type"], TYPE_C);
        assert_eq!(c["data"]["id"], "uJoQ5JMB_HAPiq2sSllt");
        assert_eq!(c["data"]["createdAt"], "2024-12-20T12:34:53.000000Z");
        assert_eq!(c["data"]["application"]["applicationName"], "HPE GreenLake platform");
        assert_eq!(b["id"], c["id"], "by the entry alone, whatever the try");
        assert_eq!(b["id"].as_str().map(str::len), Some(36));
    }

    #[test]
    fn knobs_change_what_they_name() {
        let plain = PushKnobs::default();
        let found = pushed(&PushKnobs { with_subject: true, ..plain });
        assert_eq!(found["subject"], workspace().id);
        assert_eq!(pushed(&plain).get("subject"), None);
        let found = pushed(&PushKnobs { with_workspace_name: true, ..plain });
        assert_eq!(found["data"]["workspace"]["workspace_name"], workspace().name);
        assert_eq!(found["data"]["workspace"]["workspace_type"], "STANDALONE");
        let found = pushed(&PushKnobs { without_com: true, ..plain });
        assert_eq!(found["type"], "hpe.greenlake.audit-log.v1.logs.created");
        let mut entry = entry();
        entry.info = vec![("serialNumber".to_owned(), "CZ1".to_owned())];
        let (_, body) = event(&entry, &workspace(), &plain);
        let found: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(found["data"]["additional_info"]["serial_number"], "CZ1");
    }

    #[test]
    fn zeros_are_stripped_from_the_fraction_alone() {
        for (millis, whole, stripped) in [
            (161, "2001-09-09T01:46:40.161Z", "2001-09-09T01:46:40.161Z"),
            (250, "2001-09-09T01:46:40.250Z", "2001-09-09T01:46:40.25Z"),
            (300, "2001-09-09T01:46:40.300Z", "2001-09-09T01:46:40.3Z"),
            (0, "2001-09-09T01:46:40.000Z", "2001-09-09T01:46:40Z"),
        ] {
            let at = Timestamp::from_micros((1_000_000_000_000 + millis) * 1_000);
            assert_eq!((time(at, false), time(at, true)), (whole.to_owned(), stripped.to_owned()));
        }
    }

    #[test]
    fn a_challenge_is_the_published_one() {
        let captured = published("challenge.json");
        let at = Timestamp::parse_rfc3339("2024-12-12T19:09:05Z").unwrap();
        let made = |knobs: &PushKnobs| -> Value {
            let text = captured["data"]["challengeRequest"].as_str().unwrap();
            let id = captured["id"].as_str().unwrap();
            serde_json::from_slice(&challenge(text, id, &workspace(), at, knobs)).unwrap()
        };
        assert_eq!(made(&PushKnobs::default()), captured);
        let bare = made(&PushKnobs { without_com: true, ..PushKnobs::default() });
        assert_eq!(bare["type"], "hpe.greenlake.events.v1beta1.webhooks.verification");
        assert_eq!(bare["source"], "//global.api.greenlake.hpe.com/events");
    }
}
