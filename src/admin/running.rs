//! What is known of the running process without asking the ledger. The app fills it in:
//! the parts that it tells of are on this floor, too.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Schedule;

/// Looks at the running process.
pub type Look = Arc<dyn Fn() -> Running + Send + Sync>;

/// The running process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// The sources of the configuration, in its order.
    pub sources: Vec<RunningSource>,
    /// Names of the targets of the configuration, in its order.
    pub targets: Vec<String>,
    /// Bytes free for the ledger below which nothing is taken in.
    pub min_free: u64,
    /// Whether the last configuration that was read was not taken.
    pub is_config_refused: bool,
}

/// One source.
#[derive(Clone, Debug)]
pub struct RunningSource {
    /// Its name.
    pub name: String,
    /// How polling fares; `None`: it is not polled.
    pub poll: Option<Polled>,
    /// What its webhook was sent; `None`: it has none.
    pub push: Option<Pushed>,
}

/// How the polling of a source fares. Counts are those since the process started.
#[derive(Clone, Debug)]
pub struct Polled {
    /// When polls are due.
    pub schedule: Schedule,
    /// By how much each may be delayed.
    pub jitter: Duration,
    /// Time since boot since when it is polled.
    pub since: Duration,
    /// Time since boot at the last poll that read up to the present; `None` before it.
    pub fresh_at: Option<Duration>,
    /// What holds it up, in one word; `None`: nothing.
    pub trouble: Option<&'static str>,
    /// Polls by what they came to, every possible outcome.
    pub polls: Vec<(&'static str, u64)>,
    /// Requests by what they came to, every possible outcome.
    pub requests: Vec<(&'static str, u64)>,
    /// Events that it brought first.
    pub new_events: u64,
    /// Time since boot at which the access token in hand dies; `None`: there is none.
    pub token_dies_at: Option<Duration>,
}

/// What a source's webhook was sent since the process started.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Our answers by status, every possible status.
    pub answers: Vec<(u16, u64)>,
    /// Events that it brought first.
    pub new_events: u64,
}
