//! The CloudEvents form of an event, and its three forms on the wire.
//!
//! A codec of our own, to the letter of CloudEvents 1.0.2: JSON format
//! ([`json`]) and HTTP binding ([`http`]: structured, binary, batch). It keeps `data`
//! byte for byte ([`RawValue`]), which generic SDKs do not.

mod header_value;
pub mod http;
pub mod json;
mod media_type;
mod raw_event;
mod rules;
#[cfg(test)]
mod samples;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

pub use crate::model::envelope::rules::{EnvelopeError, MAX_ATTRIBUTES, MAX_DATA_DEPTH};

/// A CloudEvent 1.0: its context attributes and its data.
///
/// `specversion` is always `1.0` and therefore no field. An event that was parsed keeps
/// every rule of the spec; one that was put together can be asked ([`CloudEvent::check`]).
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// `id`, unique within `source`; never empty.
    pub id: String,
    /// `source`, a URI-reference kept as text; never empty.
    pub source: String,
    /// `type`; never empty.
    pub event_type: String,
    /// `subject`; never empty when there.
    pub subject: Option<String>,
    /// `time`, the RFC 3339 text as it was received.
    pub time: Option<String>,
    /// `datacontenttype`. `None` means JSON (CloudEvents JSON format 1.0.2, 3.1.1).
    pub datacontenttype: Option<String>,
    /// `dataschema`, a URI kept as text.
    pub dataschema: Option<String>,
    /// Extension attributes by name.
    pub extensions: BTreeMap<String, ExtensionValue>,
    /// The payload.
    pub data: Data,
}

/// Value of an extension attribute, of a type that JSON can tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtensionValue {
    /// A Boolean.
    Boolean(bool),
    /// An Integer: signed, 32 bit.
    Integer(i32),
    /// Any type that JSON writes as a string.
    String(String),
}

/// Writes the canonical string form (CloudEvents 1.0.2, "Type system").
impl fmt::Display for ExtensionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::String(value) => f.write_str(value),
        }
    }
}

/// Payload of an event. Two are equal when their bytes are.
#[derive(Clone, Debug)]
pub enum Data {
    /// There is none. (`null` is a payload: [`Data::Json`].)
    None,
    /// A JSON value, byte for byte as received.
    Json(Box<RawValue>),
    /// Text of a media type that is not JSON.
    Text(String),
    /// Any other bytes.
    Binary(Vec<u8>),
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            _ => false,
        }
    }
}
