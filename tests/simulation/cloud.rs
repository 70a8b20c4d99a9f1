//! The modelled audit log of one workspace: what it holds, and what it answers.
//!
//! Written from the vendor's description, not from the client: newest first, `createdAt`
//! cut to the second, `total` counted to 10,000. Times are microseconds: `at` by the
//! machine's clock that never steps, `created` by the service's, which may.

use std::collections::BTreeMap;

use tailwater::greenlake::{Page, Query};
use tailwater::model::envelope::{CloudEvent, Data};
use tailwater::model::event::{AUDIT_SOURCE, AUDIT_TYPE, Event, Facts, Unreadable};
use tailwater::model::timestamp::Timestamp;

use crate::dice::Dice;

pub(crate) const SECOND: i64 = 1_000_000;

/// Where the source stops counting.
const TOTAL_CAP: usize = 10_000;

const CATEGORIES: [&str; 3] = ["user_management", "firmware", "billing"];

/// An entry of the audit log, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When it was made, by the service's clock.
    pub(crate) created: i64,
    /// From when on it is shown, by the machine's clock.
    pub(crate) visible: i64,
    /// `visible` less the time it was made at, both by the machine's clock.
    pub(crate) late: i64,
    pub(crate) details: bool,
    pub(crate) category: usize,
    pub(crate) is_readable: bool,
    pub(crate) is_stored: bool,
    /// The latest stamp (seconds) of an answered question that covered it while it was
    /// not shown yet: a scan with that stamp may rightly not know it.
    pub(crate) unseen_at: i64,
}

impl Entry {
    pub(crate) const fn second(&self) -> i64 {
        self.created.div_euclid(SECOND)
    }

    fn matches(&self, narrow: &str) -> bool {
        narrow.split(" and ").filter(|term| !term.is_empty()).all(|term| {
            if term.starts_with("hasDetails") {
                term.contains(if self.details { "'true'" } else { "'false'" })
            } else {
                term.contains(&format!("'{}'", CATEGORIES[self.category]))
            }
        })
    }
}

/// In which order entries of one second come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ties {
    /// Always the same.
    Kept,
    /// Another one at each request.
    Shuffled,
    /// From two replicas by turns.
    Replicas,
}

/// What one answer does wrong, though it looks like an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// `count` is one too many.
    Count,
    /// `total` is larger than the truth.
    TotalMore,
    /// `total` is smaller than what has been shown with this answer.
    TotalLess,
    /// Some entries are left out, `total` is right.
    Short,
    /// The first entry comes twice.
    Twice,
    /// The filter is not looked at.
    Unfiltered,
    /// The offset is not looked at.
    NoOffset,
}

impl Lie {
    pub(crate) const ALL: [Self; 7] = [
        Self::Count,
        Self::TotalMore,
        Self::TotalLess,
        Self::Short,
        Self::Twice,
        Self::Unfiltered,
        Self::NoOffset,
    ];
}

#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub(crate) workspace_id: String,
    /// In order of `created`.
    pub(crate) entries: Vec<Entry>,
    pub(crate) ties: Ties,
    /// How long entries are shown, seconds.
    pub(crate) retention: i64,
    /// From when on the service's clock is how far ahead of the machine's.
    pub(crate) steps: Vec<(i64, i64)>,
    pub(crate) dice: Dice,
    answers: u64,
}

impl Cloud {
    pub(crate) fn new(workspace_id: String, dice: Dice) -> Self {
        Self {
            workspace_id,
            entries: Vec::new(),
            ties: Ties::Kept,
            retention: i64::MAX / 4,
            steps: Vec::new(),
            dice,
            answers: 0,
        }
    }

    /// The service's clock at `at`.
    pub(crate) fn time(&self, at: i64) -> i64 {
        let ahead = self.steps.iter().rev().find(|(from, _)| *from <= at);
        at + ahead.map_or(0, |(_, ahead)| *ahead)
    }

    /// Whether the service's clock was never set.
    pub(crate) fn is_steady(&self) -> bool {
        self.steps.iter().all(|(_, ahead)| *ahead == self.steps[0].1)
    }

    /// The first second that is still shown at `at`. What is gone stays gone, even when
    /// the service's clock is set back.
    pub(crate) fn oldest(&self, at: i64) -> i64 {
        let ends = self.steps.iter().skip(1).map(|(from, _)| from - 1).chain([at]);
        let latest = ends.filter(|end| *end <= at).map(|end| self.time(end)).max();
        latest.unwrap_or(at).div_euclid(SECOND) - self.retention
    }

