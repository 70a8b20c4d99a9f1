//! Cron lines: the only file that knows the cron crate.
//!
//! The crate starts overlapping runs, ends without waiting for them, and its repeating
//! jobs die after a pause of the machine. So it only rings: a job does nothing but
//! nudge, the poller owns its work, and a slow timer stands behind each cron line.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{Notify, OnceCell};
use tokio_cron_scheduler::{Job, JobScheduler};

/// The cron lines of all sources; clones share them. Costs nothing as long as there are
/// none: the crate looks at its clock twice a second.
#[derive(Clone, Default)]
pub(super) struct Crons(Arc<OnceCell<JobScheduler>>);

/// A cron line that rings until it is silenced.
pub(super) struct Ringing {
    scheduler: JobScheduler,
    job: Job,
}

impl Crons {
    /// Nudges `bell` by `line`: six or seven fields, seconds first, UTC.
    pub(super) async fn ring(&self, line: &str, bell: Arc<Notify>) -> anyhow::Result<Ringing> {
        let start = || async {
            let scheduler = JobScheduler::new().await?;
            scheduler.start().await?;
            anyhow::Ok(scheduler)
        };
        let scheduler = self.0.get_or_try_init(start).await;
        let scheduler = scheduler.context("starting the cron scheduler")?.clone();
        let what = || format!("cron line {line:?}");
        let job = Job::new(line, move |_, _| bell.notify_one()).with_context(what)?;
        scheduler.add(job.clone()).await.with_context(what)?;
        Ok(Ringing { scheduler, job })
    }
}

impl Ringing {
    /// Rings no more.
    pub(super) async fn silence(self) -> anyhow::Result<()> {
        let removed = self.scheduler.remove(&self.job.guid()).await;
        removed.context("taking back a cron line")
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[tokio::test]
    async fn a_cron_line_rings_again_and_again() {
        let bell = Arc::new(Notify::new());
        let _ringing = Crons::default().ring("* * * * * *", bell.clone()).await.unwrap();
        bell.notified().await;
        bell.notified().await;
    }

    /// Lines are in UTC, whatever zone the machine is in, so no hour is ever lost or doubled.
    #[test]
    fn across_both_edges_of_summer_time_each_run_is_a_day_later() {
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build();
        for (edge, line) in [("2026-03-27", "0 30 2 * * *"), ("2026-10-23", "0 30 1 * * *")] {
            let cron = parser.parse(line).unwrap();
            let mut at: DateTime<Utc> = format!("{edge}T12:00:00Z").parse().unwrap();
            at = cron.find_next_occurrence(&at, false).unwrap();
            for _ in 0..4 {
                let next = cron.find_next_occurrence(&at, false).unwrap();
                assert_eq!((next - at).num_hours(), 24, "{at} {next}");
                at = next;
            }
        }
    }

    #[tokio::test]
    async fn a_line_that_is_taken_back_rings_no_more_and_others_go_on() {
        let (crons, first, second) = (Crons::default(), Arc::<Notify>::default(), Arc::default());
        let ringing = crons.ring("* * * * * *", first.clone()).await.unwrap();
        let _other = crons.ring("* * * * * *", Arc::clone(&second)).await.unwrap();
        first.notified().await;
        ringing.silence().await.unwrap();
        // A ring may have been under way.
        second.notified().await;
        second.notified().await;
        let _ = futures_util::FutureExt::now_or_never(first.notified());
        second.notified().await;
        second.notified().await;
        assert!(futures_util::FutureExt::now_or_never(first.notified()).is_none());
    }

    #[tokio::test]
    async fn a_line_that_is_none_is_refused() {
        assert!(Crons::default().ring("often", Arc::default()).await.is_err());
    }
}
