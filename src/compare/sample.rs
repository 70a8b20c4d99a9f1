//! What may be compared: which entries, and who has shown them, missed them, or may still.

use std::time::Duration;

use serde::Serialize;

use crate::model::timestamp::Timestamp;
use crate::storage::{Label, Pair};

/// Entries by who showed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Shown by both routes.
    pub both: u64,
    /// Only polled, and push had its time: push missed them.
    pub poll_only: u64,
    /// Only pushed, and polling had its time and has read there: polling missed them.
    pub push_only: u64,
    /// Shown by one route, and the other one may still show them.
    pub pending: u64,
}

/// Entries that are kept out of the comparison, by what keeps them out. One that has
/// several labels is counted by the last of these that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Polled only because of a push.
    pub nudged: Coverage,
    /// Pushed together with others, and so waited for them.
    pub batch: Coverage,
    /// Polling, as it is configured, may never show them.
    pub outside: Coverage,
}

/// When the other route has had its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Our time.
    pub(super) now: Timestamp,
    /// How long after one route showed an entry the other one may still show it.
    pub(super) horizon: Duration,
    /// Below it polling has read for the last time but for sweeps; above it, it may just
    /// not have looked.
    pub(super) watermark: Timestamp,
}

/// Who has shown an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Both routes.
    Both {
        /// When polling did.
        polled: Timestamp,
        /// When push did.
        pushed: Timestamp,
    },
    /// Polling, at this time; push had its time.
    PollOnly(Timestamp),
    /// Push, at this time; polling had its time and has read there.
    PushOnly(Timestamp),
    /// One route, and the other one may still.
    Pending,
}

impl Standing {
    /// The standing of an entry. A sighting in the future, by a clock that was set back,
    /// leaves it pending.
    pub(super) fn of(pair: &Pair, rule: Rule) -> Self {
        let is_over = |seen: Timestamp| seen.plus(rule.horizon) < rule.now;
        match (pair.polled, pair.pushed) {
            (Some(polled), Some(pushed)) => Self::Both { polled, pushed },
            (Some(polled), None) if is_over(polled) => Self::PollOnly(polled),
            (None, Some(pushed)) if is_over(pushed) && pair.created < rule.watermark => {
                Self::PushOnly(pushed)
            }
            _ => Self::Pending,
        }
    }
}

impl Standing {
    /// By how many microseconds push was first, if both routes showed it.
    pub(super) const fn lead(self) -> Option<i64> {
        match self {
            Self::Both { polled, pushed } => Some(polled.micros().saturating_sub(pushed.micros())),
            _ => None,
        }
    }

    /// When the answer came that brought it, or the push where no answer did; what is
    /// pending belongs to none.
    pub(super) const fn answer(self) -> Option<i64> {
        match self {
            Self::Both { polled: at, .. } | Self::PollOnly(at) | Self::PushOnly(at) => {
                Some(at.micros())
            }
            Self::Pending => None,
        }
    }
}

/// One entry, judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Its creation.
    pub(super) created: Timestamp,
    /// Who has shown it.
    pub(super) standing: Standing,
    /// What keeps it out of the comparison.
    pub(super) label: Option<Label>,
}

impl Sample {
    /// Judges an entry.
    pub(super) fn of(pair: &Pair, rule: Rule) -> Self {
        Self { created: pair.created, standing: Standing::of(pair, rule), label: pair.label }
    }

    /// Whether both routes showed it, and one of them before it was created.
    pub(super) fn is_early(&self) -> bool {
        matches!(self.standing, Standing::Both { polled, pushed }
            if polled.min(pushed) < self.created)
    }
}

impl Coverage {
    /// Counts one entry more.
    pub(super) const fn count(&mut self, standing: Standing) {
        match standing {
            Standing::Both { .. } => self.both += 1,
            Standing::PollOnly(_) => self.poll_only += 1,
            Standing::PushOnly(_) => self.push_only += 1,
            Standing::Pending => self.pending += 1,
        }
    }

    /// All entries.
    #[must_use]
    pub const fn entries(self) -> u64 {
        self.settled() + self.pending
    }

    /// Entries of which it is known which routes showed them: all but the pending ones.
    #[must_use]
    pub const fn settled(self) -> u64 {
        self.both + self.poll_only + self.push_only
    }
}

impl Apart {
    /// Entries with any label.
    #[must_use]
    pub const fn entries(self) -> u64 {
        self.nudged.entries() + self.batch.entries() + self.outside.entries()
    }

    /// Where an entry with this label is counted.
    pub(super) const fn of(&mut self, label: Label) -> &mut Coverage {
        match label {
            Label::Nudged => &mut self.nudged,
            Label::Batch => &mut self.batch,
            Label::Outside => &mut self.outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    const RULE: Rule = Rule {
        now: Timestamp::from_secs(1_000),
        horizon: Duration::from_secs(100),
        watermark: Timestamp::from_secs(800),
    };

    #[test]
    fn an_entry_is_missed_only_when_the_other_route_had_its_time() {
        for (created, polled, pushed, expected) in [
            (500, Some(510), Some(505), Standing::Both { polled: at(510), pushed: at(505) }),
            (990, Some(999), Some(995), Standing::Both { polled: at(999), pushed: at(995) }),
            (500, Some(899), None, Standing::PollOnly(at(899))),
            (500, Some(900), None, Standing::Pending),
            (500, None, Some(899), Standing::PushOnly(at(899))),
            (500, None, Some(900), Standing::Pending),
            (799, None, Some(850), Standing::PushOnly(at(850))),
            (800, None, Some(850), Standing::Pending),
            (500, Some(2_000), None, Standing::Pending),
            (500, None, None, Standing::Pending),
        ] {
            let [polled, pushed] = [polled, pushed].map(|seen| seen.map(at));
            let pair = Pair { created: at(created), polled, pushed, label: None };
            assert_eq!(Standing::of(&pair, RULE), expected, "{pair:?}");
        }
    }

    proptest! {
        /// Whatever was seen when: before its horizon an entry is never said to be missed, and
        /// by polling never where it has not read; and time alone settles what is settled.
        #[test]
        fn what_is_pending_is_never_called_missed(
            created in 0..2_000_i64,
            polled in prop::option::of(0..2_000_i64),
            pushed in prop::option::of(0..2_000_i64),
            now in 0..4_000_i64,
            horizon in 0..2_000_u64,
            watermark in 0..4_000_i64,
        ) {
            let pair = Pair {
                created: at(created),
                polled: polled.map(at),
                pushed: pushed.map(at),
                label: None,
            };
            let horizon = Duration::from_secs(horizon);
            let rule = Rule { now: at(now), horizon, watermark: at(watermark) };
            let standing = Standing::of(&pair, rule);
            let is_missed = matches!(standing, Standing::PollOnly(_) | Standing::PushOnly(_));
            if let Some(seen) = pair.polled.xor(pair.pushed) {
                prop_assert!(!is_missed || seen.plus(horizon) < rule.now);
                prop_assert!(!is_missed || polled.is_some() || pair.created < rule.watermark);
            } else {
                prop_assert!(!is_missed);
            }
            let later = Rule { now: at(now + 10_000), watermark: at(10_000), ..rule };
            if standing != Standing::Pending {
                prop_assert_eq!(Standing::of(&pair, later), standing);
            } else if polled.is_some() || pushed.is_some() {
                prop_assert_ne!(Standing::of(&pair, later), Standing::Pending);
            }
            let mut coverage = Coverage::default();
            coverage.count(standing);
            prop_assert_eq!(coverage.entries() - coverage.settled(), coverage.pending);
        }
    }
}
