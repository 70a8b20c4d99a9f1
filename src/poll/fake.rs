//! Stand-ins for the tests of this module: an audit log that behaves as the real one is
//! described, entry by entry, and a ledger in memory that checks what is asked of it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::greenlake::{FetchError, Page, Query};
use crate::model::clock::Clock;
use crate::model::coverage::Coverage;
use crate::model::event::{Event, Unreadable};
use crate::model::lateness::{Curve, Learnt, Sample};
use crate::model::timestamp::Timestamp;
use crate::poll::verdict::TOTAL_CAP;
use crate::poll::{Keep, Log};
use crate::storage::{Ingest, Ingested, PollRequest, Request, StorageError};

pub(crate) fn make_event(id: &str, second: i64) -> Event {
    Event::bare(id, Timestamp::from_secs(second))
}

pub(crate) fn make_page(events: Vec<Event>, count: u64, total: u64) -> Page {
    let asked_at = Timestamp::from_secs(0);
    Page { events, unreadable: Vec::new(), count, total, asked_at, bytes: 0 }
}

/// An entry of the fake audit log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// Second of its creation, as the log shows it.
    pub(crate) created: i64,
    /// From when on the log shows it, microseconds.
    pub(crate) visible: i64,
    pub(crate) details: bool,
    pub(crate) category: &'static str,
    pub(crate) is_readable: bool,
}

pub(crate) fn make_entry(number: usize, created: i64, lateness: Duration) -> Entry {
    Entry {
        id: format!("e{number}"),
        created,
        visible: Timestamp::from_secs(created).plus(lateness).micros(),
        details: number.is_multiple_of(2),
        category: ["user_management", "firmware"][number / 2 % 2],
        is_readable: true,
    }
}

/// What the fake log does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quirk {
    #[default]
    None,
    IgnoresFilter,
    IgnoresOffset,
    MiscountsPages,
    /// Never more than this many entries in a page, whatever was asked for.
    ClampsTo(usize),
}

#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) entries: Vec<Entry>,
    pub(crate) queries: Vec<(Timestamp, Query)>,
    pub(crate) quirk: Quirk,
    /// Answers instead of a page, in order; `None`: a page.
    pub(crate) faults: VecDeque<Option<FetchError>>,
    /// What each request takes.
    pub(crate) takes: Duration,
    rng: StdRng,
}

/// The audit log of a service whose clock is `ahead` seconds before ours.
#[derive(Clone)]
pub(crate) struct FakeLog {
    state: Arc<Mutex<LogState>>,
    clock: Clock,
    ahead: i64,
    parts: Vec<String>,
    knows_time: Arc<Mutex<bool>>,
}

impl FakeLog {
    pub(crate) fn new(clock: Clock) -> Self {
        let state = LogState {
            entries: Vec::new(),
            queries: Vec::new(),
            quirk: Quirk::None,
            faults: VecDeque::new(),
            takes: Duration::from_millis(40),
            rng: StdRng::seed_from_u64(7),
        };
        let (state, parts) = (Arc::new(Mutex::new(state)), vec![String::new()]);
        Self { state, clock, ahead: 0, parts, knows_time: Arc::default() }
    }

    /// Wants each stretch asked for by these terms, one after the other.
    pub(crate) fn in_parts(mut self, terms: &[&str]) -> Self {
        self.parts = terms.iter().map(|&term| term.to_owned()).collect();
        self
    }

    pub(crate) fn ahead_of_us(mut self, secs: i64) -> Self {
        self.ahead = secs;
        self
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap()
    }

    /// The service's own time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now().micros() + self.ahead * 1_000_000)
    }
}

impl LogState {
    fn page(&mut self, query: &Query, now: Timestamp) -> Page {
        let quirk = self.quirk;
        let is_asked_for = |entry: &&Entry| {
            entry.visible <= now.micros()
                && (quirk == Quirk::IgnoresFilter
                    || (query.span.contains(entry.created) && matches(entry, &query.narrow)))
        };
        let mut found: Vec<Entry> = self.entries.iter().filter(is_asked_for).cloned().collect();
        // Newest first; ties come in another order every time.
        if quirk != Quirk::IgnoresOffset {
            found.shuffle(&mut self.rng);
        }
        found.sort_by_key(|entry| std::cmp::Reverse(entry.created));
        let total = u64::try_from(found.len()).unwrap().min(TOTAL_CAP);
        let limit = match quirk {
            Quirk::ClampsTo(most) => most.min(query.limit as usize),
            _ => query.limit as usize,
        };
        let offset = if quirk == Quirk::IgnoresOffset { 0 } else { query.offset };
        let items = found.iter().skip(usize::try_from(offset).unwrap()).take(limit);
        let mut page = make_page(Vec::new(), 0, total);
        page.asked_at = now;
        for entry in items {
            page.count += 1;
            if entry.is_readable {
                let mut event = make_event(&entry.id, entry.created);
                event.facts.category = Some(entry.category.into());
                page.events.push(event);
            } else {
                let raw = format!("{{\"broken\":\"{}\"}}", entry.id);
                page.unreadable.push(Unreadable { raw, reason: "no id".to_owned() });
            }
        }
        page.count += u64::from(quirk == Quirk::MiscountsPages);
        page
    }
}

