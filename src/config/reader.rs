//! Reads tables key by key and gathers every fault on the way.
//!
//! A key that is read is a known key: what nobody asked for is unknown, so that no
//! list of keys can go stale.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::config::document::Kind;
use crate::config::document::Node;
use crate::config::document::Table;
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::fault::Place;
use crate::config::field::Field;

/// What a reading has brought to light so far.
pub(super) struct Notes<'a> {
    pub(super) environment: &'a Environment,
    pub(super) faults: RefCell<Vec<Fault>>,
    pub(super) warnings: RefCell<Vec<Fault>>,
    /// Every key that was asked for, without names and numbers: `source.poll.interval`.
    pub(super) keys: RefCell<BTreeSet<String>>,
    unknown: RefCell<Vec<Unknown>>,
}

struct Unknown {
    place: Place,
    path: String,
    key: String,
    siblings: Vec<&'static str>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            faults: RefCell::default(),
            warnings: RefCell::default(),
            keys: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Turns what nobody asked for into faults. Last, when every known key is known.
    pub(super) fn finish(&self) {
        for unknown in self.unknown.take() {
            let instead = self.advice(&unknown);
            let path = join(&unknown.path, &unknown.key);
            let what = format!("there is no key {:?} here", unknown.key);
            self.faults.borrow_mut().push(Fault { place: unknown.place, key: path, what, instead });
        }
        self.faults.borrow_mut().sort_by(|a, b| a.place.cmp(&b.place));
        self.warnings.borrow_mut().sort_by(|a, b| a.place.cmp(&b.place));
    }

    fn advice(&self, unknown: &Unknown) -> String {
        let close = |known: &&&str| strsim::damerau_levenshtein(known, &unknown.key);
        if let Some(best) = unknown.siblings.iter().min_by_key(close)
            && close(&best) <= (best.len() / 3).max(1)
        {
            return format!("write {best}");
        }
        let suffix = format!(".{}", unknown.key);
        if let Some(home) = self.keys.borrow().iter().find_map(|key| key.strip_suffix(&suffix)) {
            return format!("{} belongs to {home}, write it there", unknown.key);
        }
        format!("leave it out, or write one of {}", unknown.siblings.join(", "))
    }
}

