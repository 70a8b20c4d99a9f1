//! One run: everything unsettled, slice by slice, each committed with its coverage.
//!
//! Keeps true: bounds are computed once and are whole seconds; a slice's entries and its
//! coverage are one transaction; the coverage in hand changes only after that commit.
//! Races it accepts: entries that turn up behind a slice while the run goes on are found
//! by the next re-read, as any late entry is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Overlap, SourceConfig, Start};
use crate::greenlake::{Page, Query};
use crate::model::clock::Clock;
use crate::model::coverage::{Coverage, SKEW_SECS, Span};
use crate::model::event::{Event, Route};
use crate::model::timestamp::Timestamp;
use crate::poll::gap::{find_lost, gap_event};
use crate::poll::plan::{Paces, Plan, Slice};
use crate::poll::report::{Problem, Reason, RunReport, Trouble, classify};
use crate::poll::second::without;
use crate::poll::verdict::{Verdict, judge, read};
use crate::poll::{Keep, Log, PollError};
use crate::storage::{Ingest, PollRequest};

/// Requests of one run, but for a crowded second in hand. At the source's rate limit they
/// take half a minute; then the present is read again before a backfill goes on.
const MAX_REQUESTS: u32 = 40;

/// Slices in a row that may fail before a run ends: one bad slice does not hold up the
/// others, and a dead source gets two requests a run.
const MAX_FAILED_IN_A_ROW: u32 = 2;

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
    pub overlap: Duration,
    /// Entries asked for in one request, 1 to 2000.
    pub page_limit: u32,
    /// Bytes free for the ledger below which nothing is asked for.
    pub min_free: u64,
    /// Names of the targets that get a delivery of each new event.
    pub targets: Vec<String>,
}

impl ScanSettings {
    /// Takes what is needed from the configuration.
    #[must_use]
    pub fn new(source: &SourceConfig, min_free: u64, targets: Vec<String>) -> Self {
        let Overlap::Fixed(overlap) = source.poll.overlap;
        Self {
            name: source.name.clone(),
            workspace_id: source.workspace_id.clone(),
            start: source.poll.start,
            overlap,
            page_limit: source.poll.page_limit,
            min_free,
            targets,
        }
    }

    pub(super) fn overlap_secs(&self) -> i64 {
        let secs = self.overlap.as_secs() + u64::from(self.overlap.subsec_nanos() > 0);
        i64::try_from(secs).unwrap_or(i64::MAX / 4)
    }
}

/// Called after a commit that brought new events.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Reads one source, a run at a time.
pub struct Scanner<L, K> {
    pub(super) settings: ScanSettings,
    pub(super) log: L,
    pub(super) keep: K,
    pub(super) clock: Clock,
    wake: Wake,
    paces: Paces,
    /// Seconds that could not be read whole, and the uptime at which to try again.
    pub(super) stuck: BTreeMap<i64, Duration>,
    born: Duration,
    /// The coverage as this process found it, until its first page is stored.
    before: Option<Coverage>,
    has_run: bool,
}

impl<L: Log, K: Keep> Scanner<L, K> {
    /// A scanner that asks `log`, keeps in `keep` and calls `wake` after each commit with
    /// new events. `start = "now"` means the moment of this call.
    pub fn new(settings: ScanSettings, log: L, keep: K, clock: Clock, wake: Wake) -> Self {
        let born = clock.uptime();
        Self {
            settings,
            log,
            keep,
            clock,
            wake,
            paces: Paces::default(),
            stuck: BTreeMap::new(),
            born,
            before: None,
            has_run: false,
        }
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
        let mut run = Run { scanner: self, stop, coverage: None, report: RunReport::default() };
        let result = run.scan().await;
        let watermark = run.coverage.as_ref().map(|coverage| coverage.watermark);
        let mut report = run.report;
        report.watermark = watermark.map(Timestamp::from_secs);
        match result {
            Ok(()) => {}
            Err(Trouble::Slice(problem) | Trouble::Run(problem)) => report.problem = Some(problem),
            Err(Trouble::Ledger(error)) => {
                return Err(PollError { name: self.settings.name.clone(), error });
            }
        }
        Ok(report)
    }
}

