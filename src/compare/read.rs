//! Fetches from the ledger what a comparison rests on, and says why there may be none.

use crate::compare::answer::counted;
use crate::compare::measure::{Found, measure};
use crate::compare::what_if::WhatIf;
use crate::compare::{Comparison, Period};
use crate::model::timestamp::Timestamp;
use crate::storage::{Entries, Reader, Routes, StorageError};

/// Entries that are compared at once: three times the figure that this is measured with, in
/// some 500 MiB. A period with more is refused.
const ENTRIES_MAX: u32 = 3_000_000;

/// Why there is nothing to compare, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The ledger knows of no such source.
    #[error("there is no source {name:?} in the ledger; there {}", known(sources))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        sources: Vec<String>,
    },
    /// Push is not there.
    #[error(
        "source {0:?} has no webhook: add [source.push] below it, register it with GreenLake, \
         and let both routes run for a day"
    )]
    NoWebhook(String),
    /// Polling is not there.
    #[error(
        "source {0:?} has never been polled: set enabled = true in its [source.poll], and let \
         both routes run for a day"
    )]
    NotPolled(String),
    /// The period lies before both routes were there, or ends before it begins.
    #[error(
        "there is no time to compare: both routes of source {source_name:?} are there since \
         {since}, and the period ends at {until}; ask for a later --until"
    )]
    EmptyPeriod {
        /// The source.
        source_name: String,
        /// Since when both routes are there, or since what was asked for.
        since: String,
        /// When the period ends.
        until: String,
    },
    /// Nothing happened.
    #[error(
        "no entry of source {source_name:?} was created from {since} until {until}; ask for a \
         longer period, or again when something has happened"
    )]
    NoEntries {
        /// The source.
        source_name: String,
        /// Beginning of the period.
        since: String,
        /// Its end.
        until: String,
    },
    /// Every entry has a label.
    #[error(
        "nothing may be compared: {entries} of source {source_name:?} were polled because of a \
         push, pushed in batches, or pushed from outside of what is polled; set nudge = false, \
         or batching off in GreenLake, for as long as you compare"
    )]
    AllApart {
        /// The source.
        source_name: String,
        /// Entries, in words.
        entries: String,
    },
    /// Every entry may still be shown by the other route.
    #[error(
        "too early: {entries} of source {source_name:?} {verb} shown by one route, and the other \
         one may still show {them}; ask again in some minutes, or when the horizon has passed"
    )]
    AllPending {
        /// The source.
        source_name: String,
        /// Entries, in words.
        entries: String,
        /// `was` or `were`.
        verb: &'static str,
        /// `it` or `them`.
        them: &'static str,
    },
    /// More than fits into memory.
    #[error(
        "source {0:?} has more than 3,000,000 entries in this period; ask for a shorter one with \
         --since and --until"
    )]
    TooMany(String),
    /// The ledger cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CompareError {
    /// Whether the same question may have an answer later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoEntries { .. } | Self::AllPending { .. } => true,
            Self::Storage(error) => error.is_passing(),
            _ => false,
        }
    }
}

fn known(sources: &[String]) -> String {
    if sources.is_empty() { "is none".to_owned() } else { format!("are: {}", sources.join(", ")) }
}

