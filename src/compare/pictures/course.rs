//! How the lead went along: a point for each part of the period, and below it a strip of
//! who was first.

use std::fmt::Write;

use crate::compare::pictures::axis::{Axis, brief, whole};
use crate::compare::pictures::coverage::{Column, columns, moment, period_of};
use crate::compare::pictures::drawing::{Anchor, Drawing, LEFT, RIGHT, Shape};
use crate::compare::pictures::words::why_none_is_paired;
use crate::compare::pictures::{Picture, Table};
use crate::compare::{Comparison, Timeline, count, span};

const HEIGHT: i32 = 380;
const TOP: i32 = 40;
/// Where the points end, and the strip below them begins and ends.
const BOTTOM: i32 = 226;
const STRIP_TOP: i32 = 266;
const STRIP_BOTTOM: i32 = HEIGHT - 66;

const ACROSS: usize = 7;
const UP: usize = 5;

/// A point lies at the edge, and says so by its form, when it is so many times as far from
/// zero as nine of ten points are: one bad hour must not flatten the others.
const FAR: i64 = 4;

/// With more points than this they could not be told from each other.
const POINTS: usize = 120;

pub(super) fn draw(comparison: &Comparison) -> Picture {
    let timeline = &comparison.timeline;
    let leads: Vec<i64> =
        timeline.buckets.iter().filter_map(|bucket| bucket.median_lead_us).collect();
    let reach = reach(&leads);
    let drawing = reach.map(|reach| draw_course(timeline, &leads, reach));
    let says = match reach {
        Some(reach) => say(timeline, &leads, reach),
        None => why_none_is_paired(comparison),
    };
    Picture {
        name: "course",
        title: "Who was first as time went on",
        says,
        table: if drawing.is_some() { table(timeline) } else { Table::default() },
        drawing,
    }
}

fn say(timeline: &Timeline, leads: &[i64], reach: i64) -> String {
    let ends = leads.iter().min().zip(leads.iter().max());
    let (least, most) = ends.map_or((0, 0), |(least, most)| (*least, *most));
    let part = brief(timeline.bucket_us);
    let is_crowded = leads.len() > POINTS;
    let points = if is_crowded {
        format!("Each bar spans the median leads of push, one for each {part},")
    } else {
        format!("Each point is the median lead of push in {part}:")
    };
    let mut text = format!(
        "{points} from {} to {}. The strip below tells which part of the entries push showed first.",
        span(least),
        span(most)
    );
    let beyond = leads.iter().filter(|lead| lead.abs() > reach).count();
    if beyond > 0 {
        let which = if is_crowded { "of them" } else { "of them, the triangles," };
        let verb = if beyond == 1 { "lies" } else { "lie" };
        let _ = write!(text, " {} {which} {verb} beyond the edge.", count(beyond as u64));
    }
    text
}

/// How far from zero the points are drawn; `None` without any.
fn reach(leads: &[i64]) -> Option<i64> {
    let mut sizes: Vec<i64> = leads.iter().map(|lead| lead.saturating_abs()).collect();
    sizes.sort_unstable();
    let last = *sizes.last()?;
    let usual = sizes[(sizes.len() * 9).div_ceil(10) - 1];
    Some(last.min(usual.saturating_mul(FAR)).max(1_000))
}

fn draw_course(timeline: &Timeline, leads: &[i64], reach: i64) -> Drawing {
    let period = period_of(timeline);
    let across = Axis::instants(period, (LEFT, RIGHT), ACROSS);
    let least = leads.iter().copied().min().unwrap_or(0).clamp(-reach, 0);
    let most = leads.iter().copied().max().unwrap_or(0).clamp(0, reach);
    let up = Axis::durations(least..most, (BOTTOM, TOP), UP);
    let mut drawing = Drawing::new(HEIGHT);
    drawing.axis_left(&up, TOP, "push earlier by");
    drawing.line("zero", &[(f64::from(LEFT), up.at(0.0)), (f64::from(RIGHT), up.at(0.0))]);
    if leads.len() > POINTS {
        draw_ranges(&mut drawing, timeline, &across, &up);
    } else {
        for bucket in &timeline.buckets {
            let Some(lead) = bucket.median_lead_us else { continue };
            let x = across.at_micros(bucket.from.micros().saturating_add(timeline.bucket_us / 2));
            let shape = if lead.abs() > reach { Shape::Triangle } else { Shape::Circle };
            drawing.point("course-point", shape, (x, up.at_micros(lead)));
        }
    }
    draw_strip(&mut drawing, timeline, &across);
    drawing.axis_below(&across, STRIP_BOTTOM, "UTC, by the entries' creation");
    drawing
}

/// From the least to the most of what a column holds.
fn draw_ranges(drawing: &mut Drawing, timeline: &Timeline, across: &Axis, up: &Axis) {
    for Column { from, until, leads, .. } in columns(timeline) {
        let Some((least, most)) = leads else { continue };
        let (left, right) = (across.at_micros(from.micros()), across.at_micros(until.micros()));
        let (top, foot) = (up.at_micros(most), up.at_micros(least));
        let size = ((right - left - 0.6).max(0.6), (foot - top).max(2.0));
        drawing.bar("push-fill", (left, top), size);
    }
}

fn draw_strip(drawing: &mut Drawing, timeline: &Timeline, across: &Axis) {
    let up = Axis::shares((STRIP_BOTTOM, STRIP_TOP));
    drawing.text(
        "name",
        (4.0, f64::from(STRIP_TOP) - 12.0),
        Anchor::Start,
        "first, of those shown by both",
    );
    for Column { from, until, coverage, push_first, .. } in columns(timeline) {
        if coverage.both == 0 {
            continue;
        }
        let (left, right) = (across.at_micros(from.micros()), across.at_micros(until.micros()));
        let edge = up.at(whole(push_first) / whole(coverage.both));
        let width = (right - left - 0.6).max(0.6);
        drawing.bar("push-fill", (left, edge), (width, f64::from(STRIP_BOTTOM) - edge));
        drawing.bar(
            "poll-fill",
            (left, f64::from(STRIP_TOP)),
            (width, edge - f64::from(STRIP_TOP)),
        );
    }
    let y = f64::from(STRIP_TOP) - 12.0;
    for (style, words, x) in [("push-fill", "push", 470.0), ("poll-fill", "polling", 548.0)] {
        drawing.bar(style, (x - 20.0, y - 11.0), (14.0, 12.0));
        drawing.text("label", (x, y), Anchor::Start, words);
    }
}

fn table(timeline: &Timeline) -> Table {
    let rows = columns(timeline).into_iter().filter(|column| column.coverage.both > 0);
    let rows = rows.map(|column| {
        let leads = match column.leads {
            Some((least, most)) if least == most => span(least),
            Some((least, most)) => format!("{} to {}", span(least), span(most)),
            None => "-".to_owned(),
        };
        let Column { from, coverage, push_first, .. } = column;
        vec![moment(from), count(coverage.both), count(push_first), leads]
    });
    let headings = vec!["from (UTC)", "shown by both", "push first", "median lead"];
    Table { headings, rows: rows.collect() }
}
