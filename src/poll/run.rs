//! One run: everything unsettled, slice by slice, each committed with its coverage.
//!
//! Keeps true: bounds are computed once and are whole seconds; a slice's entries and its
//! coverage are one transaction; the coverage in hand changes only after that commit.
//! While a slice is being stored the next one is asked for; it is looked at only after that
//! commit, and dropped if that fails.
//! Races it accepts: entries that turn up behind a slice while the run goes on are found
//! by the next re-read, as any late entry is.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::greenlake::Query;
use crate::model::coverage::{Coverage, SKEW_SECS, Scan};
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::poll::late::first_overlap;
use crate::poll::part::{Part, Parts, WholePart};
use crate::poll::plan::{Plan, Slice};
use crate::poll::report::{Problem, Reason, RunReport, Trouble};
use crate::poll::request::{Ahead, Asked};
use crate::poll::scanner::Scanner;
use crate::poll::verdict::{Verdict, judge, read};
use crate::poll::{Keep, Log};

/// Requests of one run, but for a crowded second in hand. At the source's rate limit they
/// take half a minute; then the present is read again before a backfill goes on.
pub(super) const MAX_REQUESTS: u32 = 40;

/// Slices in a row that may fail before a run ends: one bad slice does not hold up the
/// others, and a dead source gets two requests a run.
const MAX_FAILED_IN_A_ROW: u32 = 2;

/// One run in progress.
pub(super) struct Run<'a, L, K> {
    pub(super) scanner: &'a mut Scanner<L, K>,
    pub(super) stop: &'a CancellationToken,
    pub(super) coverage: Option<Coverage>,
    /// Our wall time when it began.
    pub(super) began_at: Timestamp,
    /// End of what this run reads, seconds; fixed once.
    pub(super) hi: i64,
    /// What the next request serves.
    pub(super) tier: Tier,
    /// The sweep that goes on; `None` before.
    pub(super) sweep: Option<Tier>,
    /// Time since boot from which no further slice is asked for.
    pub(super) until: Duration,
    /// What has been asked for already; `None`: nothing.
    pub(super) ahead: Option<Ahead>,
    pub(super) report: RunReport,
}

impl<'a, L: Log, K: Keep> Run<'a, L, K> {
    pub(super) fn new(scanner: &'a mut Scanner<L, K>, stop: &'a CancellationToken) -> Self {
        let began_at = scanner.clock.now();
        Self {
            scanner,
            stop,
            coverage: None,
            began_at,
            hi: i64::MAX,
            tier: Tier::Hot,
            sweep: None,
            until: Duration::MAX,
            ahead: None,
            report: RunReport::default(),
        }
    }

    /// Reads everything unsettled, or as much as the limits allow.
    pub(super) async fn scan(&mut self) -> Result<(), Trouble> {
        let coverage = match self.scanner.keep.find_coverage(&self.scanner.settings.name).await? {
            Some(coverage) => coverage,
            None => self.begin().await?,
        };
        if !self.scanner.has_run {
            let settings = &self.scanner.settings;
            let learnt = self.scanner.keep.find_learnt(&settings.name).await?;
            self.scanner.learnt = learnt;
            self.scanner.has_run = true;
            self.scanner.before = Some(coverage.clone());
        }
        let learnt = self.scanner.learnt.as_ref();
        self.scanner.overlap_secs = first_overlap(self.scanner.settings.overlap, learnt);
        let hi = self.find_bound(coverage.watermark).await?;
        self.hi = hi;
        let overlap = self.scanner.overlap_secs;
        let unsettled = coverage.unsettled(hi, overlap);
        self.coverage = Some(coverage);
        self.note_past(0);
        let (parts, left_out) = self.scanner.stuck.without(unsettled, self.scanner.clock.uptime());
        if left_out > 0 {
            let message = format!("{left_out} s hold more entries than the source shows");
            self.report.problem = Some(Problem::new(Reason::Incomplete, message));
        }
        let limit = self.scanner.settings.page_limit;
        let plan = Plan::new(&parts, hi, overlap + SKEW_SECS, limit, self.scanner.paces);
        self.follow(plan, Duration::MAX).await
    }

    /// Takes slice after slice until the plan or one of the run's limits ends; the first
    /// one in any case, none is asked for any more once the time since boot is `until`.
    pub(super) async fn follow(&mut self, mut plan: Plan, until: Duration) -> Result<(), Trouble> {
        self.until = until;
        let mut failed = 0;
        while failed < MAX_FAILED_IN_A_ROW {
            let Some(slice) = self.next_slice(&mut plan)? else { break };
            self.tier = self.sweep.unwrap_or(slice.lane.tier());
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
            if self.scanner.clock.uptime() >= until && self.ahead.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The slice to read now; `None` when the plan is through.
    fn next_slice(&self, plan: &mut Plan) -> Result<Option<Slice>, Trouble> {
        if let Some(ahead) = &self.ahead {
            return Ok(Some(ahead.slice));
        }
        let slice = plan.next_slice();
        if slice.is_some() && self.report.requests >= MAX_REQUESTS {
            return Err(Trouble::Run(self.out_of_requests()));
        }
        Ok(slice)
    }

    /// A slice that failed asks for a pause; the end of the budget alone for none.
    fn out_of_requests(&self) -> Problem {
        let earlier = self.report.problem.clone();
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

    /// Reads one slice, part by part where the source wants it; only the last part's
    /// commit covers it, as of the first one's request.
    async fn read_slice(&mut self, slice: Slice, plan: &mut Plan) -> Result<(), Trouble> {
        let mut parts = Parts::of(&self.scanner.log);
        while let Some(part) = parts.next_part() {
            let is_last = part.is_last;
            let first_asked = part.first_asked;
            let Some(asked) = self.read_part(slice, part, plan).await? else { return Ok(()) };
            let whole =
                WholePart { entries: read(&asked.page), asked_at: asked.page.asked_at.secs() };
            parts.whole(whole);
            if is_last {
                plan.whole(slice, parts.fullest);
                let next = self.next_ahead(plan);
                let first_asked = first_asked.unwrap_or(whole.asked_at);
                self.commit_whole(asked, first_asked, next).await?;
            } else {
                self.commit(asked, "page", None).await?;
            }
        }
        Ok(())
    }

    /// Reads one part of a slice; `None` when the slice is too crowded for it and has been
    /// dealt with otherwise.
    async fn read_part(
        &mut self,
        slice: Slice,
        part: Part,
        plan: &mut Plan,
    ) -> Result<Option<Asked>, Trouble> {
        let limit = self.scanner.settings.page_limit;
        let query = Query { span: slice.span, narrow: part.term, limit, offset: 0 };
        let asked = self.ask(query).await?;
        match judge(slice.span, &asked.page) {
            Verdict::Whole => Ok(Some(asked)),
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
                self.keep(asked, "contradictory", Some(message.clone()), None).await?;
                Err(Trouble::Slice(Problem::new(Reason::Contradictory, message)))
            }
        }
    }

    /// Keeps what came, though it proves nothing of the slice.
    pub(super) async fn refuse_outside(&mut self, asked: Asked, count: u64) -> Result<(), Trouble> {
        let message = format!("{count} entries came that were not asked for");
        self.report.outside += count;
        self.keep(asked, "outside", Some(message.clone()), None).await?;
        Err(Trouble::Slice(Problem::new(Reason::Contradictory, message)))
    }
}

#[cfg(test)]
mod tests;
