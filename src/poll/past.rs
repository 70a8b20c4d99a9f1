//! How far the reading of the past has come, for people who wait for it.
//!
//! A first start far back, or a long outage, leaves time that was never read. It is read
//! in runs between those of the present; this tells how it goes, and decides nothing.

use std::fmt;
use std::time::Duration;

use crate::model::coverage::Unsettled;

/// Between two log lines; the first comes after as long, so that what is quick says nothing.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How far the reading of the past has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Seconds of the source's time to read when it began.
    pub whole_secs: u64,
    /// Those that are left.
    pub left_secs: u64,
    /// Events stored since it began, those of the present included.
    pub events: u64,
    /// Since when, up to the last slice.
    pub took: Duration,
    /// Time since boot when it began.
    began: Duration,
    told: Duration,
}

impl Past {
    /// What is to be read begins now.
    pub(super) const fn new(left_secs: u64, now: Duration) -> Self {
        Self {
            whole_secs: left_secs,
            left_secs,
            events: 0,
            took: Duration::ZERO,
            began: now,
            told: now,
        }
    }

    /// Notes what is left after a slice that brought `new` events.
    pub(super) fn note(&mut self, left_secs: u64, new: u64, now: Duration) {
        self.whole_secs = self.whole_secs.max(left_secs);
        self.left_secs = left_secs;
        self.events += new;
        self.took = now.saturating_sub(self.began);
    }

    /// Whether a line about it is due; then the next one is due later. At its end there is
    /// one only after others.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let is_last = self.left_secs == 0 && self.told > self.began;
        let is_due = is_last || now.saturating_sub(self.told) >= TELL_EVERY;
        if is_due {
            self.told = now;
        }
        is_due
    }

    /// Of its time, how much is read, in percent, rounded down.
    #[must_use]
    pub const fn percent(&self) -> u64 {
        let whole = if self.whole_secs == 0 { 1 } else { self.whole_secs };
        (self.whole_secs - self.left_secs).saturating_mul(100) / whole
    }

    /// How long the rest takes if it is as dense as what is read; `None` in the beginning.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let done = self.whole_secs - self.left_secs;
        let millis = self.took.as_millis() * u128::from(self.left_secs);
        let left = millis.checked_div(u128::from(done))?;
        Some(Duration::from_secs(u64::try_from(left / 1_000).unwrap_or(u64::MAX)))
    }
}

/// `37 % of 90 days read, 370000 events, 1234/s, 9 min left`
impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = in_words(Duration::from_secs(self.whole_secs));
        write!(f, "{} % of {whole} read, {} events", self.percent(), self.events)?;
        let millis = self.took.as_millis().max(1);
        write!(f, ", {}/s", u128::from(self.events) * 1_000 / millis)?;
        match self.left() {
            Some(left) if self.left_secs > 0 => {
                write!(f, ", {} left", in_words(left))
            }
            _ => Ok(()),
        }
    }
}

/// `3 days`, `47 h`, `90 s`: in the largest unit of which there are two.
fn in_words(length: Duration) -> String {
    let secs = length.as_secs();
    let units = [(86_400, "days"), (3_600, "h"), (60, "min")];
    let (unit, name) = units.into_iter().find(|(unit, _)| secs >= 2 * unit).unwrap_or((1, "s"));
    format!("{} {name}", secs / unit)
}

/// Seconds of `parts` before second `hot_from` that were never read.
pub(super) fn never_read(parts: &[Unsettled], hot_from: i64) -> u64 {
    let never = parts.iter().filter(|part| part.asked_at.is_none());
    let secs = never.map(|part| part.span.until.min(hot_from) - part.span.from);
    secs.filter_map(|secs| u64::try_from(secs).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::coverage::Span;

    const DAY: u64 = 86_400;

    fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn it_says_how_much_is_read_how_fast_and_how_long_it_takes() {
        let mut past = Past::new(90 * DAY, s(100));
        assert_eq!((past.percent(), past.left()), (0, None));
        past.note(60 * DAY, 300_000, s(400));
        assert_eq!(past.to_string(), "33 % of 90 days read, 300000 events, 1000/s, 10 min left");
        past.note(0, 600_000, s(1_000));
        assert_eq!(past.to_string(), "100 % of 90 days read, 900000 events, 1000/s");
    }

    #[test]
    fn lines_are_ten_seconds_apart_and_what_is_quick_says_nothing() {
        let mut quick = Past::new(DAY, s(0));
        quick.note(0, 9, s(9));
        assert!(!quick.is_due(s(9)));
        let mut slow = Past::new(DAY, s(0));
        let told: Vec<u64> = (0..=25).filter(|at| slow.is_due(s(*at))).collect();
        assert_eq!(told, [10, 20]);
        slow.note(0, 9, s(26));
        assert!(slow.is_due(s(26)));
    }

    #[test]
    fn only_what_was_never_read_and_is_not_the_present_counts() {
        let part = |from, until, asked_at| Unsettled { span: Span::new(from, until), asked_at };
        let parts = [part(0, 50, None), part(60, 70, Some(5)), part(80, 200, None)];
        assert_eq!(never_read(&parts, 100), 70);
        assert_eq!(never_read(&parts, 10), 10);
    }
}
