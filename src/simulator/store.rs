//! All entries in memory: found by time in two binary searches, however many there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use rand::seq::SliceRandom;

use crate::model::timestamp::Timestamp;
use crate::simulator::entry::Entry;
use crate::simulator::selection::{Order, Selection};

/// Entries that one simulator keeps: about 1.5 GB of them.
pub const MAX_ENTRIES: usize = 5_000_000;

/// What `total` never exceeds, and the deepest position that paging reaches (audit logs
/// v2beta1). What lies beyond it is documented nowhere; here pages end there.
pub const RESULT_WINDOW: usize = 10_000;

/// Every entry ever made, and which of them can be seen.
#[derive(Debug, Default)]
pub struct Store {
    /// In the order of making.
    made: Vec<Entry>,
    /// Places in `made` of what can be seen, by creation time, ties in order of making.
    shown: Vec<u32>,
    /// What cannot be seen yet, next first.
    hidden: BinaryHeap<Reverse<(Timestamp, u32)>>,
}

/// What a selection finds.
#[derive(Debug, PartialEq)]
pub struct Found<'a> {
    /// The entries of the page asked for.
    pub page: Vec<&'a Entry>,
    /// All that match, at most [`RESULT_WINDOW`].
    pub total: usize,
    /// Whether more than [`RESULT_WINDOW`] match.
    pub is_capped: bool,
}

impl Store {
    /// Adds an entry; its place in the order of making. `None`, and nothing is added, when
    /// the store is full.
    #[must_use]
    pub fn insert(&mut self, entry: Entry) -> Option<u32> {
        let place = u32::try_from(self.made.len()).ok().filter(|_| !self.is_full())?;
        self.hidden.push(Reverse((entry.visible_at, place)));
        self.made.push(entry);
        Some(place)
    }

    /// Whether [`MAX_ENTRIES`] are there.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.made.len() >= MAX_ENTRIES
    }

    /// Every entry ever made, visible or not, in the order of making.
    #[must_use]
    pub fn made(&self) -> &[Entry] {
        &self.made
    }

    /// The visible entry with this id. Reads all of them: meant for single look-ups.
    #[must_use]
    pub fn find(&self, id: &str, now: Timestamp) -> Option<&Entry> {
        self.made.iter().find(|entry| *entry.id == *id && entry.visible_at <= now)
    }

    /// The page of what `selection` finds among the entries visible at `now`.
    pub fn select(&mut self, selection: &Selection, now: Timestamp) -> Found<'_> {
        self.reveal(now);
        let from = self.shown.partition_point(|at| self.second(*at) < selection.from);
        let until = self.shown.partition_point(|at| self.second(*at) < selection.until);
        let inside = &self.shown[from..until.max(from)];
        let is_plain = selection.is_time_only() && !selection.shuffles_ties;
        if is_plain && selection.order == Order::NewestFirst {
            return self.page(inside.iter().rev(), inside.len(), selection);
        }
        let mut matches: Vec<&u32> =
            inside.iter().filter(|at| selection.accepts(self.entry(**at))).collect();
        if selection.shuffles_ties {
            matches.shuffle(&mut rand::rng());
            matches.sort_by_key(|at| self.second(**at));
        }
        match selection.order {
            Order::NewestFirst => matches.reverse(),
            Order::OldestFirst => {}
            Order::CategoryUp => matches.sort_by_key(|at| &self.entry(**at).category),
            Order::CategoryDown => {
                matches.sort_by_key(|at| Reverse(&self.entry(**at).category));
            }
        }
        let count = matches.len();
        self.page(matches.into_iter(), count, selection)
    }

    fn page<'a>(
        &'a self,
        matches: impl Iterator<Item = &'a u32>,
        count: usize,
        selection: &Selection,
    ) -> Found<'a> {
        let places = matches.take(RESULT_WINDOW).skip(selection.offset).take(selection.limit);
        Found {
            page: places.map(|at| self.entry(*at)).collect(),
            total: count.min(RESULT_WINDOW),
            is_capped: count > RESULT_WINDOW,
        }
    }

    /// Moves what has become visible to its place in time.
    fn reveal(&mut self, now: Timestamp) {
        let ordered = self.shown.len();
        while let Some(next) = self.hidden.peek_mut().filter(|next| next.0.0 <= now) {
            self.shown.push(PeekMut::pop(next).0.1);
        }
        let Some(earliest) = self.shown[ordered..].iter().map(|at| self.moment(*at)).min() else {
            return;
        };
        // Late entries are few and recent: only the tail they belong into is sorted again.
        let tail = self.shown[..ordered].partition_point(|at| self.moment(*at) < earliest);
        let made = &self.made;
        self.shown[tail..].sort_by_key(|at| (made[*at as usize].created_at, *at));
    }

    fn entry(&self, place: u32) -> &Entry {
        &self.made[place as usize]
    }

    fn moment(&self, place: u32) -> (Timestamp, u32) {
        (self.entry(place).created_at, place)
    }

    fn second(&self, place: u32) -> i64 {
        self.entry(place).created_at.secs()
    }
}

#[cfg(test)]
mod tests;
