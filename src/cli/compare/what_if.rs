//! What other ways of polling would have come to, for people and for spreadsheets.

use crate::cli::compare::csv::{Line, line};
use crate::cli::compare::table::{bytes, grid, wrapped};
use crate::compare::what_if::{Missed, Spread, Thinned, WhatIf};
use crate::compare::{Interval, count, span};

/// A row for each interval, and a paragraph about HPE's loop; empty when nothing is known.
pub(super) fn text(what_if: &WhatIf) -> String {
    let mut text = String::new();
    if let Some(interval) = what_if.interval_us.filter(|_| what_if.thinned.len() > 1) {
        let headings =
            ["IF POLLED EVERY", "LATER BY", "HALF WITHIN", "95 OF 100 WITHIN", "REQUESTS", "BYTES"];
        let rows = what_if.thinned.iter().map(|thinned| row(thinned, interval));
        text += &grid(&headings, rows.collect());
    }
    if let Some(published) = &what_if.published {
        text += &wrapped(&published.to_string(), "");
    }
    text
}

fn row(thinned: &Thinned, interval: i64) -> Vec<String> {
    let factor = i64::try_from(thinned.factor).unwrap_or(i64::MAX);
    let mean = |spread: Option<Spread>| match spread {
        Some(Spread { mean: 0, .. }) | None => "-".to_owned(),
        Some(spread) => span(spread.mean),
    };
    vec![
        span(interval.saturating_mul(factor)),
        mean(thinned.later_us),
        mean(thinned.median_us),
        mean(thinned.p95_us),
        count(thinned.requests),
        bytes(thinned.bytes),
    ]
}

/// `low` and `high` are the best and the worst choice of which poll is the first; of what
/// HPE's loop would have missed, both ends of what is known.
pub(super) fn lines(what_if: &WhatIf) -> Vec<Line> {
    let mut lines = Vec::new();
    for thinned in &what_if.thinned {
        let name = |figure: &str| format!("every_{}_{figure}", thinned.factor);
        let n = Some(thinned.entries);
        for (figure, spread) in
            [("later", thinned.later_us), ("p50", thinned.median_us), ("p95", thinned.p95_us)]
        {
            let value = spread.map(|spread| spread.mean.to_string()).unwrap_or_default();
            let ends = spread.map(|spread| Interval { low: spread.least, high: spread.most });
            lines.push(line(&name(figure), "us", n, value, ends));
        }
        for (figure, unit, value) in
            [("requests", "requests", thinned.requests), ("bytes", "bytes", thinned.bytes)]
        {
            let value = value.to_string();
            lines.push(line(&name(figure), unit, None, value, None::<Interval<u64>>));
        }
    }
    if let Some(published) = &what_if.published {
        let missed = [("missed", published.missed), ("crowded_out", published.crowded_out)];
        for (figure, Missed { at_least, at_most }) in missed {
            let ends = Some(Interval { low: at_least, high: at_most });
            let name = format!("published_loop_{figure}");
            lines.push(line(&name, "entries", Some(published.entries), String::new(), ends));
        }
    }
    lines
}
