//! Asking the audit log for a page.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use crate::config::{ApiVersion, Redactor, Secret, SourceConfig, url_secrets};
use crate::greenlake::audit_log::{FetchError, Page, Query};
use crate::greenlake::error::Refusal;
use crate::greenlake::exchange::{Answer, Exchange, Fault};
use crate::greenlake::pacer::{Pace, REQUESTS_PER_MINUTE};
use crate::greenlake::server_time::ServerTime;
use crate::greenlake::throttle::hold_of;
use crate::greenlake::token::{Token, Tokens};
use crate::greenlake::wire::{filter_text, list_url, read_page, service_terms};
use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;
use crate::transport::{ClientOptions, TransportError, client, redact};

/// Decompressed body of a page: 2000 entries of 32 KiB each; usual ones have 1 KiB.
const PAGE_BODY_LIMIT: u64 = 64 * 1024 * 1024;

/// Connecting takes no longer even where a page may: an unreachable host is told soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections: the poller asks one thing at a time.
const IDLE_CONNECTIONS: usize = 2;

/// The audit log of one source. Share it by reference or `Arc`: token, pace and the
/// source's clock are kept in common.
pub struct AuditLog {
    exchange: Exchange,
    tokens: Tokens,
    server: Arc<ServerTime>,
    clock: Clock,
    pace: Arc<Pace>,
    list: Url,
    api: ApiVersion,
    filter: String,
    parts: Vec<String>,
    workspace_id: String,
    /// Of the proxy, which may repeat them.
    proxy_secrets: Vec<Secret>,
}

impl AuditLog {
    /// Prepares for `source`; asks for nothing yet.
    ///
    /// # Errors
    /// [`TransportError`] if its CA file or proxy is unusable.
    pub fn new(source: &SourceConfig, clock: Clock) -> Result<Self, TransportError> {
        let client = client(&ClientOptions {
            connect_timeout: CONNECT_TIMEOUT.min(source.poll.timeout),
            timeout: source.poll.timeout,
            read_timeout: source.poll.timeout,
            proxy: source.proxy.clone(),
            ca_file: source.ca_file.as_ref().map(|file| file.path().to_owned()),
            hosts: [&source.base_url, &source.token_url]
                .into_iter()
                .filter_map(|url| url.host_str().map(str::to_owned))
                .collect(),
            gzip: true,
            pool_max_idle_per_host: IDLE_CONNECTIONS,
            ..ClientOptions::default()
        })?;
        let server = Arc::new(ServerTime::new(clock.clone()));
        let exchange = |url: &Url| {
            Exchange::new(client.clone(), Arc::clone(&server), url, source.proxy.as_ref())
        };
        let list = list_url(&source.base_url, source.api);
        Ok(Self {
            exchange: exchange(&list),
            tokens: Tokens::new(source, exchange(&source.token_url), clock.clone()),
            server,
            pace: Arc::new(Pace::new(Some(REQUESTS_PER_MINUTE), clock.clone())),
            clock,
            list,
            api: source.api,
            filter: source.filter.clone(),
            parts: service_terms(source),
            workspace_id: source.workspace_id.clone(),
            proxy_secrets: source.proxy.iter().flat_map(url_secrets).map(Secret::new).collect(),
        })
    }

    /// Stays below `per_minute` requests instead of 80, or with `None` asks as fast as it
    /// is called, whatever the answers' rate headers say: for measurements against a
    /// simulator. A 429 is [`FetchError::Throttled`] in any case.
    #[must_use]
    pub fn with_budget(mut self, per_minute: Option<u32>) -> Self {
        self.pace = Arc::new(Pace::new(per_minute, self.clock.clone()));
        self
    }

    /// Goes on for `earlier`, which asked with other settings: keeps its pace where it is
    /// the same host, and masks its secrets, too.
    #[must_use]
    pub fn succeeding(mut self, earlier: &Self) -> Self {
        if self.list.origin() == earlier.list.origin() {
            self.pace = Arc::clone(&earlier.pace);
        }
        self.tokens.remember(&earlier.tokens);
        self
    }

    /// The source's time by its last `Date`, token answers included, carried on by our
    /// boot-time clock: behind the truth by a second and the network's delay at most,
    /// never ahead. The wall clock before any answer.
    #[must_use]
    pub fn server_now(&self) -> Timestamp {
        self.server.now()
    }

    /// Seconds by which the source's clock is ahead of our wall clock, negative when
    /// behind, exact to about a second. `None` before any answer.
    #[must_use]
    pub fn clock_offset(&self) -> Option<i64> {
        self.server.offset()
    }

    /// Time since boot at which the access token in hand dies; `None` when there is none.
    #[must_use]
    pub fn token_dies_at(&self) -> Option<Duration> {
        self.tokens.dies_at()
    }

