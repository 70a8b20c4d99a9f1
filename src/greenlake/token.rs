//! The access token: fetched once for all callers, renewed early, dropped when refused.
//!
//! `OAuth2` client credentials (RFC 6749, 4.4). Kept true here: one token request at a
//! time, whoever asks; a late refusal of an old token leaves a fresh one alone; a
//! renewal that fails does no harm while the old token lives; neither token nor secret
//! nor the endpoint's answer prints.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
};
use oauth2::{
    AsyncHttpClient, AuthType, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, RequestTokenError, StandardRevocableToken, TokenResponse, TokenUrl,
};
use tokio::sync::Mutex;
use url::form_urlencoded::byte_serialize;

use crate::config::{Redactor, SourceConfig, TokenAuth, url_secrets};
use crate::greenlake::audit_log::FetchError;
use crate::greenlake::error::Refusal;
use crate::greenlake::exchange::{Answer, Exchange, Fault};
use crate::greenlake::grant::Grant;
use crate::model::clock::Clock;

/// Life of a token whose answer does not state it: the shortest that HPE gives, for
/// personal API clients (Aruba developer hub, access tokens).
const DEFAULT_LIFE: Duration = Duration::from_mins(15);

/// Pause between renewals that fail while the old token still lives.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// Body of a token answer: a JSON web token has a few kilobytes.
const TOKEN_BODY_LIMIT: u64 = 1024 * 1024;

type OAuthClient = Client<
    BasicErrorResponse,
    Grant,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// An access token as a header. Its value is marked sensitive and does not print.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Tells this token from every other of this process.
    serial: u64,
    /// `Bearer …`
    pub(crate) authorization: HeaderValue,
}

/// The token of one source, shared by all its requests.
pub(crate) struct Tokens {
    exchange: Exchange,
    oauth: OAuthClient,
    client_id: String,
    /// For what the endpoint may repeat.
    redactor: Redactor,
    clock: Clock,
    state: Mutex<State>,
    /// Time since boot at which the token in hand dies, in microseconds; 0: there is none.
    dies_at: AtomicU64,
    /// Requests that have ended, well or badly. Callers that were waiting for one share
    /// its failure instead of repeating it.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failure: Option<Fault>,
    serial: u64,
}

struct Held {
    token: Token,
    renew_at: Duration,
    dies_at: Duration,
}

impl Token {
    /// The token alone, to keep it out of texts.
    pub(crate) fn text(&self) -> &str {
        self.authorization.to_str().unwrap_or_default().trim_start_matches("Bearer ")
    }
}

impl Tokens {
    /// Prepares for the endpoint and credentials of `source`; asks for nothing yet.
    pub(crate) fn new(source: &SourceConfig, exchange: Exchange, clock: Clock) -> Self {
        let secret = ClientSecret::new(source.client_secret.expose().to_owned());
        let oauth = Client::new(ClientId::new(source.client_id.clone()))
            .set_client_secret(secret)
            .set_auth_type(match source.token_auth {
                TokenAuth::Body => AuthType::RequestBody,
                TokenAuth::Basic => AuthType::BasicAuth,
            })
            .set_token_uri(TokenUrl::from_url(source.token_url.clone()));
        let client_id = source.client_id.clone();
        let redactor = redactor(source);
        let (state, ended, dies_at) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        Self { exchange, oauth, client_id, redactor, clock, state, dies_at, ended }
    }

    /// Masks what a server may repeat: the secrets, and those of before.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Masks the secrets of `earlier`, too.
    pub(crate) fn remember(&mut self, earlier: &Self) {
        self.redactor = mem::take(&mut self.redactor).remembering(&earlier.redactor);
    }

    /// A token that should work: the one held, or a new one.
    ///
    /// All callers that arrive while one is being fetched get that one, or its failure.
    /// From 80 % of its life on a token is renewed; should that fail, the old one is
    /// used to its end. Dropping the future leaves the fetching to the next caller.
    ///
    /// # Errors
    /// The token endpoint's fault; no token is held then.
    pub(crate) async fn get(&self) -> Result<Token, Fault> {
        let ended_before = self.ended.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        let now = self.clock.uptime();
        if let Some(held) = state.held.as_ref().filter(|held| now < held.renew_at) {
            return Ok(held.token.clone());
        }
        if self.ended.load(Ordering::SeqCst) != ended_before
            && let Some(fault) = &state.failure
        {
            return Err(fault.clone());
        }

        let granted = self.request().await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        let token = match granted {
            Ok(grant) => state.hold(&grant, now),
            Err(fault) => state.fail(fault, self.clock.uptime()),
        };
        self.note(&state);
        token
    }