/// One table that is being read.
pub(super) struct Section<'a> {
    pub(super) notes: &'a Notes<'a>,
    /// Where a key that is missing would have to be added.
    pub(super) place: &'a Place,
    /// As people see it: `source "production".poll`.
    pub(super) path: String,
    /// Without names and numbers: `source.poll`.
    generic: String,
    table: Option<&'a Table>,
    known: Vec<&'static str>,
    listed: bool,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(notes: &'a Notes<'a>, place: &'a Place, table: &'a Table) -> Self {
        let (path, generic) = (String::new(), String::new());
        Self { notes, place, path, generic, table: Some(table), known: Vec::new(), listed: true }
    }

    /// An element of a list of tables, or a table inside one; told when it is no table.
    pub(super) fn of(field: &Field<'a>, generic: String) -> Self {
        let table = match &field.node.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        };
        let (notes, place, path) = (field.notes, &field.node.place, field.path.clone());
        Self { notes, place, path, generic, table, known: Vec::new(), listed: true }
    }

    /// The value under `key`; `None` when it is left out.
    pub(super) fn find(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        if self.listed {
            self.notes.keys.borrow_mut().insert(join(&self.generic, key));
        }
        self.field(key)
    }

    /// The value under a key that must be there, told when it is not.
    pub(super) fn require(&mut self, key: &'static str, example: &str) -> Option<Field<'a>> {
        let found = self.find(key);
        if found.is_none() {
            self.fault(key, "is missing", format!("write for example {key} = {example}"));
        }
        found
    }

    /// The table under `key`; an empty one when it is left out.
    pub(super) fn section(&mut self, key: &'static str, example: &str) -> Self {
        let generic = join(&self.generic, key);
        match self.find(key) {
            Some(field) => {
                if !matches!(field.node.kind, Kind::Table(_)) {
                    field.wrong_kind::<()>("a table", example);
                }
                Self::of(&field, generic)
            }
            None => {
                let path = join(&self.path, key);
                let (notes, place) = (self.notes, self.place);
                Self { notes, place, path, generic, table: None, known: Vec::new(), listed: true }
            }
        }
    }

    /// The elements of the list of tables under `key`, empty when it is left out;
    /// `None`, and told, when it is no list.
    pub(super) fn sections(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let generic = join(&self.generic, key);
        let Some(field) = self.find(key) else { return Some(Vec::new()) };
        let Kind::List(items) = &field.node.kind else {
            return field.wrong_kind("a list of tables", &format!("[[{key}]] in double brackets"));
        };
        let element = |(index, node): (usize, &'a Node)| {
            let name = match &node.kind {
                Kind::Table(table) => table.text("name").filter(|name| name.len() <= 40),
                _ => None,
            };
            let path = match name {
                Some(name) => format!("{} {name:?}", field.path),
                None => format!("{}[{index}]", field.path),
            };
            let item = Field { notes: self.notes, node, path };
            if !matches!(node.kind, Kind::Table(_)) {
                item.wrong_kind::<()>("a table", &format!("[[{key}]]"));
            }
            Self::of(&item, generic.clone())
        };
        Some(items.iter().enumerate().map(element).collect())
    }

    /// Refuses a key of the contract that this version does not act on, unless it has
    /// the value that asks for nothing.
    pub(super) fn later(&mut self, key: &'static str, idle: Option<&str>) {
        self.known.push(key);
        let Some(field) = self.field(key) else { return };
        let value = match &field.node.kind {
            Kind::Text(text) => text.as_str(),
            Kind::Flag(false) => "false",
            _ => "…",
        };
        if idle != Some(value) {
            field.tell("is not supported by this version", "leave it out");
        }
    }

    /// Every key of the table with its value: for tables whose keys the user makes up.
    pub(super) fn entries(&mut self) -> Vec<(&'a str, Field<'a>)> {
        let Some(table) = self.table.take() else { return Vec::new() };
        let entry = |entry: &'a super::document::Entry| {
            let path = join(&self.path, &entry.key);
            (entry.key.as_str(), Field { notes: self.notes, node: &entry.node, path })
        };
        table.0.iter().map(entry).collect()
    }

    /// Keeps this table's keys out of the list of known keys: a secret's three forms are
    /// explained once, not at every secret.
    pub(super) fn unlisted(&mut self) {
        self.listed = false;
    }

    /// Whether the table has no keys at all.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_none_or(|table| table.0.is_empty())
    }

    /// Tells that something is wrong with `key`, which need not be there.
    pub(super) fn fault(&self, key: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.notes.faults.borrow_mut().push(self.note(key, what.into(), instead.into()));
    }

    /// Tells that `key`, which need not be there, is unwise.
    pub(super) fn warn(&self, key: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.notes.warnings.borrow_mut().push(self.note(key, what.into(), instead.into()));
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        let mut unknown = self.notes.unknown.borrow_mut();
        for entry in &table.0 {
            if !self.known.contains(&entry.key.as_str()) {
                unknown.push(Unknown {
                    place: entry.place.clone(),
                    path: self.path.clone(),
                    key: entry.key.clone(),
                    siblings: self.known.clone(),
                });
            }
        }
    }

    fn field(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.table?.get(key)?;
        Some(Field { notes: self.notes, node: &entry.node, path: join(&self.path, key) })
    }

    fn note(&self, key: &str, what: String, instead: String) -> Fault {
        let entry = self.table.and_then(|table| table.get(key));
        let place = entry.map_or(self.place, |entry| &entry.node.place).clone();
        Fault { place, key: join(&self.path, key), what, instead }
    }
}

fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}
