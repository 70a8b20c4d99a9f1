use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::storage::Label;

const DAY: i64 = 86_400_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// What there is about entries made in the first day, two days later.
fn found(pairs: Vec<Pair>) -> Found {
    let routes = Routes {
        source: "production".to_owned(),
        start: Some(at(0)),
        watermark: Some(at(DAY)),
        push_since: Some(at(0)),
        horizon: Some(Duration::from_hours(12)),
    };
    Found {
        routes,
        period: Period { from: at(0), until: at(DAY) },
        is_cut: false,
        now: at(2 * DAY),
        pairs,
        poll_costs: Vec::new(),
        push_cost: PushCost::default(),
        differing: (0, Vec::new()),
        what_if: WhatIf::default(),
        scanned_at: Some(at(2 * DAY - 9 * SECOND)),
    }
}

fn pair(created: i64, polled: Option<i64>, pushed: Option<i64>) -> Pair {
    Pair { created: at(created), polled: polled.map(at), pushed: pushed.map(at), label: None }
}

/// An entry a second, pushed 200 ms later and polled every 30 s.
fn ordinary(entries: i64) -> Vec<Pair> {
    let entry = |number: i64| {
        let created = number * SECOND;
        let tick = (created / (30 * SECOND) + 1) * 30 * SECOND;
        pair(created, Some(tick), Some(created + 200_000))
    };
    (0..entries).map(entry).collect()
}

#[test]
fn an_ordinary_day_is_told_in_one_sentence() {
    let mut pairs = ordinary(1_200);
    pairs[7].pushed = None;
    pairs[400].pushed = None;
    pairs[900].polled = None;
    let comparison = measure(found(pairs));
    let expected = Coverage { both: 1_197, poll_only: 2, push_only: 1, pending: 0 };
    assert_eq!(comparison.coverage, expected);
    assert_eq!(
        comparison.answer,
        "Push was first for 100.0 % (99.7–100.0) of 1,197 entries, by a median of 14.8 s; \
         polling alone saw 2 entries that push never delivered; push alone 1 that polling \
         never showed."
    );
    let lead = comparison.lead.unwrap();
    assert_eq!((lead.polls, lead.min_us, lead.max_us), (40, 800_000, 29_800_000));
    let interval = lead.interval_us.unwrap();
    assert!(interval.low <= 14_800_000 && 14_800_000 <= interval.high, "{interval:?}");
    assert_eq!(comparison.push_latency.truncated, 1_197, "a whole second may be a cut one");
    let median = comparison.push_latency.percentiles[0].latency_us.unwrap();
    assert_eq!((median.low, median.high), (-800_000, 200_000));
    assert_eq!(comparison.certainty.age_us, Some(9 * SECOND));
    assert_eq!(comparison.notes, []);
    assert_eq!(comparison.timeline.buckets[0].coverage, expected);
}

#[test]
fn labels_are_counted_apart_and_change_nothing_else() {
    let plain = measure(found(ordinary(600)));
    let mut pairs = ordinary(600);
    for (number, label) in (0..).zip([Label::Nudged, Label::Batch, Label::Outside]) {
        // Wild values, which no figure may show.
        let created = at(number * SECOND);
        let labelled = Pair { created, polled: None, pushed: Some(at(9)), label: Some(label) };
        pairs.push(labelled);
        pairs.push(Pair { polled: Some(at(DAY)), ..labelled });
    }
    pairs.sort_by_key(|pair| pair.created);
    let labelled = measure(found(pairs));
    let one = Coverage { both: 1, push_only: 1, ..Coverage::default() };
    assert_eq!(labelled.apart, Apart { nudged: one, batch: one, outside: one });
    assert_eq!(labelled.notes, [Note::Nudged(2)]);
    assert_eq!((labelled.coverage, labelled.lead), (plain.coverage, plain.lead));
    assert_eq!(labelled.push_latency, plain.push_latency);
    assert_eq!(labelled.push_inversions, plain.push_inversions);
    assert_eq!((labelled.missed_by_poll, labelled.answer), (plain.missed_by_poll, plain.answer));
}

