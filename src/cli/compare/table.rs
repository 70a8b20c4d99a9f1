//! A comparison for people: the answer first, within 80 columns.

use std::fmt::Write;

use crate::cli::compare::what_if;
use crate::cli::output;
use crate::compare::{
    Apart, Comparison, Coverage, Interval, Latency, Percentile, Share, count, percents, span,
};
use crate::storage::PollCost;

/// Columns, as terminals and mails have had them for ever.
const WIDTH: u16 = 80;

/// All comparisons, one below the other.
pub(super) fn render(comparisons: &[Comparison]) -> String {
    comparisons.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn one(comparison: &Comparison) -> String {
    let mut text = wrapped(&comparison.answer, "");
    let period = comparison.period;
    let _ = write!(
        text,
        "\n{}: entries created from {}\nuntil {}\n\n",
        comparison.source,
        period.from.to_rfc3339_secs(),
        period.until.to_rfc3339_secs(),
    );
    text += &grid(&["ENTRIES SHOWN BY", ""], coverage_rows(comparison));
    text.push('\n');
    text += &grid(&["", "POLLING", "PUSH"], route_rows(comparison));
    text.push('\n');
    text += &wrapped(&lead_text(comparison), "");
    text += &wrapped(&certainty_text(comparison), "");
    text += &differences_text(comparison);
    text.push('\n');
    text += &what_if::text(&comparison.what_if);
    for note in &comparison.notes {
        text += &wrapped(&format!("note: {note}"), "      ");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

pub(super) fn grid(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    output::lines(headings, rows, WIDTH).iter().fold(String::new(), |text, line| text + line + "\n")
}

/// `text` in lines of at most [`WIDTH`] characters, those after the first behind `indent`.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= usize::from(WIDTH)
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n") + "\n"
}

fn coverage_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let Coverage { both, poll_only, push_only, pending } = comparison.coverage;
    let Apart { nudged, batch, outside } = comparison.apart;
    let apart = [
        ("apart: polled because of a push", nudged),
        ("apart: pushed in a batch", batch),
        ("apart: pushed, outside of what is polled", outside),
    ];
    [
        ("both", both),
        ("polling alone: push missed them", poll_only),
        ("push alone: polling missed them", push_only),
        ("one, the other one may still", pending),
    ]
    .into_iter()
    .chain(
        apart
            .map(|(name, coverage)| (name, coverage.entries()))
            .into_iter()
            .filter(|(_, n)| *n > 0),
    )
    .map(|(name, entries)| vec![name.to_owned(), count(entries)])
    .collect()
}

fn route_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let first = comparison.lead.as_ref().map(|lead| (lead.poll_first, lead.push_first));
    let (poll_first, push_first) =
        first.map_or_else(Default::default, |(poll, push)| (percents(poll), percents(push)));
    let push = comparison.push_cost;
    let poll = total(&comparison.poll_costs);
    let row = |name: &str, poll: String, push: String| vec![name.to_owned(), poll, push];
    let mut rows = vec![
        row("first", or_dash(poll_first), or_dash(push_first)),
        row("missed", part(comparison.missed_by_poll), part(comparison.missed_by_push)),
    ];
    rows.extend(latency_rows(&comparison.poll_latency, &comparison.push_latency));
    rows.push(row(
        "after younger ones",
        part(comparison.poll_inversions),
        part(comparison.push_inversions),
    ));
    rows.push(row(
        "shown again",
        count(poll.read - poll.shown.min(poll.read)),
        part(comparison.push_repeats),
    ));
    rows.push(row("requests", count(poll.requests), count(push.requests)));
    let sweeps: u64 = sum(&comparison.poll_costs, |cost| {
        if ["hourly", "daily"].contains(&cost.tier.as_str()) { cost.requests } else { 0 }
    });
    rows.push(row("… of sweeps", count(sweeps), "-".to_owned()));
    rows.push(row("… failed, refused", count(poll.failed), count(push.refused)));
    rows.push(row("… that showed nothing new", count(poll.empty), count(push.empty)));
    rows.push(row("bytes", bytes(poll.bytes), bytes(push.bytes)));
    rows.push(row(
        "requests an entry",
        each(poll.requests, poll.shown),
        each(push.requests, push.shown),
    ));
    rows.push(row(
        "bytes an entry",
        per(poll.bytes, poll.shown).map_or_else(dash, bytes),
        per(push.bytes, push.shown).map_or_else(dash, bytes),
    ));
    rows
}

