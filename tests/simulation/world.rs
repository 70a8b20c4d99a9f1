//! One machine with its ledger, and the clouds it asks: all state of a story.
//!
//! Every call that a poller makes ([`crate::faces`]) is checked against the laws here.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tailwater::greenlake::{FetchError, Page, Query};
use tailwater::model::clock::Clock;
use tailwater::model::timestamp::Timestamp;
use tailwater::storage::{Ingest, Ingested, StorageError};
use tokio_util::sync::CancellationToken;

use crate::cloud::{Cloud, Lie, SECOND};
use crate::dice::Dice;
use crate::shelf::Shelf;

/// What the world does to a poller, as odds: once in so many times, 0 for never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Odds {
    pub(crate) fetch_fails: u64,
    pub(crate) answer_lies: u64,
    /// How answers lie; `None`: in every way.
    pub(crate) lie: Option<Lie>,
    pub(crate) store_fails: u64,
    pub(crate) slow: u64,
    /// The service's `Date` is off by a second, or missing.
    pub(crate) date_off: u64,
}

/// What happens at the n-th call of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process is gone before the call does anything.
    DiesBefore,
    /// The call has done its work, the process never hears of it.
    DiesAfter,
    /// SIGTERM.
    Stops,
    /// It fails in one of the ways that it can; which one, by number.
    Fails(u64),
}

/// One source: its cloud, what the process knows of its time, and what is kept of it.
pub(crate) struct Source {
    pub(crate) cloud: Cloud,
    pub(crate) shelf: Shelf,
    /// The last `Date` and the machine's time at which it came; a process's own.
    pub(crate) date: Option<(i64, i64)>,
    /// No request is answered in these stretches of the machine's time.
    pub(crate) outages: Vec<(i64, i64)>,
    /// A second that no request may touch while things go wrong.
    pub(crate) poison: Option<i64>,
    /// The end of what this run reads: server time at its first question, and a second.
    frozen: Option<i64>,
    pub(crate) told_time: i64,
    last_query: Option<Query>,
}

