//! One second that holds more entries than a page: read by offset until it is whole.
//!
//! Pure: [`Crowd::next_question`] says what to ask, [`Crowd::take`] learns from the answer. Ties
//! may come in another order each time and entries may turn up while we page, so a set
//! counts as whole only when two further passes add nothing and it is as large as the
//! source says. What the source does not even count (its cap of 10,000) is narrowed:
//! by `hasDetails`, then by the categories and regions seen. A narrowed second is whole
//! only if the parts find again every entry that the capped answers showed; else it
//! stays incomplete, and is never covered.

use std::collections::{BTreeSet, HashSet};

use crate::poll::verdict::TOTAL_CAP;

/// Passes that have to add nothing before a set is believed.
const QUIET_PASSES: u32 = 2;

/// Passes without anything new after which a set that is smaller than its count is given
/// up. Where the order is by chance at each request, a pass of three pages misses a given
/// entry three times in ten; five such passes in a row, once in five hundred.
const STUCK_PASSES: u32 = 5;

/// Passes over one set at most: a set that still grows then is a second that is still
/// being written to; a later run reads it again.
const MAX_PASSES: u32 = 30;

/// Requests spent on one second at most: three passes over four full sets take 60 with
/// the default page; the rest is for small pages. At the source's rate limit: six minutes.
const MAX_REQUESTS: u32 = 500;

/// Categories or regions a second is narrowed by, at most.
const MAX_VALUES: usize = 64;

/// The next question about the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Further filter terms, joined by `and`; empty for none.
    pub narrow: String,
    /// Entries to skip.
    pub offset: u64,
    /// Entries in the answer, at most.
    pub limit: u32,
}

/// What of an answer matters here.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What tells the entries apart, in the order of the answer.
    pub keys: Vec<String>,
    /// Their categories, normalised.
    pub categories: BTreeSet<String>,
    /// Their regions.
    pub regions: BTreeSet<String>,
    /// `total` as the source states it.
    pub total: u64,
}

/// How far a second has been read.
#[derive(Debug)]
pub struct Crowd {
    limit: u32,
    sets: Vec<Set>,
    seen: HashSet<String>,
    owed: HashSet<String>,
    found: HashSet<String>,
    fault: Option<&'static str>,
    requests: u32,
}

/// Entries under one narrowing.
#[derive(Debug, Default)]
struct Set {
    narrow: String,
    depth: u8,
    offset: u64,
    grew: bool,
    /// Whether the page in hand is asked for a second time before the next.
    again: bool,
    quiet: u32,
    passes: u32,
    capped: bool,
    total: u64,
    keys: HashSet<String>,
    last_page: Vec<String>,
    categories: BTreeSet<String>,
    regions: BTreeSet<String>,
}

impl Crowd {
    /// Begins with the whole second, by pages of `limit`.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self::within(String::new(), limit)
    }

    /// Begins with what of the second the filter term `narrow` lets through.
    #[must_use]
    pub fn within(narrow: String, limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            sets: vec![Set { narrow, ..Set::default() }],
            seen: HashSet::new(),
            owed: HashSet::new(),
            found: HashSet::new(),
            fault: None,
            requests: 0,
        }
    }

    /// What to ask next; `None` when there is nothing left to ask.
    #[must_use]
    pub fn next_question(&self) -> Option<Question> {
        let set = self.sets.last()?;
        // Beyond its cap the source promises nothing, so no page reaches over it.
        let room = u32::try_from(TOTAL_CAP.saturating_sub(set.offset)).unwrap_or(u32::MAX);
        let limit = self.limit.min(room.max(1));
        Some(Question { narrow: set.narrow.clone(), offset: set.offset, limit })
    }

    /// Takes in the answer to [`Crowd::next_question`]; comes back with the keys seen for the
    /// first time.
    pub fn take(&mut self, answer: Answer) -> HashSet<String> {
        let new = answer.keys.iter().filter(|key| !self.seen.contains(*key));
        let new: HashSet<String> = new.cloned().collect();
        self.seen.extend(new.iter().cloned());
        self.requests += 1;
        if self.requests >= MAX_REQUESTS {
            self.give_up("it takes too many requests");
            self.sets.clear();
            return new;
        }
        let Some(mut set) = self.sets.pop() else { return new };
        match set.take(answer) {
            Progress::Going => self.sets.push(set),
            Progress::Stuck(fault) => self.give_up(fault),
            Progress::Whole => self.found.extend(set.keys),
            Progress::Capped => {
                let narrower = set.narrower();
                if narrower.is_empty() {
                    self.give_up("it holds more entries than the source counts");
                }
                self.owed.extend(set.keys);
                self.sets.extend(narrower);
            }
        }
        new
    }

    /// After the last answer: nothing when the second was read whole.
    ///
    /// # Errors
    /// Why it was not, in words.
    pub fn finish(&self) -> Result<(), &'static str> {
        match self.fault {
            Some(fault) => Err(fault),
            None if !self.sets.is_empty() => Err("it was not read to the end"),
            None if self.owed.is_subset(&self.found) => Ok(()),
            None => Err("it holds more entries than the source counts, in no known category"),
        }
    }

    fn give_up(&mut self, fault: &'static str) {
        self.fault.get_or_insert(fault);
    }
}

