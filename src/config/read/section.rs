//! Reads of a key that has a default.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::names::Named;
use crate::config::quantity::shown_duration;
use crate::config::reader::Section;

/// Long enough for people, short enough for a column of a table.
const NAME_CHARS_MAX: usize = 40;

impl Section<'_> {
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        bounds: &RangeInclusive<Duration>,
    ) -> Duration {
        let read =
            self.find(key).and_then(|field| field.duration(bounds, &shown_duration(default)));
        read.unwrap_or(default)
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.find(key).and_then(|field| field.flag()).unwrap_or(default)
    }

    pub(super) fn integer(
        &mut self,
        key: &'static str,
        default: u32,
        bounds: &RangeInclusive<u32>,
    ) -> u32 {
        self.find(key).and_then(|field| field.integer(bounds)).unwrap_or(default)
    }

    /// `later`: names that only later versions know.
    pub(super) fn choice<T: Named>(&mut self, key: &'static str, default: T, later: &[&str]) -> T {
        self.find(key).and_then(|field| field.choice(later)).unwrap_or(default)
    }

    /// The element's name, told when it is no name or one of `seen` (to which it is
    /// added) already.
    pub(super) fn name(&mut self, example: &str, seen: &mut BTreeSet<String>) -> Option<String> {
        let field = self.require("name", &format!("{example:?}"))?;
        let text = field.filled(&format!("{example:?}"))?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        let is_new = seen.insert(text.to_ascii_lowercase());
        if text.len() > NAME_CHARS_MAX || !text.chars().all(fits) {
            return field.fault(
                "is no name",
                format!(
                    "write 1 to {NAME_CHARS_MAX} of a-z, 0-9, _ and -, for example {example:?}"
                ),
            );
        }
        if !is_new {
            return field.fault(format!("{text:?} is taken already"), "write another name");
        }
        Some(text.to_owned())
    }
}
