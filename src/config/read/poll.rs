//! `[source.poll]`.

use std::time::Duration;

use crate::config::document::Kind;
use crate::config::field::{Field, quoted};
use crate::config::quantity::parse_duration;
use crate::config::read::{API_RETENTION, DAY, HOUR, MINUTE};
use crate::config::reader::Section;
use crate::config::schedule::parse_cron;
use crate::config::sections::{Overlap, PollConfig, Schedule, Start};
use crate::model::timestamp::Timestamp;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(30);
const OVERLAP: Duration = Duration::from_mins(15);
const TIMEOUT: Duration = Duration::from_secs(30);

/// HPE answers 400 to more (HPE developer portal, audit logs v1, `limit`).
const PAGE_LIMIT: u32 = 2000;

/// Below this, entries that become visible late are seen only by luck.
const OVERLAP_ADVISED: Duration = Duration::from_mins(2);

const START_FORMS: &str =
    "write \"now\", a duration back such as \"24h\", or \"2026-01-31T00:00:00Z\"";

/// Reads how a source is polled.
pub(super) fn poll(mut section: Section<'_>) -> PollConfig {
    let enabled = section.flag("enabled", true);
    let schedule = schedule(&mut section);
    let jitter = section.duration("jitter", Duration::ZERO, &(Duration::ZERO..=HOUR));
    let overlap = overlap(&mut section);
    let start = section.find("start").and_then(|field| start(&field)).unwrap_or(Start::Now);
    let page_limit = section.integer("page_limit", PAGE_LIMIT, &(1..=PAGE_LIMIT));
    let timeout = section.duration("timeout", TIMEOUT, &(SECOND..=10 * MINUTE));
    if let Schedule::Interval(interval) = schedule {
        if timeout > interval {
            section.warn(
                "timeout",
                "is longer than interval: one slow answer delays polls",
                "write a longer interval or a shorter timeout",
            );
        }
        if jitter > interval {
            section.warn("jitter", "is longer than interval", "write a shorter one");
        }
    }
    if matches!(overlap, Overlap::Fixed(overlap) if overlap < OVERLAP_ADVISED) {
        section.warn(
            "overlap",
            "is below 2m: entries that become visible later wait for the hourly sweep",
            "write \"15m\" or \"auto\"",
        );
    }
    section.finish();
    PollConfig { enabled, schedule, jitter, overlap, start, page_limit, timeout }
}

fn schedule(section: &mut Section<'_>) -> Schedule {
    let has_interval = section.find("interval").is_some();
    let interval = section.duration("interval", INTERVAL, &(SECOND..=DAY));
    let Some(field) = section.find("cron") else { return Schedule::Interval(interval) };
    if has_interval {
        field.tell(
            "stands beside interval, and only one can say when polls are due",
            "leave one out",
        );
    }
    cron(&field).map_or(Schedule::Interval(interval), Schedule::Cron)
}

/// A line that tokio-cron-scheduler takes too.
fn cron(field: &Field<'_>) -> Option<String> {
    let example = "\"*/30 * * * * *\"";
    let text = field.filled(example)?.trim();
    if text.split_whitespace().count() == 5 {
        return field.fault(
            format!("{} has five fields, and seconds come first here", quoted(text)),
            format!("put \"0 \" in front: {:?}", format!("0 {text}")),
        );
    }
    match parse_cron(text) {
        Ok(_) => Some(text.to_owned()),
        Err(error) => field.fault(
            format!(
                "{} is not a cron line: {}",
                quoted(text),
                error.to_string().trim_end_matches('.')
            ),
            format!("write six or seven fields, seconds first, UTC, for example {example}"),
        ),
    }
}

fn overlap(section: &mut Section<'_>) -> Overlap {
    let Some(field) = section.find("overlap") else { return Overlap::Fixed(OVERLAP) };
    if matches!(&field.node.kind, Kind::Text(text) if text == "auto") {
        return Overlap::Auto;
    }
    Overlap::Fixed(field.duration(&(Duration::ZERO..=7 * DAY), "15m").unwrap_or(OVERLAP))
}

fn start(field: &Field<'_>) -> Option<Start> {
    let text = match (&field.node.kind, &field.node.raw) {
        (Kind::Instant(text) | Kind::Text(text), _) | (_, Some(text)) => text.trim(),
        (kind, None) => return field.fault(format!("is {}", kind.name()), START_FORMS),
    };
    if text == "now" {
        return Some(Start::Now);
    }
    if let Some(back) = parse_duration(text) {
        if back > API_RETENTION {
            field.warn(
                "goes further back than the three months for which HPE keeps entries",
                "write 93d at most",
            );
        }
        return Some(Start::Back(back));
    }
    match Timestamp::parse_rfc3339(text) {
        Some(at) => Some(Start::At(at)),
        None => field.fault(format!("{} is not a start", quoted(text)), START_FORMS),
    }
}
