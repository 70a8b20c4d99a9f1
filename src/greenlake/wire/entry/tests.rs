use super::*;
use crate::greenlake::snake_case::append_with_snake_keys;
use crate::greenlake::wire::read_page;

const V1: &str = include_str!("../../../../tests/vectors/greenlake/poll-v1-page.json");
const V2: &str = include_str!("../../../../tests/vectors/greenlake/poll-v2beta1-page.json");
const EMITTED: &str = include_str!("../../../../tests/vectors/greenlake/emitted-from-poll-v1.json");

fn read(entry: &str) -> Result<Event, String> {
    read_entry(serde_json::from_str(entry).expect("JSON"), "configured")
}

fn data_of(event: &Event) -> &str {
    match &event.envelope.data {
        Data::Json(data) => data.get(),
        other => panic!("{other:?}"),
    }
}

/// What an entry with these further members becomes: without id and workspace, and `*`
/// for its creation time.
fn rest_of(members: &str) -> String {
    let entry = format!(r#"{{"id":"a","createdAt":"2024-12-20T12:34:53Z"{members}}}"#);
    let event = read(&entry).expect("an event");
    let workspace =
        r#""workspace":{"id":"configured","workspace_name":null,"workspace_type":null},"#;
    let rest = data_of(&event).strip_prefix(r#"{"id":"a","#).expect("the id");
    assert!(rest.contains(workspace), "{rest}");
    rest.replacen(workspace, "", 1).replacen(r#""created_at":1734698093000"#, "*", 1)
}

#[test]
fn the_v1_sample_becomes_the_emitted_one_to_the_letter() {
    let page = read_page(V1.as_bytes(), "configured").expect("a page");
    let event = &page.events[0];

    let mut emitted = Members::of(serde_json::from_str(EMITTED).expect("JSON")).expect("members");
    let mut compact = String::new();
    assert!(append_with_snake_keys(emitted.take("data").expect("data").get(), &mut compact));
    assert_eq!(data_of(event), compact);

    let envelope = &event.envelope;
    for (name, value) in [
        ("id", Some(&envelope.id)),
        ("source", Some(&envelope.source)),
        ("type", Some(&envelope.event_type)),
        ("subject", envelope.subject.as_ref()),
        ("time", envelope.time.as_ref()),
        ("datacontenttype", envelope.datacontenttype.as_ref()),
    ] {
        assert_eq!(value, emitted.take_text(name).as_ref(), "{name}");
    }
    assert_eq!(event.occurred_at, Timestamp::from_secs(1_734_698_093));
    assert_eq!(event.workspace_id, "3009de2825f211ec8a84fedebcb4a754");
    let facts = Facts {
        category: Some("user_management".into()),
        username: Some("john.doe@hpedev.io".into()),
        description: Some("User john.doe@hpedev.io logged out".into()),
        ip_address: Some("194.9.99.5".into()),
    };
    assert_eq!(event.facts, facts);
}

#[test]
fn the_v2beta1_sample_gets_the_same_shape() {
    let page = read_page(V2.as_bytes(), "configured").expect("a page");
    let event = &page.events[0];
    assert_eq!(
        data_of(event),
        concat!(
            r#"{"id":"8RtJaZQBITMTdBbBUxzz","user":{"username":"testuser@test.com"},"#,
            r#""workspace":{"id":"3e35c938fb5911edbb4c660832a054ff","workspace_name":"workspace name","workspace_type":"STANDALONE"},"#,
            r#""application":{"id":"68067533-5764-401a-9620-24e6e2cdc574","application_name":"Backup and Recovery"},"#,
            r#""region":"us-east","category":"storage_settings","description":"Storage firmware updated","#,
            r#""created_at":1707551695000,"additional_info":{"ip_address":"192.168.11.21","server_name":"test"},"has_details":true}"#,
        )
    );
    assert_eq!(event.envelope.time.as_deref(), Some("2024-02-10T07:54:55Z"));
    assert_eq!(event.facts.username.as_deref(), Some("testuser@test.com"));
    assert_eq!(event.facts.ip_address.as_deref(), Some("192.168.11.21"));
    let second = data_of(&page.events[1]);
    assert!(second.contains(r#""additional_info":{"ip_address":"192.168.11.11"},"#), "{second}");
}

#[test]
fn what_an_entry_lacks_is_not_invented_and_what_we_do_not_know_is_kept() {
    for (members, data) in [
        ("", "*}"),
        (r#","type":"/audit-log/logs","user":null,"region":null,"category":null"#, "*}"),
        (
            r#","region":"us-west","application":{"id":"x","newField":1}"#,
            r#""application":{"id":"x","new_field":1},"region":"us-west",*}"#,
        ),
        (
            r#","newThing":{"aB":[{"cD":12345678901234567890123}]},"generation":1.50"#,
            r#"*,"generation":1.50,"new_thing":{"a_b":[{"c_d":12345678901234567890123}]}}"#,
        ),
        (
            r#","user":{"username":"u","userType":"x"},"username":"v""#,
            r#""user":{"username":"u","user_type":"x"},*,"username":"v"}"#,
        ),
        (
            r#","serviceOffer":{"id":"x","regionName":"r"}"#,
            r#""application":{"id":"x","region_name":"r"},*}"#,
        ),
        (r#","serviceOffer":"x","application":7"#, r#""application":7,*,"service_offer":"x"}"#),
        (r#","updatedAt":"2024-12-20T12:34:54.5Z""#, r#"*,"updated_at":1734698094500}"#),
        (r#","updatedAt":"soon""#, r#"*,"updated_at":"soon"}"#),
        (r#","additionalInfo":[{"aB":1}]"#, r#"*,"additional_info":[{"a_b":1}]}"#),
        (
            r#","additionalInfo":{},"hasDetails":"x""#,
            r#"*,"additional_info":{},"has_details":"x"}"#,
        ),
        (
            r#","additionalInfo":{"ipAddress":"1","IPAddress":"2"},"ipAddress":"1""#,
            r#"*,"additional_info":{"ip_address":"1","ip_address_2":"2"}}"#,
        ),
        (
            r#","additionalInfo":{"ipAddress":"2"},"ipAddress":"1""#,
            r#"*,"additional_info":{"ip_address":"1","ip_address_2":"2"}}"#,
        ),
        (
            r#","additionalInfo":"x","ipAddress":"1""#,
            r#"*,"additional_info":"x","ip_address":"1"}"#,
        ),
        (
            r#","description":"\ud800","category":["Aa"]"#,
            r#""category":["Aa"],"description":"\ud800",*}"#,
        ),
        (r#","created_at":"x""#, r#"*,"created_at_2":"x"}"#),
    ] {
        assert_eq!(rest_of(members), data, "{members}");
    }
}

#[test]
fn an_entry_without_a_workspace_gets_the_configured_one() {
    for (workspace, id) in [
        (r#"{"id":"theirs"}"#, "theirs"),
        (r#"{"id":""}"#, "configured"),
        (r#"{"id":null,"workspaceName":"n"}"#, "configured"),
        ("null", "configured"),
        ("7", "configured"),
    ] {
        let entry =
            format!(r#"{{"id":"a","createdAt":"2024-12-20T12:34:53Z","workspace":{workspace}}}"#);
        let event = read(&entry).expect("an event");
        assert_eq!(
            (event.workspace_id.as_str(), event.envelope.subject.as_deref()),
            (id, Some(id))
        );
        assert!(data_of(&event).contains(&format!(r#""workspace":{{"id":"{id}","#)));
    }
}

#[test]
fn ids_are_kept_as_they_are() {
    for id in ["uJoQ5JMB_HAPiq2sSllt", "UJOQ5jmb-hapIQ2SsLLT", "a.b/c d", "é\u{0}\"\\", "0"] {
        let entry = serde_json::json!({"id": id, "createdAt": "2024-12-20T12:34:53.161Z"});
        let event = read(&entry.to_string()).expect("an event");
        assert_eq!(event.envelope.id, id);
        assert_eq!(event.envelope.time.as_deref(), Some("2024-12-20T12:34:53.161Z"));
        let data: serde_json::Value = serde_json::from_str(data_of(&event)).expect("JSON");
        assert_eq!(data["id"], id);
    }
}

#[test]
fn an_entry_that_cannot_be_read_says_why() {
    let deep = format!(
        r#"{{"id":"a","createdAt":"2024-12-20T12:34:53Z","x":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (entry, reason) in [
        (r#"{"createdAt":"2024-12-20T12:34:53Z"}"#, "`id` is no text"),
        (r#"{"id":"","createdAt":"2024-12-20T12:34:53Z"}"#, "`id` is no text"),
        (r#"{"id":7,"createdAt":"2024-12-20T12:34:53Z"}"#, "`id` is no text"),
        (r#"{"id":"a"}"#, "`createdAt` is no text"),
        (r#"{"id":"a","createdAt":1734698093161}"#, "`createdAt` is no text"),
        (r#"{"id":"a","createdAt":""}"#, "`createdAt` is no RFC 3339 date-time: \"\""),
        ("[]", "the entry is no object"),
        ("null", "the entry is no object"),
        (deep.as_str(), "the entry is nested too deep"),
    ] {
        assert_eq!(read(entry).expect_err("unreadable"), reason);
    }
}

#[test]
fn categories_become_what_is_pushed() {
    for (category, normal) in [
        ("User Management", "user_management"),
        ("user_management", "user_management"),
        ("API Gateway", "api_gateway"),
        ("Storage & Backup - Alerts", "storage_backup_alerts"),
        ("Firmware", "firmware"),
        (" x ", "x"),
        ("", ""),
    ] {
        assert_eq!(normalised(category), normal);
    }
}
