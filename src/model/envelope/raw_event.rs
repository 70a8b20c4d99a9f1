//! The members of a JSON object that may be an event, read in one pass without copying.
//!
//! Values of a wrong type are taken in as [`Attribute::Other`] rather than refused here:
//! an error of the JSON parser could not name the attribute.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::envelope::rules::MAX_ATTRIBUTES;

#[derive(Default)]
pub(super) struct RawEvent<'a> {
    /// All members but the two that hold data, in the order of the text. Two more than
    /// [`MAX_ATTRIBUTES`] at most: enough to tell that there were too many.
    pub(super) attributes: Vec<(Cow<'a, str>, Attribute<'a>)>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) data_base64: Option<Attribute<'a>>,
    /// `data` or `data_base64` came twice.
    pub(super) repeats_data: bool,
}

pub(super) enum Attribute<'a> {
    Null,
    Boolean(bool),
    Integer(i32),
    String(Cow<'a, str>),
    /// Nothing that an attribute can be.
    Other,
}

impl<'de> Deserialize<'de> for RawEvent<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = RawEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEvent<'de>, A::Error> {
        let mut event = RawEvent { attributes: Vec::with_capacity(16), ..RawEvent::default() };
        while let Some(Name(name)) = map.next_key()? {
            match name.as_ref() {
                "data" => event.repeats_data |= event.data.replace(map.next_value()?).is_some(),
                "data_base64" => {
                    event.repeats_data |= event.data_base64.replace(map.next_value()?).is_some();
                }
                _ if event.attributes.len() > MAX_ATTRIBUTES + 1 => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => event.attributes.push((name, map.next_value()?)),
            }
        }
        Ok(event)
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AnyValue).map(|value| match value {
            Attribute::String(name) => Self(name),
            _ => Self(Cow::Borrowed("")),
        })
    }
}

impl<'de> Deserialize<'de> for Attribute<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Attribute<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Attribute::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Attribute::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(i32::try_from(value).map_or(Attribute::Other, Attribute::Integer))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i32::try_from(value).map_or(Attribute::Other, Attribute::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Attribute::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Attribute::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Attribute::String(Cow::Owned(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Attribute::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Attribute::Other)
    }
}
