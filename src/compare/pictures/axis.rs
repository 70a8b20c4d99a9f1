//! Axes: where a value lies, and which values get a label. The arithmetic is plotters'.

use std::ops::Range;

use chrono::{DateTime, Datelike, Timelike, Utc};
use plotters::coord::combinators::{IntoLogRange, LogCoord};
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::{RangedCoordf64, RangedCoordu64, RangedDateTime};

use crate::model::timestamp::Timestamp;

pub(super) const MILLISECOND: i64 = 1_000;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Units that durations are told in.
const UNITS: [(i64, &str); 5] =
    [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (MILLISECOND, "ms")];

/// Durations that an axis by powers may label. Powers of ten would be 100 s and 1,000 s,
/// which nobody reads; these are as far from each other and mean something.
const LANDMARKS: [i64; 12] = [
    MILLISECOND,
    10 * MILLISECOND,
    100 * MILLISECOND,
    SECOND,
    10 * SECOND,
    MINUTE,
    10 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
    7 * DAY,
    30 * DAY,
];

/// What stands between them where few of them would be in sight.
const BETWEEN: [i64; 21] = [
    2 * MILLISECOND,
    5 * MILLISECOND,
    20 * MILLISECOND,
    50 * MILLISECOND,
    200 * MILLISECOND,
    500 * MILLISECOND,
    2 * SECOND,
    5 * SECOND,
    20 * SECOND,
    30 * SECOND,
    2 * MINUTE,
    5 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    3 * HOUR,
    12 * HOUR,
    2 * DAY,
    4 * DAY,
    14 * DAY,
    60 * DAY,
];

/// From so many landmarks on nothing stands between them.
const ENOUGH: usize = 6;

/// Least distance of two labels' middles in a picture's units, so that they do not touch: the
/// widest, `500 ms`, takes some forty.
const ROOM: f64 = 52.0;

/// The library maps to whole numbers; these are so much finer than a picture's unit.
const GRAIN: i32 = 16;

/// One labelled value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where it lies in the picture.
    pub(super) at: f64,
    pub(super) label: String,
    /// A second line of the label.
    pub(super) below: Option<String>,
}

/// An axis of a picture.
pub(super) struct Axis {
    scale: Scale,
    values: Range<f64>,
    /// Where it begins and ends in the picture.
    place: (i32, i32),
    pub(super) ticks: Vec<Tick>,
}

enum Scale {
    Linear(RangedCoordf64),
    Log(LogCoord<f64>),
}

impl Axis {
    fn new(scale: Scale, values: Range<f64>, place: (i32, i32)) -> Self {
        Self { scale, values, place, ticks: Vec::new() }
    }

    fn linear(values: Range<f64>, place: (i32, i32)) -> Self {
        Self::new(Scale::Linear(values.clone().into()), values, place)
    }

    /// Counts from 0 to `most`.
    pub(super) fn counts(most: u64, place: (i32, i32), labels: usize) -> Self {
        let most = most.max(1);
        let mut axis = Self::linear(0.0..whole(most), place);
        let values: RangedCoordu64 = (0..most).into();
        axis.label(
            values
                .key_points(labels)
                .into_iter()
                .map(|count| (whole(count), crate::compare::count(count))),
        );
        axis
    }

    /// Shares from none to all.
    pub(super) fn shares(place: (i32, i32)) -> Self {
        let mut axis = Self::linear(0.0..1.0, place);
        axis.label(
            [0, 25, 50, 75, 100].map(|share| (f64::from(share) / 100.0, format!("{share} %"))),
        );
        axis
    }

    /// Durations in microseconds, evenly.
    pub(super) fn durations(micros: Range<i64>, place: (i32, i32), labels: usize) -> Self {
        let longest = micros.start.abs().max(micros.end.abs());
        // So that there are some units to label.
        let (unit, name) =
            UNITS.into_iter().find(|(unit, _)| longest >= 3 * unit).unwrap_or((MILLISECOND, "ms"));
        let in_units: RangedCoordf64 =
            (real(micros.start) / real(unit)..real(micros.end) / real(unit)).into();
        let mut axis = Self::linear(real(micros.start)..real(micros.end), place);
        let label = |value: f64| (value * real(unit), format!("{} {name}", number(value)));
        axis.label(in_units.key_points(labels).into_iter().map(label));
        axis
    }

