//! What comes to light while a configuration is read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::config::environment::Environment;
use crate::config::fault::{Fault, Place};

/// What a reading has brought to light so far.
pub(super) struct Notes<'a> {
    pub(super) environment: &'a Environment,
    pub(super) faults: RefCell<Vec<Fault>>,
    pub(super) warnings: RefCell<Vec<Fault>>,
    /// Every key that was asked for, without names and numbers: `source.poll.interval`.
    pub(super) keys: RefCell<BTreeSet<String>>,
    /// What nobody asked for.
    pub(super) unknown: RefCell<Vec<Unknown>>,
}

/// A key that nobody asked for.
pub(super) struct Unknown {
    pub(super) place: Place,
    /// Path of the table that it stands in.
    pub(super) path: String,
    pub(super) key: String,
    /// The keys that could stand there.
    pub(super) siblings: Vec<&'static str>,
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

/// The path of `key` below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}
