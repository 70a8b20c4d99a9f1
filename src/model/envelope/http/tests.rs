use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::envelope::samples::{any_event, minimal, raw};

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}

/// Binary mode with the required attributes and `more`.
fn binary(more: &[(&str, &str)], body: &[u8]) -> Result<CloudEvent, EnvelopeError> {
    let required =
        [("ce-specversion", "1.0"), ("CE-Id", "1"), ("ce-source", "//host/path"), ("ce-type", "t")];
    let mut all = HeaderMap::new();
    all.extend(headers(&required));
    for (name, value) in headers(more) {
        all.append(name.unwrap(), value);
    }
    decode(&all, body).map(|mut received| {
        assert_eq!(received.mode, Mode::Binary);
        received.events.remove(0).unwrap()
    })
}

#[test]
fn binary_mode_puts_attributes_in_headers_and_data_in_the_body() {
    let mut event = minimal();
    event.subject = Some("Euro € 😀".to_owned());
    event.time = Some("2024-12-20T12:34:53Z".to_owned());
    event.datacontenttype = Some("text/plain; charset=utf-8".to_owned());
    event.dataschema = Some("https://example.com/a%20b".to_owned());
    event.extensions.insert("count".to_owned(), ExtensionValue::Integer(-3));
    event.extensions.insert("quoted".to_owned(), ExtensionValue::String("a\"b".to_owned()));
    event.data = Data::Text("é".to_owned());

    let (found, body) = encode_binary(&event).unwrap();

    assert_eq!(body, "é".as_bytes());
    assert_eq!(
        found,
        headers(&[
            ("content-type", "text/plain; charset=utf-8"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "//host/path"),
            ("ce-type", "com.example"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-time", "2024-12-20T12:34:53Z"),
            ("ce-dataschema", "https://example.com/a%2520b"),
            ("ce-count", "-3"),
            ("ce-quoted", "a%22b"),
        ])
    );
}

#[test]
fn binary_mode_says_json_when_the_event_says_nothing() {
    let event = CloudEvent { data: raw("{ }"), ..minimal() };
    let (headers, body) = encode_binary(&event).unwrap();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, b"{ }");
}

#[test]
fn an_event_that_breaks_a_rule_is_not_encoded() {
    let with = |name: &str| {
        let mut event = minimal();
        event.extensions.insert(name.to_owned(), ExtensionValue::Boolean(true));
        event
    };
    let text = CloudEvent { data: Data::Text("a".to_owned()), ..minimal() };
    let control = CloudEvent { subject: Some("a\nb".to_owned()), ..minimal() };
    for event in [with("id"), with("data"), with("a-b"), with("A"), with(""), text, control] {
        assert!(encode_binary(&event).is_err(), "{event:?}");
    }
}

#[test]
fn header_encoding_vectors_are_met() {
    let all: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/vectors.json")).unwrap();
    let vectors = all["cloudevents_header_encoding"].as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let encoded = vector["encoded"].as_str().unwrap();
        let value = vector["value"].as_str();
        assert_eq!(header_value::decode(encoded.as_bytes()).as_deref(), value, "{encoded}");
        if let Some(value) = value {
            assert_eq!(header_value::encode(value), encoded);
        }
    }
}

