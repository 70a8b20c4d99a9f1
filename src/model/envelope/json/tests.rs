use proptest::prelude::*;

use super::*;
use crate::model::envelope::MAX_DATA_DEPTH;
use crate::model::envelope::samples::{any_event, minimal, raw};

/// A valid event whose members `extra` follow the required ones.
fn with(extra: &str) -> Result<CloudEvent, EnvelopeError> {
    let comma = if extra.is_empty() { "" } else { "," };
    parse(
        format!(r#"{{"specversion":"1.0","id":"1","source":"//h/p","type":"t"{comma}{extra}}}"#)
            .as_bytes(),
    )
}

fn message(result: Result<CloudEvent, EnvelopeError>) -> String {
    result.expect_err("this is no event").to_string()
}

#[test]
fn attributes_are_written_in_the_order_of_the_contract() {
    let mut event = minimal();
    event.subject = Some("s".to_owned());
    event.time = Some("2024-12-20T12:34:53Z".to_owned());
    event.datacontenttype = Some("application/json".to_owned());
    event.dataschema = Some("https://example.com/s".to_owned());
    event.extensions.insert("zone".to_owned(), ExtensionValue::Boolean(true));
    event.extensions.insert("count".to_owned(), ExtensionValue::Integer(-3));
    event.data = raw(r#"{"b":1.10,  "a":2}"#);

    assert_eq!(
        String::from_utf8(to_vec(&event)).unwrap(),
        concat!(
            r#"{"specversion":"1.0","id":"1","source":"//host/path","type":"com.example","subject":"s","#,
            r#""time":"2024-12-20T12:34:53Z","datacontenttype":"application/json","#,
            r#""dataschema":"https://example.com/s","count":-3,"zone":true,"data":{"b":1.10,  "a":2}}"#
        )
    );
    assert_eq!(
        String::from_utf8(to_vec(&minimal())).unwrap(),
        r#"{"specversion":"1.0","id":"1","source":"//host/path","type":"com.example"}"#
    );
}

#[test]
fn null_is_no_attribute_but_a_payload() {
    let event = with(r#""subject":null,"time":null,"dataschema":null,"extra":null"#).unwrap();
    assert_eq!((event.subject, event.time, event.dataschema), (None, None, None));
    assert!(event.extensions.is_empty());
    assert_eq!(event.data, Data::None);
    assert_eq!(with(r#""data":null"#).unwrap().data, raw("null"));
    assert_eq!(with(r#""data_base64":null"#).unwrap().data, Data::None);
    assert_eq!(with(r#""data_base64":null,"data":1"#).unwrap().data, raw("1"));
}

#[test]
fn data_is_what_its_content_type_says() {
    for (extra, data) in [
        (r#""data":"a""#, raw(r#""a""#)),
        (r#""datacontenttype":"APPLICATION/JSON; x=y","data":"a""#, raw(r#""a""#)),
        (r#""datacontenttype":"image/svg+json","data":"a""#, raw(r#""a""#)),
        (r#""datacontenttype":"text/json","data":"a""#, raw(r#""a""#)),
        (r#""datacontenttype":"text/xml","data":"<a\u00e9/>""#, Data::Text("<aé/>".to_owned())),
        (r#""datacontenttype":"text/plain","data":{"a":1}"#, raw(r#"{"a":1}"#)),
        (r#""data_base64":"AAEC""#, Data::Binary(vec![0, 1, 2])),
        (r#""data_base64":"""#, Data::Binary(vec![])),
    ] {
        assert_eq!(with(extra).unwrap().data, data, "{extra}");
    }
}

#[test]
fn extensions_keep_their_type() {
    let event = with(r#""a":true,"b":-2147483648,"c":2147483647,"d":"é","e":"""#).unwrap();
    let values: Vec<_> = event.extensions.into_values().collect();
    assert_eq!(
        values,
        [
            ExtensionValue::Boolean(true),
            ExtensionValue::Integer(i32::MIN),
            ExtensionValue::Integer(i32::MAX),
            ExtensionValue::String("é".to_owned()),
            ExtensionValue::String(String::new()),
        ]
    );
}

#[test]
fn the_required_attributes_are_required() {
    let whole = r#"{"specversion":"1.0","id":"1","source":"//h/p","type":"t"}"#;
    parse(whole.as_bytes()).unwrap();
    for (attribute, value) in
        [("specversion", "\"1.0\""), ("id", "\"1\""), ("source", "\"//h/p\""), ("type", "\"t\"")]
    {
        let member = format!("\"{attribute}\":{value}");
        for bad in [
            "\"x\":1".to_owned(),
            format!("\"{attribute}\":null"),
            format!("\"{attribute}\":\"\""),
            format!("\"{attribute}\":1"),
            format!("\"{attribute}\":{{}}"),
            format!("{member},{member}"),
        ] {
            let text = message(parse(whole.replace(&member, &bad).as_bytes()));
            assert!(text.contains(&format!("\"{attribute}\"")), "{bad}: {text}");
        }
    }
    for version in ["1.0.2", "0.3", "1", " 1.0"] {
        let text = whole.replace("1.0", version);
        assert!(message(parse(text.as_bytes())).contains("specversion"), "{version}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused_by_name() {
    for (extra, part) in [
        (r#""subject":"""#, "\"subject\" is empty"),
        (r#""subject":"a\u0000""#, "\"subject\" holds a control"),
        (r#""subject":"a\u0085""#, "\"subject\" holds a control"),
        (r#""subject":"\ufffe""#, "noncharacter"),
        (r#""subject":"\ud83f\udfff""#, "noncharacter"),
        (r#""subject":1"#, "\"subject\" is no string"),
        (r#""time":"2024-12-20""#, "\"time\" is no RFC 3339 time"),
        (r#""time":"""#, "\"time\""),
        (r#""dataschema":"""#, "\"dataschema\" is empty"),
        (r#""dataschema":"/relative""#, "\"dataschema\" is no URI"),
        (r#""dataschema":"https://h/a b""#, "\"dataschema\""),
        (r#""datacontenttype":"json""#, "\"datacontenttype\" is no media type"),
        (r#""datacontenttype":"a/b\r\nx: y""#, "\"datacontenttype\""),
        (r#""Upper":1"#, "\"Upper\" has a name"),
        (r#""under_score":1"#, "\"under_score\" has a name"),
        (r#""":1"#, "has a name"),
        (r#""a":1.0"#, "\"a\" is neither"),
        (r#""a":2147483648"#, "\"a\" is neither"),
        (r#""a":-2147483649"#, "\"a\" is neither"),
        (r#""a":1e2"#, "\"a\" is neither"),
        (r#""a":{"deep":[1]}"#, "\"a\" is neither"),
        (r#""a":[]"#, "\"a\" is neither"),
        (r#""a":1,"a":1"#, "\"a\" comes twice"),
        (r#""a":1,"\u0061":2"#, "\"a\" comes twice"),
        (r#""subject":null,"subject":"s""#, "\"subject\" comes twice"),
        (r#""data":1,"data":1"#, "data comes twice"),
        (r#""data_base64":"","data_base64":"""#, "data comes twice"),
        (r#""data":null,"data_base64":"AAEC""#, "exclude each other"),
        (r#""data":1,"data_base64":1"#, "exclude each other"),
        (r#""data_base64":"A""#, "not base64"),
        (r#""data_base64":"AA-_""#, "not base64"),
        (r#""data_base64":1"#, "no string"),
        (r#""datacontenttype":"text/plain","data":"\ud800""#, "surrogate"),
    ] {
        let text = message(with(extra));
        assert!(text.contains(part), "{extra}: {text}");
    }
}

#[test]
fn sources_are_uri_references() {
    for (source, valid) in [
        ("//global.api.greenlake.hpe.com/audit-log", true),
        ("https://global.api.greenlake.hpe.com/subscriptions", true),
        ("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", true),
        ("/a/b?c=d#e", true),
        ("a%20b", true),
        ("mailto:a@b", true),
        ("a b", false),
        ("a%2", false),
        ("a%zz", false),
        ("<a>", false),
        ("é", false),
    ] {
        let event = CloudEvent { source: source.to_owned(), ..minimal() };
        assert_eq!(parse(&to_vec(&event)).is_ok(), valid, "{source}");
    }
}

#[test]
fn what_is_no_event_at_all_is_told_apart() {
    for text in ["", "{", "{}x", "{\"a\":}", "nul", "\u{feff}{}"] {
        assert!(matches!(parse(text.as_bytes()), Err(EnvelopeError::Json(_))), "{text}");
    }
    assert!(matches!(parse(b"{\"id\":\"\xff\"}"), Err(EnvelopeError::Json(_))));
    assert!(matches!(parse(b"{\"data\":\"\xff\"}"), Err(EnvelopeError::Json(_))));
    for text in ["[]", "1", "\"my secret\"", "null"] {
        assert_eq!(parse(text.as_bytes()), Err(EnvelopeError::Shape("an object")), "{text}");
    }
}

#[test]
fn depth_and_number_of_attributes_are_bounded() {
    let nested =
        |depth: usize| with(&format!("\"data\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    let deepest = nested(MAX_DATA_DEPTH).unwrap();
    assert_eq!(nested(MAX_DATA_DEPTH + 1), Err(EnvelopeError::TooDeep));
    assert_eq!(nested(200_000), Err(EnvelopeError::TooDeep));
    let flat = format!("\"data\":[{}]", vec!["[{},\"[[\\\"[\"]"; 1_000].join(","));
    assert!(with(&flat).is_ok(), "many brackets are not many levels");
    let batch = join_batch([to_vec(&deepest).as_slice()]);
    assert!(serde_json::from_slice::<serde_json::Value>(&batch).is_ok(), "others can read it");

    let attributes =
        |n: usize| with(&(0..n).map(|i| format!("\"a{i}\":1")).collect::<Vec<_>>().join(","));
    assert!(attributes(MAX_ATTRIBUTES - 8).is_ok());
    assert_eq!(attributes(MAX_ATTRIBUTES - 7), Err(EnvelopeError::TooManyAttributes));
    assert_eq!(attributes(100_000), Err(EnvelopeError::TooManyAttributes));
    let deep_attribute = format!("\"a\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(message(with(&deep_attribute)).contains("is neither"));
}

#[test]
fn errors_cut_long_names_and_repeat_no_value() {
    let long = "É".repeat(10_000);
    let text = message(with(&format!("\"{long}\":1")));
    assert!(text.len() < 200, "{text}");
    for extra in
        [r#""time":"my secret""#, r#""a":{"b":"my secret"}"#, r#""data_base64":"my secret""#]
    {
        assert!(!message(with(extra)).contains("secret"), "{extra}");
    }
    assert!(!message(parse(b"\"my secret\"")).contains("secret"));
}

#[test]
fn one_bad_event_does_not_spoil_its_batch() {
    let good = to_vec(&minimal());
    let batch = join_batch([good.as_slice(), b"{\"id\":1}", b"7", good.as_slice()]);
    let events = parse_batch(&batch).unwrap();
    let good: Vec<_> = events.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, true]);
    assert_eq!(split_batch(&batch).unwrap()[1].get(), "{\"id\":1}");

    assert_eq!(parse_batch(b"[]"), Ok(vec![]));
    assert_eq!(parse_batch(b" [ ] "), Ok(vec![]));
    assert_eq!(join_batch([]), b"[]");
    assert_eq!(parse_batch(b"{}"), Err(EnvelopeError::Shape("an array")));
    assert!(matches!(parse_batch(b"[{}"), Err(EnvelopeError::Json(_))));
    let large = format!("[{}0]", "0,".repeat(MAX_BATCH));
    assert_eq!(parse_batch(large.as_bytes()), Err(EnvelopeError::TooManyEvents));
}

#[test]
fn a_vendor_event_keeps_its_data_byte_for_byte() {
    let data =
        r#"{"id":"x","created_at":1734698093161,"big":12345678901234567890123.450,"a":1,"a":2}"#;
    let event = with(&format!(r#""data":  {data} "#)).unwrap();
    assert_eq!(event.data, raw(data));
    let written = String::from_utf8(to_vec(&event)).unwrap();
    assert!(written.ends_with(&format!("\"data\":{data}}}")), "{written}");
}

proptest! {
    #[test]
    fn every_valid_event_survives_the_json_format(event in any_event()) {
        event.check().unwrap();
        prop_assert_eq!(parse(&to_vec(&event)), Ok(event));
    }

    #[test]
    fn every_batch_survives(events in proptest::collection::vec(any_event(), 0..5)) {
        let bodies: Vec<_> = events.iter().map(to_vec).collect();
        let batch = join_batch(bodies.iter().map(Vec::as_slice));
        let events: Vec<_> = events.into_iter().map(Ok).collect();
        prop_assert_eq!(parse_batch(&batch), Ok(events));
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (parse(&body), parse_batch(&body));
    }
}
