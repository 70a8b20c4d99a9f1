//! How long after its creation each route showed an entry: two curves over a time axis by
//! powers.

use crate::compare::pictures::axis::{Axis, MILLISECOND};
use crate::compare::pictures::drawing::{Anchor, Drawing, LEFT, RIGHT, Shape};
use crate::compare::pictures::words::{entries, why_none_is_paired};
use crate::compare::pictures::{Picture, Table};
use crate::compare::{Comparison, Ecdf, Latency, Step, span};

const HEIGHT: i32 = 340;
const TOP: i32 = 40;
const BOTTOM: i32 = HEIGHT - 50;

/// Rows of the table for a route.
const ROWS: usize = 20;

/// Parts that get a marker on the curves, where there are enough entries to tell.
const MARKED: [f64; 3] = [0.5, 0.9, 0.99];

struct Route<'a> {
    name: &'static str,
    line: &'static str,
    point: &'static str,
    shape: Shape,
    latency: &'a Latency,
}

pub(super) fn draw(comparison: &Comparison) -> Picture {
    let routes = [
        Route {
            name: "push",
            line: "push-line",
            point: "push-point",
            shape: Shape::Circle,
            latency: &comparison.push_latency,
        },
        Route {
            name: "polling",
            line: "poll-line",
            point: "poll-point",
            shape: Shape::Square,
            latency: &comparison.poll_latency,
        },
    ];
    let drawing = draw_curves(&routes);
    let says = match &drawing {
        Some(_) => say(&routes),
        None => why_none_is_paired(comparison),
    };
    Picture {
        name: "latency",
        title: "How long after its creation each route showed an entry",
        says,
        drawing,
        table: table(&routes),
    }
}

fn say(routes: &[Route<'_>; 2]) -> String {
    let number = routes[0].latency.entries;
    let half = routes.each_ref().map(|route| half_of(route.latency));
    let halves = if let [Some(push), Some(poll)] = half {
        format!(
            "Push had shown half of {} {} after their creation, polling {}.",
            entries(number),
            span(push),
            span(poll)
        )
    } else {
        format!("The curves rest on {}: too few for a median.", entries(number))
    };
    format!(
        "{halves} A curve tells how large a part had been shown by then. Where only the second of \
         a creation is known, the longer of both ends is drawn."
    )
}

/// The median, where the entries carry one.
fn half_of(latency: &Latency) -> Option<i64> {
    let median = latency.percentiles.iter().find(|percentile| percentile.per_mille == 500)?;
    median.latency_us.map(|ends| ends.high)
}

fn draw_curves(routes: &[Route<'_>; 2]) -> Option<Drawing> {
    let steps = || routes.iter().flat_map(|route| &route.latency.ecdf);
    let shortest = steps().map(|step| step.latency_us).min()?.max(MILLISECOND);
    let longest = steps().map(|step| step.latency_us).max()?.max(10 * MILLISECOND);
    if routes.iter().any(|route| route.latency.ecdf.is_empty()) {
        return None;
    }
    let mut drawing = Drawing::new(HEIGHT);
    // Half of the shortest, so that a name has its place left of the curves.
    let across = Axis::powers((shortest / 2).max(MILLISECOND)..longest, (LEFT, RIGHT));
    let up = Axis::shares((BOTTOM, TOP));
    drawing.axis_left(&up, TOP, "entries shown");
    drawing.axis_below(&across, BOTTOM, "after the entry's creation");
    for route in routes {
        drawing.line(route.line, &curve(&route.latency.ecdf, &across, &up));
    }
    for route in routes {
        for part in MARKED.into_iter().filter(|part| is_carried(route.latency, *part)) {
            let Some(step) = reached(&route.latency.ecdf, part) else { continue };
            let place = (across.at_micros(step.latency_us), up.at(step.share));
            drawing.point(route.point, route.shape, place);
        }
    }
    name_curves(&mut drawing, routes, &across, &up);
    Some(drawing)
}

/// From nothing at all, a step up at each latency.
fn curve(ecdf: &Ecdf, across: &Axis, up: &Axis) -> Vec<(f64, f64)> {
    let mut points = vec![(f64::from(LEFT), up.at(0.0))];
    let mut height = up.at(0.0);
    for step in ecdf {
        let x = across.at_micros(step.latency_us);
        points.push((x, height));
        height = up.at(step.share);
        points.push((x, height));
    }
    points.push((f64::from(RIGHT), height));
    points
}

/// The faster one's name stands left of its curve, the slower one's right of it, each at
/// the height where the curve is steepest: half-way.
fn name_curves(drawing: &mut Drawing, routes: &[Route<'_>; 2], across: &Axis, up: &Axis) {
    let half = routes.each_ref().map(|route| {
        reached(&route.latency.ecdf, 0.5).map_or(0.0, |step| across.at_micros(step.latency_us))
    });
    let y = up.at(0.5);
    let sides = if half[0] <= half[1] { [-1.0, 1.0] } else { [1.0, -1.0] };
    for ((route, x), side) in routes.iter().zip(half).zip(sides) {
        let (anchor, y) =
            if side < 0.0 { (Anchor::End, y - 8.0) } else { (Anchor::Start, y + 18.0) };
        drawing.text("direct", (x + side * 12.0, y), anchor, route.name);
    }
}

/// The first step that reaches a part.
fn reached(ecdf: &Ecdf, part: f64) -> Option<Step> {
    ecdf.iter().find(|step| step.share >= part).copied()
}

/// Whether the entries are enough to tell the latency of that part.
fn is_carried(latency: &Latency, part: f64) -> bool {
    let is_it = |per_mille: u32| (f64::from(per_mille) / 1_000.0 - part).abs() < 1e-9;
    latency.percentiles.iter().any(|one| is_it(one.per_mille) && one.latency_us.is_some())
}

fn table(routes: &[Route<'_>; 2]) -> Table {
    let row = |route: &Route<'_>, step: &Step| {
        vec![route.name.to_owned(), span(step.latency_us), format!("{:.1} %", 100.0 * step.share)]
    };
    let rows = routes.iter().flat_map(|route| {
        let ecdf = &route.latency.ecdf;
        // Evenly, and always the last one.
        let every = ecdf.len().div_ceil(ROWS).max(1);
        let kept = ecdf.iter().rev().step_by(every).map(|step| row(route, step));
        kept.collect::<Vec<_>>().into_iter().rev()
    });
    Table { headings: vec!["route", "not later than", "entries shown"], rows: rows.collect() }
}
