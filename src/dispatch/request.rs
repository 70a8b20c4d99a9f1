//! The bytes and headers of one request.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Format;
use crate::dispatch::target::Target;
use crate::model::envelope::{EnvelopeError, http as binding, json};
use crate::model::signature::{batch_webhook_id, sign_greenlake, sign_standard, webhook_id};
use crate::model::timestamp::Timestamp;
use crate::storage::Due;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const GREENLAKE_SIGNATURE: HeaderName = HeaderName::from_static("hpe-webhook-signature");

/// What a request carries apart from its signatures: the same at every attempt.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) webhook_id: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Forms the message that brings `deliveries` to `target`: one, or several for a batch.
///
/// # Errors
/// When an event cannot take the target's format.
pub(super) fn message(target: &Target, deliveries: &[Due]) -> Result<Message, EnvelopeError> {
    let mut headers = target.headers.clone();
    let (webhook_id, body) = match (target.config.format, deliveries) {
        (Format::Batch, _) => {
            let ids = deliveries.iter().map(|d| (&*d.event_source, &*d.event_id));
            let body = json::join_batch(deliveries.iter().map(|d| d.body.as_ref()));
            (batch_webhook_id(ids), Bytes::from(body))
        }
        (Format::Binary, [one, ..]) => {
            let (own, body) = binding::encode_binary(&json::parse(&one.body)?)?;
            headers.extend(own);
            (webhook_id(&one.event_source, &one.event_id).into_owned(), Bytes::from(body))
        }
        (Format::Structured, [one, ..]) => {
            (webhook_id(&one.event_source, &one.event_id).into_owned(), one.body.clone())
        }
        (Format::Binary | Format::Structured, []) => (String::new(), Bytes::new()),
    };
    Ok(Message { webhook_id, headers, body })
}

/// The headers of one attempt: those of the message and the signatures of this moment.
pub(super) fn signed_headers(target: &Target, message: &mut Message, now: Timestamp) -> HeaderMap {
    let mut headers = std::mem::take(&mut message.headers);
    let signing = &target.config.signing;
    if !signing.standard.is_empty() {
        let (id, seconds) = (&message.webhook_id, now.secs());
        let signature = sign_standard(&signing.standard, id, seconds, &message.body);
        let mut add = |name, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        add(WEBHOOK_ID, id);
        add(WEBHOOK_TIMESTAMP, &seconds.to_string());
        add(WEBHOOK_SIGNATURE, &signature);
    }
    if let Some(secret) = &signing.greenlake {
        let signature = sign_greenlake(secret.expose().as_bytes(), &message.body);
        if let Ok(value) = HeaderValue::from_str(&signature) {
            headers.insert(GREENLAKE_SIGNATURE, value);
        }
    }
    headers
}
