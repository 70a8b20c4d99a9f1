//! Events in HTTP messages: structured, binary, batch (CloudEvents HTTP binding 1.0.2).

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;

use crate::model::envelope::media_type::{essence, is_json, is_text, is_utf8};
use crate::model::envelope::rules::{MAX_ATTRIBUTES, require, version};
use crate::model::envelope::{CloudEvent, Data, EnvelopeError, ExtensionValue};
use crate::model::envelope::{header_value, json};

/// `Content-Type` of one event in the JSON format.
pub const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// `Content-Type` of a batch in the JSON format.
pub const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

/// `Content-Type` of binary mode when the event names none: an event without
/// `datacontenttype` carries JSON.
pub const DEFAULT_DATA: &str = "application/json";

const PREFIX: &str = "ce-";

/// Extensions of a received event, at most: eight names are the spec's own, and the ledger
/// adds four when it seals the event, which must still be an event then.
const MAX_EXTENSIONS: usize = MAX_ATTRIBUTES - 8 - 4;

/// The form in which events came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One event in the JSON format.
    Structured,
    /// The data as the body, the attributes as `ce-` headers.
    Binary,
    /// A JSON array of events.
    Batch,
}

/// What an HTTP message holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The form in which it came.
    pub mode: Mode,
    /// The events in their order: exactly one that is `Ok`, or a batch's, of which each
    /// may be bad for itself; empty for an empty batch.
    pub events: Vec<Result<CloudEvent, EnvelopeError>>,
}

/// Writes an event in binary mode: headers and body.
///
/// ```text
/// content-type: <datacontenttype, else application/json>
/// ce-specversion: 1.0
/// ce-id: …                      one header an attribute, percent-encoded
/// ```
///
/// # Errors
/// What [`CloudEvent::check`] finds: an attribute that breaks the spec's rules may not fit
/// a header.
pub fn encode_binary(event: &CloudEvent) -> Result<(HeaderMap, Vec<u8>), EnvelopeError> {
    event.check()?;
    let mut headers = HeaderMap::with_capacity(event.extensions.len() + 8);
    let content_type = event.datacontenttype.as_deref().unwrap_or(DEFAULT_DATA);
    headers.insert(CONTENT_TYPE, value_of("datacontenttype", content_type)?);
    headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
    for (header, value) in [
        ("ce-id", Some(&event.id)),
        ("ce-source", Some(&event.source)),
        ("ce-type", Some(&event.event_type)),
        ("ce-subject", event.subject.as_ref()),
        ("ce-time", event.time.as_ref()),
        ("ce-dataschema", event.dataschema.as_ref()),
    ] {
        if let Some(value) = value {
            headers.insert(header, value_of(header, &header_value::encode(value))?);
        }
    }
    for (name, value) in &event.extensions {
        let header = HeaderName::try_from(format!("{PREFIX}{name}"))
            .map_err(|_| EnvelopeError::attribute(name, "has a name that fits no header"))?;
        let value = value_of(name, &header_value::encode(&value.to_string()))?;
        headers.insert(header, value);
    }
    let body = match &event.data {
        Data::None => Vec::new(),
        Data::Json(json) => json.get().as_bytes().to_vec(),
        Data::Text(text) => text.as_bytes().to_vec(),
        Data::Binary(bytes) => bytes.clone(),
    };
    Ok((headers, body))
}

/// Reads the events of an HTTP message, in whichever form they came.
///
/// `Content-Type` decides, without regard to case. A message of another type is binary
/// when it has `ce-specversion`; else, when its type is JSON or missing, an object is read
/// as one event and an array as a batch (GreenLake's webhooks send events so, as
/// `application/json`).
///
/// # Errors
/// [`EnvelopeError::MediaType`] if nothing says that this is an event in JSON; else what
/// is wrong with the message as a whole. Faults of single events in a batch are in
/// [`Received::events`].
pub fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Received, EnvelopeError> {
    let content_type = match headers.get(CONTENT_TYPE) {
        Some(value) => Some(value.to_str().map_err(|_| EnvelopeError::MediaType)?),
        None => None,
    };
    let mode = mode_of(content_type, headers, body)?;
    let events = match mode {
        Mode::Structured => vec![Ok(bounded(json::parse(body)?)?)],
        Mode::Binary => vec![Ok(bounded(decode_binary(headers, content_type, body)?)?)],
        Mode::Batch => {
            json::parse_batch(body)?.into_iter().map(|event| event.and_then(bounded)).collect()
        }
    };
    Ok(Received { mode, events })
}

