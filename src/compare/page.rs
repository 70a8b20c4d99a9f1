//! The comparison as one file that needs no other: a page, or an image of its pictures.
//!
//! Everything from outside is escaped by the templates; the page's own rule (its
//! Content-Security-Policy) lets it run no script and load nothing, should one ever fail to.

mod figures;
mod sheet;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::compare::Comparison;
use crate::compare::pictures::{Mark, Picture, Table, draw};

pub use sheet::svg;

/// The looks of the pictures.
const PICTURES: &str = include_str!("../../templates/compare/pictures.css");

/// … and of the page around them.
const STYLE: &str = concat!(
    include_str!("../../templates/compare/pictures.css"),
    include_str!("../../templates/compare/page.css")
);

/// What stands over a page or an image.
const TITLE: &str = "Polling against push";

#[derive(Template)]
#[template(path = "compare/page.html")]
struct Page<'a> {
    title: &'static str,
    style: &'static str,
    /// The only style that the page's rule lets it have.
    style_digest: String,
    /// Of the headings with the answers.
    level: u8,
    sources: Vec<Source<'a>>,
}

/// One source's part of the page.
struct Source<'a> {
    /// In names of parts, which are one of their kind on the page.
    number: usize,
    comparison: &'a Comparison,
    pictures: [Picture; 5],
    /// What HPE's loop would have missed; empty when there is nothing to tell.
    published: String,
    tables: Vec<(&'static str, Table)>,
}

/// A page with the answer of each comparison, its pictures and its figures.
///
/// One file of HTML: no script, nothing from elsewhere.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
pub fn html(comparisons: &[Comparison]) -> String {
    let sources = comparisons.iter().zip(1..).map(|(comparison, number)| Source {
        number,
        comparison,
        pictures: draw(comparison),
        published: comparison.what_if.published.map_or_else(String::new, |told| told.to_string()),
        tables: figures::tables(comparison),
    });
    let page = Page {
        title: TITLE,
        style: STYLE,
        style_digest: STANDARD.encode(Sha256::digest(STYLE)),
        level: if comparisons.len() == 1 { 1 } else { 2 },
        sources: sources.collect(),
    };
    page.render().expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests;