impl Source {
    pub(crate) fn new(cloud: Cloud, overlap: i64) -> Self {
        Self {
            cloud,
            shelf: Shelf::new(overlap),
            date: None,
            outages: Vec::new(),
            poison: None,
            frozen: None,
            told_time: 0,
            last_query: None,
        }
    }
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) odds: Odds,
    /// Whether anything may go wrong at the moment.
    pub(crate) is_rough: bool,
    /// The machine's wall clock less its true time; it only matters before the first `Date`.
    pub(crate) wall_off: i64,
    pub(crate) free: u64,
    pub(crate) sources: Vec<Source>,
    /// Calls until fate strikes.
    pub(crate) fate: Option<(u64, Fate)>,
    pub(crate) is_dead: bool,
    pub(crate) stop: CancellationToken,
    /// The first law that was broken.
    pub(crate) broken: Option<String>,
    /// The story, line by line, when somebody wants to read it.
    pub(crate) journal: Option<String>,
    pub(crate) requests: u64,
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(clock: Clock, dice: Dice, odds: Odds) -> Self {
        Self {
            clock,
            dice,
            odds,
            is_rough: true,
            wall_off: 0,
            free: u64::MAX,
            sources: Vec::new(),
            fate: None,
            is_dead: false,
            stop: CancellationToken::new(),
            broken: None,
            journal: None,
            requests: 0,
        }
    }

    /// The machine's time.
    pub(crate) fn at(&self) -> i64 {
        self.clock.now().micros()
    }

    /// Writes a line of the story; `line` is only asked when somebody reads.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let at = self.clock.now();
        if let Some(journal) = &mut self.journal {
            let _ = writeln!(journal, "{} {}", at.to_rfc3339_millis(), line());
        }
    }

    /// Notes that a law is broken.
    pub(crate) fn accuse(&mut self, what: String) {
        self.tell(|| format!("BROKEN {what}"));
        self.broken.get_or_insert(what);
    }

    /// Before a run.
    pub(crate) fn begin_run(&mut self, index: usize) {
        let source = &mut self.sources[index];
        (source.frozen, source.last_query) = (None, None);
        self.is_dead = false;
        self.stop = CancellationToken::new();
    }

    /// What fate does to the call that is about to happen.
    pub(crate) fn turn(&mut self) -> Option<Fate> {
        let (left, fate) = self.fate?;
        if left > 0 {
            self.fate = Some((left - 1, fate));
            return None;
        }
        self.fate = None;
        self.tell(|| format!("fate: the process {fate:?} this call"));
        match fate {
            Fate::Stops => {
                self.stop.cancel();
                None
            }
            Fate::DiesBefore | Fate::DiesAfter => {
                self.is_dead = true;
                Some(fate)
            }
            Fate::Fails(_) => Some(fate),
        }
    }

    /// Server time as the process knows it.
    pub(crate) fn server_now(&self, index: usize) -> i64 {
        match self.sources[index].date {
            Some((date, came)) => date + (self.at() - came),
            None => self.at() + self.wall_off,
        }
    }

    fn check_question(&mut self, index: usize, query: &Query) {
        let source = &mut self.sources[index];
        if source.shelf.coverage.is_none() || query.limit == 1 {
            // Asked for the time alone.
            return;
        }
        let frozen = *source.frozen.get_or_insert(source.told_time.div_euclid(SECOND) + 1);
        let until = query.span.until;
        let last = source.last_query.replace(query.clone());
        if until > frozen {
            self.accuse(format!("I9: {query:?} reaches over the bound of the run, {frozen}"));
        }
        if query.offset > 0 && last.is_none_or(|last| last.span != query.span) {
            self.accuse(format!("I9: {query:?} pages through another span than before"));
        }
    }

    pub(crate) fn fetch(&mut self, index: usize, query: &Query) -> Result<Page, FetchError> {
        self.requests += 1;
        self.check_question(index, query);
        let known = self.sources[index].date.is_some();
        let asked_at = self.server_now(index);
        let sent = self.at();
        self.pass_time(20, 300);
        let at = self.at();
        if let Some(error) = self.refusal(index, query, at) {
            self.tell(|| format!("{index}: {query:?} -> {error:?}"));
            return Err(error);
        }
        let lies = self.is_rough && self.dice.one_in(self.odds.answer_lies);
        let lie = lies.then(|| self.odds.lie.unwrap_or_else(|| self.dice.pick(&Lie::ALL)));
        let mut page = self.sources[index].cloud.page(query, at, lie);
        self.pass_time(5, 100);
        self.note_date(index, at);
        let stamp = if known { asked_at } else { self.server_now(index) - (self.at() - sent) };
        page.asked_at = Timestamp::from_micros(stamp);
        let source = &mut self.sources[index];
        source.cloud.note_unseen(query, at, stamp.div_euclid(SECOND));
        source.shelf.note_asked(query.span, stamp.div_euclid(SECOND));
        let (count, total) = (page.count, page.total);
        self.tell(|| format!("{index}: {query:?} -> {count} of {total}, {lie:?}, asked {stamp}"));
        Ok(page)
    }

    fn pass_time(&mut self, least_ms: i64, most_ms: i64) {
        let slow = self.is_rough && self.dice.one_in(self.odds.slow);
        let most = if slow { 25_000 } else { most_ms };
        let ms = self.dice.between(least_ms, most);
        self.clock.advance(Duration::from_millis(ms.unsigned_abs()));
    }

    fn note_date(&mut self, index: usize, at: i64) {
        let mut date = self.sources[index].cloud.time(at);
        if self.dice.one_in(self.odds.date_off) {
            if self.dice.one_in(2) && self.sources[index].date.is_some() {
                return;
            }
            date += self.dice.between(-SECOND, SECOND);
        }
        self.sources[index].date = Some((date.div_euclid(SECOND) * SECOND, self.at()));
    }

    fn refusal(&mut self, index: usize, query: &Query, at: i64) -> Option<FetchError> {
        if !self.is_rough {
            return None;
        }
        let source = &self.sources[index];
        if source.outages.iter().any(|(from, until)| (*from..*until).contains(&at)) {
            return Some(FetchError::Unavailable { status: None, message: told() });
        }
        if source.poison.is_some_and(|second| query.span.contains(second)) {
            return Some(FetchError::Unavailable { status: Some(500), message: told() });
        }
        if !self.dice.one_in(self.odds.fetch_fails) {
            return None;
        }
        Some(match self.dice.below(7) {
            6 => {
                let wait = Duration::from_secs(self.dice.below(90));
                FetchError::Throttled { wait, message: told() }
            }
            way => refusal(way),
        })
    }

    pub(crate) fn ingest(&mut self, ingest: Ingest) -> Result<Ingested, StorageError> {
        if self.is_rough && self.dice.one_in(self.odds.store_fails) {
            let error = match self.dice.below(5) {
                0 => StorageError::Closed,
                1 | 2 => StorageError::Busy,
                _ => StorageError::Full,
            };
            self.tell(|| format!("{}: ingest -> {error:?}", ingest.source));
            return Err(error);
        }
        let index = index_of(&ingest.source);
        let at = self.at();
        let outcome = ingest.request.as_ref().and_then(|request| match request {
            tailwater::storage::Request::Poll(request) => Some(request.outcome),
            tailwater::storage::Request::Push(_) => None,
        });
        let source = &mut self.sources[index];
        let result = source.shelf.ingest(&mut source.cloud, ingest, at);
        let watermark = source.shelf.coverage.as_ref().map(|coverage| coverage.watermark);
        match result {
            Ok(ingested) => {
                let new = ingested.new;
                self.tell(|| format!("{index}: kept {new} new, {outcome:?}, up to {watermark:?}"));
                Ok(ingested)
            }
            Err(law) => {
                self.accuse(format!("source {index}: {law}"));
                Ok(Ingested::default())
            }
        }
    }
}

/// How a request can fail, by number; those that do without a wait are below 6.
pub(crate) fn refusal(way: u64) -> FetchError {
    let message = told();
    match way {
        0 => FetchError::AuthFailed { message },
        1 => FetchError::Forbidden { message },
        2 => FetchError::Rejected { status: 400, message },
        3 | 4 => FetchError::Unavailable { status: Some(503), message },
        5 => FetchError::Unreadable { message },
        _ => FetchError::Throttled { wait: Duration::from_secs(20), message },
    }
}

/// How the ledger can fail, by number.
pub(crate) fn failure(way: u64) -> StorageError {
    match way % 3 {
        0 => StorageError::Closed,
        1 => StorageError::Busy,
        _ => StorageError::Full,
    }
}

fn told() -> String {
    "as the story has it".to_owned()
}

/// The name of source number `index`.
pub(crate) fn name_of(index: usize) -> String {
    format!("source-{index}")
}

pub(crate) fn index_of(name: &str) -> usize {
    name.trim_start_matches("source-").parse().expect("a name of ours")
}
