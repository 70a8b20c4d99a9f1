use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

const OWN: &str = "3009de2825f211ec8a84fedebcb4a754";
const OTHER: &str = "00000000000000000000000000000000";

struct Source {
    keeps_foreign: bool,
    polls_services: bool,
}

impl Reading for Source {
    fn workspace_id(&self) -> &str {
        OWN
    }

    fn keeps_foreign(&self) -> bool {
        self.keeps_foreign
    }

    fn is_polled(&self, listed: Listed) -> bool {
        listed == Listed::Platform || self.polls_services && listed == Listed::Service
    }
}

const PLAIN: Source = Source { keeps_foreign: false, polls_services: true };

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn entry(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "//global.api.greenlake.hpe.com/audit-log",
        "type": "com.hpe.greenlake.audit-log.v1.logs.created", "time": "2024-12-20T12:34:53.161Z",
        "data": {"id": id, "workspace": {"id": OWN},
                 "application": {"id": "00000000-0000-0000-0000-000000000000"}},
    })
}

fn at() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn parcel(source: &Source, body: &[u8]) -> Parcel {
    match read(source, &headers(&[("content-type", "application/json")]), body, at()) {
        Ok(Message::Events(parcel)) => parcel,
        other => panic!("{other:?}"),
    }
}

fn ids(parcel: &Parcel) -> Vec<&str> {
    parcel.events.iter().map(|event| event.envelope.id.as_str()).collect()
}

#[test]
fn one_event_an_array_and_a_batch_are_read() {
    let single = parcel(&PLAIN, entry("a").to_string().as_bytes());
    assert_eq!((ids(&single), single.count, single.is_batch), (vec!["a"], 1, false));
    let array = parcel(&PLAIN, json!([entry("a"), entry("b")]).to_string().as_bytes());
    assert_eq!((ids(&array), array.count, array.is_batch), (vec!["a", "b"], 2, true));
    let empty = parcel(&PLAIN, b"[]");
    assert_eq!((ids(&empty), empty.count, empty.is_batch), (vec![], 0, true));
    let batch = headers(&[("content-type", "application/cloudevents-batch+json")]);
    let body = json!([entry("a")]).to_string();
    let Ok(Message::Events(batch)) = read(&PLAIN, &batch, body.as_bytes(), at()) else {
        panic!("a batch")
    };
    assert!(batch.is_batch && ids(&batch) == ["a"], "a batch of one is a batch");
}

#[test]
fn what_is_bad_in_a_batch_is_kept_byte_for_byte_and_the_others_are_taken() {
    let mut foreign = entry("foreign");
    foreign["data"]["workspace"]["id"] = json!(OTHER);
    let (a, b) = (entry("a"), entry("b"));
    let body = format!("[{a}, {{\"id\" : 1}},7,null,{foreign},{b}]");
    let parcel = parcel(&PLAIN, body.as_bytes());
    assert_eq!((ids(&parcel), parcel.count), (vec!["a", "b"], 6));
    let raw: Vec<&str> = parcel.unreadable.iter().map(|item| item.raw.as_str()).collect();
    assert_eq!(raw, ["{\"id\" : 1}", "7", "null", &foreign.to_string()]);
    assert!(parcel.unreadable[3].reason.contains(OTHER));
}

#[test]
fn an_event_that_polling_may_never_show_is_outside() {
    let mut service = entry("service");
    service["data"]["application"]["id"] = json!("68067533-5764-401a-9620-24e6e2cdc574");
    let mut foreign = entry("foreign");
    foreign["data"]["workspace"]["id"] = json!(OTHER);
    let mut nameless = entry("nameless");
    nameless["data"] = json!({"category": "x"});
    let other = json!({"specversion": "1.0", "id": "other", "source": "/s", "type": "a.b"});
    let all = json!([entry("own"), service, foreign, nameless, other]).to_string();
    let source = Source { keeps_foreign: true, polls_services: false };
    let found = parcel(&source, all.as_bytes());
    let mut outside: Vec<&str> = found.outside.iter().map(String::as_str).collect();
    outside.sort_unstable();
    assert_eq!(outside, ["foreign", "nameless", "other", "service"]);
    assert_eq!((found.events.len(), found.foreign), (5, 1));
}

