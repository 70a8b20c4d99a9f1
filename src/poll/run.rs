//! One run: everything unsettled, slice by slice, each committed with its coverage.
//!
//! Keeps true: bounds are computed once and are whole seconds; a slice's entries and its
//! coverage are one transaction; the coverage in hand changes only after that commit.
//! Races it accepts: entries that turn up behind a slice while the run goes on are found
//! by the next re-read, as any late entry is.

use tokio_util::sync::CancellationToken;

use crate::config::Start;
use crate::greenlake::Query;
use crate::model::coverage::{Coverage, SKEW_SECS, Scan, Span};
use crate::model::event::{Event, Route, Unreadable};
use crate::model::timestamp::Timestamp;
use crate::poll::gap::{find_lost, gap_event};
use crate::poll::part::{Part, Parts, WholePart};
use crate::poll::past::never_read;
use crate::poll::plan::{Plan, Slice};
use crate::poll::report::{Problem, Reason, RunReport, Trouble};
use crate::poll::request::Asked;
use crate::poll::scanner::Scanner;
use crate::poll::second::without;
use crate::poll::verdict::{Verdict, judge, read};
use crate::poll::{Keep, Log};
use crate::storage::{Ingest, PollRequest};

/// Requests of one run, but for a crowded second in hand. At the source's rate limit they
/// take half a minute; then the present is read again before a backfill goes on.
const MAX_REQUESTS: u32 = 40;

/// Slices in a row that may fail before a run ends: one bad slice does not hold up the
/// others, and a dead source gets two requests a run.
const MAX_FAILED_IN_A_ROW: u32 = 2;

/// One run in progress.
pub(super) struct Run<'a, L, K> {
    pub(super) scanner: &'a mut Scanner<L, K>,
    pub(super) stop: &'a CancellationToken,
    coverage: Option<Coverage>,
    /// End of what this run reads, seconds; fixed once.
    hi: i64,
    pub(super) report: RunReport,
}

impl<'a, L: Log, K: Keep> Run<'a, L, K> {
    pub(super) fn new(scanner: &'a mut Scanner<L, K>, stop: &'a CancellationToken) -> Self {
        Self { scanner, stop, coverage: None, hi: i64::MAX, report: RunReport::default() }
    }

    /// Reads everything unsettled, or as much as the limits allow.
    pub(super) async fn scan(&mut self) -> Result<(), Trouble> {
        let coverage = match self.scanner.keep.find_coverage(&self.scanner.settings.name).await? {
            Some(coverage) => coverage,
            None => self.begin().await?,
        };
        if !self.scanner.has_run {
            self.scanner.has_run = true;
            self.scanner.before = Some(coverage.clone());
        }
        let hi = self.find_bound(coverage.watermark).await?;
        self.hi = hi;
        let overlap = self.scanner.settings.overlap_secs();
        let unsettled = coverage.unsettled(hi, overlap);
        self.coverage = Some(coverage);
        self.note_past(0);
        let (parts, left_out) =
            without(unsettled, &mut self.scanner.stuck, self.scanner.clock.uptime());
        if left_out > 0 {
            let message = format!("{left_out} s hold more entries than the source shows");
            self.report.problem = Some(Problem::new(Reason::Incomplete, message));
        }
        let limit = self.scanner.settings.page_limit;
        let plan = Plan::new(&parts, hi, overlap + SKEW_SECS, limit, self.scanner.paces);
        self.follow(plan).await
    }

