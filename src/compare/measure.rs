//! From what the ledger holds to the figures of a comparison. Pure.

use crate::compare::bootstrap::{Blocks, median_interval};
use crate::compare::figures::{Latency, Lead, Share};
use crate::compare::note::Note;
use crate::compare::sample::{Apart, Coverage, Rule, Sample, Standing};
use crate::compare::statistics::{
    CLUSTERS_MIN, clustered_share, clustering, histogram, latency, rank, share,
};
use crate::compare::timeline::timeline;
use crate::compare::what_if::WhatIf;
use crate::compare::{Certainty, Comparison, Differences, Period};
use crate::model::timestamp::Timestamp;
use crate::storage::{FieldDifference, Pair, PollCost, PushCost, Routes};

const SECOND: i64 = 1_000_000;

/// What the ledger holds of one source and period.
#[derive(Clone, Debug)]
pub struct Found {
    /// The source's routes.
    pub routes: Routes,
    /// The period that is compared.
    pub period: Period,
    /// Whether a longer one was asked for.
    pub is_cut: bool,
    /// Our time.
    pub now: Timestamp,
    /// The audit entries of the period, oldest first.
    pub pairs: Vec<Pair>,
    /// What polling cost in the period.
    pub poll_costs: Vec<PollCost>,
    /// What push cost in it.
    pub push_cost: PushCost,
    /// Entries in which the routes differ, and in which fields.
    pub differing: (u64, Vec<FieldDifference>),
    /// What other ways of polling would have come to.
    pub what_if: WhatIf,
    /// Server time at which the last complete scan began; `None` before the first.
    pub scanned_at: Option<Timestamp>,
}

/// Compares. Takes some hundred bytes an entry for as long as it runs.
#[must_use]
pub fn measure(found: Found) -> Comparison {
    let Found { routes, period, now, pairs, push_cost, .. } = found;
    let watermark = routes.watermark.unwrap_or_default();
    let rule = Rule { now, horizon: routes.horizon.unwrap_or_default(), watermark };
    let compared = pairs.iter().filter(|pair| pair.polled.is_some() && pair.pushed.is_some());
    let compared = compared.count() as u64;
    let samples: Vec<Sample> = pairs.iter().map(|pair| Sample::of(pair, rule)).collect();
    let inversions =
        [inversions(&pairs, |pair| pair.polled), inversions(&pairs, |pair| pair.pushed)];
    drop(pairs);
    let (mut coverage, mut apart) = (Coverage::default(), Apart::default());
    for sample in &samples {
        match sample.label {
            Some(label) => apart.of(label).count(sample.standing),
            None => coverage.count(sample.standing),
        }
    }
    let timeline = timeline(&samples);
    // Not into another list: a million of them are 40 MB.
    let mut free = samples;
    free.retain(|sample| sample.label.is_none());
    let lead = lead(&free);
    let early = free.iter().filter(|sample| sample.is_early()).count() as u64;
    let [missed_by_push, missed_by_poll] = missed(&free, coverage);
    let [poll_latency, push_latency] = latencies(&free);
    let differences =
        Differences { compared, differing: found.differing.0, fields: found.differing.1 };
    let age_us = found.scanned_at.map(|at| now.micros().saturating_sub(at.micros()).max(0));
    let certainty =
        Certainty { scanned_at: found.scanned_at, age_us, complete_below: routes.watermark };
    let [poll_inversions, push_inversions] = inversions;
    let mut comparison = Comparison {
        answer: String::new(),
        source: routes.source,
        period,
        made_at: now,
        coverage,
        apart,
        missed_by_push,
        missed_by_poll,
        lead,
        poll_latency,
        push_latency,
        timeline,
        push_repeats: share(push_cost.repeated, push_cost.read),
        poll_inversions,
        push_inversions,
        differences,
        poll_costs: found.poll_costs,
        push_cost,
        certainty,
        what_if: found.what_if,
        notes: Vec::new(),
    };
    comparison.notes = notes(&comparison, found.is_cut, early);
    comparison.answer = comparison.answer();
    comparison
}

