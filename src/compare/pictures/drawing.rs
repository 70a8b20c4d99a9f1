//! What a picture is made of: lines, bars and words, with the names of their styles.

use std::fmt::Write;

use crate::compare::pictures::axis::{Axis, Tick};

/// Width of every picture, in units of its own: those of the letters in it.
pub(super) const WIDTH: i32 = 640;

/// Where the plot begins and ends from left to right: labels stand to its left.
pub(super) const LEFT: i32 = 66;
pub(super) const RIGHT: i32 = WIDTH - 22;

/// Height of a tick's mark, and distances of the lines of words below it.
const TICK: f64 = 5.0;
const LABEL: f64 = 19.0;
const SECOND_LABEL: f64 = 35.0;

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its first letter.
    Start,
    /// Its middle.
    Middle,
    /// Its last letter.
    End,
}

impl Anchor {
    /// The value of SVG's `text-anchor`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// One thing that is drawn; `style` names its looks, and what is hidden is drawn first.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A line or a shape.
    Path {
        /// Its looks.
        style: &'static str,
        /// Where it runs, as SVG's `d`.
        run: String,
    },
    /// A rectangle.
    Bar {
        /// Its looks.
        style: &'static str,
        /// Left edge.
        x: f64,
        /// Upper edge.
        y: f64,
        /// From there to the right.
        width: f64,
        /// From there down.
        height: f64,
    },
    /// A line of words.
    Text {
        /// Its looks.
        style: &'static str,
        /// Where it stands from the left.
        x: f64,
        /// Where its letters stand from the top.
        y: f64,
        /// Which end of it stands there.
        anchor: Anchor,
        /// The words.
        words: String,
    },
}

/// The form of a point that is to be found on a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
}

/// What is drawn of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Its width.
    pub width: i32,
    /// Its height.
    pub height: i32,
    /// What is in it, from back to front.
    pub marks: Vec<Mark>,
}

impl Drawing {
    pub(super) const fn new(height: i32) -> Self {
        Self { width: WIDTH, height, marks: Vec::new() }
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, style: &'static str, points: &[(f64, f64)]) {
        let mut run = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            let _ = write!(run, "{step}{x:.1} {y:.1}");
        }
        self.marks.push(Mark::Path { style, run });
    }

    pub(super) fn bar(&mut self, style: &'static str, (x, y): (f64, f64), size: (f64, f64)) {
        let (width, height) = (tenths(size.0), tenths(size.1));
        self.marks.push(Mark::Bar { style, x: tenths(x), y: tenths(y), width, height });
    }

    pub(super) fn text(
        &mut self,
        style: &'static str,
        (x, y): (f64, f64),
        anchor: Anchor,
        words: impl Into<String>,
    ) {
        let words = words.into();
        self.marks.push(Mark::Text { style, x: tenths(x), y: tenths(y), anchor, words });
    }

    pub(super) fn point(&mut self, style: &'static str, shape: Shape, (x, y): (f64, f64)) {
        let run = match shape {
            Shape::Circle => {
                format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z", x - 5.0)
            }
            Shape::Square => format!("M{:.1} {:.1}h9v9h-9Z", x - 4.5, y - 4.5),
            Shape::Triangle => format!("M{x:.1} {:.1}l6 10h-12Z", y - 6.0),
        };
        self.marks.push(Mark::Path { style, run });
    }

    /// Ticks and their labels below `y`, from the plot's left to its right, and what they
    /// measure below them.
    pub(super) fn axis_below(&mut self, axis: &Axis, y: i32, name: &str) {
        let y = f64::from(y);
        self.line("axis", &[(f64::from(LEFT), y), (f64::from(RIGHT), y)]);
        let has_second_line = axis.ticks.iter().any(|tick| tick.below.is_some());
        for Tick { at, label, below } in &axis.ticks {
            self.line("axis", &[(*at, y), (*at, y + TICK)]);
            self.text("label", (*at, y + LABEL), Anchor::Middle, label.clone());
            if let Some(below) = below {
                self.text("label", (*at, y + SECOND_LABEL), Anchor::Middle, below.clone());
            }
        }
        let depth = if has_second_line { SECOND_LABEL + 20.0 } else { LABEL + 20.0 };
        self.text("name", (f64::from(RIGHT), y + depth), Anchor::End, name);
    }

    /// Lines across the plot with their labels left of it, and above them what they measure.
    pub(super) fn axis_left(&mut self, axis: &Axis, top: i32, name: &str) {
        for Tick { at, label, .. } in &axis.ticks {
            self.line("grid", &[(f64::from(LEFT), *at), (f64::from(RIGHT), *at)]);
            self.text("label", (f64::from(LEFT) - 8.0, at + 4.5), Anchor::End, label.clone());
        }
        self.text("name", (4.0, f64::from(top) - 12.0), Anchor::Start, name);
    }
}

/// As exact as the eye.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
