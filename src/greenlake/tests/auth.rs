//! Tokens: one for all, renewed early, replaced once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::stub::{Asked, EMPTY_PAGE, Reply, SECRET, Stub, TOKEN, answer, grant, query};
use crate::config::TokenAuth;
use crate::greenlake::{AuditLog, FetchError};
use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;

fn empty_page(_: &Asked) -> Reply {
    answer(200, "", EMPTY_PAGE)
}

/// Accepts the tokens from number `from` on.
fn accepts_from(from: usize) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        let number = asked.authorization.strip_prefix("Bearer planted-token-");
        let number: usize = number.expect("a token").parse().expect("a number");
        if number >= from { empty_page(asked) } else { answer(401, "", r#"{"message":"expired"}"#) }
    }
}

#[tokio::test]
async fn fifty_fetches_share_one_token_request() {
    let stub = Stub::with_pages(empty_page).await;
    let log = Arc::new(stub.log());
    let mut fetches = JoinSet::new();
    for _ in 0..50 {
        let log = Arc::clone(&log);
        fetches.spawn(async move { log.fetch(&query()).await.map(drop) });
    }
    assert!(fetches.join_all().await.iter().all(Result::is_ok));
    assert_eq!((stub.token_calls(), stub.page_calls()), (1, 50));
}