/// One run in progress.
pub(super) struct Run<'a, L, K> {
    pub(super) scanner: &'a mut Scanner<L, K>,
    stop: &'a CancellationToken,
    coverage: Option<Coverage>,
    pub(super) report: RunReport,
}

/// A request that was answered.
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) page: Page,
    started_at: Timestamp,
    duration: Duration,
}

impl Asked {
    /// Its row in `poll_log`.
    pub(super) fn row(&self, outcome: &'static str, error: Option<String>) -> PollRequest {
        PollRequest {
            started_at: self.started_at,
            duration: self.duration,
            span: self.query.span,
            offset: self.query.offset,
            outcome,
            status: Some(200),
            count: Some(self.page.count),
            total: Some(self.page.total),
            bytes: self.page.bytes,
            error,
        }
    }
}

impl<L: Log, K: Keep> Run<'_, L, K> {
    async fn scan(&mut self) -> Result<(), Trouble> {
        let coverage = match self.scanner.keep.find_coverage(&self.scanner.settings.name).await? {
            Some(coverage) => coverage,
            None => self.begin().await?,
        };
        if !self.scanner.has_run {
            self.scanner.has_run = true;
            self.scanner.before = Some(coverage.clone());
        }
        let hi = self.scanner.log.server_now().secs() + 1;
        let overlap = self.scanner.settings.overlap_secs();
        let unsettled = coverage.unsettled(hi, overlap);
        self.coverage = Some(coverage);
        let (parts, left_out) =
            without(unsettled, &mut self.scanner.stuck, self.scanner.clock.uptime());
        if left_out > 0 {
            let message = format!("{left_out} s hold more entries than the source shows");
            self.report.problem = Some(Problem::new(Reason::Incomplete, message));
        }
        let limit = self.scanner.settings.page_limit;
        let plan = Plan::new(&parts, hi, overlap + SKEW_SECS, limit, self.scanner.paces);
        self.follow(plan, hi).await
    }

    /// Takes slice after slice until the plan or one of the run's limits ends.
    async fn follow(&mut self, mut plan: Plan, hi: i64) -> Result<(), Trouble> {
        let mut failed = 0;
        while !plan.is_empty() && failed < MAX_FAILED_IN_A_ROW {
            if self.report.requests >= MAX_REQUESTS {
                let message = format!("{MAX_REQUESTS} requests are used up");
                return Err(Trouble::Run(Problem::new(Reason::Budget, message)));
            }
            let Some(slice) = plan.next_slice() else { break };
            match self.read_slice(slice, &mut plan).await {
                Ok(()) => failed = 0,
                Err(Trouble::Slice(problem)) => {
                    failed += 1;
                    plan.failed(slice);
                    self.report.problem = Some(problem);
                }
                Err(other) => return Err(other),
            }
            self.scanner.paces = plan.paces();
        }
        self.report.is_fresh = self.is_scanned(hi - 1);
        Ok(())
    }

    fn is_scanned(&self, second: i64) -> bool {
        let coverage = self.coverage.iter();
        coverage.flat_map(|coverage| &coverage.scans).any(|scan| scan.span.contains(second))
    }

    /// The very first start. It asks once for the server's time, so that history begins
    /// where the source's clock says and not where ours may stand.
    async fn begin(&mut self) -> Result<Coverage, Trouble> {
        let now = self.scanner.log.server_now().secs();
        let span = Span::new(now, now + 1);
        let asked = self.ask(Query { span, narrow: String::new(), limit: 1, offset: 0 }).await?;
        let now = self.scanner.log.server_now();
        let start = match self.scanner.settings.start {
            Start::Now => now.minus(self.scanner.clock.uptime().saturating_sub(self.scanner.born)),
            Start::Back(back) => now.minus(back),
            Start::At(at) => at,
        };
        let coverage = Coverage::new(start.secs());
        tracing::info!(
            source = self.scanner.settings.name, start = %start.to_rfc3339_secs(),
            "history of this source begins"
        );
        let row = asked.row("first_start", None);
        self.store(Vec::new(), Vec::new(), Some(row), Some(coverage.clone())).await?;
        Ok(coverage)
    }

    async fn read_slice(&mut self, slice: Slice, plan: &mut Plan) -> Result<(), Trouble> {
        let limit = self.scanner.settings.page_limit;
        let query = Query { span: slice.span, narrow: String::new(), limit, offset: 0 };
        let asked = self.ask(query).await?;
        match judge(slice.span, &asked.page) {
            Verdict::Whole => {
                let entries = read(&asked.page);
                let asked_at = asked.page.asked_at.secs();
                self.commit(asked, "complete", Some(asked_at)).await?;
                plan.whole(slice, entries);
                Ok(())
            }
            Verdict::Crowded(total) if slice.span.secs() > 1 => {
                self.log_row(asked.row("split", None)).await?;
                plan.crowded(slice, total);
                Ok(())
            }
            Verdict::Crowded(_) => {
                self.log_row(asked.row("split", None)).await?;
                self.read_second(slice.span).await
            }
            Verdict::Outside(count) => self.refuse_outside(asked, count).await,
            Verdict::Contradictory(message) => {
                let row = asked.row("contradictory", Some(message.clone()));
                self.store(asked.page.events, asked.page.unreadable, Some(row), None).await?;
                Err(Trouble::Slice(Problem::new(Reason::Contradictory, message)))
            }
        }
    }

    /// Keeps what came, though it proves nothing of the slice.
    pub(super) async fn refuse_outside(&mut self, asked: Asked, count: u64) -> Result<(), Trouble> {
        let message = format!("{count} entries came that were not asked for");
        self.report.outside += count;
        let row = asked.row("outside", Some(message.clone()));
        self.store(asked.page.events, asked.page.unreadable, Some(row), None).await?;
        Err(Trouble::Slice(Problem::new(Reason::Contradictory, message)))
    }

    /// Sends one request; a failed one gets its row in `poll_log`.
    pub(super) async fn ask(&mut self, query: Query) -> Result<Asked, Trouble> {
        self.require_room()?;
        let (started_at, began) = (self.scanner.clock.now(), self.scanner.clock.uptime());
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                return Err(Trouble::Run(Problem::new(Reason::Stopped, "the program stops")));
            }
            answer = self.scanner.log.fetch(&query) => answer,
        };
        self.report.requests += 1;
        let duration = self.scanner.clock.uptime().saturating_sub(began);
        let error = match answer {
            Ok(page) => return Ok(Asked { query, page, started_at, duration }),
            Err(error) => error,
        };
        let (trouble, status) = classify(&error, &describe(&query));
        let (outcome, error) = match &trouble {
            Trouble::Slice(problem) | Trouble::Run(problem) => {
                (problem.reason.as_str(), problem.message.clone())
            }
            Trouble::Ledger(error) => ("ledger", error.to_string()),
        };
        let (span, offset) = (query.span, query.offset);
        let (count, total, bytes, error) = (None, None, 0, Some(error));
        self.log_row(PollRequest {
            started_at,
            duration,
            span,
            offset,
            outcome,
            status,
            count,
            total,
            bytes,
            error,
        })
        .await?;
        Err(trouble)
    }

    /// Below the floor nothing is asked for: what we could not store we need not fetch.
    fn require_room(&self) -> Result<(), Trouble> {
        let floor = self.scanner.settings.min_free;
        match self.scanner.keep.free_space() {
            Ok(free) if free < floor => {
                let message = format!(
                    "{free} bytes are free for the ledger, fewer than storage.min_free ({floor}); \
                     free some space, polling goes on by itself"
                );
                Err(Trouble::Run(Problem::new(Reason::NoRoom, message)))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                // The ledger itself says when it is full.
                tracing::debug!(%error, "the free space of the ledger's disk is not known");
                Ok(())
            }
        }
    }

    /// Stores a page; with `asked_at` its stretch is covered from that second on.
    pub(super) async fn commit(
        &mut self,
        asked: Asked,
        outcome: &'static str,
        asked_at: Option<i64>,
    ) -> Result<(), Trouble> {
        let next = asked_at.and_then(|asked_at| {
            let mut next = self.coverage.clone()?;
            next.record(asked.query.span, asked_at);
            next.advance(self.scanner.settings.overlap_secs());
            Some(next)
        });
        let row = asked.row(outcome, None);
        self.store(asked.page.events, asked.page.unreadable, Some(row), next).await
    }

    pub(super) async fn log_row(&self, row: PollRequest) -> Result<(), Trouble> {
        Ok(self.scanner.keep.log_request(&self.scanner.settings.name, row).await?)
    }

    /// The one transaction (I1): entries, quarantine, coverage and the request's row.
    async fn store(
        &mut self,
        page: Vec<Event>,
        unreadable: Vec<crate::model::event::Unreadable>,
        request: Option<PollRequest>,
        coverage: Option<Coverage>,
    ) -> Result<(), Trouble> {
        let mut events = self.gap_events();
        // Newest first in v1; reversing keeps its order among ties.
        events.extend(page.into_iter().rev());
        events.sort_by_key(|event| event.occurred_at);
        let settings = &self.scanner.settings;
        let ingest = Ingest {
            source: settings.name.clone(),
            route: Route::Poll,
            events,
            unreadable,
            targets: settings.targets.clone(),
            coverage: coverage.clone(),
            request,
        };
        let ingested = self.scanner.keep.ingest(ingest).await?;
        self.scanner.before = None;
        if coverage.is_some() {
            self.coverage = coverage;
        }
        self.report.new += ingested.new;
        self.report.known += ingested.known;
        self.report.quarantined += ingested.quarantined;
        if ingested.new > 0 {
            (self.scanner.wake)();
        }
        Ok(())
    }

    /// What this process found lost, to be stored with its first page: only then has the
    /// source told its time, and only then would the trace of the outage go.
    fn gap_events(&self) -> Vec<Event> {
        let Some(before) = &self.scanner.before else { return Vec::new() };
        let settings = &self.scanner.settings;
        let now = self.scanner.log.server_now();
        let lost = find_lost(before, settings.overlap_secs(), now.secs());
        let tell = |span: Span| {
            tracing::warn!(
                source = settings.name,
                from = %Timestamp::from_secs(span.from).to_rfc3339_secs(),
                until = %Timestamp::from_secs(span.until).to_rfc3339_secs(),
                "entries may be lost: polling was away for longer than GreenLake keeps them"
            );
            gap_event(&settings.name, &settings.workspace_id, span, now)
        };
        lost.into_iter().map(tell).collect()
    }
}

/// The query as people read it beside HPE's refusal. The user's own filter, which the
/// client adds, stands in the configuration.
fn describe(query: &Query) -> String {
    let from = Timestamp::from_secs(query.span.from).to_rfc3339_secs();
    let until = Timestamp::from_secs(query.span.until).to_rfc3339_secs();
    let narrow = match query.narrow.as_str() {
        "" => String::new(),
        narrow => format!(" and {narrow}"),
    };
    let (limit, offset) = (query.limit, query.offset);
    format!(
        "createdAt ge '{from}' and createdAt lt '{until}'{narrow}, limit {limit}, offset {offset}"
    )
}

#[cfg(test)]
mod tests;
