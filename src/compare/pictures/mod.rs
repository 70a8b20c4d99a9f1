//! The five pictures of a comparison, each with its data as a table.
//!
//! Scales and ticks are the library's (`axis`); what is drawn is kept as marks with the
//! names of styles, so that one drawing serves light, dark and print, on the page and in an
//! image. Nothing rests on colour alone: a route has its line, its marker or its hatching
//! as well, and stands beside it by name.

mod axis;
mod course;
mod coverage;
mod drawing;
mod latency;
mod lead;
mod thinning;
mod words;

use crate::compare::Comparison;

pub use drawing::{Anchor, Drawing, Mark};

/// One picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its name, of small letters; one of its kind in a comparison.
    pub name: &'static str,
    /// What it shows, in some words.
    pub title: &'static str,
    /// What is to be seen in it, in sentences; without a drawing, why there is none.
    pub says: String,
    /// `None` when there is nothing to draw.
    pub drawing: Option<Drawing>,
    /// What is drawn; without a row when there is nothing to draw.
    pub table: Table,
}

/// A picture's data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Above the columns; the first column names its row.
    pub headings: Vec<&'static str>,
    /// A cell for each heading.
    pub rows: Vec<Vec<String>>,
}

/// Draws the pictures, always all of them and in the same order.
#[must_use]
pub fn draw(comparison: &Comparison) -> [Picture; 5] {
    [
        latency::draw(comparison),
        lead::draw(comparison),
        course::draw(comparison),
        coverage::draw(comparison),
        thinning::draw(comparison),
    ]
}

#[cfg(test)]
pub(in crate::compare) mod tests;