fn latency_rows(poll: &Latency, push: &Latency) -> Vec<Vec<String>> {
    let pairs = poll.percentiles.iter().zip(&push.percentiles);
    let mut rows: Vec<Vec<String>> = pairs
        .map(|(poll, push)| {
            let name = format!("p{} after creation", poll.per_mille / 10);
            vec![name, percentile(poll), percentile(push)]
        })
        .collect();
    if let (Some(poll), Some(push)) = (poll.max_us, push.max_us) {
        rows.push(vec!["longest after creation".to_owned(), ends(poll), ends(push)]);
    }
    rows
}

/// `13.4 s to 14.4 s`, or what it would take.
fn percentile(percentile: &Percentile) -> String {
    percentile.latency_us.map_or_else(|| format!("- (needs {})", count(percentile.needed)), ends)
}

/// Both ends of the error bar; the lower one is not below zero: nobody shows what is not
/// there yet.
fn ends(interval: Interval<i64>) -> String {
    let low = if interval.high >= 0 { interval.low.max(0) } else { interval.low };
    if low == interval.high {
        span(low)
    } else {
        format!("{} to {}", span(low), span(interval.high))
    }
}

fn lead_text(comparison: &Comparison) -> String {
    let Some(lead) = &comparison.lead else {
        return "No lead: no entry was shown by both routes.".to_owned();
    };
    let interval = match lead.interval_us {
        Some(Interval { low, high }) => format!("95 % interval {} to {}", span(low), span(high)),
        None => format!("no interval: it takes {} poll answers", lead.polls_needed),
    };
    format!(
        "Lead of push: median {} ({interval}), from {} to {}; over {} entries in {} poll answers.",
        span(lead.median_us),
        span(lead.min_us),
        span(lead.max_us),
        count(lead.entries),
        count(lead.polls),
    )
}

fn certainty_text(comparison: &Comparison) -> String {
    let certainty = comparison.certainty;
    let Some((age, below)) = certainty.age_us.zip(certainty.complete_below) else {
        return "Certainty: no complete scan yet.".to_owned();
    };
    format!(
        "Certainty: the last complete scan began {} ago; history is complete below {}.",
        span(age),
        below.to_rfc3339_secs()
    )
}

fn differences_text(comparison: &Comparison) -> String {
    let found = &comparison.differences;
    if found.differing == 0 {
        return wrapped(
            &format!("Fields: the same in all {} compared entries.", count(found.compared)),
            "",
        );
    }
    let fields: Vec<String> = found
        .fields
        .iter()
        .map(|field| format!("{} ({})", field.field, count(field.entries)))
        .collect();
    let text = format!(
        "Fields: {} of {} compared entries differ: {}.",
        count(found.differing),
        count(found.compared),
        fields.join(", ")
    );
    wrapped(&text, "        ")
}

/// `3, 0.2 % (0.1–0.7)`, `0 (< 0.25 %)`
fn part(share: Share) -> String {
    match share.count {
        0 => percents(share).replacen("0 %", "0", 1),
        number => format!("{}, {}", count(number), percents(share)),
    }
}

fn total(costs: &[PollCost]) -> PollCost {
    PollCost {
        tier: String::new(),
        requests: sum(costs, |cost| cost.requests),
        failed: sum(costs, |cost| cost.failed),
        empty: sum(costs, |cost| cost.empty),
        read: sum(costs, |cost| cost.read),
        shown: sum(costs, |cost| cost.shown),
        new: sum(costs, |cost| cost.new),
        bytes: sum(costs, |cost| cost.bytes),
    }
}

fn sum(costs: &[PollCost], of: impl Fn(&PollCost) -> u64) -> u64 {
    costs.iter().map(of).sum()
}

/// `0.8`, `12`; `-` where nothing was shown.
#[expect(clippy::cast_precision_loss, reason = "requests of a ledger are far below 2^52")]
fn each(requests: u64, shown: u64) -> String {
    if shown == 0 {
        return dash();
    }
    let each = requests as f64 / shown as f64;
    if each < 9.95 { format!("{each:.1}") } else { count(per(requests, shown).unwrap_or(0)) }
}

fn per(number: u64, shown: u64) -> Option<u64> {
    (number + shown / 2).checked_div(shown)
}

/// `912 B`, `1.4 MiB`
#[expect(clippy::cast_precision_loss, reason = "only one digit is told")]
pub(super) fn bytes(number: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64 / 1024.0;
    if number < 1024 {
        return format!("{number} B");
    }
    for unit in units {
        if value < 1023.95 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

fn dash() -> String {
    "-".to_owned()
}

fn or_dash(text: String) -> String {
    if text.is_empty() { dash() } else { text }
}
