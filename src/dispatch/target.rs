//! A target as its worker has it: everything that is the same for each request.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Client;
use url::Url;

use crate::config::{Auth, Format, Redactor, TargetConfig, url_secrets, user_info};
use crate::model::clock::Clock;
use crate::model::rate::Turns;
use crate::storage::TargetId;
use crate::transport::{ClientOptions, TransportError, client};

/// Connecting, TLS included, gets no longer than this even if the target's own limit is
/// longer: who does not take a connection within it is down.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// Media type of one event (CloudEvents HTTP binding 1.0.2, 3.2.1).
const STRUCTURED: HeaderValue =
    HeaderValue::from_static("application/cloudevents+json; charset=utf-8");

/// Media type of a batch (CloudEvents HTTP binding 1.0.2, 3.3.1).
const BATCH: HeaderValue =
    HeaderValue::from_static("application/cloudevents-batch+json; charset=utf-8");

/// Why a target cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its client cannot be made.
    #[error("target {name:?}")]
    Client {
        /// The target's name.
        name: String,
        /// Why not.
        #[source]
        source: TransportError,
    },
    /// A header cannot be sent.
    #[error("target {name:?}: header {header:?} cannot be sent as it is")]
    Header {
        /// The target's name.
        name: String,
        /// The header's name.
        header: String,
    },
}

/// A target: its configuration, its key in the ledger, its client and standing headers.
#[derive(Debug)]
pub struct Target {
    pub(super) id: TargetId,
    pub(super) config: TargetConfig,
    pub(super) client: Client,
    /// Where to POST, without user-info: the client's own log lines show it.
    pub(super) url: Url,
    /// Sent with every request; the values of secrets are marked sensitive.
    pub(super) headers: HeaderMap,
    /// For what must not show in a recorded answer.
    redactor: Redactor,
    /// Its rate limit, shared by all that is sent to it; `None`: none.
    turns: Option<Mutex<Turns>>,
}

impl Target {
    /// Prepares the target of that `id`.
    ///
    /// # Errors
    /// When its client or a header cannot be made; nothing has been sent.
    pub fn new(id: TargetId, config: TargetConfig) -> Result<Self, TargetError> {
        let options = ClientOptions {
            connect_timeout: config.timeout.min(CONNECT_TIMEOUT_MAX),
            timeout: config.timeout,
            read_timeout: config.timeout,
            proxy: config.proxy.clone(),
            ca_file: config.ca_file.as_ref().map(|file| file.path().to_owned()),
            addresses: config.addresses,
            hosts: config.url.host_str().map(str::to_owned).into_iter().collect(),
            gzip: false,
            pool_max_idle_per_host: config.concurrency,
            ..ClientOptions::default()
        };
        let client = client(&options)
            .map_err(|source| TargetError::Client { name: config.name.clone(), source })?;
        let headers = standing_headers(&config)?;
        let redactor = redactor(&config);
        let mut url = config.url.clone();
        // Both fail only for URLs without a host, which the configuration refuses.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let turns = config.rate.map(|rate| Mutex::new(Turns::new(rate)));
        Ok(Self { id, config, client, url, headers, redactor, turns })
    }

    /// Takes the place of `earlier`, the same target with other settings: has its key, and
    /// masks its secrets, too.
    #[must_use]
    pub fn succeeding(mut self, earlier: &Self) -> Self {
        self.id = earlier.id;
        self.redactor = mem::take(&mut self.redactor).remembering(&earlier.redactor);
        self
    }

    /// The same target under its key in the ledger.
    #[must_use]
    pub fn with_id(mut self, id: TargetId) -> Self {
        self.id = id;
        self
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Takes the turn of one request, if the rate limit lets it go at `uptime`.
    ///
    /// # Errors
    /// The time since boot at which it will; no turn has been taken.
    pub(super) fn take_turn(&self, uptime: Duration) -> Result<(), Duration> {
        let Some(turns) = &self.turns else { return Ok(()) };
        turns.lock().unwrap_or_else(PoisonError::into_inner).take(uptime)
    }

    /// Waits for the turn of one request.
    pub(super) async fn turn(&self, clock: &Clock) {
        while let Err(at) = self.take_turn(clock.uptime()) {
            let wait = at.saturating_sub(clock.uptime());
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// `text` with every secret of this target masked.
    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }
}

fn standing_headers(config: &TargetConfig) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    match config.format {
        Format::Structured => _ = headers.insert(CONTENT_TYPE, STRUCTURED),
        Format::Batch => _ = headers.insert(CONTENT_TYPE, BATCH),
        Format::Binary => {}
    }
    let sensitive = |header: &str, text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| TargetError::Header {
            name: config.name.clone(),
            header: header.to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    };
    match &config.auth {
        None => {
            if let Some((username, password)) = user_info(&config.url) {
                let pair = STANDARD.encode(format!("{username}:{password}"));
                headers.insert(AUTHORIZATION, sensitive("url", &format!("Basic {pair}"))?);
            }
        }
        Some(Auth::Bearer(token)) => {
            let value = sensitive("authorization", &format!("Bearer {}", token.expose()))?;
            headers.insert(AUTHORIZATION, value);
        }
        Some(Auth::Basic { username, password }) => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            headers.insert(AUTHORIZATION, sensitive("authorization", &format!("Basic {pair}"))?);
        }
    }
    for (name, value) in &config.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| TargetError::Header { name: config.name.clone(), header: name.clone() })?;
        headers.insert(key, sensitive(name, value.expose())?);
    }
    Ok(headers)
}

fn redactor(config: &TargetConfig) -> Redactor {
    let mut secrets: Vec<String> =
        config.headers.iter().map(|(_, value)| value.expose().to_owned()).collect();
    match &config.auth {
        None => {}
        Some(Auth::Bearer(token)) => secrets.push(token.expose().to_owned()),
        Some(Auth::Basic { username, password }) => {
            secrets.push(STANDARD.encode(format!("{username}:{}", password.expose())));
            secrets.push(password.expose().to_owned());
        }
    }
    secrets.extend(config.signing.greenlake.iter().map(|secret| secret.expose().to_owned()));
    secrets.extend(config.url.query().map(str::to_owned));
    secrets.extend(config.url.query_pairs().map(|(_, value)| value.into_owned()));
    for url in [Some(&config.url), config.proxy.as_ref()].into_iter().flatten() {
        secrets.extend(url_secrets(url));
    }
    Redactor::new(secrets.iter().map(String::as_str))
}
