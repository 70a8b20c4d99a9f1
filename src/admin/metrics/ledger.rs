//! Figures of the ledger: read from it at each scrape, and so right after a restart, too.
//!
//! Use this file for what the ledger keeps anyway, or for what must not begin at 0 with
//! each start. Nothing may be read for it that takes the longer the more history there is:
//! see `storage/figures.rs`. Counts since the start belong into `instance.rs`.

use std::time::Duration;

use prometheus::proto::{Metric, MetricFamily};

use crate::admin::metrics::family::{Family, Kind, fact, families, number, seconds};
use crate::admin::running::{Running, RunningSource};
use crate::model::lateness::CURVE_BOUNDS;
use crate::model::timestamp::Timestamp;
use crate::storage::{Figures, SourceFigures, TargetFigures, TargetState};

families! {
    /// 1 if the figures of the ledger could be read; with 0 those below are missing.
    READABLE: Gauge = "ledger_readable";
    /// Size of the ledger's file.
    FILE: Gauge = "ledger_file_bytes";
    /// Size of the ledger's write-ahead log.
    WAL: Gauge = "ledger_wal_bytes";
    /// Free space on the ledger's file system.
    FREE: Gauge = "ledger_free_bytes";
    /// Free space below which nothing is taken in.
    MIN_FREE: Gauge = "ledger_min_free_bytes";
    /// Events stored, ever.
    EVENTS: Counter = "ledger_events_total";
    /// Items put into quarantine, ever.
    QUARANTINED: Counter = "ledger_quarantined_total";
    /// Age of the watermark, below which history is complete.
    WATERMARK_AGE: Gauge = "source_watermark_age_seconds";
    /// Time since the start of the last complete scan, by the source's clock.
    CERTAINTY_AGE: Gauge = "source_certainty_age_seconds";
    /// How far back each poll reads again.
    OVERLAP: Gauge = "source_overlap_seconds";
    /// 1 while entries come later than the overlap.
    LATE: Gauge = "source_late";
    /// Lateness that 99.5 % of the entries did not exceed; NaN while they are too few.
    LATENESS: Gauge = "source_lateness_p995_seconds";
    /// Entries of the last eight days that the lateness rests on.
    LATENESS_ENTRIES: Gauge = "source_lateness_entries";
    /// Entries among them that only a sweep found.
    LATENESS_SWEPT: Gauge = "source_lateness_swept_entries";
    /// Entries among them that were visible within le seconds.
    CURVE: Gauge = "source_lateness_curve_entries";
    /// Time since the last audit entry was pushed, or since the webhook is taken.
    SILENCE: Gauge = "source_push_silence_seconds";
    /// 1 while pushes stay away from what polling finds.
    SILENT: Gauge = "source_push_silent";
    /// Entries that one route showed and the other one had not within the horizon, ever.
    MISSED: Counter = "source_missed_total";
    /// The target's state: 1 for the one that it is in.
    STATE: Gauge = "target_state";
    /// Deliveries owed.
    PENDING: Gauge = "target_pending_deliveries";
    /// Time since the oldest event that is owed was stored; 0 when nothing is.
    OLDEST: Gauge = "target_oldest_pending_seconds";
    /// Dead letters that nobody has sent again.
    DEAD_LETTERS: Gauge = "target_dead_letters";
    /// Deliveries that succeeded, ever.
    DELIVERED: Counter = "target_delivered_total";
    /// Deliveries that became dead letters, ever.
    DEAD: Counter = "target_dead_total";
}

const STATES: [TargetState; 4] =
    [TargetState::Active, TargetState::Failing, TargetState::Paused, TargetState::Gone];

/// All of them at the moment `now`; without `figures`, that they are missing.
pub(super) fn families(
    running: &Running,
    figures: Option<&Figures>,
    now: Timestamp,
) -> Vec<MetricFamily> {
    let readable = READABLE.single(fact(figures.is_some()));
    let Some(figures) = figures else { return vec![readable] };
    let mut families = vec![
        readable,
        FILE.single(number(figures.file_bytes)),
        WAL.single(number(figures.wal_bytes)),
        FREE.single(figures.free_bytes.map_or(f64::NAN, number)),
        MIN_FREE.single(number(running.min_free)),
        EVENTS.single(number(figures.events)),
        QUARANTINED.single(number(figures.quarantined)),
    ];
    families.extend(sources(running, figures, now));
    families.extend(webhooks(running, figures, now));
    families.extend(targets(running, figures, now));
    families
}

