//! Pages: asked for as configured, read whole or refused with a reason.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::stub::{
    Asked, EMPTY_PAGE, Reply, SECRET, Stub, TOKEN, WORKSPACE, answer, grant, query, source,
};
use crate::config::ApiVersion;
use crate::greenlake::{AuditLog, FetchError, Query};
use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;

const PAGE: &str = include_str!("../../../tests/vectors/greenlake/poll-v1-page.json");

async fn fault(page: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> FetchError {
    let stub = Stub::with_pages(page).await;
    let error = stub.log().fetch(&query()).await.expect_err("a fault");
    let shown = format!("{error:?}{error}");
    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    error
}

/// `body` as a gzip stream of one stored block (RFC 1951, 3.2.4; RFC 1952).
fn gzipped(body: &[u8]) -> Vec<u8> {
    let crc = !body.iter().fold(u32::MAX, |crc, byte| {
        let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    });
    let length = u16::try_from(body.len()).expect("one block");
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(body);
    packed.extend(crc.to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

#[tokio::test]
async fn a_page_is_read_whole() {
    let stub = Stub::with_pages(|asked| {
        assert_eq!(asked.authorization, format!("Bearer {TOKEN}1"));
        assert!(asked.target.starts_with("/gateway/audit-log/v1/logs?filter=createdAt%20ge"));
        assert!(!asked.target.contains("sort="));
        answer(200, "content-encoding: gzip", gzipped(PAGE.as_bytes()))
    });
    let stub = stub.await;
    let page = stub.log().fetch(&query()).await.expect("a page");
    assert_eq!((page.events.len(), page.unreadable.len()), (1, 0));
    assert_eq!((page.count, page.total, page.bytes), (1, 1, PAGE.len() as u64));
    assert_eq!(page.events[0].envelope.id, "uJoQ5JMB_HAPiq2sSllt");
    assert_eq!(page.events[0].workspace_id, WORKSPACE);
}

#[tokio::test]
async fn the_newer_version_is_asked_oldest_first_with_all_terms() {
    let stub = Stub::with_pages(|asked| {
        let (path, asked) = asked.target.split_once('?').expect("a query");
        assert_eq!(path, "/gateway/audit-log/v2beta1/logs");
        let pairs: Vec<_> = url::form_urlencoded::parse(asked.as_bytes()).collect();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (&**key, &**value)).collect();
        let filter = "createdAt ge '2024-12-20T12:33:20Z' and createdAt lt '2024-12-20T12:50:00Z' \
                      and region eq 'a' and hasDetails eq 'true'";
        let rest = [("limit", "7"), ("offset", "14"), ("sort", "createdAt asc")];
        assert_eq!(pairs, [[("filter", filter)].as_slice(), &rest].concat());
        answer(200, "", EMPTY_PAGE)
    });
    let stub = stub.await;
    let mut source = stub.source();
    source.api = ApiVersion::V2Beta1;
    source.filter = "region eq 'a'".to_owned();
    let log = AuditLog::new(&source, Clock::system()).expect("a client");
    let narrow = "hasDetails eq 'true'".to_owned();
    log.fetch(&Query { narrow, limit: 7, offset: 14, ..query() }).await.expect("a page");
}

#[tokio::test]
async fn every_refusal_has_its_meaning() {
    let hinted = r#"{"message":"m","errorDetails":[{"retryAfterSeconds":30}]}"#;
    let issues = include_str!("../../../tests/vectors/greenlake/errors.json");
    let issues: serde_json::Value = serde_json::from_str(issues).expect("JSON");
    let issues = issues["400"].to_string();
    for (status, headers, body, kind, says) in [
        (400, "", issues.as_str(), "rejected 400", "Maximum allowed limit is 2000.; debugId 90pq"),
        (400, "", "", "rejected 400", "we asked filter=createdAt ge '2024-12-20T12:33:20Z'"),
        (403, "", "", "forbidden", "ccs.audit-trail.view"),
        (404, "", "", "rejected 404", "correct base_url"),
        (302, "location: /login?key=planted-secret-4711", "", "rejected 302", "never followed"),
        (408, "", "", "unavailable 408", "answered 408"),
        (429, "", "", "throttled 5", "answered 429"),
        (429, "retry-after: 9", hinted, "throttled 30", "(m)"),
        (429, "ratelimit-reset: 48", hinted, "throttled 48", "(m)"),
        (429, "x-ratelimit-reset: 99999", "", "throttled 3600", "answered 429"),
        (500, "", hinted, "throttled 30", "(m)"),
        (500, "ratelimit-remaining: 9|ratelimit-reset: 48", "", "unavailable 500", "500"),
        (502, "", "<html>planted-token-1 Bad gateway", "unavailable 502", "(<html>******** Bad"),
        (503, "retry-after: 3", "", "throttled 3", "answered 503"),
    ] {
        let body = body.to_owned();
        let error = fault(move |_| answer(status, headers, body.clone())).await;
        let found = match &error {
            FetchError::Rejected { status, .. } => format!("rejected {status}"),
            FetchError::Forbidden { .. } => "forbidden".to_owned(),
            FetchError::Throttled { wait, .. } => format!("throttled {}", wait.as_secs()),
            FetchError::Unavailable { status: Some(status), .. } => format!("unavailable {status}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_page_is_told_as_such() {
    for (body, says) in [
        ("", "ends too early"),
        (r#"{"items":[],"count":0,"#, "ends too early"),
        ("<html>", "is no JSON"),
        ("[]", "no object"),
        ("{}", "`count`"),
        (r#"{"items":null,"count":0,"total":0}"#, "no `items`"),
        (r#"{"count":0,"total":0}"#, "no `items`"),
        (r#"{"items":{},"count":0,"total":0}"#, "no list"),
        (r#"{"items":[],"count":"0","total":0}"#, "`count`"),
        (r#"{"items":[],"count":-1,"total":0}"#, "`count`"),
        (r#"{"items":[],"count":0,"total":1.5}"#, "`total`"),
        (r#"{"items":[],"count":0,"total":null}"#, "`total`"),
    ] {
        let error = fault(move |_| answer(200, "", body)).await;
        assert!(
            matches!(&error, FetchError::Unreadable { message } if message.contains(says)),
            "{body}: {error}"
        );
    }
    let many = format!(r#"{{"count":0,"total":0,"items":[{}0]}}"#, "0,".repeat(2_000));
    let error = fault(move |_| answer(200, "", many.clone())).await;
    assert!(error.to_string().contains("holds 2001 entries"), "{error}");
}

#[tokio::test]
async fn an_unreadable_entry_does_not_hold_up_the_page() {
    let body = format!(
        r#"{{"count":4,"total":4,"items":[{{"createdAt":"2024-12-20T12:34:53Z"}},7,
        {{"id":"a","createdAt":"2024-12-20T12:34:53Z"}},{{"id":"b", "createdAt":"{}"}}]}}"#,
        "yesterday"
    );
    let stub = Stub::with_pages(move |_| answer(200, "", body.clone())).await;
    let page = stub.log().fetch(&query()).await.expect("a page");
    assert_eq!(page.events.len(), 1);
    let unreadable: Vec<_> =
        page.unreadable.iter().map(|item| (&*item.raw, &*item.reason)).collect();
    assert_eq!(
        unreadable,
        [
            (r#"{"createdAt":"2024-12-20T12:34:53Z"}"#, "`id` is no text"),
            ("7", "the entry is no object"),
            (
                r#"{"id":"b", "createdAt":"yesterday"}"#,
                "`createdAt` is no RFC 3339 date-time: \"yesterday\""
            ),
        ]
    );
}

#[tokio::test]
async fn a_body_that_is_not_utf8_is_mended_not_lost() {
    let body = b"{\"count\":1,\"total\":1,\"items\":[{\"id\":\"a\",\"createdAt\":\"2024-12-20T12:34:53Z\",\"description\":\"\xff\"}]}";
    let stub = Stub::with_pages(move |_| answer(200, "", &body[..])).await;
    let page = stub.log().fetch(&query()).await.expect("a page");
    assert_eq!(page.events[0].facts.description.as_deref(), Some("\u{fffd}"));
}

#[tokio::test]
async fn a_cut_body_is_no_page() {
    let error = fault(|_| {
        // The pause lets the head and the first part leave before the connection breaks.
        let parts = stream::unfold(0, |sent| async move {
            if sent == 0 {
                return Some((Ok(Bytes::from_static(b"{\"items\":[")), 1));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Err(std::io::Error::other("cut")), 2))
        });
        answer(200, "", Body::from_stream(parts))
    });
    let error = error.await;
    assert!(
        matches!(&error, FetchError::Unreadable { message } if message.contains("broke off")),
        "{error}"
    );
}

#[tokio::test]
async fn an_oversized_body_is_refused() {
    let error = fault(|_| {
        let megabyte = Bytes::from(vec![b' '; 1 << 20]);
        let parts = stream::iter((0..65).map(move |_| Ok::<_, std::io::Error>(megabyte.clone())));
        answer(200, "", Body::from_stream(parts))
    });
    let error = error.await;
    assert!(
        matches!(&error, FetchError::Unreadable { message } if message.contains("larger than 67108864 bytes")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_ends_at_the_timeout() {
    let drip = || {
        let parts = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        answer(200, "", Body::from_stream(parts))
    };
    let stub = Stub::with_pages(move |asked| if asked.nth == 1 { Reply::Never } else { drip() });
    let stub = stub.await;
    let mut source = stub.source();
    source.poll.timeout = Duration::from_millis(200);
    let log = AuditLog::new(&source, Clock::system()).expect("a client");
    for what in ["silent", "dripping"] {
        let started = Instant::now();
        let error = log.fetch(&query()).await.expect_err(what);
        assert!(
            matches!(&error, FetchError::Unavailable { status: None, message } if message.contains("timeout")),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(5), "{what}");
    }
}

#[tokio::test]
async fn a_silent_token_endpoint_ends_at_the_timeout() {
    let stub = Stub::start(|_| Reply::Never, |_| answer(200, "", EMPTY_PAGE)).await;
    let mut source = stub.source();
    source.poll.timeout = Duration::from_millis(100);
    let log = AuditLog::new(&source, Clock::system()).expect("a client");
    let error = log.fetch(&query()).await.expect_err("silence");
    assert!(matches!(&error, FetchError::Unavailable { status: None, .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_without_keys() {
    let url =
        url::Url::parse(&format!("http://user:{SECRET}@host.invalid/x?{SECRET}")).expect("a URL");
    let log = AuditLog::new(&source(&url), Clock::system()).expect("a client");
    let error = log.fetch(&query()).await.expect_err("nobody");
    let shown = format!("{error:?} {error} {log:?}");
    assert!(shown.contains("host.invalid") && shown.contains("dns"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn the_servers_time_is_known_from_the_token_on() {
    let clock = Clock::manual(Timestamp::from_secs(1_734_690_000));
    let dated = "date: Fri, 20 Dec 2024 12:34:53 GMT";
    let token = move |_: &Asked| answer(200, dated, format!(r#"{{"access_token":"{TOKEN}1"}}"#));
    let page = |_: &Asked| answer(200, "date: Fri, 20 Dec 2024 12:34:55 GMT", EMPTY_PAGE);
    let stub = Stub::start(token, page).await;
    let log = stub.log_on(clock.clone());
    assert_eq!((log.server_now(), log.clock_offset()), (clock.now(), None));

    let page = log.fetch(&query()).await.expect("a page");
    assert_eq!(page.asked_at, Timestamp::from_secs(1_734_698_093));
    assert_eq!(log.server_now(), Timestamp::from_secs(1_734_698_095));
    assert_eq!(log.clock_offset(), Some(8_095));
}

#[tokio::test]
async fn a_used_up_limit_is_waited_for_or_told() {
    // The stub's Date is the real time, so only what comes after the hold is measured.
    let stub = Stub::start(
        |asked| grant(asked, 900),
        |asked| {
            let reset = if asked.nth == 1 { "1" } else { "600" };
            answer(200, &format!("ratelimit-remaining: 0|ratelimit-reset: {reset}"), EMPTY_PAGE)
        },
    );
    let stub = stub.await;
    let log = AuditLog::new(&stub.source(), Clock::system()).expect("a client");
    let started = Instant::now();
    log.fetch(&query()).await.expect("a page");
    log.fetch(&query()).await.expect("a page after the reset");
    assert!(started.elapsed() >= Duration::from_millis(900));
    let error = log.fetch(&query()).await.expect_err("a long hold");
    assert!(
        matches!(error, FetchError::Throttled { wait, .. } if wait > Duration::from_secs(590)),
        "{error}"
    );
    assert_eq!(stub.page_calls(), 2);
}
