//! What commands print: tables for people, JSON and CSV for programs.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// Width of a table that does not go to a terminal: wide enough that nothing is broken
/// into lines, which would disturb `grep`.
const PIPE_WIDTH: u16 = 400;

/// Standard output, buffered: a long listing is not one system call a line.
pub(super) fn out() -> BufWriter<Stdout> {
    BufWriter::new(stdout())
}

/// Prints rows as a table under `headings`; with none, says `nothing`.
pub(super) fn table(
    headings: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    nothing: &str,
) -> io::Result<()> {
    let mut table = filled(headings, rows);
    if !stdout().is_terminal() {
        table.set_width(PIPE_WIDTH);
    }
    let mut out = out();
    if table.row_count() == 0 {
        writeln!(out, "{nothing}")?;
    } else {
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    out.flush()
}

/// The lines of a table under `headings`, at most `width` characters each.
pub(super) fn lines(headings: &[&str], rows: Vec<Vec<String>>, width: u16) -> Vec<String> {
    let mut table = filled(headings, rows);
    table.set_width(width);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn filled(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings);
    table.add_rows(rows);
    table
}

/// Prints one JSON object a line.
pub(super) fn json_lines<T: Serialize>(rows: &[T]) -> io::Result<()> {
    let mut out = out();
    for row in rows {
        serde_json::to_writer(&mut out, row)?;
        writeln!(out)?;
    }
    out.flush()
}

/// An optional value, `-` where there is none.
pub(super) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}