    /// The terms to narrow a question by, one request each: what they let through is
    /// together all that is wanted, and nothing comes twice. Never empty; one empty term
    /// where a single request will do.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Asks for one page.
    ///
    /// Waits for its turn first, up to 65 s, so that the source is asked fewer than 80
    /// times a minute. A token that is refused is replaced once. Any number of fetches
    /// may run at once. Dropping the future abandons the request; nothing is left behind.
    ///
    /// # Errors
    /// [`FetchError`]; the next fetch starts anew.
    pub async fn fetch(&self, query: &Query) -> Result<Page, FetchError> {
        self.ask(query).await.map_err(|fault| fault.error)
    }

    /// The clock that waits and the token's life go by.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// As [`AuditLog::fetch`], with the network's reason for a probe.
    pub(crate) async fn ask(&self, query: &Query) -> Result<Page, Fault> {
        let token = self.tokens.get().await?;
        match self.request(query, &token).await? {
            Outcome::Page(page) => return Ok(page),
            Outcome::Unauthorized(_) => self.tokens.drop_token(&token).await,
        }
        let token = self.tokens.get().await?;
        match self.request(query, &token).await? {
            Outcome::Page(page) => Ok(page),
            Outcome::Unauthorized(refusal) => Err(FetchError::AuthFailed {
                message: format!(
                    "{} answered 401 to a fresh token{}: the API client may belong to another \
                     workspace, or be disabled",
                    self.exchange.place(),
                    refusal.bracketed()
                ),
            }
            .into()),
        }
    }

    /// Gets a token unless one is held.
    pub(crate) async fn authenticate(&self) -> Result<(), Fault> {
        self.tokens.get().await.map(drop)
    }

    async fn request(&self, query: &Query, token: &Token) -> Result<Outcome, Fault> {
        self.pace.turn().await.map_err(|wait| {
            let message = format!("{} allows no further request for now", self.exchange.place());
            FetchError::Throttled { wait, message }
        })?;
        let mut request = Request::new(Method::GET, query.url(&self.list, self.api, &self.filter));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(AUTHORIZATION, token.authorization.clone());

        let (sent, known) = (self.clock.uptime(), self.server.known());
        let answer = self.exchange.send(request, PAGE_BODY_LIMIT).await?;
        // Before the first Date the answer's own, less the time it took, says when we asked.
        let took = self.clock.uptime().saturating_sub(sent);
        let asked_at = known.unwrap_or_else(|| self.server.now().minus(took));
        if let Some(wait) = hold_of(&answer.headers, self.server.now()) {
            self.pace.hold(wait);
        }
        if answer.status.is_success() {
            return self.read(&answer, asked_at).map(Outcome::Page).map_err(Fault::from);
        }

        let refusal = Refusal::of_api(&answer.body, &self.redactor(token));
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(Outcome::Unauthorized(refusal));
        }
        Err(self.refused(&answer, &refusal, query).into())
    }

    fn redactor(&self, token: &Token) -> Redactor {
        let own = self.proxy_secrets.iter().map(Secret::expose).chain([token.text()]);
        Redactor::new(own).remembering(self.tokens.redactor())
    }

    fn read(&self, answer: &Answer, asked_at: Timestamp) -> Result<Page, FetchError> {
        let entries = read_page(&answer.body, &self.workspace_id).map_err(|problem| {
            let message = format!(
                "the answer of {} {problem}; is there a proxy or portal in between?",
                self.exchange.place()
            );
            FetchError::Unreadable { message }
        })?;
        let mut events = entries.events;
        if self.api == ApiVersion::V2Beta1 {
            events.reverse();
        }
        Ok(Page {
            events,
            unreadable: entries.unreadable,
            count: entries.count,
            total: entries.total,
            asked_at,
            bytes: answer.body.len() as u64,
        })
    }

    fn refused(&self, answer: &Answer, refusal: &Refusal, query: &Query) -> FetchError {
        let status = answer.status.as_u16();
        let (place, said) = (self.exchange.place(), refusal.bracketed());
        let message = format!("{place} answered {status}{said}");
        match status {
            408 | 425 | 429 | 500.. => self.exchange.wait_or_fail(answer, refusal, message),
            403 => FetchError::Forbidden {
                message: format!(
                    "{message}: the API client needs a role with ccs.audit-trail.view, such as \
                     Observer"
                ),
            },
            300..=399 => FetchError::Rejected {
                status,
                message: format!(
                    "{message}, a redirect, which is never followed: correct base_url"
                ),
            },
            404 => FetchError::Rejected {
                status,
                message: format!("{message}: correct base_url or api"),
            },
            _ => FetchError::Rejected {
                status,
                message: format!(
                    "{message}; we asked filter={} limit={} offset={}",
                    filter_text(query, &self.filter),
                    query.limit,
                    query.offset
                ),
            },
        }
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("list", &redact(&self.list)).finish_non_exhaustive()
    }
}

enum Outcome {
    Page(Page),
    Unauthorized(Refusal),
}
