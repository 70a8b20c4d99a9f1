//! Sweeps: settled time is read once more, between two polls.
//!
//! Keeps true: the present comes first, so a sweep begins when a run has read everything
//! unsettled, and starts no further slice once the next run is due; one slice is always
//! granted, or a short interval would starve it. What a sweep has read stands in the
//! coverage, so one that is cut short goes on in the next run, whatever happens between.

use std::time::Duration;

use crate::model::sweep::Sweep;
use crate::poll::plan::Plan;
use crate::poll::report::{Reason, Trouble};
use crate::poll::run::Run;
use crate::poll::{Keep, Log};

/// Pause of the sweeps after one that failed: what cannot be read now costs a few requests
/// every five minutes, not at every poll.
const SWEEP_RETRY: Duration = Duration::from_mins(5);

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// Whether everything unsettled was read, but for seconds that nobody can read.
    pub(super) fn is_through(&self) -> bool {
        let problem = self.report.problem.as_ref();
        problem.is_none_or(|problem| problem.reason == Reason::Incomplete)
    }

    /// Sweeps what is due, until the time since boot is `until`.
    pub(super) async fn sweep(&mut self, until: Duration) -> Result<(), Trouble> {
        if self.scanner.clock.uptime() < self.scanner.sweep_after {
            return Ok(());
        }
        let earlier = self.report.problem.take();
        let result = self.sweep_all(until).await;
        let problem = match &result {
            Ok(()) => self.report.problem.as_ref(),
            Err(Trouble::Slice(problem) | Trouble::Run(problem)) => Some(problem),
            Err(Trouble::Ledger(_)) => None,
        };
        if problem.is_some_and(|problem| problem.reason.is_trouble()) {
            self.scanner.sweep_after = self.scanner.clock.uptime() + SWEEP_RETRY;
        }
        self.report.problem = self.report.problem.take().or(earlier);
        let (source, late) = (&self.scanner.settings.name, self.report.late);
        if late > 0 {
            tracing::info!(source, late, "a sweep found entries that came late");
        }
        result
    }

    async fn sweep_all(&mut self, until: Duration) -> Result<(), Trouble> {
        let now = self.scanner.log.server_now().secs();
        let asked = self.report.requests;
        for sweep in Sweep::ALL {
            let Some(coverage) = &self.coverage else { return Ok(()) };
            let mut parts = coverage.unswept(sweep, now);
            // A run that began by a slow clock of ours may have moved the watermark past it.
            parts.retain_mut(|part| {
                part.span.until = part.span.until.min(self.hi);
                !part.span.is_empty()
            });
            let (parts, _) = self.scanner.stuck.without(parts, self.scanner.clock.uptime());
            let limit = self.scanner.settings.page_limit;
            let plan = Plan::sweep(parts, limit, self.scanner.paces);
            self.sweep = Some(sweep.tier);
            self.follow(plan, until).await?;
            if self.report.requests > asked && self.scanner.clock.uptime() >= until {
                break;
            }
        }
        Ok(())
    }
}
