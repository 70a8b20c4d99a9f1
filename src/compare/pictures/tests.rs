use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::compare::what_if::WhatIf;
use crate::compare::{Found, Period, measure};
use crate::model::lateness::Sighted;
use crate::model::timestamp::Timestamp;
use crate::storage::{Pair, PollCost, PollCycle, Polled, PushCost, Routes};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600;

/// 2026-11-21T00:00:00Z
const BEGIN: i64 = 1_795_219_200;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::compare) enum Fate {
    Both,
    OnlyPolled,
    OnlyPushed,
    Pending,
}

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }
}

/// `hours` of entries, `each` of them an hour, with that fate; polled every 30 s, pushed
/// within some seconds, now and then much later.
pub(in crate::compare) fn comparison(
    hours: i64,
    each: i64,
    mut fate: impl FnMut(i64) -> Fate,
) -> Comparison {
    let mut dice = Dice(7);
    let (mut pairs, mut polled, mut number) = (Vec::new(), Vec::new(), 0);
    for hour in 0..hours {
        for _ in 0..each {
            let created = BEGIN + hour * HOUR + dice.below(HOUR);
            let visible = created * SECOND + 1_200_000 + dice.below(2 * SECOND);
            let seen = (visible / (30 * SECOND) + 1) * 30 * SECOND + 90_000;
            let late = if dice.below(150) == 0 { dice.below(900 * SECOND) } else { 0 };
            let pushed = created * SECOND + 700_000 + dice.below(SECOND) + late;
            let [seen, pushed] = [seen, pushed].map(Timestamp::from_micros);
            let created = Timestamp::from_secs(created);
            let (polled_at, pushed_at) = match fate(number) {
                Fate::Both => (Some(seen), Some(pushed)),
                Fate::OnlyPolled | Fate::Pending => (Some(seen), None),
                Fate::OnlyPushed => (None, Some(pushed)),
            };
            if polled_at.is_some() {
                let unseen_at = Some(seen.minus(Duration::from_secs(30)));
                let sighted = Sighted { unseen_at, shown_at: seen, tier: None };
                polled.push(Polled { created_at: created, seen_at: seen, sighted });
            }
            pairs.push(Pair { created, polled: polled_at, pushed: pushed_at, label: None });
            number += 1;
        }
    }
    pairs.sort_by_key(|pair| pair.created);
    let end = BEGIN + hours * HOUR;
    let cycles: Vec<PollCycle> = (0..hours * 120)
        .map(|number| PollCycle {
            began_at: Timestamp::from_secs(BEGIN + number * 30),
            requests: 1,
            bytes: 18_000,
            is_whole: true,
            is_nudged: false,
        })
        .collect();
    // When something is pending, the other route still has time: nothing is settled yet.
    let is_pending = !pairs.is_empty() && fate(0) == Fate::Pending;
    let now = Timestamp::from_secs(if is_pending { end } else { end + 48 * HOUR });
    measure(Found {
        routes: Routes {
            source: "production".to_owned(),
            start: Some(Timestamp::from_secs(BEGIN)),
            watermark: Some(Timestamp::from_secs(end + 24 * HOUR)),
            push_since: Some(Timestamp::from_secs(BEGIN)),
            horizon: Some(Duration::from_hours(12)),
        },
        period: Period { from: Timestamp::from_secs(BEGIN), until: Timestamp::from_secs(end) },
        is_cut: false,
        now,
        what_if: WhatIf::new(&polled, &cycles),
        pairs,
        poll_costs: vec![PollCost {
            tier: "hot".to_owned(),
            requests: 2_880,
            failed: 1,
            empty: 1_902,
            read: 31_204,
            shown: 1_190,
            new: 70,
            bytes: 51_840_000,
        }],
        push_cost: PushCost { requests: 1_201, ..PushCost::default() },
        differing: (0, Vec::new()),
        scanned_at: Some(Timestamp::from_secs(end)),
    })
}

