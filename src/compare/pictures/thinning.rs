//! What polling less often would have come to: two curves over the interval.

use crate::compare::pictures::axis::{Axis, Tick, brief, real};
use crate::compare::pictures::drawing::{Anchor, Drawing, LEFT, RIGHT, Shape};
use crate::compare::pictures::words::entries;
use crate::compare::pictures::{Picture, Table};
use crate::compare::what_if::{Spread, Thinned, WhatIf};
use crate::compare::{Comparison, count, span};

const HEIGHT: i32 = 360;
const TOP: i32 = 40;
const BOTTOM: i32 = HEIGHT - 84;

const UP: usize = 6;

/// Where the curves end: their names stand to the right of them.
const CURVES_RIGHT: i32 = RIGHT - 84;

struct Curve {
    name: &'static str,
    line: &'static str,
    point: &'static str,
    shape: Shape,
    value: fn(&Thinned) -> Option<Spread>,
}

const CURVES: [Curve; 2] = [
    Curve {
        name: "half",
        line: "half-line",
        point: "half-point",
        shape: Shape::Circle,
        value: |thinned| thinned.median_us,
    },
    Curve {
        name: "95 of 100",
        line: "most-line",
        point: "most-point",
        shape: Shape::Square,
        value: |thinned| thinned.p95_us,
    },
];

pub(super) fn draw(comparison: &Comparison) -> Picture {
    let what_if = &comparison.what_if;
    let told: Vec<&Thinned> =
        what_if.thinned.iter().filter(|thinned| thinned.median_us.is_some()).collect();
    let drawing = what_if.interval_us.and_then(|interval| draw_curves(&told, interval));
    let says = if drawing.is_some() { say(&told, what_if) } else { why_nothing(what_if) };
    Picture {
        name: "interval",
        title: "What polling less often would have come to",
        says,
        table: if drawing.is_some() { table(&told, what_if) } else { Table::default() },
        drawing,
    }
}

fn say(told: &[&Thinned], what_if: &WhatIf) -> String {
    let ends = told.first().zip(told.last());
    let Some((first, last)) = ends else { return String::new() };
    let half = |thinned: &Thinned| thinned.median_us.map_or_else(String::new, |it| span(it.mean));
    format!(
        "As it was polled, every {}, half of the entries were seen {} after their creation. With {} \
         times that interval it would have been {}, and {} requests for what is new instead of {}.",
        brief(what_if.interval_us.unwrap_or_default()),
        half(first),
        last.factor,
        half(last),
        count(last.requests),
        count(first.requests),
    )
}

fn why_nothing(what_if: &WhatIf) -> String {
    match what_if.thinned.last() {
        _ if what_if.polls == 0 => "Nothing was polled in this period.".to_owned(),
        None | Some(Thinned { factor: 1, .. }) => format!(
            "It takes four polls to leave out every second one and compare; there are {}.",
            what_if.polls
        ),
        Some(thinned) => format!(
            "It takes 5 entries to tell how long half of them took; polling brought {} in its own time.",
            entries(thinned.entries)
        ),
    }
}

fn draw_curves(told: &[&Thinned], interval: i64) -> Option<Drawing> {
    let last = told.last().filter(|_| told.len() > 1 && interval > 0)?;
    let at =
        |thinned: &Thinned| interval.saturating_mul(i64::try_from(thinned.factor).unwrap_or(1));
    let most =
        told.iter().flat_map(|thinned| CURVES.iter().filter_map(|curve| (curve.value)(thinned)));
    let most = most.map(|spread| spread.most).max()?.max(1_000);
    let mut across = Axis::powers(interval..at(last), (LEFT + 24, CURVES_RIGHT));
    across.ticks = told.iter().map(|thinned| label(thinned, &across, at(thinned))).collect();
    let up = Axis::durations(0..most, (BOTTOM, TOP), UP);
    let mut drawing = Drawing::new(HEIGHT);
    drawing.axis_left(&up, TOP, "seen after the entry's creation");
    drawing.axis_below(&across, BOTTOM, "interval, and requests in this period");
    for curve in &CURVES {
        let points: Vec<(f64, Spread)> = told
            .iter()
            .filter_map(|thinned| Some((across.at_micros(at(thinned)), (curve.value)(thinned)?)))
            .collect();
        let line: Vec<(f64, f64)> =
            points.iter().map(|(x, spread)| (*x, up.at_micros(spread.mean))).collect();
        drawing.line(curve.line, &line);
        for (x, spread) in &points {
            let (low, high) = (up.at_micros(spread.least), up.at_micros(spread.most));
            drawing.line("range", &[(*x, low), (*x, high)]);
            drawing.point(curve.point, curve.shape, (*x, up.at_micros(spread.mean)));
        }
        if let Some((x, y)) = line.last() {
            drawing.text("direct", (x + 12.0, y + 5.0), Anchor::Start, curve.name);
        }
    }
    Some(drawing)
}

/// The interval, and the requests that it takes.
fn label(thinned: &Thinned, across: &Axis, interval: i64) -> Tick {
    Tick {
        at: across.at(real(interval)),
        label: brief(interval),
        below: Some(count(thinned.requests)),
    }
}

fn table(told: &[&Thinned], what_if: &WhatIf) -> Table {
    let interval = what_if.interval_us.unwrap_or_default();
    let told = told.iter().map(|thinned| {
        let factor = i64::try_from(thinned.factor).unwrap_or(1);
        vec![
            format!("{} \u{d7} ({})", thinned.factor, brief(interval.saturating_mul(factor))),
            spread(thinned.later_us),
            spread(thinned.median_us),
            spread(thinned.p95_us),
            count(thinned.requests),
            count(thinned.bytes),
            count(thinned.entries),
        ]
    });
    let headings = vec![
        "interval",
        "later by, mean",
        "half within",
        "95 of 100 within",
        "requests",
        "bytes",
        "entries",
    ];
    Table { headings, rows: told.collect() }
}

/// The mean, and the range that it stands for.
fn spread(spread: Option<Spread>) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { mean, least, most }) if least == most => span(mean),
        Some(Spread { mean, least, most }) => {
            format!("{} ({} to {})", span(mean), span(least), span(most))
        }
    }
}