/// What polling of each source has shown. One that the ledger does not know yet has the
/// figures of one of which nothing is known.
fn sources(running: &Running, figures: &Figures, now: Timestamp) -> Vec<MetricFamily> {
    let known = found(running.sources.iter().filter(|source| source.poll.is_some()), figures);
    let of = |family: Family, value: &dyn Fn(&SourceFigures) -> f64| {
        let sample = |(name, source): &(&str, SourceFigures)| {
            family.sample([("source", name)], value(source))
        };
        family.of(known.iter().map(sample))
    };
    let age = |at: Option<Timestamp>| seconds(at.map(|at| now.since(at)));
    vec![
        of(WATERMARK_AGE, &|source| age(source.watermark)),
        of(CERTAINTY_AGE, &|source| age(source.asked_at)),
        of(OVERLAP, &|source| {
            let overlap = source.learnt.as_ref().map(|learnt| learnt.overlap_secs.unsigned_abs());
            seconds(overlap.map(Duration::from_secs))
        }),
        of(LATE, &|source| {
            fact(source.learnt.as_ref().is_some_and(|learnt| learnt.late_since.is_some()))
        }),
        of(LATENESS, &|source| {
            let micros = source.learnt.as_ref().and_then(|learnt| learnt.quantile);
            seconds(micros.map(|micros| Duration::from_micros(micros.unsigned_abs())))
        }),
        of(LATENESS_ENTRIES, &|source| {
            number(source.learnt.as_ref().map_or(0, |learnt| learnt.entries))
        }),
        of(LATENESS_SWEPT, &|source| {
            number(source.learnt.as_ref().map_or(0, |learnt| learnt.swept))
        }),
        CURVE.of(known.iter().flat_map(|(name, source)| curve(name, source))),
    ]
}

/// The curve of a source, cumulative, as a histogram's buckets are. A gauge and no
/// histogram: old entries leave it.
fn curve(name: &str, source: &SourceFigures) -> Vec<Metric> {
    let learnt = source.learnt.as_ref();
    let within = learnt.map(|learnt| learnt.within.as_slice()).unwrap_or_default();
    let all = learnt.filter(|_| !within.is_empty()).map_or(0, |learnt| learnt.entries);
    let bounds = CURVE_BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let counts = CURVE_BOUNDS.iter().enumerate();
    let counts = counts.map(|(at, _)| within.get(at).copied().unwrap_or(0)).chain([all]);
    let sample =
        |(le, count): (String, u64)| CURVE.sample([("source", name), ("le", &le)], number(count));
    bounds.zip(counts).map(sample).collect()
}

/// What the webhook of each source that has one has shown.
fn webhooks(running: &Running, figures: &Figures, now: Timestamp) -> Vec<MetricFamily> {
    let known = found(running.sources.iter().filter(|source| source.push.is_some()), figures);
    let silence = known.iter().map(|(name, source)| {
        let heard = source.heard_at.max(source.push_since);
        SILENCE.sample([("source", name)], seconds(heard.map(|heard| now.since(heard))))
    });
    let silent = known.iter().map(|(name, source)| {
        SILENT.sample([("source", name)], fact(source.silent_since.is_some()))
    });
    let missed = known.iter().flat_map(|(name, source)| {
        let of = |by, count| MISSED.sample([("source", name), ("missed_by", by)], number(count));
        [of("push", source.missed_by_push), of("poll", source.missed_by_poll)]
    });
    vec![SILENCE.of(silence), SILENT.of(silent), MISSED.of(missed)]
}

/// Sources with their figures.
fn found<'a>(
    sources: impl Iterator<Item = &'a RunningSource>,
    figures: &Figures,
) -> Vec<(&'a str, SourceFigures)> {
    let find = |name: &str| figures.sources.iter().find(|figures| figures.name == name);
    sources
        .map(|source| (source.name.as_str(), find(&source.name).cloned().unwrap_or_default()))
        .collect()
}

/// How each target fares. One that the ledger does not know yet is owed nothing.
fn targets(running: &Running, figures: &Figures, now: Timestamp) -> Vec<MetricFamily> {
    let find = |name: &str| figures.targets.iter().find(|target| target.name == *name);
    let known: Vec<(&str, Option<&TargetFigures>)> =
        running.targets.iter().map(|name| (name.as_str(), find(name))).collect();
    let of = |family: Family, value: &dyn Fn(&TargetFigures) -> f64| {
        let sample = |(name, target): &(&str, Option<&TargetFigures>)| {
            family.sample([("target", name)], target.map_or(0.0, value))
        };
        family.of(known.iter().map(sample))
    };
    let states = known.iter().flat_map(|(name, target)| {
        let state = target.map_or(TargetState::Active, |target| target.state);
        STATES.map(|other| {
            STATE.sample([("target", name), ("state", other.as_str())], fact(state == other))
        })
    });
    vec![
        STATE.of(states),
        of(PENDING, &|target| number(target.pending)),
        of(OLDEST, &|target| {
            seconds(Some(target.pending_since.map_or(Duration::ZERO, |since| now.since(since))))
        }),
        of(DEAD_LETTERS, &|target| number(target.dead)),
        of(DELIVERED, &|target| number(target.delivered_total)),
        of(DEAD, &|target| number(target.dead_total)),
    ]
}