enum Progress {
    Going,
    Whole,
    Capped,
    Stuck(&'static str),
}

impl Set {
    fn take(&mut self, answer: Answer) -> Progress {
        if !answer.keys.is_empty() && answer.keys == self.last_page {
            return Progress::Stuck("the source sends the same page for another offset");
        }
        let count = answer.keys.len();
        self.total = answer.total;
        self.capped |= answer.total >= TOTAL_CAP;
        self.categories.extend(answer.categories);
        self.regions.extend(answer.regions);
        for key in &answer.keys {
            self.grew |= self.keys.insert(key.clone());
        }
        if std::mem::take(&mut self.again) {
            self.last_page.clear();
            return Progress::Going;
        }
        self.last_page = answer.keys;
        self.offset += u64::try_from(count).unwrap_or(u64::MAX);
        if count > 0 && self.offset < self.total.min(TOTAL_CAP) {
            return Progress::Going;
        }
        self.end_pass()
    }

    fn end_pass(&mut self) -> Progress {
        if self.capped {
            return Progress::Capped;
        }
        self.quiet = if self.grew { 0 } else { self.quiet + 1 };
        self.passes += 1;
        (self.offset, self.grew) = (0, false);
        self.last_page.clear();
        let is_full = u64::try_from(self.keys.len()).is_ok_and(|keys| keys >= self.total);
        // Replicas that answer by turns and order ties each in their own way would show the
        // same part at each pass: one request more, and they come the other way round.
        self.again = self.quiet > 0 && !is_full;
        if is_full && self.quiet >= QUIET_PASSES {
            Progress::Whole
        } else if self.quiet >= STUCK_PASSES {
            Progress::Stuck("the source shows fewer entries than it counts")
        } else if self.passes >= MAX_PASSES {
            Progress::Stuck("it keeps changing while it is read")
        } else {
            Progress::Going
        }
    }

    /// The sets this one falls into; none when there is nothing left to tell them by.
    fn narrower(&self) -> Vec<Self> {
        let terms: Vec<String> = match self.depth {
            0 => ["true", "false"].map(|value| format!("hasDetails eq '{value}'")).into(),
            1 => self.categories.iter().filter_map(|name| category_term(name)).collect(),
            2 => self.regions.iter().filter_map(|name| region_term(name)).collect(),
            _ => Vec::new(),
        };
        let join = |term: String| match self.narrow.as_str() {
            "" => term,
            before => format!("{before} and {term}"),
        };
        let set = |narrow| Self { narrow, depth: self.depth + 1, ..Self::default() };
        terms.into_iter().take(MAX_VALUES).map(join).map(set).collect()
    }
}

/// A filter term for a category that we know only as normalised: every way it may be
/// written at the source. (Seen there: `User Management` and `Storage settings`.)
fn category_term(name: &str) -> Option<String> {
    if !is_plain(name) {
        return None;
    }
    let words: Vec<String> = name.split('_').map(capitalise).collect();
    let spaced = name.replace('_', " ");
    let forms: BTreeSet<String> =
        [words.join(" "), capitalise(&spaced), spaced.to_uppercase(), spaced, name.to_owned()]
            .into();
    let quoted: Vec<String> = forms.iter().map(|form| format!("'{form}'")).collect();
    Some(format!("category in ({})", quoted.join(", ")))
}

fn region_term(name: &str) -> Option<String> {
    is_plain(name).then(|| format!("region eq '{name}'"))
}

/// How HPE escapes a quote inside a value is not documented, so such names are left out.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['\'', '\\', '\n'])
}

fn capitalise(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
