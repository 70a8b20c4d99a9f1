//! A server on loopback whose answers are a function of what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::config::{
    ApiVersion, Overlap, PollConfig, Schedule, Secret, SourceConfig, Start, TokenAuth,
};
use crate::greenlake::{AuditLog, Query};
use crate::model::clock::Clock;
use crate::model::coverage::Span;
use crate::model::timestamp::Timestamp;

/// A client secret that must show up nowhere.
pub(super) const SECRET: &str = "planted-secret-4711";

/// Begins every token; must show up nowhere either.
pub(super) const TOKEN: &str = "planted-token-";

pub(super) const WORKSPACE: &str = "3009de2825f211ec8a84fedebcb4a754";

pub(super) const EMPTY_PAGE: &str =
    r#"{"items":[],"count":0,"total":0,"offset":0,"remainingRecords":false}"#;

/// What was asked.
pub(super) struct Asked {
    /// 1 for the first of its kind.
    pub(super) nth: usize,
    /// Path and query.
    pub(super) target: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// What to answer.
pub(super) enum Reply {
    Now(Response),
    Never,
}

pub(super) struct Stub {
    pub(super) url: Url,
    pub(super) tokens: Arc<AtomicUsize>,
    pub(super) pages: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Stub {
    /// Answers token requests by `token` and all others by `page`.
    pub(super) async fn start(
        token: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
        page: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tokens, pages) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&tokens), Arc::clone(&pages));
        let answers = Arc::new((token, page));
        let router = Router::new().fallback(move |request: Request| {
            let (answers, counts) = (Arc::clone(&answers), counts.clone());
            async move {
                let is_token = request.uri().path().ends_with("/token");
                let count = if is_token { &counts.0 } else { &counts.1 };
                let asked = asked(request, count).await;
                match if is_token { answers.0(&asked) } else { answers.1(&asked) } {
                    Reply::Now(response) => response,
                    Reply::Never => std::future::pending().await,
                }
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("a server") });
        let url = Url::parse(&format!("http://{address}/gateway")).expect("a URL");
        Self { url, tokens, pages, _server: server }
    }

    /// One whose tokens work and live 900 s.
    pub(super) async fn with_pages(page: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(|asked| grant(asked, 900), page).await
    }

    pub(super) fn source(&self) -> SourceConfig {
        source(&self.url)
    }

    pub(super) fn log(&self) -> AuditLog {
        self.log_on(Clock::system())
    }

    pub(super) fn log_on(&self, clock: Clock) -> AuditLog {
        AuditLog::new(&self.source(), clock).expect("a client").with_budget(None)
    }

    pub(super) fn token_calls(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    pub(super) fn page_calls(&self) -> usize {
        self.pages.load(Ordering::SeqCst)
    }
}

async fn asked(request: Request, count: &AtomicUsize) -> Asked {
    let target = request.uri().to_string();
    let header = request.headers().get("authorization");
    let authorization = header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let body = String::from_utf8(body.to_vec()).expect("text");
    let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
    Asked { nth, target, authorization, body }
}

/// A token named after the request's number, living `life` seconds.
pub(super) fn grant(asked: &Asked, life: u64) -> Reply {
    let nth = asked.nth;
    answer(200, "", format!(r#"{{"access_token":"{TOKEN}{nth}","expires_in":{life}}}"#))
}

/// An answer with further headers given as `name: value|name: value`.
pub(super) fn answer(status: u16, headers: &str, body: impl Into<Body>) -> Reply {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers.split('|').filter_map(|header| header.split_once(": ")) {
        builder = builder.header(name, value);
    }
    Reply::Now(builder.body(body.into()).expect("an answer").into_response())
}

pub(super) fn source(url: &Url) -> SourceConfig {
    SourceConfig {
        name: "test".to_owned(),
        workspace_id: WORKSPACE.to_owned(),
        client_id: "the-client".to_owned(),
        client_secret: Secret::new(SECRET),
        base_url: url.clone(),
        token_url: url.join(&format!("/oauth2/{WORKSPACE}/token?key={SECRET}")).expect("a URL"),
        token_auth: TokenAuth::Body,
        api: ApiVersion::V1,
        filter: String::new(),
        services: vec!["platform".to_owned()],
        proxy: None,
        ca_file: None,
        poll: PollConfig {
            enabled: true,
            schedule: Schedule::Interval(Duration::from_secs(30)),
            jitter: Duration::ZERO,
            overlap: Overlap::Fixed(Duration::from_mins(15)),
            start: Start::At(Timestamp::default()),
            page_limit: 2000,
            timeout: Duration::from_secs(10),
        },
        push: None,
    }
}

pub(super) fn query() -> Query {
    let span = Span { from: 1_734_698_000, until: 1_734_699_000 };
    Query { span, narrow: String::new(), limit: 2000, offset: 0 }
}
