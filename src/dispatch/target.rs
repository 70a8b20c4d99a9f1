//! A target as its worker has it: everything that is the same for each request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Client;

use crate::config::{Auth, Format, Secret, TargetConfig};
use crate::storage::TargetId;
use crate::transport::{ClientOptions, TransportError, client};

/// Connecting, TLS included, gets no longer than this even if the target's own limit is
/// longer: who does not take a connection within it is down.
const CONNECT_TIMEOUT_MAX: std::time::Duration = std::time::Duration::from_secs(10);

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
    /// Sent with every request; the values of secrets are marked sensitive.
    pub(super) headers: HeaderMap,
    /// What must not show in a recorded answer.
    secrets: Vec<Secret>,
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
            ca_file: config.ca_file.clone(),
            gzip: false,
            pool_max_idle_per_host: config.concurrency,
            ..ClientOptions::default()
        };
        let client = client(&options)
            .map_err(|source| TargetError::Client { name: config.name.clone(), source })?;
        let headers = standing_headers(&config)?;
        let mut secrets = secrets(&config);
        // The client makes a Basic header of user and password in a URL.
        let plain = client.post(config.url.clone()).build().ok();
        let basic = plain.and_then(|request| request.headers().get(AUTHORIZATION).cloned());
        let pair = basic.as_ref().and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        secrets.extend(pair.map(Secret::new));
        Ok(Self { id, config, client, headers, secrets })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// `text` with every secret of this target masked.
    pub(super) fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose(), crate::config::secret::MASK)
        })
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
        None => {}
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

/// Shortest text that is masked: masking a single letter would only spoil the answer.
const SECRET_MIN: usize = 4;

fn secrets(config: &TargetConfig) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = config.headers.iter().map(|(_, value)| value.clone()).collect();
    match &config.auth {
        None => {}
        Some(Auth::Bearer(token)) => secrets.push(token.clone()),
        Some(Auth::Basic { username, password }) => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            secrets.push(Secret::new(pair));
            secrets.push(password.clone());
        }
    }
    secrets.extend(config.signing.greenlake.clone());
    secrets.extend(config.url.query().map(Secret::new));
    secrets.extend(config.url.password().map(Secret::new));
    secrets.push(Secret::new(config.url.username()));
    secrets.extend(config.url.query_pairs().map(|(_, value)| Secret::new(value.into_owned())));
    secrets.retain(|secret| secret.expose().len() >= SECRET_MIN);
    secrets
}
