//! The members of a JSON object, in order, their values still text.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use serde_json::value::RawValue;

use crate::greenlake::snake_case::unquoted;

/// Members in the order of the text. Of two with one name the last is taken first.
pub(super) struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

/// Members of an ordinary entry, and some more.
const USUAL: usize = 16;

/// A member's name; borrowed where nothing in it is escaped.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> Members<'a> {
    /// The members of `value`; `None` if it is no object.
    pub(super) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// Removes the member `name`. `None` if it is not there or null.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().rposition(|(key, _)| key.0 == name)?;
        let (_, value) = self.0.remove(at);
        (value.get() != "null").then_some(value)
    }

    /// Removes the member `name` if it is a text.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        text(self.take(name)?)
    }

    /// The member `name`, left where it is. `None` if it is not there or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(key, _)| key.0 == name);
        found.map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// What has not been taken.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&*name.0, *value))
    }
}

/// The text that `value` is; `None` if it is something else.
pub(super) fn text(value: &RawValue) -> Option<String> {
    unquoted(value.get()).map(Cow::into_owned)
}

/// As [`text`], to be shared.
pub(super) fn shared_text(value: &RawValue) -> Option<Arc<str>> {
    unquoted(value.get()).map(Arc::from)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Name<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::with_capacity(USUAL);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect).map(Self)
    }
}
