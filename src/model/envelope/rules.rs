//! What makes an event valid, and how it is told that one is not.
//!
//! CloudEvents 1.0.2, "Context attributes" and "Type system". One set of rules for every
//! form on the wire, so that what one form lets in the others can carry.

use std::borrow::Cow;

use crate::model::envelope::json::MAX_BATCH;
use crate::model::envelope::media_type::{is_json, is_media_type};
use crate::model::envelope::{CloudEvent, Data, ExtensionValue};
use crate::model::timestamp::Timestamp;

/// Levels of arrays and objects in `data`, at most. Widespread JSON readers stop at 127;
/// the event and the batch around it take two of them.
pub const MAX_DATA_DEPTH: usize = 125;

/// Context attributes of one event, at most. As headers they must fit the 100 that
/// widespread HTTP servers take.
pub const MAX_ATTRIBUTES: usize = 64;

/// Longest part of a foreign name that an error repeats, in bytes.
const LONGEST_NAME_SHOWN: usize = 32;

/// Why something is no CloudEvent. No text of `data` or of an attribute's value is
/// repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The text is not JSON, or not in UTF-8.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is JSON, but not an object, or for a batch not an array.
    #[error("JSON, but not {0}")]
    Shape(&'static str),
    /// An attribute is missing, repeated, misnamed, or its value is not allowed.
    #[error("attribute \"{name}\" {fault}")]
    Attribute {
        /// The attribute's name, cut when it is long.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// More than [`MAX_ATTRIBUTES`] attributes.
    #[error("more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// `data` is not what the rest of the event says it is.
    #[error("data {0}")]
    Data(&'static str),
    /// `data` has more than [`MAX_DATA_DEPTH`] levels.
    #[error("data is nested deeper than {MAX_DATA_DEPTH} levels")]
    TooDeep,
    /// A batch has more than [`MAX_BATCH`] events.
    #[error("a batch of more than {MAX_BATCH} events")]
    TooManyEvents,
    /// The content type is none that carries CloudEvents (HTTP 415).
    #[error("the content type is none that carries CloudEvents in JSON")]
    MediaType,
}

impl EnvelopeError {
    pub(super) fn attribute(name: &str, fault: &'static str) -> Self {
        let end = (0..=LONGEST_NAME_SHOWN.min(name.len()))
            .rev()
            .find(|end| name.is_char_boundary(*end))
            .unwrap_or(0);
        Self::Attribute { name: name[..end].escape_debug().to_string(), fault }
    }
}

impl CloudEvent {
    /// Checks every rule that a valid event keeps.
    ///
    /// # Errors
    /// [`EnvelopeError`] names the first attribute that breaks a rule, or says what is
    /// wrong with the data.
    pub fn check(&self) -> Result<(), EnvelopeError> {
        not_empty("id", &self.id)?;
        uri_reference("source", &self.source)?;
        not_empty("type", &self.event_type)?;
        if let Some(subject) = &self.subject {
            not_empty("subject", subject)?;
        }
        if let Some(time) = &self.time {
            expect("time", Timestamp::parse_rfc3339(time).is_some(), "is no RFC 3339 time")?;
        }
        if let Some(media_type) = &self.datacontenttype {
            expect("datacontenttype", is_media_type(media_type), "is no media type")?;
        }
        if let Some(schema) = &self.dataschema {
            uri_reference("dataschema", schema)?;
            expect("dataschema", has_scheme(schema), "is no URI")?;
        }
        self.check_extensions()?;
        self.check_data()
    }

    fn check_extensions(&self) -> Result<(), EnvelopeError> {
        // The seven names that are fields, and `specversion`.
        if self.extensions.len() + 8 > MAX_ATTRIBUTES {
            return Err(EnvelopeError::TooManyAttributes);
        }
        for (name, value) in &self.extensions {
            expect(name, is_name(name), "has a name that is not of a-z and 0-9")?;
            expect(name, !is_reserved(name), "is no extension")?;
            if let ExtensionValue::String(text) = value {
                printable(name, text)?;
            }
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), EnvelopeError> {
        match &self.data {
            Data::Json(json) if is_too_deep(json.get()) => Err(EnvelopeError::TooDeep),
            Data::Text(_) if is_json(self.datacontenttype.as_deref()) => {
                Err(EnvelopeError::Data("is text, but the content type says JSON"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether `name` is taken by the spec, so that no extension can have it.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "specversion"
            | "id"
            | "source"
            | "type"
            | "subject"
            | "time"
            | "datacontenttype"
            | "dataschema"
            | "data"
    )
}

/// Takes the value of a required attribute.
pub(super) fn require(name: &str, value: Option<Cow<'_, str>>) -> Result<String, EnvelopeError> {
    value.map(Cow::into_owned).ok_or_else(|| EnvelopeError::attribute(name, "is missing"))
}

/// Accepts the only version there is.
pub(super) fn version(value: Option<Cow<'_, str>>) -> Result<(), EnvelopeError> {
    expect("specversion", require("specversion", value)? == "1.0", "is not \"1.0\"")
}

fn expect(name: &str, holds: bool, fault: &'static str) -> Result<(), EnvelopeError> {
    if holds { Ok(()) } else { Err(EnvelopeError::attribute(name, fault)) }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn not_empty(name: &str, text: &str) -> Result<(), EnvelopeError> {
    expect(name, !text.is_empty(), "is empty")?;
    printable(name, text)
}

fn printable(name: &str, text: &str) -> Result<(), EnvelopeError> {
    let allowed = |c: char| !c.is_control() && !is_noncharacter(c);
    expect(name, text.chars().all(allowed), "holds a control character or noncharacter")
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// The characters of RFC 3986, and every `%` before two hex digits. A finer parser would
/// refuse what senders use (`//host/path`) or cost more than it finds.
fn uri_reference(name: &str, text: &str) -> Result<(), EnvelopeError> {
    expect(name, !text.is_empty(), "is empty")?;
    let bytes = text.as_bytes();
    let fits = bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte),
    });
    expect(name, fits, "is no URI reference")
}

fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// Whether `json`, which is known to be JSON, has more than [`MAX_DATA_DEPTH`] levels.
fn is_too_deep(json: &str) -> bool {
    // Most data has fewer brackets in all than levels are allowed, and counting is quick.
    let brackets = json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    brackets > MAX_DATA_DEPTH && depth(json) > MAX_DATA_DEPTH
}

fn depth(json: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
