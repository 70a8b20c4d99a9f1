//! The simulated cloud over real sockets.

use std::collections::HashSet;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::model::timestamp::Timestamp;
use crate::simulator::entry::Made;
use crate::simulator::faults::{Fault, FaultKind, HintForm};
use crate::simulator::traffic::{Burst, Late};

const FORM: &str = "application/x-www-form-urlencoded";

/// A running cloud whose clock stands still.
struct Fixture {
    cloud: Cloud,
    base: String,
    client: Client,
    stop: CancellationToken,
    running: JoinHandle<io::Result<()>>,
}

fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00.000Z").unwrap()
}

fn settings() -> Settings {
    Settings { clock: Clock::manual(start()), ..Settings::default() }
}

impl Fixture {
    #[expect(clippy::disallowed_methods, reason = "the test waits for the task at its end")]
    async fn start(settings: Settings) -> Self {
        let simulator = Simulator::bind(settings).await.unwrap();
        let (cloud, base) = (simulator.cloud(), simulator.base_url());
        let stop = CancellationToken::new();
        let running = tokio::spawn(simulator.run(stop.clone()));
        let client = Client::builder().no_proxy().build().unwrap();
        Self { cloud, base, client, stop, running }
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    fn token_request(&self, workspace: &str, body: &str) -> RequestBuilder {
        let url = format!("{}/authorization/v2/oauth2/{workspace}/token", self.base);
        self.client.post(url).header("content-type", FORM).body(body.to_owned())
    }

    fn credentials(&self) -> String {
        let settings = &self.cloud.0.settings;
        let (id, secret) = (&settings.client_id, settings.client_secret.expose());
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
    }

    async fn token(&self) -> String {
        let workspace = self.cloud.0.settings.workspace.id.clone();
        let answer = self.token_request(&workspace, &self.credentials()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = body(answer).await;
        assert_eq!(body["token_type"], "Bearer");
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, path: &str) -> reqwest::Result<Response> {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(token).send().await
    }
}

async fn body(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_token_endpoint_refuses_as_rfc_6749_says() {
    let fixture = Fixture::start(settings()).await;
    let workspace = settings().workspace.id;
    let good = fixture.credentials();
    let mangled = |from: &str, to: &str| good.replace(from, to);
    for (workspace, form, status, error) in [
        (&workspace, mangled("simulated", "wrong"), 401, "invalid_client"),
        (&workspace, mangled("client_id=b", "client_id=c"), 401, "invalid_client"),
        (&"0".repeat(32), good.clone(), 401, "invalid_client"),
        (&workspace, "grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        (&workspace, mangled("client_credentials", "password"), 400, "unsupported_grant_type"),
        (&workspace, mangled("grant_type", "grant"), 400, "invalid_request"),
    ] {
        let answer = fixture.token_request(workspace, &form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{form}");
        assert_eq!(body(answer).await["error"], error, "{form}");
    }
    let basic = fixture
        .token_request(&workspace, "grant_type=client_credentials")
        .basic_auth(settings().client_id, Some(settings().client_secret.expose()));
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(fixture.cloud.served().tokens, 1);
    fixture.end().await;
}

#[tokio::test]
async fn tokens_expire_and_foreign_ones_are_told_from_expired_ones() {
    let life = Duration::from_secs(899);
    let fixture = Fixture::start(Settings { token_life: life, ..settings() }).await;
    let token = fixture.token().await;
    let path = "/audit-log/v1/logs";
    assert_eq!(fixture.get(&token, path).await.unwrap().status(), StatusCode::OK);
    assert_eq!(fixture.get("foreign", path).await.unwrap().status(), StatusCode::FORBIDDEN);

    fixture.cloud.clock().advance(life);
    let answer = fixture.get(&token, path).await.unwrap();

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["date"], "Sun, 01 Mar 2026 12:14:59 GMT");
    let body = body(answer).await;
    assert_eq!(body["errorCode"], "HPE_GL_ERROR_UNAUTHORIZED");
    assert_eq!(body["errorDetails"][0]["metadata"], json!({ "access_token": "expired" }));
    fixture.end().await;
}

#[tokio::test]
async fn pages_follow_each_other_newest_first_without_overlap() {
    let fixture = Fixture::start(settings()).await;
    let made = fixture.cloud.generate(120, start(), start().plus(Duration::from_mins(1)));
    fixture.cloud.clock().advance(Duration::from_mins(2));
    let token = fixture.token().await;
    let filter =
        "filter=createdAt+ge+'2026-03-01T12:00:00Z'+and+createdAt+lt+'2026-03-01T12:01:00Z'";
    let mut all = Vec::new();
    for offset in [0, 50, 100] {
        let path = format!("/audit-log/v1/logs?{filter}&offset={offset}");
        let answer = fixture.get(&token, &path).await.unwrap();
        assert_eq!(answer.headers()["ratelimit-limit"], "100");
        let page = body(answer).await;
        assert_eq!(page["total"], 120);
        assert_eq!(page["remainingRecords"], false);
        assert_eq!(page["count"], page["items"].as_array().unwrap().len());
        all.extend(ids(&page));
    }
    let mut expected: Vec<Made> = made;
    expected.sort_by_key(|made| std::cmp::Reverse(made.created_at));
    assert_eq!(all, expected.into_iter().map(|made| made.id).collect::<Vec<_>>());
    fixture.end().await;
}

#[tokio::test]
async fn v2beta1_lists_the_platform_alone_until_asked_for_services() {
    let fixture = Fixture::start(settings()).await;
    fixture.cloud.generate(300, start().minus(Duration::from_mins(1)), start());
    fixture.cloud.clock().advance(Duration::from_secs(1));
    let token = fixture.token().await;
    let list = async |query: &str| {
        let path = format!("/audit-log/v2beta1/logs?limit=2000{query}");
        body(fixture.get(&token, &path).await.unwrap()).await
    };
    let platform = list("").await;
    let backup = list("&filter=serviceOffer/id+eq+'68067533-5764-401a-9620-24e6e2cdc574'").await;
    let names = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|i| i["serviceOffer"]["name"].to_string()).collect::<HashSet<_>>()
    };
    assert_eq!(names(&platform), HashSet::from(["\"HPE GreenLake platform\"".to_owned()]));
    assert_eq!(names(&backup), HashSet::from(["\"Backup and Recovery\"".to_owned()]));
    fixture.end().await;
}

#[tokio::test]
async fn bad_requests_name_the_parameter() {
    let fixture = Fixture::start(settings()).await;
    let token = fixture.token().await;
    for (query, subject) in [
        ("limit=3000", "limit"),
        ("filter=startTime+ge+'2026-03-01T12:00:00Z'", "filter"),
        ("select=serviceOffer", "select"),
    ] {
        let answer = fixture.get(&token, &format!("/audit-log/v1/logs?{query}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let body = body(answer).await;
        assert_eq!(body["errorDetails"][0]["issues"][0]["subject"], subject);
        assert_eq!(body["httpStatusCode"], 400);
    }
    for (path, status) in
        [("/audit-log/v1beta1/logs", 404), ("/audit-log/v1/logs/none/detail", 404)]
    {
        assert_eq!(fixture.get(&token, path).await.unwrap().status().as_u16(), status);
    }
    fixture.end().await;
}

#[tokio::test]
async fn above_the_limit_requests_are_throttled_until_the_minute_is_over() {
    let fixture = Fixture::start(Settings { requests_per_minute: 2, ..settings() }).await;
    let token = fixture.token().await;
    let mut last = None;
    for _ in 0..3 {
        last = Some(fixture.get(&token, "/audit-log/v1/logs").await.unwrap());
    }
    let throttled = last.unwrap();
    assert_eq!(throttled.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(throttled.headers()["ratelimit-reset"], "60");
    assert_eq!(throttled.headers()["ratelimit-remaining"], "0");
    fixture.cloud.clock().advance(Duration::from_mins(1));
    let answer = fixture.get(&token, "/audit-log/v1/logs").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    fixture.end().await;
}

#[tokio::test]
async fn every_form_of_hint_stands_alone() {
    use HintForm::{
        Body, None, RatelimitReset, RetryAfter, RetryAfterDate, XRatelimitReset,
        XRatelimitResetDate,
    };
    let fixture = Fixture::start(settings()).await;
    let token = fixture.token().await;
    for (form, header, value) in [
        (None, "", ""),
        (Body, "", ""),
        (RetryAfter, "retry-after", "9"),
        (RetryAfterDate, "retry-after", "Sun, 01 Mar 2026 12:00:09 GMT"),
        (RatelimitReset, "ratelimit-reset", "9"),
        (XRatelimitReset, "x-ratelimit-reset", "9"),
        (XRatelimitResetDate, "x-ratelimit-reset", "2026-03-01T12:00:09Z"),
    ] {
        for (kind, status) in [(FaultKind::TooManyRequests, 429), (FaultKind::ServerError, 500)] {
            fixture.cloud.faults().add(Fault::new(kind).times(1).hint(form, 9));
            let answer = fixture.get(&token, "/audit-log/v1/logs").await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            let hints: Vec<_> = ["retry-after", "ratelimit-reset", "x-ratelimit-reset"]
                .into_iter()
                .filter_map(|name| Some((name, answer.headers().get(name)?.to_str().ok()?)))
                .collect();
            let expected: Vec<_> =
                [(header, value)].into_iter().filter(|(name, _)| !name.is_empty()).collect();
            assert_eq!(hints, expected, "{form:?}");
            let seconds = body(answer).await["errorDetails"][0]["retryAfterSeconds"].as_u64();
            assert_eq!(seconds, (form == Body).then_some(9), "{form:?}");
        }
    }
    fixture.end().await;
}

#[tokio::test]
async fn spoilt_answers_are_spoilt_as_asked_and_then_no_more() {
    let fixture = Fixture::start(settings()).await;
    fixture.cloud.generate(20, start().minus(Duration::from_mins(1)), start());
    fixture.cloud.clock().advance(Duration::from_secs(1));
    let token = fixture.token().await;
    let path = "/audit-log/v1/logs?limit=10&offset=5";
    let good = body(fixture.get(&token, path).await.unwrap()).await;
    let spoilt = async |kind| {
        fixture.cloud.faults().add(Fault::new(kind).times(1));
        fixture.get(&token, path).await
    };

    let cut = spoilt(FaultKind::CutBody).await.unwrap();
    assert!(cut.content_length().unwrap() > 100);
    assert!(cut.bytes().await.is_err());
    let garbage = spoilt(FaultKind::Garbage).await.unwrap().text().await.unwrap();
    assert!(garbage.starts_with("<html>"));
    let wrong = body(spoilt(FaultKind::WrongCount).await.unwrap()).await;
    assert_eq!((&wrong["count"], &wrong["items"]), (&json!(11), &good["items"]));
    let missing = body(spoilt(FaultKind::MissingCount).await.unwrap()).await;
    assert!(missing.get("count").is_none());
    let broken = body(spoilt(FaultKind::BrokenItem).await.unwrap()).await;
    assert!(broken["items"][0].get("id").is_none());
    let shifted = body(spoilt(FaultKind::IgnoreOffset).await.unwrap()).await;
    assert_eq!((&shifted["offset"], &shifted["items"][5]), (&json!(0), &good["items"][0]));
    assert!(spoilt(FaultKind::HangUp).await.unwrap_err().is_request());
    let forbidden = spoilt(FaultKind::Forbidden).await.unwrap();
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);

    assert_eq!(body(fixture.get(&token, path).await.unwrap()).await, good);
    fixture.end().await;
}

#[tokio::test]
async fn expired_on_demand_a_fresh_token_works_again() {
    let fixture = Fixture::start(settings()).await;
    let token = fixture.token().await;
    fixture.cloud.faults().add(Fault::new(FaultKind::ExpireTokens).times(1));
    let path = "/audit-log/v1/logs";
    assert_eq!(fixture.get(&token, path).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.get(&token, path).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let fresh = fixture.token().await;
    assert_eq!(fixture.get(&fresh, path).await.unwrap().status(), StatusCode::OK);
    fixture.end().await;
}

#[tokio::test]
async fn a_slow_answer_outlasts_the_client_and_not_the_stop() {
    let fixture = Fixture::start(settings()).await;
    let token = fixture.token().await;
    fixture.cloud.faults().add(Fault::new(FaultKind::Slow).lasting(Duration::from_mins(10)));
    let request = fixture
        .client
        .get(format!("{}/audit-log/v1/logs", fixture.base))
        .bearer_auth(&token)
        .timeout(Duration::from_millis(50));
    assert!(request.send().await.unwrap_err().is_timeout());
    tokio::time::timeout(Duration::from_secs(10), fixture.end()).await.unwrap();
}

#[tokio::test]
async fn faults_and_entries_can_be_set_over_http() {
    let fixture = Fixture::start(settings()).await;
    let send = async |method: &str, path: &str, json: Value| {
        let method = method.parse().unwrap();
        let url = format!("{}{path}", fixture.base);
        let request = fixture.client.request(method, url);
        let request = request.header("content-type", "application/json").body(json.to_string());
        body(request.send().await.unwrap()).await
    };
    let fault = json!([{ "kind": "server-error", "on": "token", "times": 1, "hint": "body" }]);
    assert_eq!(send("PUT", "/simulator/faults", fault).await[0]["on"], "token");
    let refused = fixture.token_request(&settings().workspace.id, &fixture.credentials());
    assert_eq!(refused.send().await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send("GET", "/simulator/faults", Value::Null).await, json!([]));

    let own = json!({ "id": "uJoQ5JMB_HAPiq2sSllt", "description": "by hand",
        "created_at": "2026-03-01T11:59:00.5Z", "visible_at": "2026-03-01T12:00:10Z" });
    let made = send("POST", "/simulator/entries", own).await;
    assert_eq!(made["entries"][0]["visible_at"], "2026-03-01T12:00:10Z");
    let more = send("POST", "/simulator/entries", json!({ "count": 3, "over_seconds": 9 })).await;
    assert_eq!(more["entries"].as_array().unwrap().len(), 3);
    let listed = send("GET", "/simulator/entries?skip=1", Value::Null).await;
    assert_eq!((&listed["total"], &listed["entries"]), (&json!(4), &more["entries"]));
    fixture.end().await;
}

#[tokio::test]
async fn the_generator_makes_bursts_and_stops() {
    let traffic = Traffic {
        rate: 200.0,
        burst: Some(Burst { size: 1_000, every: Duration::from_millis(20) }),
        late: Late { fraction: 1.0, delay: Duration::from_mins(1) },
    };
    let fixture = Fixture::start(Settings { traffic, ..settings() }).await;
    let mut notices = fixture.cloud.notices();
    while fixture.cloud.made_count() < 2_500 {
        notices.recv().await.unwrap();
    }
    let made = fixture.cloud.made();
    assert!(made.iter().all(|m| m.visible_at.since(m.created_at) >= Duration::from_mins(1)));
    let token = fixture.token().await;
    let page = body(fixture.get(&token, "/audit-log/v1/logs").await.unwrap()).await;
    assert_eq!(page["total"], 0);
    fixture.end().await;
}

#[tokio::test]
async fn only_loopback_addresses_are_taken() {
    let everywhere = Settings { listen: ([0, 0, 0, 0], 0).into(), ..settings() };
    let refused = Simulator::bind(everywhere).await.unwrap_err();
    assert!(refused.to_string().contains("not a loopback address"), "{refused}");
    let first = Simulator::bind(settings()).await.unwrap();
    let second = Settings { listen: first.address(), ..settings() };
    assert!(matches!(Simulator::bind(second).await, Err(BindError::Listen { .. })));
}

#[test]
fn settings_do_not_print_the_secret() {
    let printed = format!("{:?}", settings());
    assert!(!printed.contains("simulated-client-secret"), "{printed}");
}
