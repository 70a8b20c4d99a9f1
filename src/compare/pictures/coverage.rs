//! Who showed the entries of each part of the period: columns of both, one, the other.

use std::ops::Range;

use crate::compare::pictures::axis::{Axis, brief, whole};
use crate::compare::pictures::drawing::{Anchor, Drawing, LEFT, RIGHT};
use crate::compare::pictures::words::{entries, why_none_is_paired};
use crate::compare::pictures::{Picture, Table};
use crate::compare::{Bucket, Comparison, Coverage, Timeline, count};
use crate::model::timestamp::Timestamp;

const HEIGHT: i32 = 340;
const TOP: i32 = 72;
const BOTTOM: i32 = HEIGHT - 66;

const ACROSS: usize = 7;
const UP: usize = 5;

/// Columns at most: narrower ones could not be told from each other.
const COLUMNS: usize = 120;

/// Parts in one column: hours that divide a day, days, and weeks.
const TOGETHER: [usize; 13] = [1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 96, 168, 336];

/// Some parts of the period that follow each other, as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) coverage: Coverage,
    pub(super) push_first: u64,
    /// The least and the most of the parts' median leads.
    pub(super) leads: Option<(i64, i64)>,
}

/// The kinds in a column from below, how they look and what they are called.
type Kind = (&'static str, &'static str, fn(&Coverage) -> u64);
const KINDS: [Kind; 4] = [
    ("both-fill", "both", |coverage| coverage.both),
    ("poll-fill", "only polled", |coverage| coverage.poll_only),
    ("push-fill", "only pushed", |coverage| coverage.push_only),
    ("pending-fill", "pending", |coverage| coverage.pending),
];

pub(super) fn draw(comparison: &Comparison) -> Picture {
    let timeline = &comparison.timeline;
    let is_drawn = comparison.coverage.entries() > 0 && !timeline.buckets.is_empty();
    Picture {
        name: "coverage",
        title: "Who showed the entries, and when",
        says: if is_drawn { say(comparison) } else { why_none_is_paired(comparison) },
        drawing: is_drawn.then(|| draw_columns(comparison)),
        table: if is_drawn { table(timeline) } else { Table::default() },
    }
}

fn say(comparison: &Comparison) -> String {
    let Coverage { both, poll_only, push_only, pending } = comparison.coverage;
    let all = entries(comparison.coverage.entries());
    let wait = if pending == 0 {
        String::new()
    } else {
        format!(" {} came by one route, and the other one still has time.", entries(pending))
    };
    format!(
        "Of {all}, both routes showed {}, only polling {}, only push {}.{wait}",
        count(both),
        count(poll_only),
        count(push_only)
    )
}

fn draw_columns(comparison: &Comparison) -> Drawing {
    let timeline = &comparison.timeline;
    let columns = columns(timeline);
    let most = columns.iter().map(|column| column.coverage.entries()).max().unwrap_or(0);
    let across = Axis::instants(period_of(timeline), (LEFT, RIGHT), ACROSS);
    let up = Axis::counts(most, (BOTTOM, TOP), UP);
    let mut drawing = Drawing::new(HEIGHT);
    let each = columns.first().map_or(0, |one| one.until.micros() - one.from.micros());
    drawing.axis_left(&up, TOP, &format!("entries in {}", brief(each)));
    for column in &columns {
        let left = across.at_micros(column.from.micros());
        let width = (across.at_micros(column.until.micros()) - left - 0.6).max(0.6);
        let mut below = 0;
        for (style, _, number) in KINDS {
            let number = number(&column.coverage);
            if number > 0 {
                let (foot, top) = (up.at(whole(below)), up.at(whole(below + number)));
                drawing.bar(style, (left, top), (width, foot - top));
            }
            below += number;
        }
    }
    drawing.axis_below(&across, BOTTOM, "UTC, by the entries' creation");
    draw_legend(&mut drawing, &comparison.coverage);
    drawing
}

fn draw_legend(drawing: &mut Drawing, coverage: &Coverage) {
    let mut x = f64::from(LEFT);
    for (style, name, number) in KINDS {
        let words = format!("{name}: {}", count(number(coverage)));
        drawing.bar(style, (x, 11.0), (16.0, 14.0));
        x += 22.0;
        drawing.text("label", (x, 23.0), Anchor::Start, words.clone());
        // Letters are half as wide as they are high, or a little more.
        x += 7.6 * whole(words.len() as u64) + 14.0;
    }
}

fn table(timeline: &Timeline) -> Table {
    let rows = columns(timeline).into_iter().filter(|column| column.coverage.entries() > 0);
    let rows = rows.map(|column| {
        let numbers = KINDS.map(|(.., number)| count(number(&column.coverage)));
        let mut row = vec![moment(column.from)];
        row.extend(numbers);
        row
    });
    let mut headings = vec!["from (UTC)"];
    headings.extend(KINDS.map(|(_, name, _)| name));
    Table { headings, rows: rows.collect() }
}

/// The parts of the period, as many of them in one as it takes to draw them; columns begin
/// where clocks and calendars do.
pub(super) fn columns(timeline: &Timeline) -> Vec<Column> {
    let parts = timeline.buckets.len();
    let each = TOGETHER.into_iter().find(|each| parts.div_ceil(*each) <= COLUMNS);
    let each = i64::try_from(each.unwrap_or(parts)).unwrap_or(i64::MAX);
    let length = timeline.bucket_us.saturating_mul(each).max(1);
    let beginning = |bucket: &Bucket| bucket.from.micros().div_euclid(length);
    let parts = timeline.buckets.chunk_by(|one, next| beginning(one) == beginning(next));
    let columns = parts.filter_map(|buckets| {
        let from = Timestamp::from_micros(beginning(buckets.first()?).saturating_mul(length));
        let until = Timestamp::from_micros(from.micros().saturating_add(length));
        let mut column =
            Column { from, until, coverage: Coverage::default(), push_first: 0, leads: None };
        for bucket in buckets {
            column.add(bucket);
        }
        Some(column)
    });
    columns.collect()
}

impl Column {
    fn add(&mut self, bucket: &Bucket) {
        self.coverage.both += bucket.coverage.both;
        self.coverage.poll_only += bucket.coverage.poll_only;
        self.coverage.push_only += bucket.coverage.push_only;
        self.coverage.pending += bucket.coverage.pending;
        self.push_first += bucket.push_first;
        if let Some(lead) = bucket.median_lead_us {
            let (least, most) = self.leads.unwrap_or((lead, lead));
            self.leads = Some((least.min(lead), most.max(lead)));
        }
    }
}

/// From the first part's beginning to the last one's end.
pub(super) fn period_of(timeline: &Timeline) -> Range<Timestamp> {
    let columns = columns(timeline);
    let ends = columns.first().zip(columns.last());
    ends.map_or(Timestamp::default()..Timestamp::default(), |(first, last)| first.from..last.until)
}

/// To the minute.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_rfc3339_secs();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}