/// A day of 50 entries an hour: made once, for its intervals take a while.
pub(in crate::compare) fn day() -> Comparison {
    static DAY: LazyLock<Comparison> = LazyLock::new(|| usual(24, 50));
    DAY.clone()
}

/// Three months of some entries.
fn quarter() -> Comparison {
    static QUARTER: LazyLock<Comparison> = LazyLock::new(|| usual(24 * 90, 1));
    QUARTER.clone()
}

pub(in crate::compare) fn usual(hours: i64, each: i64) -> Comparison {
    comparison(hours, each, |number| match number % 97 {
        13 => Fate::OnlyPolled,
        57 => Fate::OnlyPushed,
        _ => Fate::Both,
    })
}

fn by_name<'a>(pictures: &'a [Picture; 5], name: &str) -> &'a Picture {
    pictures.iter().find(|picture| picture.name == name).unwrap()
}

fn texts(picture: &Picture) -> Vec<&str> {
    let drawing = picture.drawing.as_ref().unwrap();
    let marks = drawing.marks.iter();
    marks
        .filter_map(|mark| match mark {
            Mark::Text { words, .. } => Some(words.as_str()),
            Mark::Path { .. } | Mark::Bar { .. } => None,
        })
        .collect()
}

#[test]
fn every_picture_that_is_drawn_has_its_data_as_a_table() {
    for comparison in [usual(1, 5), day(), usual(24 * 7, 4), quarter()] {
        let pictures = draw(&comparison);
        for picture in &pictures {
            assert!(picture.drawing.is_some(), "{}: {}", picture.name, picture.says);
            let Table { headings, rows } = &picture.table;
            assert!(!rows.is_empty() && rows.len() <= 121, "{}: {}", picture.name, rows.len());
            assert!(rows.iter().all(|row| row.len() == headings.len()), "{}", picture.name);
        }
    }
}

#[test]
fn nothing_is_drawn_outside_of_its_picture() {
    for comparison in [usual(1, 1), usual(1, 5), day(), quarter()] {
        for picture in draw(&comparison) {
            let Some(drawing) = picture.drawing else { continue };
            let (right, bottom) = (f64::from(drawing.width), f64::from(drawing.height));
            for mark in &drawing.marks {
                let (left, top, width, height) = match mark {
                    Mark::Bar { x, y, width, height, .. } => (*x, *y, *width, *height),
                    Mark::Text { x, y, anchor, words, .. } => {
                        let length = 7.8 * f64::from(u32::try_from(words.chars().count()).unwrap());
                        let left = match anchor {
                            Anchor::Start => *x,
                            Anchor::Middle => x - length / 2.0,
                            Anchor::End => x - length,
                        };
                        (left, y - 10.0, length, 12.0)
                    }
                    Mark::Path { run, .. } => {
                        assert!(!run.contains("NaN") && !run.contains("inf"), "{run}");
                        continue;
                    }
                };
                let is_inside = left >= -4.0
                    && top >= 0.0
                    && left + width <= right + 4.0
                    && top + height <= bottom;
                assert!(is_inside && width >= 0.0 && height >= 0.0, "{}: {mark:?}", picture.name);
            }
        }
    }
}

#[test]
fn a_picture_without_data_says_why() {
    for (comparison, words) in [
        (comparison(1, 0, |_| Fate::Both), "No entry was created in this period."),
        (
            comparison(1, 9, |_| Fate::Pending),
            "9 entries came by one route, and the other one still",
        ),
        (comparison(1, 9, |_| Fate::OnlyPolled), "push showed none of the 9 entries"),
        (comparison(1, 1, |_| Fate::OnlyPushed), "polling showed none of the 1 entry"),
        (
            comparison(
                1,
                9,
                |number| if number % 2 == 0 { Fate::OnlyPolled } else { Fate::OnlyPushed },
            ),
            "no entry was shown by both routes",
        ),
    ] {
        let pictures = draw(&comparison);
        for name in ["latency", "lead", "course"] {
            let picture = by_name(&pictures, name);
            assert!(picture.drawing.is_none() && picture.table.rows.is_empty(), "{name}");
            assert!(picture.says.contains(words), "{name}: {}", picture.says);
        }
    }
}

