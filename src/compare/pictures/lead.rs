//! By how much push was earlier: a histogram around the moment at which both were even.

use std::fmt::Write;

use crate::compare::pictures::axis::{Axis, whole};
use crate::compare::pictures::drawing::{Anchor, Drawing, LEFT, RIGHT};
use crate::compare::pictures::words::{entries, why_none_is_paired};
use crate::compare::pictures::{Picture, Table};
use crate::compare::{Comparison, Histogram, Lead, count, span};

const HEIGHT: i32 = 320;
const TOP: i32 = 62;
const BOTTOM: i32 = HEIGHT - 50;

/// Labels on an axis, at most.
const ACROSS: usize = 9;
const UP: usize = 5;

pub(super) fn draw(comparison: &Comparison) -> Picture {
    let lead = comparison.lead.as_ref().filter(|lead| !lead.histogram.counts.is_empty());
    Picture {
        name: "lead",
        title: "By how much push was earlier than polling",
        says: lead.map_or_else(|| why_none_is_paired(comparison), say),
        drawing: lead.map(draw_bars),
        table: lead.map_or_else(Table::default, |lead| table(&lead.histogram)),
    }
}

fn say(lead: &Lead) -> String {
    let interval = lead.interval_us.map_or_else(
        || format!("; it takes {} poll answers to say how sure that is", count(lead.polls_needed)),
        |ends| format!(" (95 % sure: {} to {})", span(ends.low), span(ends.high)),
    );
    let mut text = format!(
        "Push was first for {} of {}, polling for {}. The median lead of push is {}{interval}.",
        count(lead.push_first.count),
        entries(lead.entries),
        count(lead.poll_first.count),
        span(lead.median_us),
    );
    let Histogram { below, above, .. } = lead.histogram;
    for (number, side, end) in [(below, "left", lead.min_us), (above, "right", lead.max_us)] {
        if number > 0 {
            let verb = if number == 1 { "lies" } else { "lie" };
            let _ = write!(
                text,
                " {} {verb} beyond the {side} edge, up to {}.",
                entries(number),
                span(end)
            );
        }
    }
    text
}

fn draw_bars(lead: &Lead) -> Drawing {
    let Histogram { from_us, width_us, counts, .. } = &lead.histogram;
    let bins = i64::try_from(counts.len()).unwrap_or(i64::MAX);
    let end = from_us.saturating_add(width_us.saturating_mul(bins));
    // Zero is always in sight: it is what the leads are measured by.
    let across = Axis::durations((*from_us).min(0)..end.max(0), (LEFT, RIGHT), ACROSS);
    let most = counts.iter().copied().max().unwrap_or(0);
    let up = Axis::counts(most, (BOTTOM, TOP), UP);
    let mut drawing = Drawing::new(HEIGHT);
    drawing.axis_left(&up, TOP - 18, "entries");
    if let Some(ends) = lead.interval_us {
        let (left, right) = (across.at_micros(ends.low), across.at_micros(ends.high));
        let size = ((right - left).max(1.0), f64::from(BOTTOM - TOP));
        drawing.bar("interval", (left, f64::from(TOP)), size);
    }
    let mut left_us = *from_us;
    for number in counts {
        let right_us = left_us.saturating_add(*width_us);
        let (left, right) = (across.at_micros(left_us), across.at_micros(right_us));
        // One entry among thousands is to be seen as well.
        let top = up.at(whole(*number)).min(f64::from(BOTTOM) - 2.0);
        let style = if left_us < 0 { "poll-fill" } else { "push-fill" };
        let size = ((right - left - 1.0).max(1.0), f64::from(BOTTOM) - top);
        if *number > 0 {
            drawing.bar(style, (left + 0.5, top), size);
        }
        left_us = right_us;
    }
    drawing.axis_below(&across, BOTTOM, "polled later than pushed by");
    name_sides(&mut drawing, &across);
    name_median(&mut drawing, lead, &across);
    drawing
}

/// Which side of zero is whose; and zero itself.
fn name_sides(drawing: &mut Drawing, across: &Axis) {
    let zero = across.at(0.0);
    drawing.line("zero", &[(zero, f64::from(TOP) - 8.0), (zero, f64::from(BOTTOM))]);
    let sides = [("poll-fill", "polling first", 388.0), ("push-fill", "push first", 522.0)];
    for (style, words, x) in sides {
        drawing.bar(style, (x, 7.0), (16.0, 14.0));
        drawing.text("label", (x + 22.0, 19.0), Anchor::Start, words);
    }
}

fn name_median(drawing: &mut Drawing, lead: &Lead, across: &Axis) {
    let x = across.at_micros(lead.median_us);
    drawing.line("median", &[(x, f64::from(TOP) - 8.0), (x, f64::from(BOTTOM))]);
    let anchor = match x {
        x if x < f64::from(LEFT) + 80.0 => Anchor::Start,
        x if x > f64::from(RIGHT) - 80.0 => Anchor::End,
        _ => Anchor::Middle,
    };
    let words = format!("median {}", span(lead.median_us));
    drawing.text("direct", (x, f64::from(TOP) - 13.0), anchor, words);
}

fn table(histogram: &Histogram) -> Table {
    let mut rows = Vec::new();
    let mut from = histogram.from_us;
    if histogram.below > 0 {
        rows.push(vec![format!("below {}", span(from)), count(histogram.below)]);
    }
    for number in &histogram.counts {
        let until = from.saturating_add(histogram.width_us);
        if *number > 0 {
            rows.push(vec![format!("{} to {}", span(from), span(until)), count(*number)]);
        }
        from = until;
    }
    if histogram.above > 0 {
        rows.push(vec![format!("{} or more", span(from)), count(histogram.above)]);
    }
    Table { headings: vec!["polled later than pushed by", "entries"], rows }
}
