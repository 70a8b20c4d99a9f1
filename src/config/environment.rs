//! Overrides from the environment: `TAILWATER__SOURCE__PRODUCTION__CLIENT_ID=…`.
//!
//! Segments are keys in upper case, `-` as `_`. An element of a list goes by its
//! name, or by its number from 0. A value is read as TOML where it is TOML
//! (`["*"]`, `2000`, `{ file = "…" }`), else as a text.

use std::collections::BTreeMap;

use crate::config::document::{Entry, Kind, Node, Table, parse_value};
use crate::config::fault::{Fault, Place};

/// What every overriding variable begins with.
pub(super) const PREFIX: &str = "TAILWATER__";

/// Keys at the top that hold lists of tables.
const LISTS: [&str; 2] = ["source", "target"];

/// Environment variables, as far as they are Unicode. May hold secrets: does not print.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own environment. A variable that is not Unicode is left out.
    #[must_use]
    pub fn of_process() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(unicode).collect()
    }

    /// The value of `name`; `None` when it is not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether `name` is set, and not empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Lays every overriding variable over `table`; returns what could not be laid.
    pub(super) fn overlay(&self, table: &mut Table) -> Vec<Fault> {
        let mut variables: Vec<Variable<'_>> =
            self.0.iter().filter_map(|(name, value)| Variable::new(name, value)).collect();
        variables.sort_by_key(Variable::order);
        variables.iter().filter_map(|variable| variable.lay(table).err()).collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

struct Variable<'a> {
    name: &'a str,
    value: &'a str,
    segments: Vec<&'a str>,
}

impl<'a> Variable<'a> {
    fn new(name: &'a str, value: &'a str) -> Option<Self> {
        let segments = name.strip_prefix(PREFIX)?.split("__").collect();
        Some(Self { name, value, segments })
    }

    /// Element 2 comes before element 10, so that elements can be added in turn.
    fn order(&self) -> Vec<(Option<usize>, &'a str)> {
        self.segments.iter().map(|segment| (segment.parse().ok(), *segment)).collect()
    }

    fn lay(&self, table: &mut Table) -> Result<(), Fault> {
        if self.segments.iter().any(|segment| segment.is_empty()) {
            return Err(self.fault(
                "an override names a key",
                "write for example TAILWATER__STORAGE__PATH, or unset it",
            ));
        }
        let [first, rest @ ..] = self.segments.as_slice() else { return Ok(()) };
        let slot = self.slot(table, first, false);
        if let [element, rest @ ..] = rest
            && let Kind::List(items) = &mut slot.kind
            && LISTS.iter().any(|list| matches(list, first))
        {
            let item = self.element(items, element)?;
            return self.descend(item, rest);
        }
        self.descend(slot, rest)
    }

    fn descend(&self, node: &mut Node, segments: &[&str]) -> Result<(), Fault> {
        let [first, rest @ ..] = segments else {
            *node = self.node();
            return Ok(());
        };
        let Kind::Table(table) = &mut node.kind else {
            return Err(self.fault(
                format!("there is no key {} below this one", first.to_ascii_lowercase()),
                "shorten the variable's name, or unset it",
            ));
        };
        // Headers are spelt with dashes, and a variable's name cannot hold them.
        let dashes = segments.len() == 1 && self.segments.iter().rev().nth(1) == Some(&"HEADERS");
        let slot = self.slot(table, first, dashes);
        self.descend(slot, rest)
    }

    /// The value under a key, made when it is not there: a list or table to go on in.
    fn slot<'t>(&self, table: &'t mut Table, segment: &str, dashes: bool) -> &'t mut Node {
        let found = table.0.iter().position(|entry| matches(&entry.key, segment));
        let index = found.unwrap_or_else(|| {
            let lower = segment.to_ascii_lowercase();
            let key = if dashes { lower.replace('_', "-") } else { lower };
            let kind = if LISTS.contains(&key.as_str()) && self.segments.len() > 1 {
                Kind::List(Vec::new())
            } else {
                Kind::Table(Table::default())
            };
            let node = Node { place: self.place(), kind, raw: None };
            table.0.push(Entry { key, place: self.place(), node });
            table.0.len() - 1
        });
        &mut table.0[index].node
    }

    fn element<'t>(&self, items: &'t mut Vec<Node>, segment: &str) -> Result<&'t mut Node, Fault> {
        let named = |node: &Node| match &node.kind {
            Kind::Table(table) => table.text("name").is_some_and(|name| matches(name, segment)),
            _ => false,
        };
        let index = match segment.parse::<usize>() {
            Ok(index) if index == items.len() => {
                let kind = Kind::Table(Table::default());
                items.push(Node { place: self.place(), kind, raw: None });
                index
            }
            Ok(index) if index < items.len() => index,
            Ok(_) => {
                let what = format!("there are only {} of them, counted from 0", items.len());
                return Err(self.fault(what, "use the name, or a smaller number"));
            }
            Err(_) => items.iter().position(named).ok_or_else(|| {
                self.fault(
                    format!("none is named {}", segment.to_ascii_lowercase()),
                    "use a name of the file, or a number from 0",
                )
            })?,
        };
        Ok(&mut items[index])
    }

    fn node(&self) -> Node {
        let kind = parse_value(&self.place(), self.value)
            .unwrap_or_else(|| Kind::Text(self.value.to_owned()));
        Node { place: self.place(), kind, raw: Some(self.value.to_owned()) }
    }

    fn place(&self) -> Place {
        Place::Environment { variable: self.name.to_owned() }
    }

    fn fault(&self, what: impl Into<String>, instead: &str) -> Fault {
        let (what, instead) = (what.into(), instead.to_owned());
        Fault { place: self.place(), key: String::new(), what, instead }
    }
}

/// Whether a variable's segment means `key`.
fn matches(key: &str, segment: &str) -> bool {
    key.to_ascii_uppercase().replace('-', "_") == segment
}
