//! The state of the simulated cloud, and the handle by which tests and commands use it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::model::clock::Clock;
use crate::model::timestamp::Timestamp;
use crate::simulator::Settings;
use crate::simulator::entry::{Entry, Made};
use crate::simulator::faults::Faults;
use crate::simulator::invent::Inventor;
use crate::simulator::knobs::Knobs;
use crate::simulator::notice::Notice;
use crate::simulator::push::Push;
use crate::simulator::quota::Quota;
use crate::simulator::selection::Selection;
use crate::simulator::store::Store;
use crate::simulator::tokens::Tokens;
use crate::simulator::traffic::Late;

/// Notices that a slow reader may fall behind before it loses the oldest.
const NOTICES: usize = 1024;

/// A handle to the running cloud; clones share it.
#[derive(Clone, Debug)]
pub struct Cloud(pub(super) Arc<Shared>);

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tokens: Tokens,
    pub(super) quota: Quota,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    pub(super) push: Push,
    knobs: Mutex<Knobs>,
    /// Cancelled when no more traffic is to be made.
    pub(super) calm: CancellationToken,
    store: Mutex<Store>,
    inventor: Mutex<Inventor>,
    notices: broadcast::Sender<Notice>,
}

/// Requests counted since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) token_requests: AtomicU64,
    pub(super) tokens: AtomicU64,
    pub(super) log_requests: AtomicU64,
    pub(super) pages: AtomicU64,
    pub(super) unauthorized: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// What the cloud has served since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Requests for a token.
    pub token_requests: u64,
    /// Tokens issued.
    pub tokens: u64,
    /// Requests to the audit log, refused ones included.
    pub log_requests: u64,
    /// Pages given, spoilt ones included.
    pub pages: u64,
    /// 401 and 403 answers of the audit log.
    pub unauthorized: u64,
    /// 429 answers of the audit log.
    pub throttled: u64,
    /// Bytes of the pages' bodies.
    pub bytes: u64,
}

impl Cloud {
    pub(super) fn new(settings: Settings) -> Self {
        let shared = Shared {
            tokens: Tokens::new(settings.client_secret.clone(), settings.token_form),
            quota: Quota::default(),
            knobs: Mutex::new(Knobs::new(&settings)),
            faults: Faults::new(settings.seed),
            counters: Counters::default(),
            push: Push::new(settings.seed),
            calm: CancellationToken::new(),
            store: Mutex::default(),
            inventor: Mutex::new(Inventor::new(settings.seed)),
            notices: broadcast::channel(NOTICES).0,
            settings,
        };
        Self(Arc::new(shared))
    }

    /// The switchboard of faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// How it behaves now.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        *self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Behaves like this from the next request, and the next entry, on.
    pub fn set_knobs(&self, knobs: Knobs) {
        *self.0.knobs.lock().unwrap_or_else(PoisonError::into_inner) = knobs;
        self.nudge_pushes();
    }

    /// Ends the life of every token issued so far.
    pub fn expire_tokens(&self) {
        self.0.tokens.expire_all(self.clock().now());
    }

    /// Ends the traffic for good; requests are answered as before.
    pub fn end_traffic(&self) {
        self.0.calm.cancel();
    }

    /// Adds one entry as it is, for polls to see and for webhooks to get; `false`, and
    /// nothing is added, when the store is full.
    #[must_use]
    pub fn insert(&self, entry: Entry) -> bool {
        let created_at = entry.created_at;
        let Some(place) = self.store().insert(entry) else { return false };
        self.0.push.offer(place, created_at, self.clock().now(), &self.knobs().push);
        true
    }

    /// Invents `count` entries spread evenly over `[from, until)`; what became of them.
    ///
    /// Fewer than `count` only when the store is full.
    #[expect(clippy::must_use_candidate, reason = "most callers want the entries, not the list")]
    pub fn generate(&self, count: u64, from: Timestamp, until: Timestamp) -> Vec<Made> {
        let knobs = self.knobs();
        let mut inventor = self.inventor();
        let mut made = Vec::new();
        for part in 0..count {
            let at = inventor.moment(from, until, (part, count));
            let late = inventor.draw_late(&knobs);
            let entry = inventor.invent(at, late);
            let told = Made::from(&entry);
            if !self.insert(entry) {
                break;
            }
            made.push(told);
        }
        made
    }

    /// Invents `count` entries that happen now; `false` when the store is full.
    pub(super) fn make_now(&self, count: u64) -> bool {
        let (mut last, knobs) = (None, self.knobs());
        for _ in 0..count {
            let late = self.inventor().draw_late(&knobs);
            let entry = self.inventor().invent(self.clock().now(), late);
            last = self.is_watched().then(|| entry.description.clone());
            if !self.insert(entry) {
                self.tell(|| Notice::Full);
                return false;
            }
        }
        if let Some(description) = last {
            self.tell(|| Notice::Made { count, description });
        }
        true
    }

    /// Adds an entry to the newest second that `selection` asks for and that is no future.
    pub(super) fn insert_into(&self, selection: &Selection) {
        let now = self.clock().now();
        let second = selection.until.saturating_sub(1).min(now.secs());
        if second >= selection.from {
            let mut entry = self.inventor().invent(Timestamp::from_secs(second), Late::default());
            entry.visible_at = now;
            // A full store takes no more, which is no fault of the request.
            let _ = self.insert(entry);
        }
    }

    /// Every entry made so far, in the order of making, visible or not.
    #[must_use]
    pub fn made(&self) -> Vec<Made> {
        self.made_since(0)
    }

    /// The entries made after the first `skip`.
    #[must_use]
    pub fn made_since(&self, skip: usize) -> Vec<Made> {
        self.store().made().iter().skip(skip).map(Made::from).collect()
    }

    /// How many entries were made so far.
    #[must_use]
    pub fn made_count(&self) -> usize {
        self.store().made().len()
    }

    /// What was served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        let counters = &self.0.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Served {
            token_requests: read(&counters.token_requests),
            tokens: read(&counters.tokens),
            log_requests: read(&counters.log_requests),
            pages: read(&counters.pages),
            unauthorized: read(&counters.unauthorized),
            throttled: read(&counters.throttled),
            bytes: read(&counters.bytes),
        }
    }

    /// What happens from now on; a reader that falls far behind loses the oldest.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.0.notices.subscribe()
    }

    /// The clock that the cloud lives by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.settings.clock
    }

    pub(super) fn pause(&self, rate: f64) -> Duration {
        self.inventor().pause(rate)
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who watch; costs nothing when nobody does.
    pub(super) fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.is_watched() {
            // An error means that the last one has just stopped watching.
            let _ = self.0.notices.send(notice());
        }
    }

    fn is_watched(&self) -> bool {
        self.0.notices.receiver_count() > 0
    }

    fn inventor(&self) -> MutexGuard<'_, Inventor> {
        self.0.inventor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
