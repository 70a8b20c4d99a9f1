//! What one path takes in: a source's webhook, and where its events go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::sections::PLATFORM;
use crate::config::{ApiVersion, Foreign, PushConfig, SourceConfig};
use crate::greenlake::Listed;
use crate::receive::authenticate::Stranger;
use crate::receive::decode::Reading;
use crate::receive::tally::PushTally;
use crate::storage::{Ledger, SignedBy};

/// How long a look at the free space holds, in milliseconds: what is pushed meanwhile, some
/// megabytes at the very most, is little beside the floor, and looking costs every push.
const ROOM_HOLDS: u64 = 100;

/// Called after a commit that brought new events.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A source's webhook, and where its events go.
#[derive(Clone)]
pub struct Inlet {
    /// The source's name in the configuration.
    pub source: String,
    /// Its workspace.
    pub workspace_id: String,
    /// `[source.push]`
    pub push: PushConfig,
    /// What polling of this source shows.
    pub polled: Polled,
    /// Bytes free for the ledger below which nothing is taken.
    pub min_free: u64,
    /// Names of the targets that get a delivery of each event that is pushed first.
    pub targets: Vec<String>,
    /// Names of the targets that are told when it is silent, and when it is heard again.
    pub hearers: Vec<String>,
    /// Where events are kept.
    pub ledger: Ledger,
    /// Called after each commit with new events.
    pub wake: Wake,
    /// Makes a poll of this source due; `None`: pushes nudge nobody.
    pub nudge: Option<Arc<Notify>>,
    /// Counts what came to this source's webhooks, this one and those before it.
    pub tally: Arc<PushTally>,
}

/// What polling of a source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Entries of the platform and of every service.
    Everything,
    /// Entries of the platform alone.
    Platform,
    /// Nothing, or what a filter of HPE's or a choice of services leaves: not told here.
    Unknown,
}

impl Polled {
    /// What polling shows of a source that is configured so.
    #[must_use]
    pub fn new(source: &SourceConfig) -> Self {
        match source.api {
            _ if !source.poll.enabled || !source.filter.is_empty() => Self::Unknown,
            ApiVersion::V1 => Self::Everything,
            ApiVersion::V2Beta1 if source.services != [PLATFORM] => Self::Unknown,
            ApiVersion::V2Beta1 => Self::Platform,
        }
    }
}

impl Reading for Inlet {
    fn workspace_id(&self) -> &str {
        &self.workspace_id
    }

    fn keeps_foreign(&self) -> bool {
        self.push.foreign == Foreign::Flag
    }

    fn is_polled(&self, listed: Listed) -> bool {
        match (self.polled, listed) {
            (Polled::Unknown, _) | (_, Listed::Nowhere) => false,
            (Polled::Everything, _) => true,
            (Polled::Platform, listed) => listed == Listed::Platform,
        }
    }
}

/// An inlet at work: with what was last told of it.
pub(super) struct Open {
    pub(super) inlet: Inlet,
    /// With which secret the last push was signed; 0 before the first.
    signed_by: AtomicU8,
    is_failing: AtomicBool,
    is_refusing: AtomicBool,
    /// A push was put off since somebody last asked.
    has_put_off: AtomicBool,
    /// Milliseconds since boot until which the last look at the free space holds.
    roomy_until: AtomicU64,
}

impl Open {
    pub(super) fn new(inlet: Inlet) -> Self {
        Self {
            inlet,
            signed_by: AtomicU8::new(0),
            is_failing: AtomicBool::new(false),
            is_refusing: AtomicBool::new(false),
            has_put_off: AtomicBool::new(false),
            roomy_until: AtomicU64::new(0),
        }
    }

    /// Tells, once per change, with which secret pushes are signed: so an operator sees
    /// how far a rotation is.
    pub(super) fn tell_signed(&self, signed_by: SignedBy) {
        let code = match signed_by {
            SignedBy::Primary => 1,
            SignedBy::Secondary => 2,
            SignedBy::Both => 3,
        };
        if self.signed_by.swap(code, Ordering::Relaxed) != code {
            let (source, secret) = (&self.inlet.source, signed_by.as_str());
            tracing::info!(source, secret, "pushes are signed with this secret from now on");
        }
        self.is_refusing.store(false, Ordering::Relaxed);
    }

    /// Tells of the first request of a row that is turned away.
    pub(super) fn tell_refused(&self, stranger: Stranger) {
        let (source, why) = (&self.inlet.source, stranger.as_str());
        if self.is_refusing.swap(true, Ordering::Relaxed) {
            tracing::debug!(source, "a push was turned away: {why}");
        } else {
            tracing::warn!(source, "a push was turned away: {why}; see the view push_log");
        }
    }

    /// Tells when pushes cannot be stored any more, and when they can again.
    pub(super) fn tell_stored(&self, stored: Result<(), &str>) {
        let source = &self.inlet.source;
        let was_failing = self.is_failing.swap(stored.is_err(), Ordering::Relaxed);
        self.has_put_off.fetch_or(stored.is_err(), Ordering::Relaxed);
        match (stored, was_failing) {
            (Err(why), false) => {
                tracing::error!(
                    source,
                    "pushes are put off (503), GreenLake sends them again: {why}"
                );
            }
            (Err(why), true) => tracing::debug!(source, "a push is put off: {why}"),
            (Ok(()), true) => tracing::info!(source, "pushes are taken again"),
            (Ok(()), false) => {}
        }
    }

    /// Whether a push was put off since this was last asked.
    pub(super) fn has_put_off(&self) -> bool {
        self.has_put_off.swap(false, Ordering::Relaxed)
    }

    /// Why nothing can be stored at the time since boot `now`, if that is known beforehand.
    pub(super) fn require_room(&self, now: Duration) -> Result<(), String> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if now < self.roomy_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        let floor = self.inlet.min_free;
        match self.inlet.ledger.free_space() {
            Ok(free) if free < floor => Err(format!(
                "{free} bytes are free for the ledger, fewer than storage.min_free ({floor}); \
                 free some space"
            )),
            // The ledger itself says when it is full.
            _ => {
                self.roomy_until.store(now.saturating_add(ROOM_HOLDS), Ordering::Relaxed);
                Ok(())
            }
        }
    }
}