#[tokio::test]
async fn callers_that_wait_for_a_token_share_its_failure() {
    let stub = Stub::start(|_: &Asked| answer(401, "", ""), empty_page).await;
    let log = stub.log();
    // Both have asked for the lock before the first answer can arrive.
    let (one, query) = (query(), query());
    let (first, second) = tokio::join!(log.fetch(&one), log.fetch(&query));
    assert!(first.is_err() && second.is_err());
    assert_eq!(stub.token_calls(), 1);
    assert!(log.fetch(&query).await.is_err());
    assert_eq!(stub.token_calls(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_at_four_fifths_of_its_life() {
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_000));
    let stub = Stub::with_pages(empty_page).await;
    let log = stub.log_on(clock.clone());
    for (seconds, calls) in [(0, 1), (719, 1), (1, 2), (719, 2), (1, 3)] {
        clock.advance(Duration::from_secs(seconds));
        log.fetch(&query()).await.expect("a page");
        assert_eq!(stub.token_calls(), calls, "after {seconds} s more");
    }
}

#[tokio::test]
async fn every_form_of_a_token_answer_is_read() {
    for (members, life) in [
        (r#""token_type":"Bearer","expires_in":7199"#, 7_199),
        (r#""token_type":"bearer","expires_in":"100","scope":"a b""#, 100),
        (r#""token_type":null,"expires_in":10.9,"scope":["a","b"]"#, 10),
        (r#""expires_in":3"#, 3),
        (r#""scope":null"#, 900),
        (r#""expires_in":null"#, 900),
        (r#""expires_in":0"#, 900),
        (r#""expires_in":-5"#, 900),
        (r#""expires_in":"soon""#, 900),
        (r#""expires_in":99999999999999999999"#, 86_400),
    ] {
        let clock = Clock::manual(Timestamp::from_secs(1_734_698_000));
        let body = format!(r#"{{"access_token":"{TOKEN}1",{members}}}"#);
        let token = move |_: &Asked| answer(200, "content-type: text/plain", body.clone());
        let stub = Stub::start(token, empty_page).await;
        let log = stub.log_on(clock.clone());
        log.fetch(&query()).await.expect("a page");
        clock.advance(Duration::from_millis(life * 800 - 1));
        log.fetch(&query()).await.expect("a page");
        assert_eq!(stub.token_calls(), 1, "{members}");
        clock.advance(Duration::from_secs(1));
        log.fetch(&query()).await.expect("a page");
        assert_eq!(stub.token_calls(), 2, "{members}");
    }
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_living_token() {
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_000));
    let token = |asked: &Asked| match asked.nth {
        1 => grant(asked, 900),
        _ => answer(503, "", ""),
    };
    let stub = Stub::start(token, empty_page).await;
    let log = stub.log_on(clock.clone());
    for (seconds, calls) in [(0, 1), (720, 2), (9, 2), (1, 3)] {
        clock.advance(Duration::from_secs(seconds));
        log.fetch(&query()).await.expect("a page");
        assert_eq!(stub.token_calls(), calls);
    }
    clock.advance(Duration::from_secs(170));
    let error = log.fetch(&query()).await.expect_err("the token is dead");
    assert!(matches!(error, FetchError::Unavailable { status: Some(503), .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let stub = Stub::with_pages(accepts_from(2)).await;
    stub.log().fetch(&query()).await.expect("a page");
    assert_eq!((stub.token_calls(), stub.page_calls()), (2, 2));
}

#[tokio::test]
async fn a_second_refusal_is_told_and_not_repeated() {
    let stub = Stub::with_pages(accepts_from(99)).await;
    let error = stub.log().fetch(&query()).await.expect_err("refused");
    assert!(matches!(&error, FetchError::AuthFailed { message } if message.contains("expired")));
    assert_eq!((stub.token_calls(), stub.page_calls()), (2, 2));
}

#[tokio::test]
async fn late_refusals_of_an_old_token_leave_the_fresh_one() {
    let stub = Stub::with_pages(accepts_from(2)).await;
    let log = Arc::new(stub.log());
    let mut fetches = JoinSet::new();
    for _ in 0..20 {
        let log = Arc::clone(&log);
        fetches.spawn(async move { log.fetch(&query()).await.map(drop) });
    }
    assert!(fetches.join_all().await.iter().all(Result::is_ok));
    assert_eq!(stub.token_calls(), 2);
}

#[tokio::test]
async fn credentials_travel_as_configured() {
    for (auth, header, form) in [
        (
            TokenAuth::Body,
            "",
            format!("grant_type=client_credentials&client_id=the-client&client_secret={SECRET}"),
        ),
        // the-client:planted-secret-4711
        (
            TokenAuth::Basic,
            "Basic dGhlLWNsaWVudDpwbGFudGVkLXNlY3JldC00NzEx",
            "grant_type=client_credentials".to_owned(),
        ),
    ] {
        let token = move |asked: &Asked| {
            assert_eq!((asked.authorization.as_str(), &asked.body), (header, &form));
            grant(asked, 900)
        };
        let stub = Stub::start(token, empty_page).await;
        let mut source = stub.source();
        source.token_auth = auth;
        let log = AuditLog::new(&source, Clock::system()).expect("a client");
        log.fetch(&query()).await.expect("a page");
    }
}

#[tokio::test]
async fn every_answer_of_the_token_endpoint_has_its_meaning() {
    let echo = format!(r#"{{"error":"invalid_client","error_description":"bad {SECRET}"}}"#);
    for (status, headers, body, kind, says) in [
        (
            401,
            "",
            echo.as_str(),
            "auth",
            "refused client_id the-client with 401 (invalid_client: bad ********): wrong client id or secret",
        ),
        (400, "", echo.as_str(), "auth", "wrong client id or secret"),
        (403, "", SECRET, "auth", "with 403: wrong client id"),
        (404, "", "", "auth", "wrong workspace_id or token_url"),
        (302, "location: /elsewhere/token", "", "auth", "a redirect, which is never followed"),
        (429, "", "", "throttled 5", "answered 429"),
        (429, "retry-after: 9", "", "throttled 9", "answered 429"),
        (
            500,
            "",
            r#"{"message":"m","errorDetails":[{"retryAfterSeconds":30}]}"#,
            "throttled 30",
            "(m)",
        ),
        (502, "", SECRET, "unavailable 502", "answered 502"),
        (200, "", "", "unreadable", "is none"),
        (200, "", "<html>planted-secret-4711", "unreadable", "is no token response"),
        (200, "", r#"{"access_token":["planted-secret-4711"]}"#, "unreadable", "(at access_token"),
        (200, "", r#"{"token_type":"planted-secret-4711"}"#, "unreadable", "is no token response"),
        (200, "", r#"{"access_token":"planted-token-\n"}"#, "unreadable", "fits no header"),
    ] {
        let body = body.to_owned();
        let token = move |_: &Asked| answer(status, headers, body.clone());
        let stub = Stub::start(token, empty_page).await;
        let error = stub.log().fetch(&query()).await.expect_err("no token");
        let found = match &error {
            FetchError::AuthFailed { .. } => "auth".to_owned(),
            FetchError::Throttled { wait, .. } => format!("throttled {}", wait.as_secs()),
            FetchError::Unavailable { status: Some(status), .. } => format!("unavailable {status}"),
            FetchError::Unreadable { .. } => "unreadable".to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, kind, "{status}: {error}");
        assert!(error.to_string().contains(says), "{status}: {error}");
        let shown = format!("{error:?}{error}");
        assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
        assert_eq!((stub.token_calls(), stub.page_calls()), (1, 0));
    }
}
