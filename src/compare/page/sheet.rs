//! The pictures of comparisons as one image, under each other.

use askama::Template;

use crate::compare::Comparison;
use crate::compare::page::{PICTURES, TITLE};
use crate::compare::pictures::{Mark, Picture, draw};

const MARGIN: i32 = 24;

/// Wide enough for a picture between two margins.
const WIDTH: i32 = 688;

/// Letters in a line of words, about, by their looks; SVG breaks no lines by itself.
const LETTERS: [(&str, usize); 2] = [("direct", 66), ("label", 86)];

const LINE_HEIGHT: i32 = 21;

#[derive(Template)]
#[template(path = "compare/sheet.svg")]
struct Sheet<'a> {
    title: &'static str,
    desc: String,
    style: &'static str,
    width: i32,
    height: i32,
    margin: i32,
    /// Where they stand, their looks, and the words.
    lines: Vec<(i32, &'static str, String)>,
    drawings: Vec<(i32, &'a Picture)>,
}

/// An image with the answer of each comparison and its pictures below it.
///
/// One file of SVG: no script, nothing from elsewhere.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
pub fn svg(comparisons: &[Comparison]) -> String {
    let pictures: Vec<[Picture; 5]> = comparisons.iter().map(draw).collect();
    let mut sheet = Sheet {
        title: TITLE,
        desc: comparisons.iter().map(|one| one.answer.as_str()).collect::<Vec<_>>().join(" "),
        style: PICTURES,
        width: WIDTH,
        height: MARGIN,
        margin: MARGIN,
        lines: Vec::new(),
        drawings: Vec::new(),
    };
    for (comparison, pictures) in comparisons.iter().zip(&pictures) {
        sheet.write("direct", &comparison.answer);
        let period = comparison.period;
        sheet.write(
            "label",
            &format!(
                "Source {}, from {} until {}",
                comparison.source,
                period.from.to_rfc3339_secs(),
                period.until.to_rfc3339_secs()
            ),
        );
        for picture in pictures {
            sheet.height += LINE_HEIGHT;
            sheet.write("direct", picture.title);
            sheet.write("label", &picture.says);
            if let Some(drawing) = &picture.drawing {
                sheet.drawings.push((sheet.height, picture));
                sheet.height += drawing.height;
            }
        }
        sheet.height += LINE_HEIGHT;
    }
    sheet.render().expect("writing to memory does not fail")
}

impl Sheet<'_> {
    /// Puts words below what is there, in as many lines as it takes.
    fn write(&mut self, style: &'static str, words: &str) {
        let letters = LETTERS.iter().find(|(name, _)| *name == style).map_or(60, |(_, most)| *most);
        for line in broken(words, letters) {
            self.height += LINE_HEIGHT;
            self.lines.push((self.height - LINE_HEIGHT / 4, style, line));
        }
    }
}

/// Words in lines of at most so many letters; a longer word has a line of its own.
fn broken(words: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
