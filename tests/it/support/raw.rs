//! A server that answers as the test says, and remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Larger than any body of these tests.
const BODY_MAX: usize = 16 << 20;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// Ids of the events in it, structured or batched.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |event: &Value| event["id"].as_str().map(str::to_owned);
        match serde_json::from_slice(&self.body) {
            Ok(Value::Array(events)) => events.iter().filter_map(id).collect(),
            Ok(event) => id(&event).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }

    /// All of it as text, as an indiscreet server echoes it.
    pub(crate) fn echo(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        });
        let (headers, body) = (headers.collect::<String>(), String::from_utf8_lossy(&self.body));
        format!("{} {}\n{headers}\n{body}", self.method, self.uri)
    }
}

/// An answer with a status and a body.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// The same with a header.
pub(crate) fn answer_with(status: u16, name: &'static str, value: &str) -> Response {
    let mut response = answer(status, "");
    response.headers_mut().insert(name, value.parse().expect("a header's value"));
    response
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub(crate) struct RawServer {
    base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: JoinSet<()>,
}

impl RawServer {
    /// Answers every request with what `respond` makes of it.
    pub(crate) async fn start(
        respond: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (respond, notes) = (respond.clone(), Arc::clone(&notes));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
                let (method, uri, headers) = (parts.method, parts.uri, parts.headers);
                let seen = Seen { method, uri, headers, body };
                let response = respond(&seen);
                notes.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                response
            }
        });
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { base_url, seen, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Everything asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests for `path` so far.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.uri.path() == path).count()
    }
}