fn bounded(event: CloudEvent) -> Result<CloudEvent, EnvelopeError> {
    if event.extensions.len() > MAX_EXTENSIONS {
        return Err(EnvelopeError::TooManyAttributes);
    }
    Ok(event)
}

fn mode_of(
    content_type: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Mode, EnvelopeError> {
    if let Some(content_type) = content_type {
        let essence = essence(content_type).to_ascii_lowercase();
        if let Some(format) = essence.strip_prefix("application/cloudevents") {
            let mode = match format {
                "" | "+json" => Mode::Structured,
                "-batch" | "-batch+json" => Mode::Batch,
                _ => return Err(EnvelopeError::MediaType),
            };
            return if is_utf8(content_type) { Ok(mode) } else { Err(EnvelopeError::MediaType) };
        }
    }
    if headers.contains_key("ce-specversion") {
        return Ok(Mode::Binary);
    }
    if !is_json(content_type) {
        return Err(EnvelopeError::MediaType);
    }
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Ok(Mode::Batch),
        _ => Ok(Mode::Structured),
    }
}

fn decode_binary(
    headers: &HeaderMap,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<CloudEvent, EnvelopeError> {
    let mut attributes = attributes(headers)?;
    let mut take = |name| attributes.remove(name);
    version(take("specversion").map(Cow::Owned))?;
    let event = CloudEvent {
        id: require("id", take("id").map(Cow::Owned))?,
        source: require("source", take("source").map(Cow::Owned))?,
        event_type: require("type", take("type").map(Cow::Owned))?,
        subject: take("subject"),
        time: take("time"),
        datacontenttype: content_type.map(str::to_owned),
        dataschema: take("dataschema"),
        data: payload(content_type, body),
        extensions: attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), ExtensionValue::String(value)))
            .collect(),
    };
    event.check()?;
    Ok(event)
}

fn attributes(headers: &HeaderMap) -> Result<BTreeMap<&str, String>, EnvelopeError> {
    let mut attributes = BTreeMap::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else { continue };
        if name == "datacontenttype" {
            let fault = "may not be a header: Content-Type says it";
            return Err(EnvelopeError::attribute(name, fault));
        }
        let value = header_value::decode(value.as_bytes())
            .ok_or_else(|| EnvelopeError::attribute(name, "is not UTF-8 when decoded"))?;
        if attributes.insert(name, value).is_some() {
            return Err(EnvelopeError::attribute(name, "comes twice"));
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(EnvelopeError::TooManyAttributes);
        }
    }
    Ok(attributes)
}

/// Bytes that are not what the content type says are kept as bytes: they may still be
/// what the target expects.
fn payload(content_type: Option<&str>, body: &[u8]) -> Data {
    if body.is_empty() {
        return Data::None;
    }
    if is_json(content_type) {
        if let Ok(json) = serde_json::from_slice::<&RawValue>(body) {
            return Data::Json(json.to_owned());
        }
    } else if content_type.is_some_and(is_text)
        && let Ok(text) = std::str::from_utf8(body)
    {
        return Data::Text(text.to_owned());
    }
    Data::Binary(body.to_vec())
}

fn value_of(name: &str, encoded: &str) -> Result<HeaderValue, EnvelopeError> {
    HeaderValue::from_str(encoded)
        .map_err(|_| EnvelopeError::attribute(name, "has a value that fits no header"))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod requests;