    /// An entry made at `at` that is shown `late` after.
    pub(crate) fn add(&mut self, at: i64, late: i64) {
        let created = self.time(at);
        let entry = Entry {
            created,
            visible: at + late,
            late,
            details: self.dice.one_in(2),
            category: usize::try_from(self.dice.below(3)).expect("an index"),
            is_readable: !self.dice.one_in(100),
            is_stored: false,
            unseen_at: i64::MIN,
        };
        self.entries.push(entry);
    }

    /// To be called when all entries are in.
    pub(crate) fn seal(&mut self) {
        self.entries.sort_by_key(|entry| entry.created);
    }

    /// The numbers of the entries created within the query's span.
    fn within(&self, query: &Query) -> std::ops::Range<usize> {
        let place = |second| self.entries.partition_point(|entry| entry.second() < second);
        place(query.span.from)..place(query.span.until)
    }

    /// The page shown at `at` for `query`, stamped `asked_at`.
    pub(crate) fn page(&mut self, query: &Query, at: i64, lie: Option<Lie>) -> Page {
        let oldest = self.oldest(at);
        let range =
            if lie == Some(Lie::Unfiltered) { 0..self.entries.len() } else { self.within(query) };
        let narrow = if lie == Some(Lie::Unfiltered) { "" } else { query.narrow.as_str() };
        let shown = |number: &usize| {
            let entry = &self.entries[*number];
            entry.visible <= at && entry.second() >= oldest && entry.matches(narrow)
        };
        let mut found: Vec<usize> = range.filter(shown).collect();
        self.order(&mut found);
        let offset = if lie == Some(Lie::NoOffset) { 0 } else { query.offset };
        let skip = usize::try_from(offset).expect("a small offset");
        let mut total = found.len().min(TOTAL_CAP);
        let most = usize::try_from(query.limit).expect("a small limit");
        let mut items: Vec<usize> = found.into_iter().skip(skip).take(most).collect();
        match lie {
            Some(Lie::TotalMore) => total += 1 + items.len() / 3,
            // Less than came with this very answer: a smaller lie nobody could see.
            Some(Lie::TotalLess) => total = items.len().saturating_sub(1),
            Some(Lie::Short) => items.truncate(items.len() / 2),
            Some(Lie::Twice) => items.extend(items.first().copied()),
            _ => {}
        }
        let count = items.len() as u64 + u64::from(lie == Some(Lie::Count));
        self.print(&items, count, total as u64)
    }

    fn order(&mut self, found: &mut [usize]) {
        self.answers += 1;
        match self.ties {
            Ties::Shuffled => self.dice.shuffle(found),
            Ties::Replicas if self.answers.is_multiple_of(2) => found.reverse(),
            Ties::Kept | Ties::Replicas => {}
        }
        found.sort_by_key(|number| std::cmp::Reverse(self.entries[*number].second()));
    }

    fn print(&self, items: &[usize], count: u64, total: u64) -> Page {
        let mut page = Page {
            events: Vec::with_capacity(items.len()),
            unreadable: Vec::new(),
            count,
            total,
            asked_at: Timestamp::default(),
            bytes: 0,
        };
        for &number in items {
            let entry = &self.entries[number];
            if entry.is_readable {
                page.events.push(self.event(number, entry));
            } else {
                let raw = format!("broken {number}");
                page.unreadable.push(Unreadable { raw, reason: "no id".to_owned() });
            }
        }
        page
    }

    fn event(&self, number: usize, entry: &Entry) -> Event {
        let envelope = CloudEvent {
            id: number.to_string(),
            source: AUDIT_SOURCE.to_owned(),
            event_type: AUDIT_TYPE.to_owned(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Data::None,
        };
        let category = Some(CATEGORIES[entry.category].into());
        Event {
            workspace_id: self.workspace_id.clone(),
            occurred_at: Timestamp::from_secs(entry.second()),
            envelope,
            facts: Facts { category, ..Facts::default() },
        }
    }

    /// Notes which entries an answer given at `at` and stamped `stamp` rightly left out.
    pub(crate) fn note_unseen(&mut self, query: &Query, at: i64, stamp: i64) {
        let range = self.within(query);
        for entry in &mut self.entries[range] {
            if entry.visible > at {
                entry.unseen_at = entry.unseen_at.max(stamp);
            }
        }
    }
}
