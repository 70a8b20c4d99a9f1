//! One request, from the question to its row in `poll_log`.

use std::time::Duration;

use crate::greenlake::{Page, Query};
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::poll::report::{Problem, Reason, Trouble, classify};
use crate::poll::run::Run;
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

impl<L: Log, K: Keep> Run<'_, L, K> {
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
        let is_nudged = self.scanner.is_nudged;
        self.report.requests += 1;
        let duration = self.scanner.clock.uptime().saturating_sub(began);
        let error = match answer {
            Ok(page) => {
                let came_at = self.scanner.log.server_now();
                let (tier, run_at) = (self.tier, self.began_at);
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
            tier: self.tier,
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
