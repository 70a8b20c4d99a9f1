//! Cron lines: the only file that knows the cron crate.
//!
//! The crate starts overlapping runs, ends without waiting for them, and its repeating
//! jobs die after a pause of the machine. So it only rings: a job does nothing but
//! nudge, the poller owns its work, and a slow timer stands behind each cron line.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Running cron lines; they ring until this is dropped.
pub(super) struct Schedule(
    #[expect(dead_code, reason = "held so that it rings")] Option<JobScheduler>,
);

impl Schedule {
    /// Starts ringing: six or seven fields, seconds first, UTC.
    pub(super) async fn start(lines: Vec<(String, Arc<Notify>)>) -> anyhow::Result<Self> {
        if lines.is_empty() {
            return Ok(Self(None));
        }
        let scheduler = JobScheduler::new().await.context("starting the cron scheduler")?;
        for (line, nudge) in lines {
            let job = Job::new(line.as_str(), move |_, _| nudge.notify_one())
                .with_context(|| format!("cron line {line:?}"))?;
            scheduler.add(job).await.with_context(|| format!("cron line {line:?}"))?;
        }
        scheduler.start().await.context("starting the cron scheduler")?;
        Ok(Self(Some(scheduler)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[tokio::test]
    async fn a_cron_line_rings_again_and_again() {
        let bell = Arc::new(Notify::new());
        let _ringing =
            Schedule::start(vec![("* * * * * *".to_owned(), bell.clone())]).await.unwrap();
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
    async fn a_line_that_is_none_is_refused() {
        let refused = Schedule::start(vec![("often".to_owned(), Arc::default())]).await;
        assert!(refused.is_err());
    }
}
