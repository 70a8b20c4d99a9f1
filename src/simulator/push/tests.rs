//! The push side over real sockets, with a receiver of its own.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::simulator::push::sign::digest;
use crate::simulator::{Settings, Simulator};

const SECRET: &str = "s3cr3tKey";

/// What the receiver does, and what it has heard.
#[derive(Default)]
struct Inbox {
    /// Status of its answers to events; 0: 202.
    status: u16,
    pushes: Vec<(HeaderMap, Vec<u8>)>,
    challenges: Vec<Value>,
    rates_asked: usize,
}

type Shared = Arc<Mutex<Inbox>>;

/// A cloud, and a receiver that answers challenges by [`SECRET`].
struct Fixture {
    cloud: Cloud,
    base: String,
    receiver: String,
    inbox: Shared,
    client: Client,
    tasks: JoinSet<io::Result<()>>,
    stop: CancellationToken,
}

async fn receive(
    State(inbox): State<Shared>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inbox = inbox.lock().unwrap();
    if method == Method::OPTIONS {
        assert_eq!(headers["webhook-request-origin"], "global.api.greenlake.hpe.com");
        inbox.rates_asked += 1;
        return [("WebHook-Allowed-Rate", "6000"), ("WebHook-Allowed-Origin", "*")].into_response();
    }
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(text) = event["data"]["challengeRequest"].as_str() {
        let answer = json!({ "verification": digest(SECRET, text.as_bytes()) });
        inbox.challenges.push(event);
        return axum::Json(answer).into_response();
    }
    inbox.pushes.push((headers, body.to_vec()));
    StatusCode::from_u16(inbox.status).unwrap_or(StatusCode::ACCEPTED).into_response()
}

