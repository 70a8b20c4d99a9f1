//! What a run keeps of an answer, and what it proves: one transaction each (I1).

use futures_util::future::try_join;

use crate::greenlake::{Page, Query};
use crate::model::coverage::{Coverage, SKEW_SECS, Span};
use crate::model::event::{Event, Route};
use crate::model::lateness::Shown;
use crate::model::timestamp::Timestamp;
use crate::poll::gap::{find_lost, gap_event};
use crate::poll::past::never_read;
use crate::poll::plan::Slice;
use crate::poll::report::Trouble;
use crate::poll::request::{Ahead, Asked};
use crate::poll::run::Run;
use crate::poll::{Keep, Log};
use crate::storage::{Ingest, Ingested, PollRequest, Request, StorageError};

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// Stores a page; with `asked_at` its stretch is covered from that second on.
    pub(super) async fn commit(
        &mut self,
        asked: Asked,
        outcome: &'static str,
        asked_at: Option<i64>,
    ) -> Result<(), Trouble> {
        let next = asked_at.and_then(|asked_at| self.covering(asked.query.span, asked_at));
        self.keep(asked, outcome, None, next).await
    }

    /// Stores the page that makes its stretch whole, covered from second `asked_at` on, and
    /// meanwhile asks for what comes next.
    pub(super) async fn commit_whole(
        &mut self,
        asked: Asked,
        asked_at: i64,
        next: Option<(Slice, Query)>,
    ) -> Result<(), Trouble> {
        let covered = self.covering(asked.query.span, asked_at);
        let ingest = self.ingest_of(asked, "complete", None, covered);
        self.ahead = self.store(ingest, next).await?;
        Ok(())
    }

    /// The coverage with `span` read as of second `asked_at`.
    fn covering(&self, span: Span, asked_at: i64) -> Option<Coverage> {
        let mut next = self.coverage.clone()?;
        next.record(span, asked_at);
        next.advance(self.scanner.overlap_secs);
        Some(next)
    }

    /// Stores what came, with the coverage that it proves.
    pub(super) async fn keep(
        &mut self,
        asked: Asked,
        outcome: &'static str,
        error: Option<String>,
        coverage: Option<Coverage>,
    ) -> Result<(), Trouble> {
        let ingest = self.ingest_of(asked, outcome, error, coverage);
        self.store(ingest, None).await.map(drop)
    }

    fn ingest_of(
        &self,
        asked: Asked,
        outcome: &'static str,
        error: Option<String>,
        coverage: Option<Coverage>,
    ) -> Ingest {
        let row = asked.row(outcome, error);
        let (span, overlap) = (asked.query.span, self.scanner.overlap_secs);
        let known = self.coverage.as_ref();
        let shown = known.map(|known| Shown::new(known, span, asked.came_at, asked.tier, overlap));
        let Page { mut events, unreadable, .. } = asked.page;
        // Newest first; reversing keeps the source's order among ties.
        events.reverse();
        Ingest { events, unreadable, shown, ..self.ingest_row(row, coverage) }
    }

    /// A transaction of a request's row and the coverage that it proves.
    pub(super) fn ingest_row(&self, request: PollRequest, coverage: Option<Coverage>) -> Ingest {
        let settings = &self.scanner.settings;
        Ingest {
            source: settings.name.clone(),
            route: Route::Poll,
            events: Vec::new(),
            unreadable: Vec::new(),
            targets: settings.targets.borrow().clone(),
            coverage,
            request: Some(Request::Poll(request)),
            shown: None,
            learnt: None,
        }
    }

    /// The one transaction (I1): entries, quarantine, coverage and the request's row. Asks
    /// for what comes `next` at the same time; without the commit that answer is dropped.
    pub(super) async fn store(
        &mut self,
        mut ingest: Ingest,
        next: Option<(Slice, Query)>,
    ) -> Result<Option<Ahead>, Trouble> {
        let mut events = self.gap_events();
        let told = events.len() as u64;
        events.append(&mut ingest.events);
        events.sort_by_key(|event| event.occurred_at);
        ingest.events = events;
        let coverage = ingest.coverage.clone();
        let mut is_sweep = false;
        if let Some(Request::Poll(row)) = &ingest.request {
            is_sweep = row.tier.is_sweep();
            *self.report.outcomes.entry(row.outcome).or_default() += 1;
        }
        let storing = async {
            let ingested = self.scanner.keep.ingest(ingest).await?;
            if ingested.new > 0 {
                (self.scanner.wake)();
            }
            Ok::<Ingested, StorageError>(ingested)
        };
        let asking = async { Ok(self.send_ahead(next).await) };
        let (ingested, ahead) = try_join(storing, asking).await?;
        self.scanner.before = None;
        if coverage.is_some() {
            self.coverage = coverage;
        }
        self.note_past(ingested.new);
        self.report.new += ingested.new;
        if is_sweep {
            self.report.late += ingested.new.saturating_sub(told);
        }
        self.report.known += ingested.known;
        self.report.quarantined += ingested.quarantined;
        Ok(ahead)
    }

    /// Notes how much of the past is left, after a commit that brought `new` events.
    pub(super) fn note_past(&mut self, new: u64) {
        let Some(coverage) = &self.coverage else { return };
        if self.hi == i64::MAX {
            // The very first start is storing where history begins; nothing is read yet.
            return;
        }
        let overlap = self.scanner.overlap_secs;
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
        let lost = find_lost(before, self.scanner.overlap_secs, now.secs());
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
