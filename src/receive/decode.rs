//! What a signed request holds: a challenge, or events, readable or not.

use std::collections::HashSet;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use serde_json::value::RawValue;

use crate::greenlake::{Listed, find_challenge, read_push};
use crate::model::envelope::http::{Mode, decode};
use crate::model::envelope::json::split_batch;
use crate::model::envelope::{CloudEvent, EnvelopeError};
use crate::model::event::{Event, Unreadable};
use crate::model::timestamp::Timestamp;

/// What a message holds.
#[derive(Debug)]
pub(super) enum Message {
    /// A text to be answered.
    Challenge(String),
    /// Events.
    Events(Parcel),
}

/// The events of a message.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    /// The readable ones, in the order of the message.
    pub(super) events: Vec<Event>,
    /// The others.
    pub(super) unreadable: Vec<Unreadable>,
    /// Ids of those of `events` that polling may never show.
    pub(super) outside: HashSet<String>,
    /// How many came, readable or not.
    pub(super) count: u64,
    /// Whether they came as an array.
    pub(super) is_batch: bool,
    /// How many of `events` are of another workspace.
    pub(super) foreign: u64,
}

/// What a reader of messages has to know of the source.
pub(super) trait Reading {
    /// The source's workspace.
    fn workspace_id(&self) -> &str;

    /// Whether events of other workspaces are kept.
    fn keeps_foreign(&self) -> bool;

    /// Whether polling shows what is listed so.
    fn is_polled(&self, listed: Listed) -> bool;
}

/// Reads a whole message.
///
/// # Errors
/// What is wrong with it as a whole; faults of single events are in the parcel.
pub(super) fn read(
    source: &impl Reading,
    headers: &HeaderMap,
    body: &[u8],
    received_at: Timestamp,
) -> Result<Message, EnvelopeError> {
    if is_encoded(headers) {
        return Err(EnvelopeError::MediaType);
    }
    let received = decode(headers, body)?;
    let is_batch = received.mode == Mode::Batch;
    let raws: Vec<&RawValue> = if is_batch { split_batch(body)? } else { Vec::new() };
    let raw = |index: usize| match raws.get(index) {
        Some(raw) => raw.get().to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let mut parcel = Parcel { is_batch, ..Parcel::default() };
    for (index, event) in received.events.into_iter().enumerate() {
        if let Some(challenge) = event.as_ref().ok().and_then(find_challenge) {
            // In a batch it would be an answer to one of many: GreenLake sends it alone.
            if !is_batch {
                return Ok(Message::Challenge(challenge));
            }
            continue;
        }
        parcel.count += 1;
        let read = event.map_err(|error| error.to_string());
        if let Err(reason) = read.and_then(|event| parcel.add(source, event, received_at)) {
            parcel.unreadable.push(Unreadable { raw: raw(index), reason });
        }
    }
    Ok(Message::Events(parcel))
}

/// The text to be answered, if a message without a signature is a challenge.
pub(super) fn read_challenge(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if is_encoded(headers) {
        return None;
    }
    let received = decode(headers, body).ok()?;
    match received.events.as_slice() {
        [Ok(event)] if received.mode != Mode::Batch => find_challenge(event),
        _ => None,
    }
}

/// Whether the body is packed, which no sender was asked to do.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity")
}

impl Parcel {
    fn add(
        &mut self,
        source: &impl Reading,
        event: CloudEvent,
        received_at: Timestamp,
    ) -> Result<(), String> {
        let own = source.workspace_id();
        let pushed = read_push(event, own, received_at)?;
        let event = pushed.event;
        let is_foreign = event.workspace_id != own;
        if is_foreign {
            if !source.keeps_foreign() {
                return Err(format!("it belongs to workspace {:?}", event.workspace_id));
            }
            self.foreign += 1;
        }
        if is_foreign || !source.is_polled(pushed.listed) {
            self.outside.insert(event.envelope.id.clone());
        }
        self.events.push(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