impl Fixture {
    async fn start(push: PushKnobs) -> Self {
        let simulator = Simulator::bind(Settings { push, ..Settings::default() }).await.unwrap();
        let (cloud, base) = (simulator.cloud(), simulator.base_url());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = format!("http://{}/hook", listener.local_addr().unwrap());
        let (inbox, stop) = (Shared::default(), CancellationToken::new());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&inbox));
        let mut tasks = JoinSet::new();
        let until = stop.clone();
        tasks.spawn(async move { simulator.run(until).await });
        tasks.spawn(async move { axum::serve(listener, router).await });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { cloud, base, receiver, inbox, client, tasks, stop }
    }

    fn form(&self, more: Value) -> Value {
        let mut form = json!({ "name": "a", "destination": self.receiver, "secret": SECRET });
        form::merge(&mut form, more);
        form
    }

    /// Registers a webhook, and waits until it is active.
    async fn active(&self, more: Value) {
        self.cloud.register(&self.form(more)).unwrap();
        self.until("it is active", |f| f.cloud.webhooks()[0]["status"] == "ACTIVE").await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), wait).await.expect(what);
    }

    /// Makes `count` entries; their ids.
    fn make(&self, count: u64) -> Vec<String> {
        let now = self.cloud.clock().now();
        self.cloud.generate(count, now, now).into_iter().map(|made| made.id).collect()
    }

    fn pushes(&self) -> Vec<(HeaderMap, Vec<u8>)> {
        self.inbox.lock().unwrap().pushes.clone()
    }

    /// All events that came, in the order of their coming.
    fn events(&self) -> Vec<Value> {
        let read = |(_, body): (_, Vec<u8>)| match serde_json::from_slice(&body) {
            Ok(Value::Array(events)) => events,
            Ok(event) => vec![event],
            Err(_) => Vec::new(),
        };
        self.pushes().into_iter().flat_map(read).collect()
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .events()
            .into_iter()
            .map(|event| event["data"]["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        ids.sort();
        ids
    }

    async fn token(&self) -> String {
        let Settings { workspace, client_id, client_secret, .. } = Settings::default();
        let secret = client_secret.expose();
        let url = format!("{}/authorization/v2/oauth2/{}/token", self.base, workspace.id);
        let request =
            self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        let form =
            format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
        let answer = request.body(form).send().await.unwrap().bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&answer).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn call(&self, token: &str, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let url = format!("{}/events/v1beta1/{path}", self.base);
        let kind = match method {
            "PATCH" if path.starts_with("webhooks") => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = self.client.request(method.parse().unwrap(), url).bearer_auth(token);
        let request = request.header("content-type", kind).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn entries_are_pushed_signed_once_the_challenge_is_answered() {
    let fixture = Fixture::start(PushKnobs::default()).await;
    fixture.make(2);
    fixture.active(json!({})).await;
    let made = fixture.make(20);
    fixture.until("all are there", |f| f.pushes().len() == 20).await;
    assert_eq!(fixture.ids(), sorted(made), "those of before were not pushed");
    for (headers, body) in fixture.pushes() {
        let expected = format!("sha256={}", digest(SECRET, &body));
        assert_eq!(headers["hpe-webhook-signature"], expected.as_str());
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers.get("authorization"), None);
    }
    fixture.until("all are accepted", |f| f.cloud.pushed().accepted == 20).await;
    let asked = {
        let inbox = fixture.inbox.lock().unwrap();
        (inbox.challenges.len(), inbox.rates_asked)
    };
    assert_eq!(asked, (1, 1));
    assert_eq!(fixture.cloud.webhooks()[0]["endpointRateLimit"], 6_000);
    fixture.end().await;
}

#[tokio::test]
async fn each_knob_shows_on_the_wire() {
    let fixture = Fixture::start(PushKnobs::default()).await;
    let more = json!({ "secondarySecret": "another", "authType": "APIKey", "apiKey": "the-key" });
    fixture.active(more).await;
    for (push, looks_right) in [
        (
            json!({}),
            (|headers, _| headers.get_all("hpe-webhook-signature").iter().count() == 2)
                as fn(&HeaderMap, &Value) -> bool,
        ),
        (json!({ "two_signatures": "list" }), |headers, _| {
            headers["hpe-webhook-signature"].to_str().unwrap().contains(", sha256=")
        }),
        (json!({ "two_signatures": "first", "bare_signature": true }), |headers, _| {
            headers["hpe-webhook-signature"].len() == 64
        }),
        (json!({}), |headers, _| headers["authorization"] == "the-key"),
        (json!({ "bearer_key": true }), |headers, _| headers["authorization"] == "Bearer the-key"),
        (json!({ "with_subject": true }), |_, event| event["subject"].is_string()),
        (json!({ "with_workspace_name": true }), |_, event| {
            event["data"]["workspace"]["workspace_name"] == "Simulated workspace"
        }),
        (json!({ "shape": "b" }), |_, event| event["data"]["audit_info"].is_object()),
        (json!({ "shape": "c" }), |_, event| event["data"]["createdAt"].is_string()),
        (json!({ "without_com": true }), |_, event| {
            event["type"].as_str().unwrap().starts_with("hpe.")
        }),
        (json!({ "stripped_zeros": false }), |_, event| {
            event["time"].as_str().unwrap().len() == 24
        }),
        // Cut off, and still signed.
        (json!({ "body_max": 100 }), |headers, event| {
            event.is_null() && headers["content-length"] == "100"
        }),
    ] {
        let knobs = fixture.cloud.knobs();
        fixture.cloud.set_knobs(knobs.turned(json!({ "push": push })).unwrap());
        let before = fixture.pushes().len();
        fixture.make(1);
        fixture.until("it is there", |f| f.pushes().len() > before).await;
        let (headers, body) = fixture.pushes().pop().unwrap();
        let event = serde_json::from_slice(&body).unwrap_or_default();
        assert!(looks_right(&headers, &event), "{push}: {headers:?} {event}");
        let signed = headers["hpe-webhook-signature"].to_str().unwrap();
        assert!(signed.contains(&digest(SECRET, &body)), "{push}");
        fixture.cloud.set_knobs(knobs);
    }
    assert_eq!(fixture.cloud.pushed().cut, 1);
    fixture.end().await;
}

#[tokio::test]
async fn entries_are_dropped_repeated_held_back_and_packed_as_asked() {
    let knobs = PushKnobs {
        drop_fraction: 0.25,
        duplicate_fraction: 0.25,
        held_fraction: 0.5,
        held_seconds: 0.2,
        batch_seconds: 0.5,
        ..PushKnobs::default()
    };
    let fixture = Fixture::start(knobs).await;
    fixture.active(json!({ "batching": true })).await;
    let made = fixture.make(400);
    fixture
        .until("as many as are due", |f| {
            let mut ids = f.ids();
            ids.dedup();
            ids.len() as u64 + f.cloud.pushed().withheld == 400
        })
        .await;
    let withheld = fixture.cloud.pushed().withheld;
    assert!((60..140).contains(&withheld), "{withheld} of 400 were dropped");
    fixture.until("the repeats, too", |f| f.ids().len() as u64 >= 400 - withheld + 40).await;
    let came: Vec<String> = fixture
        .events()
        .into_iter()
        .map(|event| event["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(came.iter().all(|id| made.contains(id)));
    let order: Vec<usize> =
        came.iter().filter_map(|id| made.iter().position(|one| one == id)).collect();
    assert!(order.windows(2).any(|pair| pair[0] > pair[1]), "some are overtaken");
    let sizes: Vec<usize> = fixture
        .pushes()
        .iter()
        .filter_map(|(_, body)| Some(serde_json::from_slice::<Value>(body).ok()?.as_array()?.len()))
        .collect();
    assert!(sizes.iter().all(|size| (1..=10).contains(size)) && sizes.contains(&10), "{sizes:?}");
    fixture.end().await;
}

#[tokio::test]
async fn what_fails_is_tried_again_until_it_is_dropped_and_by_hand() {
    let knobs = PushKnobs { time_scale: 1_000_000.0, ..PushKnobs::default() };
    let fixture = Fixture::start(knobs).await;
    fixture.active(json!({})).await;
    let token = fixture.token().await;
    let id = fixture.cloud.webhooks()[0]["id"].as_str().unwrap().to_owned();
    fixture.inbox.lock().unwrap().status = 503;
    let made = fixture.make(1);
    fixture.until("it is given up", |f| f.cloud.pushed().given_up == 1).await;
    let shown = fixture.cloud.webhooks()[0].clone();
    assert_eq!((&shown["status"], fixture.pushes().len()), (&json!("ERROR"), 20));
    assert_eq!(shown["stateReason"], "Failure in Event Deliveries");

    fixture.inbox.lock().unwrap().status = 0;
    let path = format!("GET webhooks/{id}/recent-deliveries?limit=1");
    let (_, listed) = fixture.call(&token, &path, Value::Null).await;
    let last = &listed["items"][0];
    assert_eq!((&last["httpResponseCode"], &last["id"]), (&json!(503), &json!(made[0])));
    assert_eq!(listed["total"], 20);
    let failure = last["failureId"].as_str().unwrap();
    // In error nothing is sent: its owner has it verified first.
    let verify = format!("POST webhooks/{id}/verify");
    let (status, told) = fixture.call(&token, &verify, Value::Null).await;
    assert_eq!((status, &told["destinationResponse"]["statusCode"]), (200, &json!(200)));
    let path = format!("POST webhooks/{id}/delivery-failures/{failure}/retry");
    assert_eq!(fixture.call(&token, &path, Value::Null).await.0, 200);
    fixture.until("it is there", |f| f.cloud.pushed().accepted == 1).await;
    assert_eq!(fixture.cloud.webhooks()[0]["status"], "ACTIVE");
    fixture.end().await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_its_challenge_gets_nothing() {
    let knobs = PushKnobs { time_scale: 1_000_000.0, ..PushKnobs::default() };
    let fixture = Fixture::start(knobs).await;
    fixture.cloud.register(&fixture.form(json!({ "secret": "another" }))).unwrap();
    fixture.make(3);
    fixture.until("it is refused", |f| f.cloud.webhooks()[0]["status"] == "ERROR").await;
    let reason = fixture.cloud.webhooks()[0]["stateReason"].clone();
    assert_eq!(reason, "HMAC validation failed. Please verify webhook secret.");
    assert_eq!(fixture.inbox.lock().unwrap().challenges.len(), 5);
    assert_eq!(fixture.pushes().len(), 0);
    let nobody = json!({ "destination": "http://127.0.0.1:1/" });
    fixture.cloud.register(&fixture.form(nobody)).unwrap();
    fixture.until("it is refused", |f| f.cloud.webhooks()[0]["status"] == "ERROR").await;
    let reason = fixture.cloud.webhooks()[0]["stateReason"].to_string();
    assert!(reason.contains("Webhook URL unreachable. error: refused"), "{reason}");
    fixture.active(json!({ "challengeRequestEnabled": false, "secret": "a-third" })).await;
    assert_eq!(fixture.inbox.lock().unwrap().challenges.len(), 5, "none was asked for");
    fixture.end().await;
}

#[tokio::test]
async fn the_api_does_and_refuses_as_documented() {
    let fixture = Fixture::start(PushKnobs::default()).await;
    let token = fixture.token().await;
    let call = async |line: &str, body: Value| fixture.call(&token, line, body).await;
    let (status, told) = fixture.call("none", "GET webhooks", Value::Null).await;
    assert_eq!((status, &told["message"]), (401, &json!("Invalid JWT token in Request")));

    let (status, made) = call("POST webhooks", fixture.form(json!({}))).await;
    assert_eq!((status, &made["status"]), (201, &json!("PENDING")));
    assert!(!made.to_string().contains(SECRET), "{made}");
    let id = made["id"].as_str().unwrap();
    let own = format!("webhooks/{id}");
    let subscription =
        json!([{ "eventType": TYPE, "webhook": { "resourceUri": made["resourceUri"] } }]);
    let (status, subscribed) = call("POST subscriptions", subscription).await;
    assert_eq!(status, 201, "{subscribed}");
    let subscription_id = subscribed["items"][0]["id"].as_str().unwrap();
    let filter = format!("GET subscriptions?filter=webhookId+eq+'{id}'&limit=10");
    assert_eq!(call(&filter, Value::Null).await.1["items"][0]["eventType"], TYPE);

    let patch = json!({ "paused": true, "description": "off" });
    let (status, paused) = call(&format!("PATCH {own}"), patch).await;
    assert_eq!(
        (status, &paused["status"], &paused["generation"]),
        (200, &json!("DISABLED"), &json!(2))
    );
    assert_eq!(call(&format!("POST {own}/verify"), Value::Null).await.0, 400);

    for (line, body, expected) in [
        ("POST webhooks", json!({ "name": "x" }), 422),
        ("POST webhooks", fixture.form(json!({ "colour": "red" })), 422),
        ("POST webhooks", json!([]), 400),
        ("GET webhooks?limit=201", Value::Null, 400),
        ("GET webhooks/none", Value::Null, 404),
        ("PUT webhooks", Value::Null, 405),
        ("POST subscriptions", json!({}), 400),
        (
            "POST subscriptions",
            json!([{ "eventType": "a", "webhook": { "resourceUri": "b" } }]),
            422,
        ),
        ("GET subscriptions", Value::Null, 400),
        (&format!("GET subscriptions?filter=webhookId+eq+'{id}'&limit=11"), Value::Null, 400),
        (&format!("PATCH {own}"), json!({ "name": "" }), 422),
        (&format!("DELETE {own}"), Value::Null, 400),
        (&format!("POST {own}/delivery-failures/none/retry"), Value::Null, 404),
        (&format!("DELETE subscriptions?id={subscription_id}"), Value::Null, 204),
        (&format!("DELETE {own}"), Value::Null, 204),
        (&format!("GET {own}"), Value::Null, 404),
    ] {
        let (status, told) = call(line, body).await;
        assert_eq!(status, expected, "{line}: {told}");
        if status >= 400 {
            assert_eq!(told["httpStatusCode"], status, "{line}");
        }
    }
    let kind = reqwest::header::CONTENT_TYPE;
    let url = format!("{}/events/v1beta1/webhooks/x", fixture.base);
    let wrong = fixture.client.patch(url).bearer_auth(&token).header(kind, "text/plain");
    assert_eq!(wrong.send().await.unwrap().status(), 400);
    fixture.end().await;
}
