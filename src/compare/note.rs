//! What a reader must know before he believes the figures.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::compare::answer::{count, counted};
use crate::compare::statistics::CLUSTERS_MIN;
use crate::model::timestamp::Timestamp;

/// A caution; as text and in JSON it is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// So many entries were polled only because of a push, and what is left of the others
    /// is no fair sample.
    Nudged(u64),
    /// So many latencies are below zero by GreenLake's clock.
    ClockBehind(u64),
    /// More was asked for than the time in which both routes were there, from here on.
    CutTo(Timestamp),
    /// There are so many poll answers, too few for an interval of the lead.
    FewPolls(u64),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nudged(entries) => write!(
                f,
                "{} polled only because of a push (nudge = true) and are set apart; the rest is \
                 no fair sample: set nudge = false while you compare",
                counted(*entries, "entry was", "entries were"),
            ),
            Self::ClockBehind(entries) => write!(
                f,
                "{} shown before GreenLake's clock says that they were created: this machine's \
                 clock is behind, and all latencies are too short by as much; leads are not \
                 concerned",
                counted(*entries, "entry was", "entries were"),
            ),
            Self::CutTo(from) => {
                write!(
                    f,
                    "only entries since {} are compared: before, one route was not there",
                    from.to_rfc3339_secs()
                )
            }
            Self::FewPolls(polls) => write!(
                f,
                "the lead rests on {}; it takes {} for an interval, because the entries of one \
                 answer are shown at one moment",
                counted(*polls, "poll answer", "poll answers"),
                count(CLUSTERS_MIN as u64),
            ),
        }
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