#[test]
fn header_values_are_decoded_once_and_must_be_utf8() {
    for (header, value) in [
        ("plain", Some("plain")),
        ("a%20b", Some("a b")),
        ("a%2520b", Some("a%20b")),
        ("%e2%82%ac", Some("€")),
        ("%41", Some("A")),
        ("100%", Some("100%")),
        ("%2", Some("%2")),
        ("%zz%20", Some("%zz ")),
        ("", Some("")),
        ("\"a b\"", Some("a b")),
        (r#""a \"b\" \\c""#, Some(r#"a "b" \c"#)),
        (r#""%22""#, Some("\"")),
        ("\"", Some("\"")),
        ("\"\"", Some("")),
        ("%22a%22", Some("\"a\"")),
        ("é", Some("é")),
        ("%C0%A0", None),
        ("%ED%A0%80", None),
        ("%ff", None),
    ] {
        assert_eq!(header_value::decode(header.as_bytes()).as_deref(), value, "{header}");
    }
    assert_eq!(header_value::decode(b"\xe9"), None);
}

#[test]
fn the_content_type_decides_the_mode() {
    let event = r#"{"specversion":"1.0","id":"1","source":"//h/p","type":"t"}"#;
    let batch = format!("[{event},{{}}]");
    for (content_type, body, mode, events) in [
        (Some("application/cloudevents+json"), event, Mode::Structured, 1),
        (Some("Application/CloudEvents+JSON; Charset=\"UTF-8\""), event, Mode::Structured, 1),
        (Some("application/cloudevents"), event, Mode::Structured, 1),
        (Some(STRUCTURED), event, Mode::Structured, 1),
        (Some("APPLICATION/cloudevents-batch+json"), &batch, Mode::Batch, 2),
        (Some(BATCH), "[]", Mode::Batch, 0),
        (Some("application/json"), event, Mode::Structured, 1),
        (Some("application/json;charset=utf-8"), &batch, Mode::Batch, 2),
        (Some("application/vnd.hpe+json"), event, Mode::Structured, 1),
        (None, event, Mode::Structured, 1),
        (None, &format!(" \n{batch}"), Mode::Batch, 2),
    ] {
        let headers = match content_type {
            Some(content_type) => headers(&[("content-type", content_type)]),
            None => HeaderMap::new(),
        };
        let received = decode(&headers, body.as_bytes()).unwrap();
        assert_eq!((received.mode, received.events.len()), (mode, events), "{content_type:?}");
        if events == 2 {
            assert!(received.events[0].is_ok() && received.events[1].is_err());
        }
    }
    for content_type in [
        "text/plain",
        "application/cloudevents+xml",
        "application/cloudevents+json; charset=utf-16",
        "application/cloudevents-batch+avro",
        "application/cloudeventsjson",
        "",
    ] {
        let verdict = decode(&headers(&[("content-type", content_type)]), event.as_bytes());
        assert_eq!(verdict, Err(EnvelopeError::MediaType), "{content_type}");
    }
    let json = headers(&[("content-type", "application/json")]);
    assert!(matches!(decode(&json, b"nonsense"), Err(EnvelopeError::Json(_))));
    assert!(matches!(decode(&json, b""), Err(EnvelopeError::Json(_))));
    assert!(matches!(decode(&json, b"{}"), Err(EnvelopeError::Attribute { .. })));
}

#[test]
fn structured_content_wins_over_headers() {
    let event = br#"{"specversion":"1.0","id":"body","source":"//h/p","type":"t"}"#;
    let headers =
        headers(&[("content-type", STRUCTURED), ("ce-specversion", "1.0"), ("ce-id", "h")]);
    let received = decode(&headers, event).unwrap();
    assert_eq!(received.events[0].as_ref().unwrap().id, "body");
}

#[test]
fn binary_data_is_what_its_content_type_says() {
    let text = |text: &str| Data::Text(text.to_owned());
    for (content_type, body, data) in [
        (None, &b"{\"a\": 1}"[..], raw("{\"a\": 1}")),
        (Some("application/json"), b"null", raw("null")),
        (Some("application/json"), b"", Data::None),
        (Some("application/json"), b"{", Data::Binary(b"{".to_vec())),
        (Some("text/plain"), b"a", text("a")),
        (Some("text/plain"), b"\xff", Data::Binary(vec![0xff])),
        (Some("text/plain; charset=iso-8859-1"), b"a", Data::Binary(b"a".to_vec())),
        (Some("image/svg+xml"), b"<a/>", text("<a/>")),
        (Some("application/octet-stream"), b"a", Data::Binary(b"a".to_vec())),
    ] {
        let more: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let event = binary(&more, body).unwrap();
        assert_eq!(event.data, data, "{content_type:?}");
        assert_eq!(event.datacontenttype.as_deref(), content_type);
    }
}

#[test]
fn bad_binary_headers_are_refused_by_name() {
    for (more, part) in [
        (&[("ce-datacontenttype", "text/plain")][..], "\"datacontenttype\" may not be a header"),
        (&[("ce-id", "2")], "\"id\" comes twice"),
        (&[("ce-subject", "%C0%A0")], "\"subject\" is not UTF-8"),
        (&[("ce-subject", "a%0Ab")], "\"subject\" holds a control"),
        (&[("ce-subject", "")], "\"subject\" is empty"),
        (&[("ce-time", "now")], "\"time\""),
        (&[("ce-data", "x")], "\"data\" is no extension"),
        (&[("ce-my_name", "x")], "\"my_name\" has a name"),
        (&[("ce-", "x")], "has a name"),
        (&[("content-type", "json")], "\"datacontenttype\" is no media type"),
    ] {
        let text = binary(more, b"1").expect_err(part).to_string();
        assert!(text.contains(part), "{text}");
    }
    for missing in ["ce-id", "ce-source", "ce-type"] {
        let (mut headers, body) = encode_binary(&minimal()).unwrap();
        headers.remove(missing);
        let text = decode(&headers, &body).unwrap_err().to_string();
        assert!(text.contains("is missing"), "{text}");
    }
    let (mut headers, body) = encode_binary(&minimal()).unwrap();
    headers.insert("ce-specversion", HeaderValue::from_static("0.3"));
    assert!(decode(&headers, &body).unwrap_err().to_string().contains("specversion"));
}

#[test]
fn a_received_event_leaves_room_for_what_the_ledger_adds() {
    let with = |extensions: usize| {
        let mut event = minimal();
        for number in 0..extensions {
            event.extensions.insert(format!("x{number}"), ExtensionValue::Integer(1));
        }
        event
    };
    let structured = headers(&[("content-type", STRUCTURED)]);
    let batch = headers(&[("content-type", BATCH)]);
    for (extensions, fits) in [(MAX_EXTENSIONS, true), (MAX_EXTENSIONS + 1, false)] {
        let event = with(extensions);
        let json = json::to_vec(&event);
        assert_eq!(decode(&structured, &json).is_ok(), fits);
        let received = decode(&batch, &json::join_batch([json.as_slice()])).unwrap();
        assert_eq!(received.events[0].is_ok(), fits);
        let (headers, body) = encode_binary(&event).unwrap();
        assert_eq!(decode(&headers, &body).is_ok(), fits);
    }
    assert!(encode_binary(&with(MAX_EXTENSIONS + 4)).is_ok());
    assert!(encode_binary(&with(MAX_EXTENSIONS + 5)).is_err());
}

proptest! {
    #[test]
    fn every_valid_event_survives_binary_mode(event in any_event()) {
        let (headers, body) = encode_binary(&event).unwrap();
        for value in headers.values() {
            prop_assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        }
        let received = decode(&headers, &body).unwrap();
        // Headers carry no types, and a content type is always there.
        let mut expected = event;
        expected.datacontenttype.get_or_insert_with(|| DEFAULT_DATA.to_owned());
        for value in expected.extensions.values_mut() {
            *value = ExtensionValue::String(value.to_string());
        }
        prop_assert_eq!(received, Received { mode: Mode::Binary, events: vec![Ok(expected)] });
    }

    #[test]
    fn every_valid_event_survives_structured_and_batch(event in any_event()) {
        let json = json::to_vec(&event);
        let batch = json::join_batch([json.as_slice(), &json]);
        for (content_type, mode, body, count) in
            [(STRUCTURED, Mode::Structured, &json, 1), (BATCH, Mode::Batch, &batch, 2)]
        {
            let received = decode(&headers(&[("content-type", content_type)]), body).unwrap();
            prop_assert_eq!(received, Received { mode, events: vec![Ok(event.clone()); count] });
        }
    }

    #[test]
    fn header_values_survive(value in "\\PC{0,40}") {
        let encoded = header_value::encode(&value).into_owned();
        prop_assert_eq!(header_value::decode(encoded.as_bytes()), Some(value));
    }

    #[test]
    fn no_message_makes_it_panic(
        content_type in "[ -~]{0,40}",
        subject in proptest::collection::vec(0x20_u8..=0x7e, 0..30),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut headers = headers(&[("ce-specversion", "1.0"), ("content-type", &content_type)]);
        headers.insert("ce-subject", HeaderValue::from_bytes(&subject).unwrap());
        let _ = decode(&headers, &body);
    }
}
