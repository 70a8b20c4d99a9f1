//! The CloudEvents form of an event, and its three forms on the wire.
//!
//! A codec of our own, to the letter of CloudEvents 1.0.2: JSON format
//! ([`json`]) and HTTP binding ([`http`]: structured, binary, batch). It keeps `data`
//! byte for byte ([`RawValue`]), which generic SDKs do not.

pub mod http;
pub mod json;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// A CloudEvent 1.0: its context attributes and its data.
///
/// `specversion` is always `1.0` and therefore no field.
#[derive(Clone, Debug)]
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

/// Payload of an event.
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
