//! When polls are due, as far as the clock on the wall tells.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use crate::config::sections::Schedule;
use crate::model::timestamp::Timestamp;

/// Reads a cron line as tokio-cron-scheduler does: with croner, seconds first.
pub(super) fn parse_cron(text: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Required).build().parse(text)
}

impl Schedule {
    /// How long after a poll at `at` the `count`-th one after it is due; `None` when a cron
    /// line names no such instant.
    #[must_use]
    pub fn due_after(&self, at: Timestamp, count: u32) -> Option<Duration> {
        let line = match self {
            Self::Interval(interval) => return Some(interval.saturating_mul(count)),
            Self::Cron(line) => line,
        };
        let cron = parse_cron(line).ok()?;
        // croner carries a fraction of a second along.
        let second = at.truncated_to_second();
        let mut next = DateTime::<Utc>::from_timestamp_micros(second.micros())?;
        for _ in 0..count {
            next = cron.find_next_occurrence(&next, false).ok()?;
        }
        Some(Timestamp::from_micros(next.timestamp_micros()).since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_poll_is_told_for_intervals_and_cron_lines() {
        let secs = Duration::from_secs;
        let interval = Schedule::Interval(secs(30));
        // 2026-01-31, a Saturday, a quarter of a second after noon.
        let at = Timestamp::parse_rfc3339("2026-01-31T12:00:00.25Z").unwrap();
        assert_eq!(interval.due_after(at, 3), Some(secs(90)));
        for (line, expected) in [
            ("*/30 * * * * *", Some(Duration::from_millis(89_750))),
            ("0 0 8 * * Mon-Fri", Some(Duration::from_millis(331_199_750))),
            ("0 0 0 1 1 * 2020", None),
        ] {
            let cron = Schedule::Cron(line.to_owned());
            assert_eq!(cron.due_after(at, 3), expected, "{line}");
        }
    }
}
