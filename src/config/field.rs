//! One value: read as what it has to be, told when it is not.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::document::{Kind, Node};
use crate::config::fault::Fault;
use crate::config::names::Named;
use crate::config::notes::Notes;
use crate::config::quantity::{
    RATE_MAX, parse_duration, parse_rate, parse_size, shown_duration, shown_size,
};
use crate::model::rate::Rate;

/// Longer texts are not repeated in a fault.
const QUOTED_CHARS: usize = 60;

/// A value with its path. Every reading method notes a fault and returns `None` when the
/// value is not what it has to be.
pub(super) struct Field<'a> {
    pub(super) notes: &'a Notes<'a>,
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Field<'a> {
    pub(super) fn text(&self, example: &str) -> Option<&'a str> {
        match (&self.node.kind, &self.node.raw) {
            (Kind::Text(text), _) | (_, Some(text)) => Some(text),
            _ => self.wrong_kind("a text", example),
        }
    }

    /// A text that is not empty.
    pub(super) fn filled(&self, example: &str) -> Option<&'a str> {
        let text = self.text(example)?;
        if text.trim().is_empty() {
            return self.fault("is empty", format!("write for example {example}"));
        }
        Some(text)
    }

    pub(super) fn path(&self, example: &str) -> Option<PathBuf> {
        let text = self.filled(example)?;
        if text.contains('\0') {
            return self.fault("holds a NUL", format!("write for example {example}"));
        }
        Some(PathBuf::from(text))
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.node.kind {
            Kind::Flag(flag) => Some(flag),
            _ => self.wrong_kind("true or false", "true"),
        }
    }

    pub(super) fn integer(&self, bounds: &RangeInclusive<u32>) -> Option<u32> {
        let instead = || format!("write a number from {} to {}", bounds.start(), bounds.end());
        let Kind::Integer(number) = self.node.kind else {
            return self
                .fault(format!("is {}, not a whole number", self.node.kind.name()), instead());
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| bounds.contains(number)) {
            Some(number) => Some(number),
            None => self.fault("is out of bounds", instead()),
        }
    }

    pub(super) fn duration(
        &self,
        bounds: &RangeInclusive<Duration>,
        example: &str,
    ) -> Option<Duration> {
        let example = format!("{example:?}");
        let text = match self.node.kind {
            Kind::Integer(Some(number)) if self.node.raw.is_none() => {
                let instead = format!("write a unit and quotes, for example {example}");
                return self.fault(format!("{number} is not a duration"), instead);
            }
            _ => self.text(&example)?,
        };
        let Some(duration) = parse_duration(text) else {
            let instead = format!("write for example {example}");
            return self.fault(format!("{} is not a duration", quoted(text)), instead);
        };
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let [low, high] = [bounds.start(), bounds.end()].map(|bound| shown_duration(*bound));
        let instead = format!("write a duration from \"{low}\" to \"{high}\"");
        self.fault(format!("{} is out of bounds", quoted(text)), instead)
    }

    pub(super) fn size(&self, bounds: &RangeInclusive<u64>, example: &str) -> Option<u64> {
        let example = format!("{example:?}");
        let text = self.text(&example)?;
        let Some(size) = parse_size(text) else {
            let instead = format!("write for example {example}");
            return self.fault(format!("{} is not a size", quoted(text)), instead);
        };
        if bounds.contains(&size) {
            return Some(size);
        }
        let [low, high] = [bounds.start(), bounds.end()].map(|bound| shown_size(*bound));
        let instead = format!("write a size from \"{low}\" to \"{high}\"");
        self.fault(format!("{} is out of bounds", quoted(text)), instead)
    }

    /// A rate; `None` also for one of 0, which is no limit.
    pub(super) fn rate(&self) -> Option<Rate> {
        let example = "\"100/s\"";
        let text = self.text(example)?;
        let Some((count, per)) = parse_rate(text) else {
            let instead = format!("write for example {example}, \"30/m\" or \"5/h\"");
            return self.fault(format!("{} is not a rate", quoted(text)), instead);
        };
        if count > RATE_MAX {
            let instead = format!("write at most {RATE_MAX}, or 0 for no limit");
            return self.fault(format!("{} is out of bounds", quoted(text)), instead);
        }
        (count > 0).then_some(Rate { count, per })
    }

    /// One of the names of `T`. `later` are names that only later versions know.
    pub(super) fn choice<T: Named>(&self, later: &[&str]) -> Option<T> {
        let names: Vec<String> = T::NAMES.iter().map(|(name, _)| format!("{name:?}")).collect();
        let instead = format!("write {}", alternatives(&names));
        let text = self.text(&names[0])?;
        if let Some((_, value)) = T::NAMES.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        if later.contains(&text) {
            return self
                .fault(format!("{} is not supported by this version", quoted(text)), instead);
        }
        self.fault(format!("{} is not known", quoted(text)), instead)
    }

    /// The elements of a list.
    pub(super) fn list(&self, example: &str) -> Option<Vec<Self>> {
        let Kind::List(items) = &self.node.kind else {
            return self.wrong_kind("a list", example);
        };
        let item = |(index, node)| Field {
            notes: self.notes,
            node,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Tells that this value is of the wrong kind. The value itself is not shown: a
    /// secret may have been put in the wrong place.
    pub(super) fn wrong_kind<T>(&self, wanted: &str, example: &str) -> Option<T> {
        let what = format!("is {}, not {wanted}", self.node.kind.name());
        self.fault(what, format!("write for example {example}"))
    }

    /// Notes a fault. Always `None`, so that it can end a reading method.
    pub(super) fn fault<T>(
        &self,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> Option<T> {
        self.tell(what, instead);
        None
    }

    /// Notes a fault, and the value is used all the same.
    pub(super) fn tell(&self, what: impl Into<String>, instead: impl Into<String>) {
        self.notes.faults.borrow_mut().push(self.note(what.into(), instead.into()));
    }

    /// Notes a warning.
    pub(super) fn warn(&self, what: impl Into<String>, instead: impl Into<String>) {
        self.notes.warnings.borrow_mut().push(self.note(what.into(), instead.into()));
    }

    fn note(&self, what: String, instead: String) -> Fault {
        Fault { place: self.node.place.clone(), key: self.path.clone(), what, instead }
    }
}

/// `a, b or c`.
fn alternatives(names: &[String]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// `text` in quotes, for keys whose values are no secrets.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().count() > QUOTED_CHARS {
        return "this text".to_owned();
    }
    format!("{text:?}")
}