fn matches(entry: &Entry, narrow: &str) -> bool {
    narrow.split(" and ").filter(|term| !term.is_empty()).all(|term| {
        if term.starts_with("hasDetails") {
            term.contains(&format!("'{}'", entry.details))
        } else {
            term.contains(&format!("'{}'", entry.category))
        }
    })
}

impl Log for FakeLog {
    async fn fetch(&self, query: &Query) -> Result<Page, FetchError> {
        tokio::task::yield_now().await;
        assert!(query.limit >= 1 && !query.span.is_empty(), "{query:?}");
        let now = self.now();
        let mut state = self.state();
        state.queries.push((now, query.clone()));
        self.clock.advance(state.takes);
        if let Some(Some(error)) = state.faults.pop_front() {
            return Err(error);
        }
        *self.knows_time.lock().unwrap() = true;
        Ok(state.page(query, now))
    }

    fn server_now(&self) -> Timestamp {
        let knows = *self.knows_time.lock().unwrap();
        if knows { self.now() } else { self.clock.now() }
    }

    fn parts(&self) -> Vec<String> {
        self.parts.clone()
    }
}

#[derive(Debug, Default)]
pub(crate) struct KeepState {
    pub(crate) coverage: Option<Coverage>,
    pub(crate) events: BTreeMap<String, Event>,
    pub(crate) quarantined: Vec<Unreadable>,
    pub(crate) rows: Vec<PollRequest>,
    pub(crate) ingests: u32,
    pub(crate) samples: Vec<Sample>,
    pub(crate) learnt: Option<Learnt>,
    /// Answers instead of storing, in order; `None`: it is stored.
    pub(crate) faults: VecDeque<Option<StorageError>>,
    pub(crate) free: u64,
}

/// A ledger in memory.
#[derive(Clone)]
pub(crate) struct FakeKeep(Arc<Mutex<KeepState>>);

impl FakeKeep {
    pub(crate) fn new() -> Self {
        let state = KeepState { free: u64::MAX, ..KeepState::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, KeepState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.state().coverage.as_ref().unwrap().watermark
    }

    pub(crate) fn outcomes(&self) -> Vec<&'static str> {
        self.state().rows.iter().map(|row| row.outcome).collect()
    }
}

impl Keep for FakeKeep {
    async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        if let Some(Some(error)) = state.faults.pop_front() {
            return Err(error);
        }
        state.ingests += 1;
        assert!(ingest.events.is_sorted_by_key(|event| event.occurred_at), "oldest first");
        assert!(ingest.request.is_some() || ingest.learnt.is_some(), "each page has its row");
        state.learnt = ingest.learnt.or(state.learnt.take());
        let mut ingested = Ingested::default();
        for event in ingest.events {
            let id = event.envelope.id.clone();
            let second = event.occurred_at.secs();
            let sighted = ingest.shown.as_ref().and_then(|shown| shown.sighted(second));
            if state.events.insert(id, event).is_none() {
                state.samples.extend(sighted.map(|sighted| Sample {
                    at_least: sighted.at_least(second),
                    at_most: sighted.at_most(second),
                    is_swept: sighted.tier.is_some(),
                }));
                ingested.new += 1;
            } else {
                ingested.known += 1;
            }
        }
        for item in ingest.unreadable {
            if !state.quarantined.contains(&item) {
                state.quarantined.push(item);
                ingested.quarantined += 1;
            }
        }
        if let Some(next) = ingest.coverage {
            if let Some(before) = &state.coverage {
                assert!(next.watermark >= before.watermark, "the watermark never moves back");
            }
            state.coverage = Some(next);
        }
        if let Some(Request::Poll(row)) = ingest.request {
            state.rows.push(row);
        }
        Ok(ingested)
    }

    async fn log_request(&self, _source: &str, request: PollRequest) -> Result<(), StorageError> {
        self.state().rows.push(request);
        Ok(())
    }

    async fn find_coverage(&self, _source: &str) -> Result<Option<Coverage>, StorageError> {
        Ok(self.state().coverage.clone())
    }

    async fn find_learnt(&self, _source: &str) -> Result<Option<Learnt>, StorageError> {
        Ok(self.state().learnt.clone())
    }

    async fn find_curve(&self, _source: &str, _window: Duration) -> Result<Curve, StorageError> {
        Ok(self.state().samples.iter().copied().collect())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(self.state().free)
    }
}

/// Whole numbers by chance, from a seed.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// From 0 up to and without `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0.random_range(0..sides)
    }
}