    /// Time since boot at which the token in hand dies; `None` when there is none.
    pub(crate) fn dies_at(&self) -> Option<Duration> {
        let micros = self.dies_at.load(Ordering::SeqCst);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// For those who only want to look, and must not wait for a request.
    fn note(&self, state: &State) {
        let dies_at = state.held.as_ref().map_or(0, |held| held.dies_at.as_micros());
        self.dies_at.store(u64::try_from(dies_at).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Forgets `token` after the source refused it. Another token that is held by now
    /// stays.
    pub(crate) async fn drop_token(&self, token: &Token) {
        let mut state = self.state.lock().await;
        if state.held.as_ref().is_some_and(|held| held.token.serial == token.serial) {
            state.held = None;
            self.note(&state);
        }
    }

    async fn request(&self) -> Result<Grant, Fault> {
        let granted = self.oauth.exchange_client_credentials().request_async(self).await;
        granted.map_err(|error| match error {
            RequestTokenError::Request(fault) => fault,
            // The body holds the token, and so may the parser's words about it.
            RequestTokenError::Parse(error, _) => self.unreadable(&format!(
                "is no token response (at {}, line {}, column {})",
                error.path(),
                error.inner().line(),
                error.inner().column(),
            )),
            RequestTokenError::Other(message) => self.unreadable(&format!("is none: {message}")),
            RequestTokenError::ServerResponse(_) => self.unreadable("is an error"),
        })
    }

    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let request = reqwest::Request::try_from(request)
            .map_err(|error| self.unreadable(&format!("was not asked for: {error}")))?;
        let answer = self.exchange.send(request, TOKEN_BODY_LIMIT).await?;
        if !answer.status.is_success() {
            let refusal = Refusal::of_token_endpoint(&answer.body, &self.redactor);
            return Err(self.refused(&answer, &refusal).into());
        }
        // Only the status and the body go on: the media type is not worth a refusal.
        Ok(HttpResponse::new(answer.body.to_vec()))
    }

    fn refused(&self, answer: &Answer, refusal: &Refusal) -> FetchError {
        let status = answer.status.as_u16();
        let (url, said) = (self.exchange.place(), refusal.bracketed());
        let message = match status {
            429 | 408 | 425 | 500.. => {
                let message = format!("the token endpoint {url} answered {status}{said}");
                return self.exchange.wait_or_fail(answer, refusal, message);
            }
            300..=399 => format!(
                "the token endpoint {url} answered {status}, a redirect, which is never \
                 followed: correct token_url"
            ),
            404 => format!(
                "the token endpoint {url} answered 404{said}: wrong workspace_id or token_url"
            ),
            _ => format!(
                "the token endpoint {url} refused client_id {} with {status}{said}: wrong \
                 client id or secret",
                self.client_id
            ),
        };
        FetchError::AuthFailed { message }
    }

    fn unreadable(&self, problem: &str) -> Fault {
        let message =
            format!("the answer of the token endpoint {} {problem}", self.exchange.place());
        FetchError::Unreadable { message }.into()
    }
}

// A named client and not a closure: the compiler cannot see that the closure's future is
// `Send` for every lifetime.
impl<'c> AsyncHttpClient<'c> for Tokens {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Fault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.post(request))
    }
}

/// For the secret, alone and in the header of HTTP Basic (RFC 6749, 2.3.1), and for the
/// proxy's.
fn redactor(source: &SourceConfig) -> Redactor {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let secret = source.client_secret.expose();
    let pair = STANDARD.encode(format!("{}:{}", encoded(&source.client_id), encoded(secret)));
    let proxy: Vec<String> = source.proxy.iter().flat_map(url_secrets).collect();
    Redactor::new([secret, &pair].into_iter().chain(proxy.iter().map(String::as_str)))
}

impl State {
    fn hold(&mut self, grant: &Grant, asked_at: Duration) -> Result<Token, Fault> {
        self.failure = None;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", grant.access_token().secret())).map_err(
                |_| {
                    Fault::from(FetchError::Unreadable {
                        message: "the token endpoint sent a token that fits no header".to_owned(),
                    })
                },
            )?;
        authorization.set_sensitive(true);
        self.serial += 1;
        let token = Token { serial: self.serial, authorization };
        let life = grant.expires_in().unwrap_or(DEFAULT_LIFE);
        let (renew_at, dies_at) = (asked_at + life * 4 / 5, asked_at + life);
        self.held = Some(Held { token: token.clone(), renew_at, dies_at });
        Ok(token)
    }

    fn fail(&mut self, fault: Fault, now: Duration) -> Result<Token, Fault> {
        if let Some(held) = self.held.as_mut().filter(|held| now < held.dies_at) {
            tracing::warn!(error = %fault, "the token could not be renewed; the old one still lives");
            held.renew_at = now + RENEWAL_PAUSE.min(held.dies_at.saturating_sub(now));
            return Ok(held.token.clone());
        }
        self.held = None;
        self.failure = Some(fault.clone());
        Err(fault)
    }
}
