//! What a run keeps of an answer, and what it proves: one transaction each (I1).

use crate::greenlake::Page;
use crate::model::coverage::{Coverage, SKEW_SECS, Span};
use crate::model::event::{Event, Route};
use crate::model::lateness::Shown;
use crate::model::timestamp::Timestamp;
use crate::poll::gap::{find_lost, gap_event};
use crate::poll::past::never_read;
use crate::poll::report::Trouble;
use crate::poll::request::Asked;
use crate::poll::run::Run;
use crate::poll::{Keep, Log};
use crate::storage::{Ingest, PollRequest, Request};

impl<L: Log, K: Keep> Run<'_, L, K> {
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
            next.advance(self.scanner.overlap_secs);
            Some(next)
        });
        self.keep(asked, outcome, None, next).await
    }

    /// Stores what came, with the coverage that it proves.
    pub(super) async fn keep(
        &mut self,
        asked: Asked,
        outcome: &'static str,
        error: Option<String>,
        coverage: Option<Coverage>,
    ) -> Result<(), Trouble> {
        let row = asked.row(outcome, error);
        let (span, overlap) = (asked.query.span, self.scanner.overlap_secs);
        let known = self.coverage.as_ref();
        let shown = known.map(|known| Shown::new(known, span, asked.came_at, asked.tier, overlap));
        self.store(Some(asked.page), row, shown, coverage).await
    }

    /// The one transaction (I1): entries, quarantine, coverage and the request's row.
    pub(super) async fn store(
        &mut self,
        page: Option<Page>,
        request: PollRequest,
        shown: Option<Shown>,
        coverage: Option<Coverage>,
    ) -> Result<(), Trouble> {
        let mut events = self.gap_events();
        let told = events.len() as u64;
        let (page, unreadable) =
            page.map_or_else(Default::default, |page| (page.events, page.unreadable));
        // Newest first; reversing keeps the source's order among ties.
        events.extend(page.into_iter().rev());
        events.sort_by_key(|event| event.occurred_at);
        *self.report.outcomes.entry(request.outcome).or_default() += 1;
        let settings = &self.scanner.settings;
        let is_sweep = request.tier.is_sweep();
        let ingest = Ingest {
            source: settings.name.clone(),
            route: Route::Poll,
            events,
            unreadable,
            targets: settings.targets.borrow().clone(),
            coverage: coverage.clone(),
            request: Some(Request::Poll(request)),
            shown,
            learnt: None,
        };
        let ingested = self.scanner.keep.ingest(ingest).await?;
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
        if ingested.new > 0 {
            (self.scanner.wake)();
        }
        Ok(())
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
