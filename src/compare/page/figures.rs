//! The figures of a comparison as tables.

use crate::compare::pictures::Table;
use crate::compare::{Comparison, Interval, Latency, Percentile, Share, count, percents, span};

/// All tables, with what stands over them; those without a row are left out by the page.
pub(super) fn tables(comparison: &Comparison) -> Vec<(&'static str, Table)> {
    vec![
        ("Who showed the entries", shown(comparison)),
        (
            "How long after the creation, over the entries that both routes showed",
            latencies(comparison),
        ),
        ("What it cost", costs(comparison)),
        ("Fields that the routes tell differently", differences(comparison)),
    ]
}

fn shown(comparison: &Comparison) -> Table {
    let mut rows = vec![
        vec!["shown by both".to_owned(), count(comparison.coverage.both)],
        vec![
            "pending: shown by one, and the other still has time".to_owned(),
            count(comparison.coverage.pending),
        ],
        vec!["missed by push".to_owned(), share(&comparison.missed_by_push)],
        vec!["missed by polling".to_owned(), share(&comparison.missed_by_poll)],
    ];
    if let Some(lead) = &comparison.lead {
        rows.push(vec!["push first".to_owned(), share(&lead.push_first)]);
        rows.push(vec!["polling first".to_owned(), share(&lead.poll_first)]);
    }
    rows.extend([
        vec!["pushed more than once".to_owned(), share(&comparison.push_repeats)],
        vec!["polled after younger ones".to_owned(), share(&comparison.poll_inversions)],
        vec!["pushed after younger ones".to_owned(), share(&comparison.push_inversions)],
    ]);
    let apart = comparison.apart;
    for (name, coverage) in [
        ("polled because of a push", apart.nudged),
        ("pushed in a batch", apart.batch),
        ("outside of what is polled", apart.outside),
    ] {
        if coverage.entries() > 0 {
            rows.push(vec![format!("{name}: not compared"), count(coverage.entries())]);
        }
    }
    let since =
        comparison.certainty.complete_below.map_or_else(|| "-".to_owned(), |at| at.to_string());
    rows.push(vec!["history is complete below".to_owned(), since]);
    Table { headings: vec!["figure", "entries"], rows }
}

fn latencies(comparison: &Comparison) -> Table {
    let routes = [("push", &comparison.push_latency), ("polling", &comparison.poll_latency)];
    if routes.iter().all(|(_, latency)| latency.entries == 0) {
        return Table::default();
    }
    let rows = routes.map(|(name, latency)| {
        let mut row = vec![name.to_owned()];
        row.extend([500, 900, 950, 990].map(|per_mille| percentile(latency, per_mille)));
        row.push(ends(latency.max_us));
        row
    });
    Table { headings: vec!["route", "p50", "p90", "p95", "p99", "longest"], rows: rows.to_vec() }
}

fn percentile(latency: &Latency, per_mille: u32) -> String {
    match latency.percentiles.iter().find(|percentile| percentile.per_mille == per_mille) {
        Some(Percentile { latency_us: Some(latency), .. }) => ends(Some(*latency)),
        Some(Percentile { needed, .. }) => format!("takes {} entries", count(*needed)),
        None => "-".to_owned(),
    }
}

/// Both ends of an error bar; one number where they are the same.
fn ends(ends: Option<Interval<i64>>) -> String {
    match ends {
        None => "-".to_owned(),
        Some(Interval { low, high }) if low == high => span(low),
        Some(Interval { low, high }) => format!("{} to {}", span(low), span(high)),
    }
}

/// `3 of 1,204: 0.2 % (0.1–0.7)`.
fn share(share: &Share) -> String {
    format!("{} of {}: {}", count(share.count), count(share.of), percents(*share))
}

fn costs(comparison: &Comparison) -> Table {
    let polls = comparison.poll_costs.iter().map(|cost| {
        let numbers = [cost.requests, cost.failed, cost.empty, cost.read, cost.new, cost.bytes];
        (format!("polling, {}", cost.tier), numbers)
    });
    let push = comparison.push_cost;
    let pushed = [push.requests, push.refused, push.empty, push.read, push.new, push.bytes];
    let rows = polls.chain([("push".to_owned(), pushed)]).map(|(name, numbers)| {
        let mut row = vec![name];
        row.extend(numbers.map(count));
        row
    });
    let headings = vec![
        "route",
        "requests",
        "failed or refused",
        "without news",
        "entries read",
        "new events",
        "bytes",
    ];
    Table { headings, rows: rows.collect() }
}

fn differences(comparison: &Comparison) -> Table {
    let fields = comparison.differences.fields.iter();
    let rows = fields.map(|field| vec![field.field.clone(), count(field.entries)]).collect();
    Table { headings: vec!["field", "entries"], rows }
}