#[test]
fn few_entries_are_drawn_without_figures_that_they_do_not_carry() {
    let pictures = draw(&comparison(1, 1, |_| Fate::Both));
    assert!(by_name(&pictures, "latency").says.contains("1 entry: too few for a median"));
    assert!(by_name(&pictures, "interval").says.contains("It takes 5 entries"));
    assert!(by_name(&pictures, "interval").drawing.is_none());
    let pictures = draw(&comparison(1, 5, |_| Fate::Both));
    assert!(by_name(&pictures, "latency").says.starts_with("Push had shown half of 5 entries"));
    assert!(by_name(&pictures, "interval").drawing.is_some());
}

#[test]
fn routes_are_told_apart_by_more_than_colour() {
    let pictures = draw(&day());
    let latency = by_name(&pictures, "latency");
    let styles: Vec<&str> = latency
        .drawing
        .iter()
        .flat_map(|drawing| &drawing.marks)
        .map(|mark| match mark {
            Mark::Path { style, .. } | Mark::Bar { style, .. } | Mark::Text { style, .. } => *style,
        })
        .collect();
    for style in ["push-line", "poll-line", "push-point", "poll-point"] {
        assert!(styles.contains(&style), "{style}");
    }
    assert!(texts(latency).contains(&"push") && texts(latency).contains(&"polling"));
    assert!(
        texts(by_name(&pictures, "coverage")).iter().any(|text| text.starts_with("only polled: "))
    );
}

#[test]
fn axes_are_labelled_with_what_people_read() {
    let labels = |axis: axis::Axis| -> Vec<String> {
        axis.ticks.into_iter().map(|tick| tick.label).collect()
    };
    for (from, until, expected) in [
        (1_000, 3_600_000_000, "1 ms, 10 ms, 100 ms, 1 s, 10 s, 1 min, 10 min, 1 h"),
        (400_000, 31_000_000, "200 ms, 500 ms, 1 s, 2 s, 5 s, 10 s, 20 s, 1 min"),
        (110_000, 400_000_000, "100 ms, 1 s, 10 s, 1 min, 10 min"),
        (900_000, 86_000_000_000, "100 ms, 1 s, 10 s, 1 min, 10 min, 1 h, 6 h, 1 d"),
    ] {
        assert_eq!(labels(axis::Axis::powers(from..until, (0, 600))).join(", "), expected);
    }
    assert_eq!(labels(axis::Axis::counts(3, (0, 100), 5)), ["0", "1", "2", "3"]);
    assert_eq!(labels(axis::Axis::counts(1_200, (0, 100), 5)), ["0", "500", "1,000"]);
    let leads = axis::Axis::durations(-10 * SECOND..31 * SECOND, (0, 600), 9);
    assert_eq!(
        labels(leads),
        ["\u{2212}10 s", "\u{2212}5 s", "0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]
    );
    let day = Timestamp::from_secs(BEGIN)..Timestamp::from_secs(BEGIN + 24 * HOUR);
    let ticks = axis::Axis::instants(day, (0, 600), 7).ticks;
    assert_eq!((ticks[0].label.as_str(), ticks[0].below.as_deref()), ("00:00", Some("21 Nov")));
    assert!(ticks.len() > 4 && ticks[1].below.is_none());
    let quarter = Timestamp::from_secs(BEGIN)..Timestamp::from_secs(BEGIN + 90 * 24 * HOUR);
    let ticks = axis::Axis::instants(quarter, (0, 600), 7).ticks;
    assert!(ticks.len() > 3 && ticks.iter().all(|tick| tick.below.is_none()), "{ticks:?}");
}
