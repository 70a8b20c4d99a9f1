//! A ledger in a folder of its own, and a target on loopback whose answers are a function
//! of what it got.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{BatchConfig, Format, Order, RetryConfig, Signing, TargetConfig};
use crate::dispatch::{Target, Worker};
use crate::model::address::AddressPolicy;
use crate::model::clock::Clock;
use crate::model::delivery::{Attempt, Fate};
use crate::model::envelope::{CloudEvent, Data};
use crate::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts, Route};
use crate::model::outcome::Outcome;
use crate::model::timestamp::Timestamp;
use crate::storage::{
    DeliveryFilter, DeliveryRow, Ingest, Ledger, Settlement, StorageError, TargetId, TargetState,
};

/// Nothing here takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request that the stub got.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct Got {
    pub(in crate::dispatch) headers: HeaderMap,
    pub(in crate::dispatch) body: Bytes,
}

impl Got {
    /// Ids of the events in it.
    pub(in crate::dispatch) fn ids(&self) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(in crate::dispatch) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A target that answers what it is told to, and remembers what it got.
pub(in crate::dispatch) struct Stub {
    pub(in crate::dispatch) url: Url,
    got: Arc<Mutex<Vec<Got>>>,
    count: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl Stub {
    /// Answers by `answer`, a function of the request and its number from 0.
    pub(in crate::dispatch) async fn start(
        answer: impl Fn(usize, &Got) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let (counter, count) = watch::channel(0);
        let (answer, all) = (Arc::new(answer), got.clone());
        let router = Router::new().fallback(move |request: Request| {
            let (answer, all, counter) = (answer.clone(), all.clone(), counter.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
                let one = Got { headers: parts.headers, body };
                let number = {
                    let mut all = all.lock().unwrap();
                    all.push(one.clone());
                    all.len() - 1
                };
                counter.send_modify(|count| *count += 1);
                answer(number, &one)
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got, count, _server: server }
    }

    /// Waits until it got `count` requests; returns all it has got.
    pub(in crate::dispatch) async fn got(&self, count: usize) -> Vec<Got> {
        let mut seen = self.count.clone();
        let waiting = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| *seen >= count));
        waiting
            .await
            .unwrap_or_else(|_| panic!("{count} requests, got {}", self.so_far().len()))
            .unwrap();
        self.so_far()
    }

    pub(in crate::dispatch) fn so_far(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

pub(in crate::dispatch) fn status(code: u16) -> Response {
    with_body(code, Body::empty())
}

pub(in crate::dispatch) fn with_body(code: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(StatusCode::from_u16(code).unwrap()).body(body.into()).unwrap()
}

/// A status with `Retry-After`.
pub(in crate::dispatch) fn later(code: u16, seconds: u64) -> Response {
    let mut response = status(code);
    response.headers_mut().insert("retry-after", seconds.into());
    response
}

/// A target's configuration: one at a time, retried after 20 ms, patient.
pub(in crate::dispatch) fn config(url: &Url) -> TargetConfig {
    TargetConfig {
        name: "siem".to_owned(),
        url: url.clone(),
        sources: vec!["*".to_owned()],
        routes: vec![Route::Poll],
        format: Format::Structured,
        headers: Vec::new(),
        auth: None,
        signing: Signing::default(),
        concurrency: 4,
        rate: None,
        timeout: Duration::from_secs(15),
        order: Order::None,
        batch: BatchConfig { max_events: 4, max_wait: Duration::from_millis(50) },
        retry: RetryConfig {
            schedule: vec![Duration::from_millis(20)],
            give_up: Duration::from_hours(1),
        },
        proxy: None,
        ca_file: None,
        addresses: AddressPolicy::Ordinary,
        own_events: false,
        enabled: true,
    }
}

/// A ledger that knows the target of [`config`].
pub(in crate::dispatch) struct Bench {
    pub(in crate::dispatch) dir: TempDir,
    pub(in crate::dispatch) clock: Clock,
    pub(in crate::dispatch) ledger: Ledger,
    pub(in crate::dispatch) target: TargetId,
}

impl Bench {
    pub(in crate::dispatch) async fn new(clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("t.db"), clock.clone()).await.unwrap();
        ledger.insert_targets(vec!["siem".to_owned()]).await.unwrap();
        let (target, _) = ledger.reader().find_target("siem").await.unwrap().unwrap();
        Self { dir, clock, ledger, target }
    }

    /// Stores events `e<from>` to `e<until - 1>`, each owed to the target.
    pub(in crate::dispatch) async fn ingest(&self, from: usize, until: usize) {
        let ingest = Ingest {
            source: "production".to_owned(),
            route: Route::Poll,
            events: (from..until).map(event).collect(),
            unreadable: Vec::new(),
            targets: vec!["siem".to_owned()],
            coverage: None,
            request: None,
            shown: None,
            learnt: None,
        };
        self.ledger.ingest(ingest).await.unwrap();
    }

    /// Has every delivery as after a failed attempt: its retry is due.
    pub(in crate::dispatch) async fn fail_all(&self) {
        let now = self.clock.now();
        let attempt = Attempt {
            started_at: now,
            duration: Duration::ZERO,
            status: Some(503),
            outcome: Outcome::of_status(503),
            retry_after: None,
            answer: None,
        };
        let rows = self.deliveries().await;
        let settlements = rows.iter().map(|row| Settlement {
            is_first: row.attempts == 0,
            sequence: row.sequence,
            attempt: attempt.clone(),
            fate: Fate::RetryAt(now),
            turn: None,
        });
        self.ledger.settle(self.target, settlements.collect()).await.unwrap();
    }

    pub(in crate::dispatch) fn start(&self, config: TargetConfig) -> Working {
        let target = Target::new(self.target, config).unwrap();
        let (nudge, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let worker = Worker::new(target, self.ledger.clone(), self.clock.clone(), nudge.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(stop.clone()));
        Working { nudge, stop, tasks }
    }

    /// All deliveries, oldest event first.
    pub(in crate::dispatch) async fn deliveries(&self) -> Vec<DeliveryRow> {
        let all = DeliveryFilter { limit: 1_000_000, ..Default::default() };
        let mut rows = self.ledger.reader().list_deliveries(&all).await.unwrap();
        rows.reverse();
        rows
    }

    pub(in crate::dispatch) async fn state(&self) -> TargetState {
        self.ledger.reader().find_target("siem").await.unwrap().unwrap().1
    }

    /// Waits until the ledger holds that state.
    pub(in crate::dispatch) async fn until_state(&self, wanted: TargetState) {
        let waiting = tokio::time::timeout(PATIENCE, async {
            while self.state().await != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waiting.await.unwrap_or_else(|_| panic!("never {wanted:?}"));
    }

    /// Waits until the deliveries are as `wanted`; returns them.
    pub(in crate::dispatch) async fn until(
        &self,
        wanted: impl Fn(&[DeliveryRow]) -> bool,
    ) -> Vec<DeliveryRow> {
        let waiting = tokio::time::timeout(PATIENCE, async {
            loop {
                let rows = self.deliveries().await;
                if wanted(&rows) {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if let Ok(rows) = waiting.await {
            return rows;
        }
        let rows = self.deliveries().await;
        panic!("not as wanted, of {}: {:#?}", rows.len(), &rows[..rows.len().min(10)])
    }

    pub(in crate::dispatch) async fn until_delivered(&self) -> Vec<DeliveryRow> {
        self.until(|rows| rows.iter().all(|row| row.status == "delivered")).await
    }
}

/// A worker at work; dropping it kills it.
pub(in crate::dispatch) struct Working {
    pub(in crate::dispatch) nudge: Arc<Notify>,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), StorageError>>,
}

impl Working {
    /// Asks it to stop and waits until it has.
    pub(in crate::dispatch) async fn stop(mut self) -> Result<(), StorageError> {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.expect("the worker stops").unwrap().unwrap()
    }
}

fn event(number: usize) -> Event {
    Event {
        workspace_id: "3009de2825f211ec8a84fedebcb4a754".to_owned(),
        occurred_at: Timestamp::from_secs(1_734_698_093),
        envelope: CloudEvent {
            id: format!("e{number}"),
            source: AUDIT_SOURCE.to_owned(),
            event_type: AUDIT_TYPE.to_owned(),
            subject: None,
            time: None,
            datacontenttype: Some("application/json".to_owned()),
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Data::Json(RawValue::from_string(format!(r#"{{"n":{number}}}"#)).unwrap()),
        },
        facts: Facts { category: None, username: None, description: None, ip_address: None },
    }
}
