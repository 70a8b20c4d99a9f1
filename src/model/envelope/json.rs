//! The JSON format of events and of batches (CloudEvents JSON format 1.0.2).
//!
//! `data` goes through byte for byte, in both directions: numbers keep their digits,
//! objects their order and their doubles.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::model::envelope::media_type::is_json;
use crate::model::envelope::raw_event::{Attribute, RawEvent};
use crate::model::envelope::rules::{MAX_ATTRIBUTES, require, version};
use crate::model::envelope::{CloudEvent, Data, EnvelopeError, ExtensionValue};

/// Events in one received batch, at most. GreenLake sends 10; our own targets ask for up
/// to some hundreds. Above it a small body of `[0,0,…]` would become many errors.
pub const MAX_BATCH: usize = 10_000;

/// Bytes that the attributes of an audit entry take; only saves growing the buffer.
const USUAL_ATTRIBUTES: usize = 640;

/// Writes an event in the JSON format.
///
/// ```text
/// {"specversion":"1.0","id":…,"source":…,"type":…,"subject":…,"time":…,
///  "datacontenttype":…,"dataschema":…, extensions by name …,"data":…}
/// ```
///
/// Attributes that are not there are left out; bytes go into `data_base64`. Nothing is
/// checked: see [`CloudEvent::check`].
#[must_use]
pub fn to_vec(event: &CloudEvent) -> Vec<u8> {
    to_text(event).into_bytes()
}

/// As [`to_vec`]; JSON is text.
#[must_use]
pub fn to_text(event: &CloudEvent) -> String {
    to_text_with(event, &[])
}

/// As [`to_text`], with further extensions of type String; one of the event's own by the same
/// name gives way. The event is not copied for it.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "names are strings and memory takes every byte")]
pub fn to_text_with(event: &CloudEvent, added: &[(&str, &str)]) -> String {
    let data = match &event.data {
        Data::Json(json) => json.get().len(),
        Data::Text(text) => text.len(),
        Data::None | Data::Binary(_) => 0,
    };
    let mut body = Vec::with_capacity(data + USUAL_ATTRIBUTES);
    let event = With { event, added };
    serde_json::to_writer(&mut body, &event).expect("names are strings, memory takes every byte");
    String::from_utf8(body).expect("JSON is UTF-8")
}

impl Serialize for CloudEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        With { event: self, added: &[] }.serialize(serializer)
    }
}

/// An event with further extensions.
struct With<'a> {
    event: &'a CloudEvent,
    added: &'a [(&'a str, &'a str)],
}

impl With<'_> {
    /// All extensions in the order of their names.
    fn extensions(&self) -> Vec<(&str, Extension<'_>)> {
        let is_own = |name: &str| self.added.iter().all(|(added, _)| *added != name);
        let own = self.event.extensions.iter().filter(|(name, _)| is_own(name));
        let own = own.map(|(name, value)| (&**name, Extension::from(value)));
        let added = self.added.iter().map(|(name, value)| (*name, Extension::String(value)));
        let mut all: Vec<_> = own.chain(added).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Extension<'a> {
    Boolean(bool),
    Integer(i32),
    String(&'a str),
}

impl<'a> From<&'a ExtensionValue> for Extension<'a> {
    fn from(value: &'a ExtensionValue) -> Self {
        match value {
            ExtensionValue::Boolean(value) => Self::Boolean(*value),
            ExtensionValue::Integer(value) => Self::Integer(*value),
            ExtensionValue::String(value) => Self::String(value),
        }
    }
}

impl Serialize for With<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &event.id)?;
        map.serialize_entry("source", &event.source)?;
        map.serialize_entry("type", &event.event_type)?;
        for (name, value) in [
            ("subject", &event.subject),
            ("time", &event.time),
            ("datacontenttype", &event.datacontenttype),
            ("dataschema", &event.dataschema),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in self.extensions() {
            map.serialize_entry(name, &value)?;
        }
        match &event.data {
            Data::None => {}
            Data::Json(json) => map.serialize_entry("data", json)?,
            Data::Text(text) => map.serialize_entry("data", text)?,
            Data::Binary(bytes) => map.serialize_entry("data_base64", &BASE64.encode(bytes))?,
        }
        map.end()
    }
}

/// Reads one event.
///
/// A `null` attribute is the same as none; `"data": null` is a payload. Data of a type
/// that is not JSON becomes [`Data::Text`] when it is a JSON string.
///
/// # Errors
/// [`EnvelopeError`] says what is wrong: no JSON, no object, a repeated member, an
/// attribute that breaks a rule of the spec, both `data` and `data_base64`, or too deep.
pub fn parse(body: &[u8]) -> Result<CloudEvent, EnvelopeError> {
    let raw: RawEvent<'_> =
        serde_json::from_slice(body).map_err(|error| fault(&error, "an object"))?;
    from_raw(raw)
}

