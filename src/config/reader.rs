//! Reads tables key by key and gathers every fault on the way.
//!
//! A key that is read is a known key: what nobody asked for is unknown, so that no
//! list of keys can go stale.

use crate::config::document::{Kind, Node, Table};
use crate::config::fault::{Fault, Place};
use crate::config::field::Field;
use crate::config::notes::{Notes, Unknown, join};

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
    /// Keys of later versions: no fault at rest, and yet nothing to advise.
    later: Vec<&'static str>,
    listed: bool,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(notes: &'a Notes<'a>, place: &'a Place, table: &'a Table) -> Self {
        let (path, generic) = (String::new(), String::new());
        Self {
            notes,
            place,
            path,
            generic,
            table: Some(table),
            known: Vec::new(),
            later: Vec::new(),
            listed: true,
        }
    }

    /// An element of a list of tables, or a table inside one; told when it is no table.
    pub(super) fn of(field: &Field<'a>, generic: String) -> Self {
        let table = match &field.node.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        };
        let (notes, place, path) = (field.notes, &field.node.place, field.path.clone());
        Self {
            notes,
            place,
            path,
            generic,
            table,
            known: Vec::new(),
            later: Vec::new(),
            listed: true,
        }
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
        let Some(field) = self.find(key) else {
            let (notes, place, path) = (self.notes, self.place, join(&self.path, key));
            return Self {
                notes,
                place,
                path,
                generic,
                table: None,
                known: Vec::new(),
                later: Vec::new(),
                listed: true,
            };
        };
        if !matches!(field.node.kind, Kind::Table(_)) {
            field.wrong_kind::<()>("a table", example);
        }
        Self::of(&field, generic)
    }

    /// The table under `key`, and whether it is there.
    pub(super) fn optional_section(&mut self, key: &'static str, example: &str) -> (Self, bool) {
        let is_there = self.field(key).is_some();
        (self.section(key, example), is_there)
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
            match node.kind {
                Kind::Table(_) => Some(Self::of(&item, generic.clone())),
                _ => item.wrong_kind("a table", &format!("[[{key}]]")),
            }
        };
        // All are looked at before one that is no table ends it.
        let elements: Vec<_> = items.iter().enumerate().map(element).collect();
        elements.into_iter().collect()
    }

    /// Refuses a key of the contract that this version does not act on, unless it has
    /// the value that asks for nothing.
    pub(super) fn later(&mut self, key: &'static str, idle: Option<&str>) {
        self.later.push(key);
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
            let key = entry.key.as_str();
            if !self.known.contains(&key) && !self.later.contains(&key) {
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