#[test]
fn what_is_pending_is_in_no_sentence_as_missed() {
    let mut all = found(ordinary(300));
    all.now = at(600 * SECOND);
    all.pairs[100].pushed = None;
    all.pairs[200].polled = None;
    let comparison = measure(all);
    assert_eq!(comparison.coverage.pending, 2);
    let told = &comparison.answer;
    assert!(told.contains("polling alone saw none (< 1.0 %); push alone none (< 1.0 %)"), "{told}");
    assert!(told.ends_with("; 2 are pending until the other route has had its time."), "{told}");
}

#[test]
fn little_data_makes_no_claim() {
    let comparison = measure(found(ordinary(4)));
    let lead = comparison.lead.as_ref().unwrap();
    assert_eq!((lead.polls, lead.interval_us), (1, None));
    assert_eq!(comparison.notes, [Note::FewPolls(1)]);
    assert!(comparison.push_latency.percentiles.iter().all(|found| found.latency_us.is_none()));
    assert!(comparison.answer.contains("too little to tell"), "{}", comparison.answer);
    let none = measure(found(Vec::new()));
    assert_eq!((none.lead, none.missed_by_push.share), (None, None));
    assert_eq!(none.answer, "No entry was shown by both routes.");
}

#[test]
fn entries_out_of_order_are_counted_and_those_of_one_answer_are_not() {
    let pairs = vec![
        pair(0, Some(50 * SECOND), Some(30 * SECOND)),
        pair(10 * SECOND, Some(40 * SECOND), Some(12 * SECOND)),
        pair(10 * SECOND + 900_000, Some(40 * SECOND), Some(11 * SECOND)),
        pair(20 * SECOND, Some(40 * SECOND), Some(21 * SECOND)),
    ];
    let comparison = measure(found(pairs));
    assert_eq!(comparison.poll_inversions.count, 1, "the first one, found later");
    assert_eq!(comparison.push_inversions.count, 1, "within one second there is no order");
}

#[test]
fn a_clock_that_is_behind_is_noted() {
    let mut all = found(ordinary(20));
    all.pairs[3].pushed = Some(at(SECOND));
    assert_eq!(measure(all).notes, [Note::FewPolls(1), Note::ClockBehind(1)]);
}

#[test]
fn the_same_entries_give_the_same_figures() {
    let [one, two] = [ordinary(20_000), ordinary(20_000)].map(|pairs| measure(found(pairs)));
    assert_eq!((one.answer, one.lead), (two.answer, two.lead));
}

/// Two pollers of the same entries, half an interval apart, each due time a little late; the
/// second one in push's place.
fn alike(seed: u64) -> Vec<Pair> {
    let mut chance = StdRng::seed_from_u64(seed);
    let interval = 30 * SECOND;
    let mut created = 0;
    let mut ticks = [0, interval / 2].map(|phase| {
        let jitter = |number: i64| phase + number * interval + chance.random_range(0..3 * SECOND);
        (0..160).map(jitter).collect::<Vec<i64>>()
    });
    for ticks in &mut ticks {
        ticks.sort_unstable();
    }
    let mut pairs = Vec::new();
    while created < 150 * interval {
        created += chance.random_range(0..20 * SECOND);
        let visible = created + chance.random_range(0..8 * SECOND);
        let shown = |ticks: &[i64]| ticks.iter().copied().find(|tick| *tick >= visible);
        pairs.push(pair(created, shown(&ticks[0]), shown(&ticks[1])));
    }
    pairs
}

#[test]
fn two_pollers_of_the_same_entries_come_out_even() {
    let mut even = 0;
    for seed in 0..20 {
        let comparison = measure(found(alike(seed)));
        let lead = comparison.lead.as_ref().unwrap();
        let (share, median) = (lead.push_first.interval.unwrap(), lead.interval_us.unwrap());
        let is_even = share.low <= 0.5 && share.high >= 0.5 && median.low <= 0 && median.high >= 0;
        let is_told = comparison.answer.starts_with("Neither route was first");
        assert!(is_told || !is_even, "{}", comparison.answer);
        even += usize::from(is_even);
    }
    // 95 of 100 would be.
    assert!(even >= 17, "{even} of 20");
}
