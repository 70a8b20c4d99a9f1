//! What was made against what is there, id by id, in both directions.
//!
//! Pure: it neither asks the bridge nor believes it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::cli::demo::routes::{By, Routes};
use crate::model::timestamp::Timestamp;
use crate::simulator::entry::Made;
use crate::simulator::sink::Report;
use crate::simulator::sink::latency::Quantiles;

/// Least number of measurements for a median: the largest of five lies above it with a
/// certainty of 1 - 0.5^5, some 97 %.
pub(super) const P50_MIN: u64 = 5;

/// Least number for the 99th percentile: 0.99^299 is below 5 %.
pub(super) const P99_MIN: u64 = 299;

/// Entries that become visible later than this after they happened are called late.
pub(super) const LATE_FROM: Duration = Duration::from_secs(1);

/// What was found when everything had stopped.
pub(super) struct Evidence {
    /// The cloud's own list.
    pub(super) made: Vec<Made>,
    /// What is in the ledger's file.
    pub(super) stored: Vec<Stored>,
    /// Entries that were to come by push; `None`: some were still on their way.
    pub(super) to_push: Option<u64>,
    /// What each target holds.
    pub(super) targets: Vec<Witness>,
}

/// An event in the ledger.
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) by: By,
}

/// What one target holds.
pub(super) struct Witness {
    pub(super) name: &'static str,
    pub(super) format: &'static str,
    /// When each event first came, by its id.
    pub(super) arrivals: HashMap<String, Timestamp>,
    /// Its own counts.
    pub(super) report: Report,
}

/// What the evidence comes to.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) made: usize,
    /// Entries that became visible more than [`LATE_FROM`] after they happened.
    pub(super) late: usize,
    pub(super) ledger: LedgerAudit,
    pub(super) routes: Routes,
    pub(super) targets: Vec<TargetAudit>,
}

/// The ledger's file.
#[derive(Debug)]
pub(super) struct LedgerAudit {
    pub(super) events: usize,
    pub(super) differences: Differences,
    /// Ids that are there more than once.
    pub(super) twice: Vec<String>,
}

/// One target.
#[derive(Debug)]
pub(super) struct TargetAudit {
    pub(super) name: &'static str,
    pub(super) format: &'static str,
    pub(super) report: Report,
    /// Different ids.
    pub(super) different: usize,
    pub(super) differences: Differences,
    /// From the ledger's commit to the target.
    pub(super) since_stored: Spread,
    /// From the moment that it happened to the target.
    pub(super) since_made: Spread,
}

/// Both directions, each sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Made and not there.
    pub(super) lost: Vec<String>,
    /// There and never made.
    pub(super) unknown: Vec<String>,
}

/// Quantiles, where there are enough measurements to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
}

impl Audit {
    /// Compares everything.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let happened: HashMap<&str, Timestamp> =
            evidence.made.iter().map(|made| (made.id.as_str(), made.created_at)).collect();
        let mut seen = HashSet::new();
        let ids = evidence.stored.iter().map(|stored| &stored.id);
        let mut twice: Vec<String> = ids.filter(|id| !seen.insert(id.as_str())).cloned().collect();
        twice.sort();
        Self {
            made: evidence.made.len(),
            late: evidence.made.iter().filter(|made| is_late(made)).count(),
            ledger: LedgerAudit {
                events: evidence.stored.len(),
                differences: differences(&happened, &seen),
                twice,
            },
            routes: Routes::of(&evidence.stored, evidence.to_push),
            targets: evidence.targets.iter().map(|witness| examine(&happened, witness)).collect(),
        }
    }

    /// Whether nothing is lost, unknown, doubled in the ledger, or badly signed, by neither
    /// route.
    pub(super) fn is_clean(&self) -> bool {
        self.ledger.differences.is_none()
            && self.ledger.twice.is_empty()
            && self.routes.is_clean()
            && self.targets.iter().all(TargetAudit::is_clean)
    }
}

impl TargetAudit {
    /// Whether it has what it should, and nothing else. Repeats are allowed.
    pub(super) fn is_clean(&self) -> bool {
        self.differences.is_none() && self.bad_signatures() == 0 && self.unusable() == 0
    }

    /// Whether a quantile is left out.
    pub(super) fn has_too_few(&self) -> bool {
        self.since_stored.p99.is_none() || self.since_made.p99.is_none()
    }

    /// Requests whose signature did not fit, or was missing.
    pub(super) fn bad_signatures(&self) -> u64 {
        self.report.signatures_bad + self.report.signatures_missing
    }

    /// What came and was no CloudEvent, and events that came under two `source`s.
    pub(super) fn unusable(&self) -> u64 {
        let identities = self.report.distinct + self.report.unremembered;
        self.report.unreadable
            + self.report.plain
            + identities.saturating_sub(self.different as u64)
    }
}

impl Differences {
    pub(super) fn is_none(&self) -> bool {
        self.lost.is_empty() && self.unknown.is_empty()
    }
}

fn is_late(made: &Made) -> bool {
    made.visible_at.since(made.created_at) > LATE_FROM
}

fn examine(happened: &HashMap<&str, Timestamp>, witness: &Witness) -> TargetAudit {
    let ids = witness.arrivals.keys().map(String::as_str).collect();
    let waits = witness.arrivals.iter();
    let waits = waits.filter_map(|(id, at)| Some(at.since(*happened.get(id.as_str())?))).collect();
    TargetAudit {
        name: witness.name,
        format: witness.format,
        different: witness.arrivals.len(),
        differences: differences(happened, &ids),
        since_stored: Spread::of_quantiles(witness.report.since_recorded),
        since_made: Spread::of(waits),
        report: witness.report.clone(),
    }
}

fn differences(made: &HashMap<&str, Timestamp>, found: &HashSet<&str>) -> Differences {
    let sorted = |ids: Vec<&&str>| {
        let mut ids: Vec<String> = ids.into_iter().map(|id| (*id).to_owned()).collect();
        ids.sort();
        ids
    };
    Differences {
        lost: sorted(made.keys().filter(|id| !found.contains(**id)).collect()),
        unknown: sorted(found.iter().filter(|id| !made.contains_key(**id)).collect()),
    }
}

impl Spread {
    /// Of single durations, by the nearest rank.
    pub(super) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let count = durations.len() as u64;
        let rank = |percent: usize| {
            durations.get((durations.len() * percent).div_ceil(100).saturating_sub(1)).copied()
        };
        Self {
            count,
            p50: rank(50).filter(|_| count >= P50_MIN),
            p99: rank(99).filter(|_| count >= P99_MIN),
        }
    }

    fn of_quantiles(found: Quantiles) -> Self {
        let millis = |ms: f64| Duration::try_from_secs_f64(ms / 1_000.0).ok();
        Self {
            count: found.count,
            p50: millis(found.p50_ms).filter(|_| found.count >= P50_MIN),
            p99: millis(found.p99_ms).filter(|_| found.count >= P99_MIN),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