/// Who was first, and by how much.
fn lead(samples: &[Sample]) -> Option<Lead> {
    let both = || {
        samples
            .iter()
            .filter_map(|sample| Some((sample.standing.answer()?, sample.standing.lead()?)))
    };
    let blocks = Blocks::of(both().map(|(answer, _)| answer).collect());
    let mut leads: Vec<(i64, u16)> = Vec::with_capacity(samples.len());
    let mut last = (i64::MIN, 0);
    for (answer, lead) in both() {
        if answer != last.0 {
            last = (answer, blocks.find(answer));
        }
        leads.push((lead, last.1));
    }
    leads.sort_unstable();
    let entries = leads.len() as u64;
    let first = |is_first: fn(i64) -> bool| {
        let counts = leads.iter().map(|(lead, block)| (*block, is_first(*lead)));
        share_by_block(counts, blocks.count())
    };
    let sorted: Vec<i64> = leads.iter().map(|(lead, _)| *lead).collect();
    Some(Lead {
        entries,
        polls: blocks.answers() as u64,
        push_first: first(|lead| lead > 0),
        poll_first: first(|lead| lead < 0),
        median_us: *sorted.get(rank(sorted.len(), 500))?,
        interval_us: median_interval(&leads, blocks.count()),
        polls_needed: CLUSTERS_MIN as u64,
        min_us: *sorted.first()?,
        max_us: *sorted.last()?,
        histogram: histogram(&sorted),
    })
}

/// The share of entries that count, each with its block.
fn share_by_block(entries: impl Iterator<Item = (u16, bool)>, blocks: usize) -> Share {
    let mut clusters = vec![(0, 0); blocks];
    for (block, counts) in entries {
        if let Some((of, count)) = clusters.get_mut(usize::from(block)) {
            *of += 1;
            *count += u64::from(counts);
        }
    }
    let (of, count) = clusters.iter().fold((0, 0), |(n, k), (of, count)| (n + of, k + count));
    clustered_share(count, of, Some(clustering(&clusters)))
}

/// What push and what polling missed, of what is settled.
///
/// Losses come in bursts: entries that one answer brought are taken together. One that
/// was only pushed stands for itself.
fn missed(samples: &[Sample], coverage: Coverage) -> [Share; 2] {
    let settled = coverage.settled();
    if coverage.poll_only == 0 && coverage.push_only == 0 {
        return [share(0, settled), share(0, settled)];
    }
    let shown = |sample: &Sample| sample.standing.answer();
    let blocks = Blocks::of(samples.iter().filter_map(shown).collect());
    let share = |is_missed: fn(&Standing) -> bool| {
        let entries = samples
            .iter()
            .filter_map(|sample| Some((blocks.find(shown(sample)?), is_missed(&sample.standing))));
        share_by_block(entries, blocks.count())
    };
    [
        share(|standing| matches!(standing, Standing::PollOnly(_))),
        share(|standing| matches!(standing, Standing::PushOnly(_))),
    ]
}

/// How late each route showed the entries that both showed.
fn latencies(samples: &[Sample]) -> [Latency; 2] {
    let mut truncated = 0;
    let mut ends: [Vec<i64>; 4] = Default::default();
    for sample in samples {
        let Standing::Both { polled, pushed } = sample.standing else { continue };
        let created = sample.created.micros();
        // A whole second may be one by chance, once in a thousand: then its error bar is
        // longer than need be.
        let is_whole = created % SECOND == 0;
        truncated += u64::from(is_whole);
        let cut = if is_whole { SECOND } else { 0 };
        for (seen, at) in [(polled, 0), (pushed, 2)] {
            let upper = seen.micros() - created;
            ends[at].push(upper - cut);
            ends[at + 1].push(upper);
        }
    }
    for end in &mut ends {
        end.sort_unstable();
    }
    let [poll_low, poll_high, push_low, push_high] = ends;
    [latency(&poll_low, &poll_high, truncated), latency(&push_low, &push_high, truncated)]
}

/// Entries without a label that a route showed after one that was created in a later
/// second. Those of one answer or one message are shown at once, in no order.
fn inversions(pairs: &[Pair], seen: impl Fn(&Pair) -> Option<Timestamp>) -> Share {
    let free = pairs.iter().filter(|pair| pair.label.is_none());
    let mut shown: Vec<(Timestamp, i64)> =
        free.filter_map(|pair| Some((seen(pair)?, pair.created.secs()))).collect();
    // Mostly in order already, of which this sort makes use.
    shown.sort();
    let (mut late, mut youngest) = (0, i64::MIN);
    for together in shown.chunk_by(|a, b| a.0 == b.0) {
        late += together.iter().filter(|(_, created)| *created < youngest).count() as u64;
        youngest = youngest.max(together[together.len() - 1].1);
    }
    share(late, shown.len() as u64)
}

fn notes(comparison: &Comparison, is_cut: bool, early: u64) -> Vec<Note> {
    let nudged = comparison.apart.nudged.entries();
    let polls = comparison.lead.as_ref().map_or(0, |lead| lead.polls);
    [
        is_cut.then_some(Note::CutTo(comparison.period.from)),
        (nudged > 0).then_some(Note::Nudged(nudged)),
        (0 < polls && polls < CLUSTERS_MIN as u64).then_some(Note::FewPolls(polls)),
        (early > 0).then_some(Note::ClockBehind(early)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
