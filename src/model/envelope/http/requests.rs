//! Holds `tests/vectors/requests.json`, which the public libraries read in `tests/peers`,
//! to what the codec and the signatures make today.

use serde_json::{Value, json};

use super::*;
use crate::model::signature::{StandardKey, batch_webhook_id, sign_standard, webhook_id};

const STORED: &str = include_str!("../../../../tests/vectors/requests.json");
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const SIGNED_AT: i64 = 1_734_698_102;

fn event(id: &str, sequence: &str) -> CloudEvent {
    let text = r#"{"specversion":"1.0","id":"<id>","source":"//global.api.greenlake.hpe.com/audit-log","type":"com.hpe.greenlake.audit-log.v1.logs.created","subject":"3009de2825f211ec8a84fedebcb4a754","time":"2024-12-20T12:34:53Z","datacontenttype":"application/json","partitionkey":"3009de2825f211ec8a84fedebcb4a754","recordedtime":"2024-12-20T12:35:01.204Z","sequence":"<sequence>","tailwaterroute":"poll","data":{"id":"<id>","user":{"username":"zoë@example.com"},"workspace":{"id":"3009de2825f211ec8a84fedebcb4a754","workspace_name":null},"category":"user_management","description":"User \"zoë\" logged out 😀","created_at":1734698093000,"has_details":false}}"#;
    let text = text.replace("<id>", id).replace("<sequence>", sequence);
    json::parse(text.as_bytes()).unwrap()
}

fn request(headers: &HeaderMap, body: &[u8], id: &str, secrets: &[&str]) -> Value {
    let keys: Vec<_> = secrets.iter().map(|key| StandardKey::parse(key).unwrap()).collect();
    let mut all: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    if !keys.is_empty() {
        all.insert("webhook-id".to_owned(), json!(id));
        all.insert("webhook-timestamp".to_owned(), json!(SIGNED_AT.to_string()));
        let signatures = sign_standard(&keys, id, SIGNED_AT, body);
        all.insert("webhook-signature".to_owned(), json!(signatures));
    }
    json!({ "headers": all, "body": std::str::from_utf8(body).unwrap(), "secrets": secrets })
}

/// Set `TAILWATER_BLESS=1` to write the file anew after a change that is meant.
#[test]
fn the_requests_that_public_libraries_check_are_ours() {
    let content_type =
        |value| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
    let first = event("uJoQ5JMB_HAPiq2sSllt", "0000000000000000001");
    let second = event("IIhNaYwB1rI6_zwDmuiA", "0000000000000000002");
    let body = json::to_vec(&first);
    let batch = json::join_batch([body.as_slice(), &json::to_vec(&second)]);
    let batch_id = batch_webhook_id([&first, &second].map(|e| (e.source.as_str(), e.id.as_str())));
    let id = webhook_id(&first.source, &first.id);
    let (binary, data) = encode_binary(&first).unwrap();

    let made = json!({
        "signed_at": SIGNED_AT,
        "requests": {
            "structured": request(&content_type(STRUCTURED), &body, &id, &[NEW, OLD]),
            "binary": request(&binary, &data, &id, &[]),
            "batch": request(&content_type(BATCH), &batch, &batch_id, &[NEW]),
        }
    });

    if std::env::var_os("TAILWATER_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/requests.json");
        std::fs::write(path, format!("{made:#}\n")).unwrap();
        return;
    }
    assert_eq!(serde_json::from_str::<Value>(STORED).unwrap(), made);
}
