//! The reader of one source, a run at a time, and what it remembers in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Overlap, SourceConfig, Start};
use crate::model::clock::Clock;
use crate::model::coverage::Coverage;
use crate::model::lateness::Learnt;
use crate::poll::late::first_overlap;
use crate::poll::pace::Paces;
use crate::poll::past::Past;
use crate::poll::report::{Reason, RunReport, Trouble};
use crate::poll::run::Run;
use crate::poll::stuck::Stuck;
use crate::poll::{Keep, Log, PollError};

/// What a scanner needs to know of its source.
#[derive(Clone, Debug)]
pub struct ScanSettings {
    /// The source's name in the configuration.
    pub name: String,
    /// Its workspace.
    pub workspace_id: String,
    /// Where history begins at the very first run; without effect later.
    pub start: Start,
    /// How long after its creation an entry may become visible, rounded up to seconds.
    pub overlap: Overlap,
    /// Entries asked for in one request, 1 to 2000.
    pub page_limit: u32,
    /// Bytes free for the ledger below which nothing is asked for.
    pub min_free: u64,
    /// Names of the targets that get a delivery of each new event, as they are when it is
    /// stored.
    pub targets: watch::Receiver<Vec<String>>,
}

impl ScanSettings {
    /// Takes what is needed from the configuration.
    #[must_use]
    pub fn new(
        source: &SourceConfig,
        min_free: u64,
        targets: watch::Receiver<Vec<String>>,
    ) -> Self {
        Self {
            name: source.name.clone(),
            workspace_id: source.workspace_id.clone(),
            start: source.poll.start,
            overlap: source.poll.overlap,
            page_limit: source.poll.page_limit,
            min_free,
            targets,
        }
    }
}

/// Called after a commit that brought new events.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Called after each slice while there is a past to read, instead of a log line.
pub type Tell = Arc<dyn Fn(&Past) + Send + Sync>;

/// Reads one source, a run at a time.
pub struct Scanner<L, K> {
    pub(super) settings: ScanSettings,
    pub(super) log: L,
    pub(super) keep: K,
    pub(super) clock: Clock,
    pub(super) wake: Wake,
    pub(super) paces: Paces,
    /// Seconds that could not be read whole.
    pub(super) stuck: Stuck,
    /// Time since boot when it was made.
    pub(super) born: Duration,
    /// The coverage as this process found it, until its first page is stored.
    pub(super) before: Option<Coverage>,
    pub(super) has_run: bool,
    /// How far the reading of the past has come; `None`: there is none to read.
    pub(super) past: Option<Past>,
    tell: Option<Tell>,
    /// The overlap in use.
    pub(super) overlap_secs: i64,
    pub(super) learnt: Option<Learnt>,
    /// Time since boot before which nothing is swept.
    pub(super) sweep_after: Duration,
    /// Whether the run in hand is due only because of a push.
    pub(super) is_nudged: bool,
}

impl<L: Log, K: Keep> Scanner<L, K> {
    /// A scanner that asks `log`, keeps in `keep` and calls `wake` after each commit with
    /// new events. `start = "now"` means the moment of this call.
    pub fn new(settings: ScanSettings, log: L, keep: K, clock: Clock, wake: Wake) -> Self {
        let born = clock.uptime();
        let overlap_secs = first_overlap(settings.overlap, None);
        Self {
            settings,
            log,
            keep,
            clock,
            wake,
            paces: Paces::default(),
            stuck: Stuck::default(),
            born,
            before: None,
            has_run: false,
            is_nudged: false,
            past: None,
            tell: None,
            overlap_secs,
            learnt: None,
            sweep_after: Duration::ZERO,
        }
    }

    /// Calls `tell` with how far the reading of the past has come, instead of logging it
    /// every ten seconds.
    #[must_use]
    pub fn telling(self, tell: Tell) -> Self {
        Self { tell: Some(tell), ..self }
    }

    /// Notes that so many seconds of the past are left to read, after a slice that brought
    /// `new` events, and says so now and then.
    pub(super) fn note_past(&mut self, left_secs: u64, new: u64) {
        let now = self.clock.uptime();
        if left_secs == 0 && self.past.is_none() {
            return;
        }
        let past = self.past.get_or_insert_with(|| Past::new(left_secs, now));
        past.note(left_secs, new, now);
        if let Some(tell) = &self.tell {
            tell(past);
        } else if past.is_due(now) {
            tracing::info!(source = self.settings.name, "reading the past: {past}");
        }
        if left_secs == 0 {
            self.past = None;
        }
    }

    /// The scanner that goes on after this one with another client: what it has learnt of
    /// the source's answers is left behind.
    pub(super) fn renewed(&self, settings: ScanSettings, log: L) -> Self
    where
        K: Clone,
    {
        Self::new(settings, log, self.keep.clone(), self.clock.clone(), Arc::clone(&self.wake))
    }

    /// Reads everything unsettled, or as much as the limits of a run allow.
    ///
    /// After `stop` it ends with the page in hand committed; a request under way is
    /// abandoned. Dropping the future leaves every committed slice as it is.
    ///
    /// # Errors
    /// When the ledger fails for good. A full disk and a busy ledger are no errors but
    /// the report's problem: nothing was stored, and the next run asks again.
    pub async fn run_once(&mut self, stop: &CancellationToken) -> Result<RunReport, PollError> {
        let mut run = Run::new(self, stop);
        let result = run.scan().await;
        let report = run.into_report();
        self.conclude(report, result)
    }

    /// Like [`Scanner::run_once`]; when everything unsettled is read, it sweeps what is due
    /// of the time before until the time since boot is `until`, at which the next run is
    /// due, and learns from what it found.
    ///
    /// # Errors
    /// As [`Scanner::run_once`].
    pub async fn poll(
        &mut self,
        until: Duration,
        stop: &CancellationToken,
    ) -> Result<RunReport, PollError> {
        let mut run = Run::new(self, stop);
        let mut result = run.scan().await;
        if result.is_ok() && run.is_through() {
            result = run.sweep(until).await;
        }
        if result.is_ok() || run.report.late > 0 {
            let learnt = run.learn().await;
            result = result.and(learnt);
        }
        let report = run.into_report();
        self.conclude(report, result)
    }

    fn conclude(
        &self,
        mut report: RunReport,
        result: Result<(), Trouble>,
    ) -> Result<RunReport, PollError> {
        match result {
            Ok(()) => {}
            Err(Trouble::Slice(problem) | Trouble::Run(problem)) => report.problem = Some(problem),
            Err(Trouble::Ledger(error)) => {
                return Err(PollError { name: self.settings.name.clone(), error });
            }
        }
        Ok(report)
    }

    /// Like [`Scanner::poll`], again and again while a run ends for its number of
    /// requests only: what `tailwater poll` does. The counts are those of all runs.
    ///
    /// # Errors
    /// As [`Scanner::run_once`].
    pub async fn run_through(&mut self, stop: &CancellationToken) -> Result<RunReport, PollError> {
        let mut sum = RunReport::default();
        loop {
            let report = self.poll(Duration::MAX, stop).await?;
            sum = sum.followed_by(report);
            if !sum.problem.as_ref().is_some_and(|problem| problem.reason == Reason::Budget) {
                return Ok(sum);
            }
        }
    }
}
