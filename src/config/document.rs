//! The configuration as a tree in which every key and value knows its place.
//!
//! Nothing here implements `Debug`: any value may be a secret.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use crate::config::fault::{Fault, Faults, Place};

/// A value and where it stands.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// The text of an environment variable: `0123` is a number to TOML, and yet may be
    /// meant as a text.
    pub(super) raw: Option<String>,
}

/// What a value is.
pub(super) enum Kind {
    Text(String),
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    Float,
    Flag(bool),
    /// A TOML date, time or both, as text.
    Instant(String),
    List(Vec<Node>),
    Table(Table),
}

impl Kind {
    /// The kind with its article, for "… is a list".
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::Instant(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Keys and values in the order of the file.
#[derive(Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// A key with its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    /// The text under `key`, if there is one.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.node {
            Node { kind: Kind::Text(text), .. } => Some(text),
            node => node.raw.as_deref(),
        }
    }
}

/// Reads TOML. `file` is the name that faults show.
///
/// # Errors
/// Every fault of syntax, by line and column, without the line's text: it may hold a
/// secret.
pub(super) fn parse(file: &str, text: &str) -> Result<Table, Faults> {
    let lines = Lines { file: file.into(), text };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(lines.table(document.get_ref()));
    }
    let fault = |error: &toml::de::Error| Fault {
        place: lines.place(error.span().map_or(text.len(), |span| span.start)),
        key: String::new(),
        what: format!("this is not TOML: {}", error.message()),
        instead: "correct it, other faults show afterwards".to_owned(),
    };
    Err(Faults(errors.iter().map(fault).collect()))
}

/// Reads one TOML value, as an environment variable holds it; `None` when it is none.
pub(super) fn parse_value(place: &Place, text: &str) -> Option<Kind> {
    let value = DeValue::parse(text).ok()?;
    Some(Fixed(place).kind(value.get_ref()))
}

/// Gives values their places.
trait Placing {
    fn at(&self, offset: usize) -> Place;

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        Node { place: self.at(value.span().start), kind: self.kind(value.get_ref()), raw: None }
    }

    fn kind(&self, value: &DeValue<'_>) -> Kind {
        match value {
            DeValue::String(text) => Kind::Text(text.clone().into_owned()),
            DeValue::Integer(integer) => Kind::Integer(small(integer)),
            DeValue::Float(_) => Kind::Float,
            DeValue::Boolean(flag) => Kind::Flag(*flag),
            DeValue::Datetime(at) => Kind::Instant(at.to_string()),
            DeValue::Array(items) => Kind::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Kind::Table(self.table(table)),
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| Entry {
            key: key.get_ref().clone().into_owned(),
            place: self.at(key.span().start),
            node: self.node(value),
        };
        let mut entries: Vec<Entry> = table.iter().map(entry).collect();
        entries.sort_by(|a, b| a.place.cmp(&b.place));
        Table(entries)
    }
}

fn small(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Places in a file.
struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Place::At {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl Placing for Lines<'_> {
    fn at(&self, offset: usize) -> Place {
        self.place(offset)
    }
}

/// One place for all: an environment variable.
struct Fixed<'a>(&'a Place);

impl Placing for Fixed<'_> {
    fn at(&self, _: usize) -> Place {
        self.0.clone()
    }
}