    /// Takes slice after slice until the plan or one of the run's limits ends.
    async fn follow(&mut self, mut plan: Plan) -> Result<(), Trouble> {
        let mut failed = 0;
        while !plan.is_empty() && failed < MAX_FAILED_IN_A_ROW {
            if self.report.requests >= MAX_REQUESTS {
                return Err(Trouble::Run(self.out_of_requests()));
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
        Ok(())
    }

    /// A slice that failed asks for a pause; the end of the budget alone for none.
    fn out_of_requests(&mut self) -> Problem {
        let earlier = self.report.problem.take();
        earlier.filter(|problem| problem.reason != Reason::Incomplete).unwrap_or_else(|| {
            Problem::new(Reason::Budget, format!("{MAX_REQUESTS} requests are used up"))
        })
    }

    /// What the run came to so far.
    pub(super) fn into_report(self) -> RunReport {
        let Some(coverage) = self.coverage else { return self.report };
        let is_newest = |scan: &Scan| scan.span.contains(self.hi - 1);
        RunReport {
            watermark: Some(Timestamp::from_secs(coverage.watermark)),
            is_fresh: coverage.scans.iter().any(is_newest),
            ..self.report
        }
    }

    /// The end of what this run reads: the second after the present one.
    ///
    /// A machine that starts with its clock behind the watermark would find nothing to
    /// ask for, and so never hear the source's time: then it asks for that alone.
    async fn find_bound(&mut self, watermark: i64) -> Result<i64, Trouble> {
        let hi = self.scanner.log.server_now().secs() + 1;
        if hi > watermark {
            return Ok(hi);
        }
        let asked = self.ask_time().await?;
        self.log_row(asked.row("clock", None)).await?;
        let hi = self.scanner.log.server_now().secs() + 1;
        if hi > watermark {
            return Ok(hi);
        }
        let message = format!(
            "the source's clock says {}, but it was read up to {} before; was it set back?",
            Timestamp::from_secs(hi).to_rfc3339_secs(),
            Timestamp::from_secs(watermark).to_rfc3339_secs(),
        );
        Err(Trouble::Run(Problem::new(Reason::Contradictory, message)))
    }

    /// Asks for next to nothing: any answer tells the source's time.
    async fn ask_time(&mut self) -> Result<Asked, Trouble> {
        let now = self.scanner.log.server_now().secs();
        let span = Span::new(now, now + 1);
        self.ask(Query { span, narrow: String::new(), limit: 1, offset: 0 }).await
    }

    /// The very first start. It asks once for the server's time, so that history begins
    /// where the source's clock says and not where ours may stand.
    async fn begin(&mut self) -> Result<Coverage, Trouble> {
        let asked = self.ask_time().await?;
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

    /// Reads one slice, part by part where the source wants it; only the last part's
    /// commit covers it, as of the first one's request.
    async fn read_slice(&mut self, slice: Slice, plan: &mut Plan) -> Result<(), Trouble> {
        let mut parts = Parts::of(&self.scanner.log);
        while let Some(part) = parts.next_part() {
            if let Some(part) = self.read_part(slice, part, plan).await? {
                parts.whole(part);
            } else {
                return Ok(());
            }
        }
        plan.whole(slice, parts.fullest);
        Ok(())
    }

    /// Reads one part of a slice; `None` when the slice is too crowded for it and has been
    /// dealt with otherwise.
    async fn read_part(
        &mut self,
        slice: Slice,
        part: Part,
        plan: &mut Plan,
    ) -> Result<Option<WholePart>, Trouble> {
        let limit = self.scanner.settings.page_limit;
        let query = Query { span: slice.span, narrow: part.term, limit, offset: 0 };
        let asked = self.ask(query).await?;
        match judge(slice.span, &asked.page) {
            Verdict::Whole => {
                let asked_at = asked.page.asked_at.secs();
                let whole = WholePart { entries: read(&asked.page), asked_at };
                let first_asked = part.first_asked.unwrap_or(asked_at);
                if part.is_last {
                    self.commit(asked, "complete", Some(first_asked)).await?;
                } else {
                    self.commit(asked, "page", None).await?;
                }
                Ok(Some(whole))
            }
            Verdict::Crowded(total) if slice.span.secs() > 1 => {
                self.log_row(asked.row("split", None)).await?;
                plan.crowded(slice, total);
                Ok(None)
            }
            Verdict::Crowded(_) => {
                self.log_row(asked.row("split", None)).await?;
                self.read_second(slice.span).await.map(|()| None)
            }
            Verdict::Outside(count) => self.refuse_outside(asked, count).await.map(|()| None),
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

    /// The one transaction (I1): entries, quarantine, coverage and the request's row.
    async fn store(
        &mut self,
        page: Vec<Event>,
        unreadable: Vec<Unreadable>,
        request: Option<PollRequest>,
        coverage: Option<Coverage>,
    ) -> Result<(), Trouble> {
        let mut events = self.gap_events();
        // Newest first; reversing keeps the source's order among ties.
        events.extend(page.into_iter().rev());
        events.sort_by_key(|event| event.occurred_at);
        let settings = &self.scanner.settings;
        let ingest = Ingest {
            source: settings.name.clone(),
            route: Route::Poll,
            events,
            unreadable,
            targets: settings.targets.borrow().clone(),
            coverage: coverage.clone(),
            request,
        };
        let ingested = self.scanner.keep.ingest(ingest).await?;
        self.scanner.before = None;
        if coverage.is_some() {
            self.coverage = coverage;
        }
        self.note_past(ingested.new);
        self.report.new += ingested.new;
        self.report.known += ingested.known;
        self.report.quarantined += ingested.quarantined;
        if ingested.new > 0 {
            (self.scanner.wake)();
        }
        Ok(())
    }

    /// Notes how much of the past is left, after a commit that brought `new` events.
    fn note_past(&mut self, new: u64) {
        let Some(coverage) = &self.coverage else { return };
        let overlap = self.scanner.settings.overlap_secs();
        let hot_from = self.hi.saturating_sub(overlap + SKEW_SECS);
        let left = never_read(&coverage.unsettled(self.hi, overlap), hot_from);
        self.scanner.note_past(left, new);
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

#[cfg(test)]
mod tests;
