//! Whether the daemon does its work: the ledger can be written, and every source that is
//! polled was polled within three intervals.

use std::time::Duration;

use crate::admin::running::{Polled, Running};
use crate::model::timestamp::Timestamp;

/// Intervals within which a source has to be polled.
const INTERVALS: u32 = 3;

/// How the ledger stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LedgerState {
    /// Why it cannot be written; `None`: it can.
    pub(super) fault: Option<String>,
    /// Bytes free for it; `None`: not known.
    pub(super) free: Option<u64>,
}

/// The present moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) at: Timestamp,
    /// Time since boot.
    pub(super) uptime: Duration,
}

/// Why the daemon is not ready, a line each; empty when it is.
pub(super) fn reasons(running: &Running, ledger: &LedgerState, now: Now) -> Vec<String> {
    let floor = running.min_free;
    let fault = ledger.fault.as_ref().map(|fault| format!("the ledger cannot be written: {fault}"));
    let room = ledger.free.filter(|free| *free < floor).map(|free| {
        format!(
            "{free} bytes are free for the ledger, fewer than storage.min_free ({floor}): \
             nothing is taken in"
        )
    });
    let sources = running.sources.iter().filter_map(|source| {
        let why = lateness(source.poll.as_ref()?, now)?;
        Some(format!("source {:?} {why}", source.name))
    });
    fault.into_iter().chain(room).chain(sources).collect()
}

/// Whether a source was polled within three intervals.
pub(super) fn is_polled(poll: &Polled, now: Now) -> bool {
    lateness(poll, now).is_none()
}

/// What is wrong with the polling of a source; `None`: nothing.
fn lateness(poll: &Polled, now: Now) -> Option<String> {
    let trouble = poll.trouble.map_or_else(String::new, |word| format!(": {word}"));
    let Some(fresh_at) = poll.fresh_at else {
        return Some(format!("has not been polled since the start{trouble}"));
    };
    let age = now.uptime.saturating_sub(fresh_at);
    let due = poll.schedule.due_after(now.at.minus(age), INTERVALS)?;
    let limit = due.saturating_add(poll.jitter);
    (age > limit).then(|| {
        let (age, limit) = (age.as_secs(), limit.as_secs());
        format!("was polled {age} s ago, more than {INTERVALS} intervals ({limit} s){trouble}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::running::RunningSource;
    use crate::config::Schedule;

    const NOW: Now = Now { at: Timestamp::from_secs(1_750_000_000), uptime: secs(100_000) };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn polled(schedule: Schedule, age: Option<u64>) -> Polled {
        Polled {
            schedule,
            jitter: Duration::ZERO,
            since: Duration::ZERO,
            fresh_at: age.map(|age| NOW.uptime.saturating_sub(secs(age))),
            trouble: None,
            polls: Vec::new(),
            requests: Vec::new(),
            new_events: 0,
            token_dies_at: None,
        }
    }

    fn running(poll: Option<Polled>) -> Running {
        let source = RunningSource { name: "production".to_owned(), poll, push: None };
        Running { sources: vec![source], min_free: 1_000, ..Running::default() }
    }

    #[test]
    fn a_source_is_late_after_three_intervals() {
        let interval = || Schedule::Interval(secs(30));
        let late = "source \"production\" was polled 91 s ago, more than 3 intervals (90 s)";
        let never = "source \"production\" has not been polled since the start";
        let cron = || Schedule::Cron("0 0 * * * *".to_owned());
        // NOW is 15:06:40 UTC: the third full hour after 12:00:01 has come, after 13 has not.
        for (poll, expected) in [
            (None, None),
            (Some(polled(interval(), Some(0))), None),
            (Some(polled(interval(), Some(90))), None),
            (Some(polled(interval(), Some(91))), Some(late)),
            (Some(polled(interval(), None)), Some(never)),
            (Some(Polled { jitter: secs(1), ..polled(interval(), Some(91)) }), None),
            (Some(polled(cron(), Some(2 * 3_600 + 6 * 60))), None),
            (
                Some(polled(cron(), Some(3 * 3_600 - 61))),
                Some(
                    "source \"production\" was polled 10739 s ago, more than 3 intervals (10339 s)",
                ),
            ),
            (Some(polled(Schedule::Cron("0 0 0 1 1 * 2020".to_owned()), Some(9_000))), None),
        ] {
            let found = reasons(&running(poll.clone()), &LedgerState::default(), NOW);
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{poll:?}");
        }
    }

    #[test]
    fn what_holds_a_source_up_is_said() {
        let poll = polled(Schedule::Interval(secs(1)), Some(60));
        let poll = Polled { trouble: Some("auth_failed"), ..poll };
        let found = reasons(&running(Some(poll)), &LedgerState::default(), NOW);
        assert!(found[0].ends_with("more than 3 intervals (3 s): auth_failed"), "{found:?}");
    }

    #[test]
    fn a_ledger_that_cannot_be_written_or_has_no_room_is_told() {
        for (fault, free, lines) in [
            (None, None, 0),
            (None, Some(1_000), 0),
            (None, Some(999), 1),
            (Some("full"), Some(0), 2),
        ] {
            let ledger = LedgerState { fault: fault.map(str::to_owned), free };
            assert_eq!(reasons(&running(None), &ledger, NOW).len(), lines, "{ledger:?}");
        }
    }
}
