//! Events for tests: one plain, and any that is valid.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::model::envelope::{CloudEvent, Data, ExtensionValue};
use crate::model::timestamp::Timestamp;

/// An event with the least that one must have.
pub(super) fn minimal() -> CloudEvent {
    CloudEvent {
        id: "1".to_owned(),
        source: "//host/path".to_owned(),
        event_type: "com.example".to_owned(),
        subject: None,
        time: None,
        datacontenttype: None,
        dataschema: None,
        extensions: BTreeMap::new(),
        data: Data::None,
    }
}

pub(super) fn raw(json: &str) -> Data {
    Data::Json(RawValue::from_string(json.to_owned()).unwrap())
}

/// Any valid event. Its data is what its content type says.
pub(super) fn any_event() -> impl Strategy<Value = CloudEvent> {
    let text = || "\\PC{1,12}".prop_filter("noncharacters", |s| allowed(s));
    let uri = || {
        "(//[a-z]{1,8}\\.example/[a-zA-Z0-9._~%-]{0,8}|urn:[a-z]{1,5}:[0-9]{1,3})"
            .prop_filter("a whole escape", |uri| !uri.contains('%'))
    };
    let schema = || "https://[a-z]{1,8}\\.example/(%20|[a-z]){0,4}";
    let time = (0_i64..4_102_444_800_000_000)
        .prop_map(|micros| Timestamp::from_micros(micros).to_rfc3339());
    let attributes = (
        text(),
        uri(),
        text(),
        proptest::option::of(text()),
        proptest::option::of(time),
        proptest::option::of(schema()),
        proptest::collection::btree_map("x[a-z0-9]{0,18}", any_extension(), 0..6),
    );
    (attributes, any_data()).prop_map(|(attributes, (datacontenttype, data))| {
        let (id, source, event_type, subject, time, dataschema, extensions) = attributes;
        CloudEvent {
            id,
            source,
            event_type,
            subject,
            time,
            datacontenttype,
            dataschema,
            extensions,
            data,
        }
    })
}

fn allowed(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && u32::from(c) & 0xFFFE != 0xFFFE)
}

fn any_extension() -> impl Strategy<Value = ExtensionValue> {
    prop_oneof![
        any::<bool>().prop_map(ExtensionValue::Boolean),
        any::<i32>().prop_map(ExtensionValue::Integer),
        "[ -~é€😀]{0,12}".prop_map(ExtensionValue::String),
    ]
}

fn any_data() -> impl Strategy<Value = (Option<String>, Data)> {
    let json_type = proptest::option::of(
        "(application/json|Application/JSON; charset=utf-8|application/vnd\\.x\\+json)",
    );
    let text_type = "(text/plain|text/xml; charset=UTF-8|application/atom\\+xml)";
    prop_oneof![
        (json_type.clone(), any_json().prop_map(|json| raw(&json))),
        (json_type, Just(Data::None)),
        (text_type.prop_map(Some), "(?s).{1,40}".prop_map(Data::Text)),
        (
            Just(Some("application/octet-stream".to_owned())),
            proptest::collection::vec(any::<u8>(), 1..40).prop_map(Data::Binary)
        ),
    ]
}

/// JSON text that a re-serialisation would change: long numbers, blanks, doubles.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("123456789012345678901234567890.10".to_owned()),
        Just("1E400".to_owned()),
        Just(r#""\u00e9 [{\" \\""#.to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[^\\p{C}\"\\\\]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {} ]", items.join(" , "))),
            proptest::collection::vec(("[a-c]", inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":\n{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}
