//! One request, from the question to its row in `poll_log`.

use std::time::Duration;

use crate::greenlake::{FetchError, Page, Query};
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::poll::part::Parts;
use crate::poll::plan::{Plan, Slice};
use crate::poll::report::{Problem, Reason, Trouble, classify};
use crate::poll::run::{MAX_REQUESTS, Run};
use crate::poll::{Keep, Log};
use crate::storage::PollRequest;

/// A request that was answered.
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) page: Page,
    pub(super) tier: Tier,
    /// Server time when the answer was there.
    pub(super) came_at: Timestamp,
    started_at: Timestamp,
    duration: Duration,
    run_at: Timestamp,
    is_nudged: bool,
}

impl Asked {
    /// Its row in `poll_log`.
    pub(super) fn row(&self, outcome: &'static str, error: Option<String>) -> PollRequest {
        PollRequest {
            started_at: self.started_at,
            duration: self.duration,
            tier: self.tier,
            span: self.query.span,
            offset: self.query.offset,
            outcome,
            status: Some(200),
            count: Some(self.page.count),
            total: Some(self.page.total),
            bytes: self.page.bytes,
            error,
            run_at: self.run_at,
            is_nudged: self.is_nudged,
        }
    }
}

/// A request that has ended in one way or another, and is not looked at yet.
pub(super) struct Sent {
    query: Query,
    /// `None`: the program stops, and it was abandoned.
    answer: Option<Result<Page, FetchError>>,
    came_at: Timestamp,
    started_at: Timestamp,
    duration: Duration,
}

/// The slice behind the one in hand, asked for while that one was being stored.
pub(super) struct Ahead {
    pub(super) slice: Slice,
    sent: Sent,
}

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// Sends one request, unless it has been sent ahead; a failed one gets its row in
    /// `poll_log`.
    pub(super) async fn ask(&mut self, query: Query) -> Result<Asked, Trouble> {
        let sent = match self.ahead.take() {
            Some(ahead) if ahead.sent.query == query => ahead.sent,
            _ => {
                self.require_room()?;
                self.send(query).await
            }
        };
        self.receive(sent).await
    }

    /// What is worth asking for while the slice in hand is stored; `None` when nothing is
    /// left, the run is to end with that slice, or the targets have enough to do.
    pub(super) fn next_ahead(&self, plan: &mut Plan) -> Option<(Slice, Query)> {
        let may_go_on = self.report.requests < MAX_REQUESTS
            && self.scanner.clock.uptime() < self.until
            && !self.scanner.keep.is_ahead()
            && self.require_room().is_ok();
        let slice = if may_go_on { plan.next_slice()? } else { return None };
        let part = Parts::of(&self.scanner.log).next_part()?;
        let limit = self.scanner.settings.page_limit;
        Some((slice, Query { span: slice.span, narrow: part.term, limit, offset: 0 }))
    }

    /// As [`Run::send`], for a slice that comes next.
    pub(super) async fn send_ahead(&self, next: Option<(Slice, Query)>) -> Option<Ahead> {
        let (slice, query) = next?;
        Some(Ahead { slice, sent: self.send(query).await })
    }

    /// Sends a request and waits for its end. Dropping it abandons the request.
    async fn send(&self, query: Query) -> Sent {
        let (started_at, began) = (self.scanner.clock.now(), self.scanner.clock.uptime());
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            answer = self.scanner.log.fetch(&query) => Some(answer),
        };
        let duration = self.scanner.clock.uptime().saturating_sub(began);
        let came_at = self.scanner.log.server_now();
        Sent { query, answer, came_at, started_at, duration }
    }

    async fn receive(&mut self, sent: Sent) -> Result<Asked, Trouble> {
        let Sent { query, answer, came_at, started_at, duration } = sent;
        let Some(answer) = answer else {
            return Err(Trouble::Run(Problem::new(Reason::Stopped, "the program stops")));
        };
        let (tier, is_nudged) = (self.tier, self.scanner.is_nudged);
        self.report.requests += 1;
        let error = match answer {
            Ok(page) => {
                let run_at = self.began_at;
                return Ok(Asked {
                    query,
                    page,
                    tier,
                    came_at,
                    started_at,
                    duration,
                    run_at,
                    is_nudged,
                });
            }
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
            tier,
            span,
            offset,
            outcome,
            status,
            count,
            total,
            bytes,
            error,
            run_at: self.began_at,
            is_nudged,
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

    pub(super) async fn log_row(&mut self, row: PollRequest) -> Result<(), Trouble> {
        *self.report.outcomes.entry(row.outcome).or_default() += 1;
        Ok(self.scanner.keep.log_request(&self.scanner.settings.name, row).await?)
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
