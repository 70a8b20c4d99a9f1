//! A comparison as CSV: one line a figure, for spreadsheets.
//!
//! ```csv
//! source,from,until,figure,unit,n,value,low,high
//! production,2026-11-21T08:00:00.000Z,2026-11-22T08:00:00.000Z,push_first,share,1204,0.93,0.88,0.96
//! ```
//!
//! `n` is what the figure rests on; `low` and `high` are its 95 % interval, of latencies the
//! ends of their error bar. Empty is what the entries cannot carry. The entries themselves are
//! in `tailwater export --format csv`.

use crate::cli::compare::what_if;
use crate::cli::exit::Failure;
use crate::compare::{Comparison, Coverage, Interval, Latency, Lead, Share};

const HEADINGS: [&str; 9] =
    ["source", "from", "until", "figure", "unit", "n", "value", "low", "high"];

/// Figure, unit, n, value, low, high.
pub(super) type Line = [String; 6];

/// All lines, with headings.
pub(super) fn render(comparisons: &[Comparison]) -> Result<String, Failure> {
    let wrong = |error: ::csv::Error| anyhow::anyhow!("cannot write CSV: {error}");
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADINGS).map_err(wrong)?;
    for comparison in comparisons {
        let source = comparison.source.clone();
        let [from, until] = [comparison.period.from, comparison.period.until];
        let place = [source, from.to_rfc3339_millis(), until.to_rfc3339_millis()];
        for line in lines(comparison) {
            writer.write_record(place.iter().chain(&line)).map_err(wrong)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8(bytes).map_err(anyhow::Error::new)?)
}

fn lines(comparison: &Comparison) -> Vec<Line> {
    let Comparison { coverage, apart, push_cost, certainty, .. } = comparison;
    let mut lines = coverage_lines("", *coverage);
    lines.extend(coverage_lines("nudged_", apart.nudged));
    lines.extend(coverage_lines("batch_", apart.batch));
    lines.extend(coverage_lines("outside_", apart.outside));
    lines.push(share("missed_by_push", comparison.missed_by_push));
    lines.push(share("missed_by_poll", comparison.missed_by_poll));
    lines.extend(comparison.lead.iter().flat_map(lead_lines));
    lines.extend(latency_lines("poll", &comparison.poll_latency));
    lines.extend(latency_lines("push", &comparison.push_latency));
    lines.push(share("push_repeats", comparison.push_repeats));
    lines.push(share("poll_inversions", comparison.poll_inversions));
    lines.push(share("push_inversions", comparison.push_inversions));
    lines.push(number("compared", "entries", comparison.differences.compared));
    lines.push(number("differing", "entries", comparison.differences.differing));
    for found in &comparison.differences.fields {
        lines.push(number(&format!("differing {}", found.field), "entries", found.entries));
    }
    for cost in &comparison.poll_costs {
        let name = |figure: &str| format!("poll_{figure} {}", cost.tier);
        lines.push(number(&name("requests"), "requests", cost.requests));
        lines.push(number(&name("failed"), "requests", cost.failed));
        lines.push(number(&name("empty"), "requests", cost.empty));
        lines.push(number(&name("read"), "entries", cost.read));
        lines.push(number(&name("shown"), "entries", cost.shown));
        lines.push(number(&name("new"), "events", cost.new));
        lines.push(number(&name("bytes"), "bytes", cost.bytes));
    }
    lines.push(number("push_requests", "requests", push_cost.requests));
    lines.push(number("push_refused", "requests", push_cost.refused));
    lines.push(number("push_empty", "requests", push_cost.empty));
    lines.push(number("push_read", "events", push_cost.read));
    lines.push(number("push_shown", "events", push_cost.shown));
    lines.push(number("push_new", "events", push_cost.new));
    lines.push(number("push_bytes", "bytes", push_cost.bytes));
    let age = certainty.age_us.map(|age| age.to_string()).unwrap_or_default();
    lines.push(line("certainty_age", "us", None, age, None::<Interval<i64>>));
    lines.extend(what_if::lines(&comparison.what_if));
    lines
}

fn coverage_lines(prefix: &str, coverage: Coverage) -> Vec<Line> {
    let Coverage { both, poll_only, push_only, pending } = coverage;
    [("both", both), ("poll_only", poll_only), ("push_only", push_only), ("pending", pending)]
        .map(|(name, count)| number(&format!("{prefix}{name}"), "entries", count))
        .into()
}

fn lead_lines(lead: &Lead) -> Vec<Line> {
    let n = Some(lead.entries);
    let span = |name, value: i64, interval| line(name, "us", n, value.to_string(), interval);
    vec![
        share("push_first", lead.push_first),
        share("poll_first", lead.poll_first),
        span("lead_median", lead.median_us, lead.interval_us),
        span("lead_min", lead.min_us, None),
        span("lead_max", lead.max_us, None),
        number("lead_polls", "requests", lead.polls),
    ]
}

fn latency_lines(route: &str, latency: &Latency) -> Vec<Line> {
    let n = Some(latency.entries);
    let told = |name: String, ends: Option<Interval<i64>>| {
        let value = ends.map(|ends| ends.high.to_string()).unwrap_or_default();
        line(&name, "us", n, value, ends)
    };
    let percentiles = latency.percentiles.iter();
    percentiles
        .map(|found| told(format!("{route}_latency_p{}", found.per_mille / 10), found.latency_us))
        .chain([told(format!("{route}_latency_max"), latency.max_us)])
        .collect()
}

fn share(name: &str, share: Share) -> Line {
    let value = share.share.map(|share| share.to_string()).unwrap_or_default();
    line(name, "share", Some(share.of), value, share.interval)
}

fn number(name: &str, unit: &str, count: u64) -> Line {
    line(name, unit, None, count.to_string(), None::<Interval<u64>>)
}

pub(super) fn line<T: ToString>(
    name: &str,
    unit: &str,
    n: Option<u64>,
    value: String,
    interval: Option<Interval<T>>,
) -> Line {
    let n = n.map(|n| n.to_string()).unwrap_or_default();
    let [low, high] = interval
        .map(|Interval { low, high }| [low.to_string(), high.to_string()])
        .unwrap_or_default();
    [name.to_owned(), unit.to_owned(), n, value, low, high]
}