/// Compares the routes of one source over the entries created from `since` (`None`: since
/// both routes are there) until `until` (`None`: `now`). Reads only.
///
/// # Errors
/// [`CompareError`] says why there is nothing to compare, and what to do.
pub async fn compare(
    reader: &Reader,
    source: &str,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Comparison, CompareError> {
    let routes = find_routes(reader, source).await?;
    let (period, is_cut) = period_of(&routes, since, until.unwrap_or(now))?;
    let bounds = (period.from, period.until);
    let Entries { pairs, polled } = reader.list_entries(source, bounds, ENTRIES_MAX + 1).await?;
    if pairs.len() > ENTRIES_MAX as usize {
        return Err(CompareError::TooMany(source.to_owned()));
    }
    let what_if = WhatIf::new(&polled, &reader.list_poll_cycles(source, bounds).await?);
    drop(polled);
    let scanned_at = reader.find_coverage(source).await?.and_then(|found| found.last_asked());
    let found = Found {
        routes,
        period,
        is_cut,
        now,
        pairs,
        poll_costs: reader.sum_poll_costs(source, bounds).await?,
        push_cost: reader.sum_push_cost(source, bounds).await?,
        what_if,
        differing: reader.list_differences(source, bounds).await?,
        scanned_at: scanned_at.map(Timestamp::from_secs),
    };
    let comparison = measure(found);
    require_something(&comparison)?;
    Ok(comparison)
}

async fn find_routes(reader: &Reader, source: &str) -> Result<Routes, CompareError> {
    let all = reader.list_routes().await?;
    let found = all.iter().find(|routes| routes.source == source).cloned();
    found.ok_or_else(|| CompareError::Unknown {
        name: source.to_owned(),
        sources: all.into_iter().map(|routes| routes.source).collect(),
    })
}

/// The period, and whether it begins later than was asked for.
fn period_of(
    routes: &Routes,
    since: Option<Timestamp>,
    until: Timestamp,
) -> Result<(Period, bool), CompareError> {
    let name = || routes.source.clone();
    let start = routes.start.ok_or_else(|| CompareError::NotPolled(name()))?;
    let push_since = routes.push_since.ok_or_else(|| CompareError::NoWebhook(name()))?;
    let there = start.max(push_since);
    let from = since.map_or(there, |since| since.max(there));
    if from >= until {
        return Err(CompareError::EmptyPeriod {
            source_name: name(),
            since: from.to_rfc3339_secs(),
            until: until.to_rfc3339_secs(),
        });
    }
    Ok((Period { from, until }, since.is_some_and(|since| since < there)))
}

fn require_something(comparison: &Comparison) -> Result<(), CompareError> {
    let source_name = comparison.source.clone();
    let coverage = comparison.coverage;
    if coverage.settled() > 0 {
        return Ok(());
    }
    if coverage.pending > 0 {
        let (verb, them) = if coverage.pending == 1 { ("was", "it") } else { ("were", "them") };
        let entries = counted(coverage.pending, "entry", "entries");
        return Err(CompareError::AllPending { source_name, entries, verb, them });
    }
    if comparison.apart.entries() > 0 {
        let entries = format!("all {}", counted(comparison.apart.entries(), "entry", "entries"));
        return Err(CompareError::AllApart { source_name, entries });
    }
    let Period { from, until } = comparison.period;
    Err(CompareError::NoEntries {
        source_name,
        since: from.to_rfc3339_secs(),
        until: until.to_rfc3339_secs(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn routes(start: Option<i64>, push_since: Option<i64>) -> Routes {
        let [start, push_since] = [start, push_since].map(|at| at.map(Timestamp::from_secs));
        let horizon = push_since.map(|_| Duration::from_hours(12));
        Routes { source: "production".to_owned(), start, watermark: start, push_since, horizon }
    }

    #[test]
    fn a_period_never_begins_before_both_routes_were_there() {
        let at = Timestamp::from_secs;
        for (since, until, expected) in [
            (None, 500, Some((200, false))),
            (Some(100), 500, Some((200, true))),
            (Some(300), 500, Some((300, false))),
            (Some(500), 500, None),
            (None, 150, None),
        ] {
            let found = period_of(&routes(Some(100), Some(200)), since.map(at), at(until));
            let told = found.map(|(period, is_cut)| (period.from.secs(), is_cut)).ok();
            assert_eq!(told, expected, "{since:?} until {until}");
        }
    }

    #[test]
    fn who_cannot_compare_is_told_what_is_missing() {
        let until = Timestamp::from_secs(500);
        for (routes, words) in [
            (routes(None, Some(1)), "never been polled"),
            (routes(Some(1), None), "has no webhook: add [source.push]"),
            (routes(Some(600), Some(1)), "since 1970-01-01T00:10:00Z, and the period ends"),
        ] {
            let error = period_of(&routes, None, until).unwrap_err();
            assert!(error.to_string().contains(words) && !error.is_passing(), "{error}");
        }
    }
}
