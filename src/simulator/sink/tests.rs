//! The sink over real sockets.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::model::signature::{StandardKey, sign_greenlake, sign_standard};
use crate::model::timestamp::Timestamp;

const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NOW: i64 = 1_772_366_400;

struct Fixture {
    sink: SinkHandle,
    url: String,
    base: String,
    client: Client,
    stop: CancellationToken,
    running: JoinHandle<io::Result<()>>,
}

fn settings() -> SinkSettings {
    let clock = Clock::manual(Timestamp::from_secs(NOW));
    SinkSettings { clock, path: "/hooks".to_owned(), ..SinkSettings::default() }
}

impl Fixture {
    #[expect(clippy::disallowed_methods, reason = "the test waits for the task at its end")]
    async fn start(settings: SinkSettings) -> Self {
        let sink = Sink::bind(settings).await.unwrap();
        let (handle, url) = (sink.handle(), sink.url());
        let base = format!("http://{}", sink.address());
        let stop = CancellationToken::new();
        let running = tokio::spawn(sink.run(stop.clone()));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { sink: handle, url, base, client, stop, running }
    }

    fn post(&self, content_type: &str, body: &str) -> RequestBuilder {
        self.client.post(&self.url).header("content-type", content_type).body(body.to_owned())
    }

    async fn send(&self, sequence: i64) -> reqwest::Result<StatusCode> {
        let body = event(sequence).to_string();
        let answer = self.post("application/cloudevents+json", &body).send().await?;
        Ok(answer.status())
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// An event that happened 2 s and was recorded 1 s before it arrives.
fn event(sequence: i64) -> Value {
    let at = |before: i64| Timestamp::from_secs(NOW - before).to_rfc3339_millis();
    json!({
        "specversion": "1.0", "id": format!("id-{sequence}"), "source": "//example/audit",
        "type": "com.hpe.greenlake.audit-log.v1.logs.created", "time": at(2),
        "recordedtime": at(1), "sequence": format!("{sequence:019}"),
        "data": { "category": "firmware", "user": { "username": "zoë" },
            "description": "line\nbreak" },
    })
}

#[tokio::test]
async fn events_of_every_form_are_counted_once_each() {
    let fixture = Fixture::start(settings()).await;
    assert_eq!(fixture.send(3).await.unwrap(), StatusCode::NO_CONTENT);
    let batch = json!([event(5), event(4), event(3), event(9)]).to_string();
    let batch = fixture.post("application/cloudevents-batch+json", &batch);
    assert_eq!(batch.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let binary = fixture
        .post("application/json", "{}")
        .header("ce-specversion", "1.0")
        .header("ce-id", "id-6")
        .header("ce-source", "//example/audit")
        .header("ce-type", "t")
        .header("ce-sequence", "0000000000000000006");
    assert_eq!(binary.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let plain = fixture.post("application/json", r#"{"text":"hello"}"#);
    assert_eq!(plain.send().await.unwrap().status(), StatusCode::NO_CONTENT);

    let report = fixture.sink.report();

    assert_eq!((report.requests, report.events, report.distinct), (4, 6, 5));
    assert_eq!((report.repeats, report.plain, report.unreadable), (1, 1, 0));
    // 3 4 5 6 9 came: 7 and 8 are missing; 4 came after 5, 6 after 9.
    assert_eq!((report.gaps, report.out_of_order), (2, 2));
    assert_eq!(report.since_recorded.count, 4);
    assert!((report.since_recorded.p50_ms - 1_000.0).abs() < 1.0);
    assert!((report.since_created.max_ms - 2_000.0).abs() < 1.0);
    let expected = ["id-3", "id-4", "id-5", "id-6", "id-9"].map(str::to_owned);
    assert_eq!(fixture.sink.ids(), HashSet::from(expected));
    fixture.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_counted() {
    let fixture = Fixture::start(settings()).await;
    let bad_batch = json!([event(1), { "specversion": "1.0" }]).to_string();
    for (content_type, body, status) in [
        ("application/cloudevents+json", "{", 400),
        ("application/cloudevents+json", r#"{"specversion":"1.0"}"#, 400),
        ("application/json", r#"{"specversion":"1.0"}"#, 400),
        ("application/json", "{", 400),
        ("application/cloudevents-batch+json", bad_batch.as_str(), 400),
        ("text/plain", "hello", 415),
    ] {
        let answer = fixture.post(content_type, body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{content_type} {body}");
    }
    let report = fixture.sink.report();
    assert_eq!((report.unreadable, report.events, report.plain), (6, 0, 0));
    fixture.end().await;
}

#[tokio::test]
async fn signatures_are_verified_when_there_are_keys() {
    let settings = SinkSettings {
        keys: vec![VerifyKey::parse(KEY).unwrap()],
        greenlake_secrets: vec![Secret::new("old"), Secret::new("new")],
        ..settings()
    };
    let fixture = Fixture::start(settings).await;
    let body = event(1).to_string();
    let key = StandardKey::parse(KEY).unwrap();
    let send = async |at: i64, signed: &str, secret: &[u8]| {
        let signature = sign_standard(std::slice::from_ref(&key), "msg", at, signed.as_bytes());
        let request = fixture
            .post("application/cloudevents+json", &body)
            .header("webhook-id", "msg")
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", signature)
            .header("hpe-webhook-signature", sign_greenlake(secret, signed.as_bytes()));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(NOW, &body, b"new").await, 204);
    assert_eq!(send(NOW - 299, &body, b"old").await, 204);
    assert_eq!(send(NOW - 301, &body, b"new").await, 401);
    assert_eq!(send(NOW, "other body", b"new").await, 401);
    assert_eq!(send(NOW, &body, b"other").await, 401);
    assert_eq!(fixture.send(2).await.unwrap(), StatusCode::UNAUTHORIZED);
    let report = fixture.sink.report();
    assert_eq!(
        (report.signatures_good, report.signatures_bad, report.signatures_missing),
        (2, 3, 1)
    );
    assert_eq!((report.events, report.repeats), (2, 1));
    fixture.end().await;
}

#[tokio::test]
async fn it_fails_on_demand_and_recovers() {
    let fixture = Fixture::start(settings()).await;
    let fault = json!({ "status": 429, "retry_after": 10, "every": 2 }).to_string();
    let set = fixture.client.put(format!("{}/sink/faults", fixture.base));
    let set = set.header("content-type", "application/json").body(fault);
    assert_eq!(set.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(fixture.send(1).await.unwrap(), StatusCode::NO_CONTENT);
    let body = event(2).to_string();
    let answer = fixture.post("application/cloudevents+json", &body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "10");

    fixture.sink.faults().set(SinkFault::drop().first(1));
    let error = fixture.send(2).await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(fixture.send(2).await.unwrap(), StatusCode::NO_CONTENT);

    fixture.sink.faults().set(SinkFault { is_taken: true, ..SinkFault::drop() });
    assert!(fixture.send(3).await.is_err());
    fixture.sink.faults().clear();
    assert_eq!(fixture.send(3).await.unwrap(), StatusCode::NO_CONTENT);

    let report = fixture.sink.report();
    assert_eq!((report.failed_on_demand, report.events, report.repeats), (3, 4, 1));
    let told = fixture.client.get(format!("{}/sink/report", fixture.base)).send().await.unwrap();
    let told: Value = serde_json::from_slice(&told.bytes().await.unwrap()).unwrap();
    assert_eq!(told, serde_json::to_value(report).unwrap());
    fixture.end().await;
}

#[tokio::test]
async fn a_hanging_sink_lets_go_when_stopped() {
    let fixture = Fixture::start(settings()).await;
    fixture.sink.faults().set(SinkFault::delay(Duration::from_mins(10)));
    let request = fixture
        .post("application/cloudevents+json", &event(1).to_string())
        .timeout(Duration::from_millis(50));
    assert!(request.send().await.unwrap_err().is_timeout());
    tokio::time::timeout(Duration::from_secs(10), fixture.end()).await.unwrap();
}

#[tokio::test]
async fn a_too_large_body_is_refused() {
    let fixture = Fixture::start(settings()).await;
    let body = " ".repeat((16 << 20) + 1);
    // The answer may be lost when the connection closes under the rest of the body.
    if let Ok(answer) = fixture.post("application/json", &body).send().await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert_eq!(fixture.sink.report().events, 0);
    fixture.end().await;
}

#[tokio::test]
async fn arrivals_are_told_in_one_harmless_line() {
    let fixture = Fixture::start(settings()).await;
    let mut arrivals = fixture.sink.arrivals();
    fixture.send(1).await.unwrap();
    fixture.send(1).await.unwrap();
    let first = arrivals.recv().await.unwrap().to_string();
    assert_eq!(
        first,
        "2026-03-01T11:59:58.000Z  audit-log.v1.logs.created  id-1  signature not checked  \
         firmware  zoë  line break"
    );
    assert!(arrivals.recv().await.unwrap().to_string().contains("  REPEAT  "));
    fixture.end().await;
}

#[tokio::test]
async fn a_path_that_no_request_can_have_is_refused() {
    for path in ["", "hooks", "/{id}", "/sink/report", "/a b", "/a?b"] {
        let settings = SinkSettings { path: path.to_owned(), ..settings() };
        assert!(matches!(Sink::bind(settings).await, Err(BindError::Path(_))), "{path}");
    }
}