    /// Durations in microseconds by powers: from the landmark below `micros` to the one
    /// above; what is shorter than a millisecond lies at its beginning.
    pub(super) fn powers(micros: Range<i64>, place: (i32, i32)) -> Self {
        let mut landmarks = inside(LANDMARKS.to_vec(), &micros);
        if landmarks.len() < ENOUGH {
            let mut all = [LANDMARKS.as_slice(), BETWEEN.as_slice()].concat();
            all.sort_unstable();
            landmarks = inside(all, &micros);
        }
        let ends = landmarks.first().zip(landmarks.last());
        let (first, last) = ends.map_or((MILLISECOND, SECOND), |(first, last)| (*first, *last));
        let (first, last) = (first.min(micros.start.max(MILLISECOND)), last.max(micros.end));
        let values = real(first)..real(last.max(first + 1));
        let mut axis = Self::new(Scale::Log(values.clone().log_scale().into()), values, place);
        let apart = axis.apart(landmarks);
        axis.label(apart.into_iter().map(|micros| (real(micros), brief(micros))));
        axis
    }

    /// Of `micros` those whose labels do not touch, landmarks first.
    fn apart(&self, mut micros: Vec<i64>) -> Vec<i64> {
        micros.sort_by_key(|mark| !LANDMARKS.contains(mark));
        let mut kept: Vec<i64> = Vec::new();
        for mark in micros {
            let is_apart =
                |other: &i64| (self.at_micros(*other) - self.at_micros(mark)).abs() >= ROOM;
            if kept.iter().all(is_apart) {
                kept.push(mark);
            }
        }
        kept.sort_unstable();
        kept
    }

    /// Instants, with the day below where it changes.
    pub(super) fn instants(times: Range<Timestamp>, place: (i32, i32), labels: usize) -> Self {
        let mut axis = Self::linear(real(times.start.micros())..real(times.end.micros()), place);
        let (Some(from), Some(until)) = (utc(times.start), utc(times.end)) else { return axis };
        let calendar: RangedDateTime<DateTime<Utc>> = (from..until).into();
        let mut day = None;
        let ticks = calendar.key_points(labels).into_iter().map(|time| {
            let is_new = day.replace(time.ordinal()) != Some(time.ordinal());
            let is_midnight = time.num_seconds_from_midnight() == 0;
            let date = time.format("%-d %b").to_string();
            let hour = time.format("%H:%M").to_string();
            (real(time.timestamp_micros()), hour, is_new.then_some(date), is_midnight)
        });
        let ticks: Vec<_> = ticks.collect();
        let is_by_day = ticks.iter().all(|(.., is_midnight)| *is_midnight);
        axis.ticks = ticks
            .into_iter()
            .map(|(value, hour, date, _)| {
                let at = axis.at(value);
                if is_by_day {
                    Tick { at, label: date.unwrap_or_default(), below: None }
                } else {
                    Tick { at, label: hour, below: date }
                }
            })
            .collect();
        axis
    }

    fn label(&mut self, values: impl IntoIterator<Item = (f64, String)>) {
        let ticks = values
            .into_iter()
            .filter(|(value, _)| (self.values.start..=self.values.end).contains(value));
        let ticks: Vec<Tick> =
            ticks.map(|(value, label)| Tick { at: self.at(value), label, below: None }).collect();
        self.ticks = ticks;
    }

    /// Where a value lies in the picture; those beyond an end lie there.
    pub(super) fn at(&self, value: f64) -> f64 {
        let limit = (self.place.0 * GRAIN, self.place.1 * GRAIN);
        let value = value.clamp(self.values.start, self.values.end);
        let mapped = match &self.scale {
            Scale::Linear(scale) => scale.map(&value, limit),
            Scale::Log(scale) => scale.map(&value, limit),
        };
        f64::from(mapped) / f64::from(GRAIN)
    }

    /// Where so many microseconds lie.
    pub(super) fn at_micros(&self, micros: i64) -> f64 {
        self.at(real(micros))
    }
}

/// The landmarks from the last one that is not above `micros` to the first one that is not
/// below.
fn inside(mut landmarks: Vec<i64>, micros: &Range<i64>) -> Vec<i64> {
    let first = landmarks.partition_point(|mark| *mark <= micros.start).saturating_sub(1);
    let last = landmarks.partition_point(|mark| *mark < micros.end);
    landmarks.truncate(last + 1);
    landmarks.drain(..first.min(landmarks.len()));
    landmarks
}

fn utc(time: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(time.micros())
}

/// `10 s`, `1.5 min`: in the largest unit of which it is one at least.
pub(super) fn brief(micros: i64) -> String {
    let size = micros.abs();
    let (unit, name) =
        UNITS.into_iter().find(|(unit, _)| size >= *unit).unwrap_or((MILLISECOND, "ms"));
    format!("{} {name}", number(real(micros) / real(unit)))
}

/// With two decimals at most, none of them a last 0.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "\u{2212}") }
}

/// As exact as a picture.
#[expect(clippy::cast_precision_loss, reason = "far finer than a picture's unit")]
pub(super) fn real(value: i64) -> f64 {
    value as f64
}

/// As exact as a picture.
#[expect(clippy::cast_precision_loss, reason = "far finer than a picture's unit")]
pub(super) fn whole(value: u64) -> f64 {
    value as f64
}
