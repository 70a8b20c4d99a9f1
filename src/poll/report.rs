//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::greenlake::FetchError;
use crate::model::timestamp::Timestamp;
use crate::storage::StorageError;

/// Why a run ended before everything unsettled was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its requests were used up; the next run goes on at once.
    Budget,
    /// The program stops.
    Stopped,
    /// The source asked us to wait.
    Throttled,
    /// The source does not accept our credentials.
    AuthFailed,
    /// The credentials lack the role.
    Forbidden,
    /// The source refuses the query.
    Rejected,
    /// The source or the network failed.
    Unavailable,
    /// An answer was cut, too large or no page.
    Unreadable,
    /// An answer held entries that were not asked for, or contradicted itself.
    Contradictory,
    /// A second holds more than the source shows.
    Incomplete,
    /// The disk with the ledger is full, or below the floor.
    NoRoom,
    /// Another process keeps the ledger busy.
    LedgerBusy,
}

impl Reason {
    /// The reason in one word, as `poll_log` and `status` give it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Stopped => "stopped",
            Self::Throttled => "throttled",
            Self::AuthFailed => "auth_failed",
            Self::Forbidden => "forbidden",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Unreadable => "unreadable",
            Self::Contradictory => "contradictory",
            Self::Incomplete => "incomplete",
            Self::NoRoom => "no_room",
            Self::LedgerBusy => "ledger_busy",
        }
    }

    /// Whether somebody should hear of it: all but the ordinary ends of a partial run.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::Budget | Self::Stopped)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a run is partial, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In one word.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
    /// How long the source asked us to wait; `None` when it did not say.
    pub wait: Option<Duration>,
}

impl Problem {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), wait: None }
    }
}

/// How often something came to each outcome, in one word.
pub type Tally = BTreeMap<&'static str, u64>;

/// Outcomes of a run: `complete`, or why it is partial.
pub const RUN_OUTCOMES: [&str; 13] = [
    "complete",
    Reason::Budget.as_str(),
    Reason::Stopped.as_str(),
    Reason::Throttled.as_str(),
    Reason::AuthFailed.as_str(),
    Reason::Forbidden.as_str(),
    Reason::Rejected.as_str(),
    Reason::Unavailable.as_str(),
    Reason::Unreadable.as_str(),
    Reason::Contradictory.as_str(),
    Reason::Incomplete.as_str(),
    Reason::NoRoom.as_str(),
    Reason::LedgerBusy.as_str(),
];

/// Outcomes of a request, as `poll_log` has them.
pub const REQUEST_OUTCOMES: [&str; 13] = [
    "first_start",
    "clock",
    "complete",
    "page",
    "split",
    "outside",
    Reason::Contradictory.as_str(),
    Reason::Throttled.as_str(),
    Reason::AuthFailed.as_str(),
    Reason::Forbidden.as_str(),
    Reason::Rejected.as_str(),
    Reason::Unavailable.as_str(),
    Reason::Unreadable.as_str(),
];

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Requests sent to the audit log.
    pub requests: u32,
    /// What those that were logged came to.
    pub outcomes: Tally,
    /// Events stored for the first time.
    pub new: u64,
    /// Events that were there already.
    pub known: u64,
    /// Those among `new` that only a sweep found.
    pub late: u64,
    /// Entries that lay outside of what was asked for.
    pub outside: u64,
    /// Items newly put into quarantine.
    pub quarantined: u64,
    /// Below it history is complete. `None` when not even the start is known yet.
    pub watermark: Option<Timestamp>,
    /// Whether the newest slice was read: events up to now are in, whatever is left of
    /// the past.
    pub is_fresh: bool,
    /// `None`: complete, everything unsettled was read. Otherwise why it is partial; the
    /// next run goes on from the coverage.
    pub problem: Option<Problem>,
}

impl RunReport {
    /// Both together: counts add up, the state is that after `next`.
    #[must_use]
    pub fn followed_by(mut self, next: Self) -> Self {
        add(&mut self.outcomes, &next.outcomes);
        Self {
            outcomes: self.outcomes,
            requests: self.requests.saturating_add(next.requests),
            new: self.new + next.new,
            known: self.known + next.known,
            late: self.late + next.late,
            outside: self.outside + next.outside,
            quarantined: self.quarantined + next.quarantined,
            ..next
        }
    }
}

/// Adds up what is counted by outcome.
pub(super) fn add(sum: &mut Tally, more: &Tally) {
    for (outcome, count) in more {
        *sum.entry(outcome).or_default() += count;
    }
}

/// What keeps a run from going on as planned.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The slice in hand is left for a later run; the next slice may fare better.
    Slice(Problem),
    /// The run ends.
    Run(Problem),
    /// The poller ends.
    Ledger(StorageError),
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Full => Self::Run(Problem::new(Reason::NoRoom, error.to_string())),
            StorageError::Busy => Self::Run(Problem::new(Reason::LedgerBusy, error.to_string())),
            _ => Self::Ledger(error),
        }
    }
}

/// A failed request: what keeps the run from going on, and the HTTP status.
pub(super) fn classify(error: &FetchError, query: &str) -> (Trouble, Option<u16>) {
    let problem = |reason| Problem::new(reason, error.to_string());
    match error {
        FetchError::Throttled { wait, .. } => {
            let throttled = Problem { wait: Some(*wait), ..problem(Reason::Throttled) };
            (Trouble::Run(throttled), None)
        }
        FetchError::AuthFailed { .. } => (Trouble::Run(problem(Reason::AuthFailed)), None),
        FetchError::Forbidden { .. } => (Trouble::Run(problem(Reason::Forbidden)), Some(403)),
        FetchError::Rejected { status, message } => {
            let message = format!("{message}; we had asked for {query}");
            (Trouble::Slice(Problem::new(Reason::Rejected, message)), Some(*status))
        }
        FetchError::Unavailable { status, .. } => {
            (Trouble::Slice(problem(Reason::Unavailable)), *status)
        }
        FetchError::Unreadable { .. } => (Trouble::Slice(problem(Reason::Unreadable)), None),
    }
}
