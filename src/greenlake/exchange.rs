//! One request and its whole answer, as both of a source's endpoints need it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Request};
use url::Url;

use crate::greenlake::audit_log::FetchError;
use crate::greenlake::error::Refusal;
use crate::greenlake::server_time::ServerTime;
use crate::greenlake::throttle::{WAIT_WITHOUT_HINT, wait_of};
use crate::transport::{BodyError, Reason, explain, network_reason, read_bounded, redact};

/// Body of a refusing answer: HPE's own have less than 2 KiB, proxies' pages a little
/// more. A larger one is not worth reading; its status is.
const ERROR_BODY_LIMIT: u64 = 64 * 1024;

/// Sends requests to one endpoint of a source and notes the time of its answers.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    client: Client,
    server: Arc<ServerTime>,
    /// The endpoint and the proxy, as they are shown: without keys.
    place: String,
}

/// An answer, read whole. Does not print: its body may hold a token.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Decompressed. Empty when a refusing answer's body was too large or broke off.
    pub(crate) body: Bytes,
}

/// A [`FetchError`] and, when there was no answer, the network's reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Fault {
    pub(crate) error: FetchError,
    pub(crate) reason: Option<Reason>,
}

impl From<FetchError> for Fault {
    fn from(error: FetchError) -> Self {
        Self { error, reason: None }
    }
}

impl Exchange {
    /// For the endpoint `url`, reached through `proxy` if there is one.
    pub(crate) fn new(
        client: Client,
        server: Arc<ServerTime>,
        url: &Url,
        proxy: Option<&Url>,
    ) -> Self {
        let through = proxy.map(|proxy| format!(" through the proxy {}", redact(proxy)));
        let place = format!("{}{}", redact(url), through.unwrap_or_default());
        Self { client, server, place }
    }

    /// The endpoint for people, without keys.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Sends `request` and reads an answer of any status; a good one up to `limit_bytes`.
    ///
    /// # Errors
    /// [`FetchError::Unavailable`] if no answer came in time, [`FetchError::Unreadable`]
    /// if a good one was too large or broke off.
    pub(crate) async fn send(&self, request: Request, limit_bytes: u64) -> Result<Answer, Fault> {
        let answered = self.client.execute(request).await;
        let response =
            answered.map_err(|error| self.silent(network_reason(&error), &explain(&error)))?;
        self.server.note(response.headers());

        let (status, headers) = (response.status(), response.headers().clone());
        let limit = if status.is_success() { limit_bytes } else { ERROR_BODY_LIMIT };
        let body = match read_bounded(response, limit).await {
            Ok(body) => body,
            Err(_) if !status.is_success() => Bytes::new(),
            Err(BodyError::Cut(Reason::Timeout)) => {
                return Err(self.silent(Reason::Timeout, "timeout: the answer did not end in time"));
            }
            Err(error) => return Err(self.broken(error, limit)),
        };
        Ok(Answer { status, headers, body })
    }

    /// What a 429, a 5xx or another passing refusal comes to: a wait if it asks for one.
    pub(crate) fn wait_or_fail(
        &self,
        answer: &Answer,
        refusal: &Refusal,
        message: String,
    ) -> FetchError {
        let status = answer.status.as_u16();
        let asked = wait_of(status, &answer.headers, refusal.retry_after, self.server.now());
        let least = if status == 429 { Some(WAIT_WITHOUT_HINT) } else { None };
        match asked.or(least) {
            Some(wait) => FetchError::Throttled { wait, message },
            None => FetchError::Unavailable { status: Some(status), message },
        }
    }

    fn silent(&self, reason: Reason, cause: &str) -> Fault {
        let message = format!("no answer from {}: {cause}", self.place);
        Fault { error: FetchError::Unavailable { status: None, message }, reason: Some(reason) }
    }

    fn broken(&self, error: BodyError, limit: u64) -> Fault {
        let message = match error {
            BodyError::TooLarge => {
                format!("the answer of {} is larger than {limit} bytes", self.place)
            }
            BodyError::Cut(reason) => format!("the answer of {} broke off ({reason})", self.place),
        };
        FetchError::Unreadable { message }.into()
    }
}
