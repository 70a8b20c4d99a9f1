//! Writing a JSON object in our form: keys in `snake_case`, each name once.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::greenlake::snake_case::{Names, append_string, append_with_snake_keys};

/// A JSON object that is being written.
#[derive(Default)]
pub(super) struct Object<'a> {
    /// Without the closing brace; empty before the first member.
    text: String,
    names: Names<'a>,
    is_too_deep: bool,
}

impl<'a> Object<'a> {
    /// An object for about `bytes` bytes of text.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    fn name(&mut self, name: &'a str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.names.append(Cow::Borrowed(name), &mut self.text);
        self.text.push(':');
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &'a str, value: &str) {
        self.name(name);
        append_string(value, &mut self.text);
    }

    /// Adds any JSON; its keys become `snake_case`.
    pub(super) fn json(&mut self, name: &'a str, value: &str) {
        self.name(name);
        self.is_too_deep |= !append_with_snake_keys(value, &mut self.text);
    }

    /// Adds an object.
    pub(super) fn object(&mut self, name: &'a str, value: &Object<'_>) {
        self.name(name);
        self.text.push_str(if value.text.is_empty() { "{" } else { &value.text });
        self.text.push('}');
        self.is_too_deep |= value.is_too_deep;
    }

    /// Adds what is there; nothing for what is not.
    pub(super) fn member(&mut self, name: &'a str, value: Option<&RawValue>) {
        if let Some(value) = value {
            self.json(name, value.get());
        }
    }

    /// Adds all of them in their order.
    pub(super) fn members<'b>(&mut self, members: impl Iterator<Item = (&'a str, &'b RawValue)>) {
        for (name, value) in members {
            self.json(name, value.get());
        }
    }

    /// The whole object.
    ///
    /// # Errors
    /// A sentence, if a value was nested too deep to be passed on.
    pub(super) fn finish(mut self) -> Result<Box<RawValue>, String> {
        if self.is_too_deep {
            return Err("the entry is nested too deep".to_owned());
        }
        self.text.push('}');
        RawValue::from_string(self.text).map_err(|error| format!("no JSON came out: {error}"))
    }
}
