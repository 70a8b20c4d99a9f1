//! Which time is read once more after it was settled, and when: the sweeps.
//!
//! An entry may become visible later than the overlap allows. Re-reads behind the
//! watermark find it, and they alone tell how late entries really are. The rule is the
//! same for every tier: a second is due again when its last complete scan began before
//! the present period did, until one began so late after it that the tier is done with
//! it. Periods are counted from the source's start, so that what one sweep has read falls
//! due together, and the sources of the world do not sweep at the same instant.

use crate::model::coverage::{Coverage, Scan, Span, Unsettled};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Scans behind the watermark whose stamps lie this close are kept as one.
///
/// It gets the earlier stamp: so there are thirty an hour until the next sweep makes them
/// one, and the lower end of a lateness may be two minutes too low.
pub const GRAIN_SECS: i64 = 120;

/// What a request to the audit log serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The present: what every poll reads.
    Hot,
    /// Unsettled time before it: a backfill, or what an outage left.
    Past,
    /// The sweep of six hours.
    Hourly,
    /// The sweep of seven days.
    Daily,
}

impl Tier {
    /// The tier as `poll_log` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Past => "past",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    /// Whether it reads settled time.
    #[must_use]
    pub const fn is_sweep(self) -> bool {
        matches!(self, Self::Hourly | Self::Daily)
    }
}

/// A tier of re-reads behind the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Its name.
    pub tier: Tier,
    /// A second is done with once a complete scan began this long after it, in seconds.
    pub reach_secs: i64,
    /// Length of its periods, in seconds; each second is read once in each.
    pub every_secs: i64,
}

impl Sweep {
    /// Six hours, every hour: one request for most, and what is a little late is not
    /// missing for long.
    pub const HOURLY: Self = Self { tier: Tier::Hourly, reach_secs: 6 * HOUR, every_secs: HOUR };

    /// Seven days, every day. Reports on other audit logs speak of entries that were late by
    /// up to that much; HPE publishes no bound.
    pub const DAILY: Self = Self { tier: Tier::Daily, reach_secs: 7 * DAY, every_secs: DAY };

    /// Both, the more urgent first.
    pub const ALL: [Self; 2] = [Self::HOURLY, Self::DAILY];
}

impl Coverage {
    /// The settled parts that `sweep` wants read again at server time `now`, in order of
    /// time. A part whose scan was forgotten has no stamp, and counts as long ago.
    #[must_use]
    pub fn unswept(&self, sweep: Sweep, now: i64) -> Vec<Unsettled> {
        let began = period(self.start, now, sweep.every_secs);
        let mut parts = Vec::new();
        let mut push = |from: i64, until: i64, asked_at| {
            let span = Span::new(from, until.min(self.watermark));
            if !span.is_empty() {
                parts.push(Unsettled { span, asked_at });
            }
        };
        // Beyond the reach, what has no stamp was dropped because it was done with.
        let known_from = now.saturating_sub(sweep.reach_secs).max(self.start);
        let mut next = known_from;
        for scan in &self.scans {
            push(next, scan.span.from, None);
            if scan.asked_at < began {
                push(scan.settled_until(sweep.reach_secs), scan.span.until, Some(scan.asked_at));
            }
            next = scan.span.until.max(known_from);
        }
        push(next, self.watermark, None);
        parts
    }

    /// Drops the stamps of seconds that no sweep wants any more, and takes neighbours
    /// behind the watermark together that fall due together anyway.
    pub(super) fn thin(&mut self) {
        let mut fewer: Vec<Scan> = Vec::with_capacity(self.scans.len());
        for mut scan in std::mem::take(&mut self.scans) {
            let done = scan.settled_until(Sweep::DAILY.reach_secs).min(self.watermark);
            scan.span.from = scan.span.from.max(done);
            match fewer.last_mut() {
                _ if scan.span.is_empty() => {}
                Some(last) if self.belong_together(last, &scan) => {
                    last.span.until = scan.span.until;
                    last.asked_at = last.asked_at.min(scan.asked_at);
                }
                _ => fewer.push(scan),
            }
        }
        self.scans = fewer;
    }

    fn belong_together(&self, one: &Scan, next: &Scan) -> bool {
        let hour = |scan: &Scan| period(self.start, scan.asked_at, Sweep::HOURLY.every_secs);
        let is_near = one.asked_at.abs_diff(next.asked_at) <= GRAIN_SECS.unsigned_abs();
        let is_behind = next.span.until <= self.watermark;
        one.span.until == next.span.from
            && (one.asked_at == next.asked_at || is_behind && is_near && hour(one) == hour(next))
    }
}

/// When the period began that holds second `now`.
fn period(start: i64, now: i64, every: i64) -> i64 {
    start.saturating_add(now.saturating_sub(start).div_euclid(every).saturating_mul(every))
}

#[cfg(test)]
mod tests;