/// Reads a batch, each event for itself: a bad one does not spoil the others.
///
/// In the order of the batch; empty for `[]`.
///
/// # Errors
/// As of [`split_batch`].
pub fn parse_batch(body: &[u8]) -> Result<Vec<Result<CloudEvent, EnvelopeError>>, EnvelopeError> {
    Ok(split_batch(body)?.into_iter().map(|item| parse(item.get().as_bytes())).collect())
}

/// Cuts a batch into its events' own texts, unread.
///
/// # Errors
/// [`EnvelopeError::Json`] or [`EnvelopeError::Shape`] if the whole is no JSON array,
/// [`EnvelopeError::TooManyEvents`] if it has more than [`MAX_BATCH`] items.
pub fn split_batch(body: &[u8]) -> Result<Vec<&RawValue>, EnvelopeError> {
    let items: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| fault(&error, "an array"))?;
    if items.len() > MAX_BATCH {
        return Err(EnvelopeError::TooManyEvents);
    }
    Ok(items)
}

/// Joins events that are already in the JSON format into a batch, as they are.
#[must_use]
pub fn join_batch<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut batch = vec![b'['];
    for body in bodies {
        if batch.len() > 1 {
            batch.push(b',');
        }
        batch.extend_from_slice(body);
    }
    batch.push(b']');
    batch
}

fn fault(error: &serde_json::Error, shape: &'static str) -> EnvelopeError {
    match error.classify() {
        // The parser's own text would repeat the value.
        Category::Data => EnvelopeError::Shape(shape),
        _ => EnvelopeError::Json(error.to_string()),
    }
}

fn from_raw(raw: RawEvent<'_>) -> Result<CloudEvent, EnvelopeError> {
    let mut attributes = raw.attributes;
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(EnvelopeError::TooManyAttributes);
    }
    for (at, (name, _)) in attributes.iter().enumerate() {
        if attributes[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(EnvelopeError::attribute(name, "comes twice"));
        }
    }
    if raw.repeats_data {
        return Err(EnvelopeError::Data("comes twice"));
    }

    let mut take = |name| take_text(&mut attributes, name);
    version(take("specversion")?)?;
    let datacontenttype = take("datacontenttype")?.map(Cow::into_owned);
    let event = CloudEvent {
        id: require("id", take("id")?)?,
        source: require("source", take("source")?)?,
        event_type: require("type", take("type")?)?,
        subject: take("subject")?.map(Cow::into_owned),
        time: take("time")?.map(Cow::into_owned),
        dataschema: take("dataschema")?.map(Cow::into_owned),
        data: payload(raw.data, raw.data_base64, datacontenttype.as_deref())?,
        datacontenttype,
        extensions: extensions(attributes)?,
    };
    event.check()?;
    Ok(event)
}

fn take_text<'a>(
    attributes: &mut Vec<(Cow<'a, str>, Attribute<'a>)>,
    name: &str,
) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
    let Some(at) = attributes.iter().position(|(other, _)| other == name) else { return Ok(None) };
    match attributes.swap_remove(at).1 {
        Attribute::Null => Ok(None),
        Attribute::String(text) => Ok(Some(text)),
        _ => Err(EnvelopeError::attribute(name, "is no string")),
    }
}

fn extensions(
    attributes: Vec<(Cow<'_, str>, Attribute<'_>)>,
) -> Result<BTreeMap<String, ExtensionValue>, EnvelopeError> {
    let mut extensions = BTreeMap::new();
    for (name, value) in attributes {
        let value = match value {
            Attribute::Null => continue,
            Attribute::Boolean(value) => ExtensionValue::Boolean(value),
            Attribute::Integer(value) => ExtensionValue::Integer(value),
            Attribute::String(value) => ExtensionValue::String(value.into_owned()),
            Attribute::Other => {
                let fault = "is neither a string, a Boolean nor a 32-bit integer";
                return Err(EnvelopeError::attribute(&name, fault));
            }
        };
        extensions.insert(name.into_owned(), value);
    }
    Ok(extensions)
}

fn payload(
    data: Option<&RawValue>,
    base64: Option<Attribute<'_>>,
    datacontenttype: Option<&str>,
) -> Result<Data, EnvelopeError> {
    match (data, base64) {
        (None, None | Some(Attribute::Null)) => Ok(Data::None),
        (None, Some(Attribute::String(text))) => BASE64
            .decode(text.as_bytes())
            .map(Data::Binary)
            .map_err(|_| EnvelopeError::Data("in data_base64 is not base64")),
        (None, Some(_)) => Err(EnvelopeError::Data("in data_base64 is no string")),
        (Some(_), Some(base64)) if !matches!(base64, Attribute::Null) => {
            Err(EnvelopeError::Data("and data_base64 exclude each other"))
        }
        (Some(json), _) if json.get().starts_with('"') && !is_json(datacontenttype) => {
            serde_json::from_str(json.get())
                .map(Data::Text)
                .map_err(|_| EnvelopeError::Data("holds half a surrogate pair"))
        }
        (Some(json), _) => Ok(Data::Json(json.to_owned())),
    }
}

#[cfg(test)]
mod tests;