#[test]
fn a_challenge_is_a_message_of_its_own() {
    let challenge = json!({
        "specversion": "1.0", "id": "c", "source": "s", "data": {"challengeRequest": "text"},
        "type": "com.hpe.greenlake.events.v1beta1.webhooks.verification",
    });
    let (body, json) = (challenge.to_string(), headers(&[("content-type", "application/json")]));
    let message = read(&PLAIN, &json, body.as_bytes(), at());
    assert!(matches!(message, Ok(Message::Challenge(text)) if text == "text"));
    assert_eq!(read_challenge(&json, body.as_bytes()).as_deref(), Some("text"));
    let batch = json!([entry("a"), challenge]).to_string();
    let found = parcel(&PLAIN, batch.as_bytes());
    assert_eq!((ids(&found), found.count), (vec!["a"], 1), "never answered among others");
    assert_eq!(read_challenge(&json, batch.as_bytes()), None);
    let packed = headers(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
    assert_eq!(read_challenge(&packed, body.as_bytes()), None);
}

#[test]
fn messages_that_are_none_are_refused_as_a_whole() {
    let json = [("content-type", "application/json")];
    let nested = |depth: usize| {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!("{open}0{close}").into_bytes()
    };
    let whole = entry("a").to_string();
    for (case, pairs, body) in [
        ("text", &[("content-type", "text/xml")][..], whole.clone().into_bytes()),
        ("packed", &[json[0], ("content-encoding", "gzip")], whole.clone().into_bytes()),
        ("empty", &json, Vec::new()),
        ("cut", &json, whole.as_bytes()[..whole.len() - 1].to_vec()),
        ("more than one", &json, format!("{whole}{whole}").into_bytes()),
        ("no UTF-8", &json, b"{\"a\":\"\xff\"}".to_vec()),
        ("a number", &json, b"7".to_vec()),
        ("no envelope", &json, b"{}".to_vec()),
        ("129 deep", &json, nested(129)),
        ("200,000 deep", &json, nested(200_000)),
    ] {
        let found = read(&PLAIN, &headers(pairs), &body, at());
        assert!(found.is_err(), "{case}");
    }
    let arrays = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    let found = parcel(&PLAIN, &arrays);
    assert_eq!((found.events.len(), found.unreadable.len()), (0, 1), "a batch of what is no event");
    let many = format!("[{}0]", "0,".repeat(20_000));
    let found = read(&PLAIN, &headers(&json), many.as_bytes(), at());
    assert!(matches!(found, Err(EnvelopeError::TooManyEvents)), "{found:?}");
}

#[test]
fn data_that_is_deep_or_says_things_twice_passes_or_is_kept() {
    let data = |text: &str| {
        let event = entry("a");
        event.to_string().replace("\"data\":{", &format!("\"data\":{{\"more\":{text},"))
    };
    for (case, body) in [
        ("deep data", data(&format!("{}{}", "[".repeat(129), "]".repeat(129)))),
        ("deeper data", data(&format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)))),
        ("the same key twice", data("1,\"more\":2")),
        ("an id twice", entry("a").to_string().replacen('{', "{\"id\":\"b\",", 1)),
        ("data twice", entry("a").to_string().replacen('{', "{\"data\":{},", 1)),
    ] {
        let json = headers(&[("content-type", "application/json")]);
        match read(&PLAIN, &json, body.as_bytes(), at()) {
            // Whatever is taken can be read again by whom it goes to.
            Ok(Message::Events(parcel)) => {
                assert_eq!(parcel.events.len() + parcel.unreadable.len(), 1, "{case}");
                for event in parcel.events {
                    let bytes = crate::model::envelope::json::to_vec(&event.envelope);
                    assert!(serde_json::from_slice::<Value>(&bytes).is_ok(), "{case}");
                }
            }
            Ok(other) => panic!("{case}: {other:?}"),
            Err(_) => {}
        }
    }
}
