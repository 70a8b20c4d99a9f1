//! Each section's keys, bounds and defaults.
//!
//! A value that is wrong is told and replaced by its default, so that reading goes on
//! and every fault is found in one pass.

mod admin;
mod headers;
mod poll;
mod push;
mod receiver;
mod section;
mod services;
mod signing;
mod source;
mod target;

use std::collections::BTreeSet;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::config::read::admin::admin;
use crate::config::read::push::Paths;
use crate::config::read::receiver::receiver;
use crate::config::reader::Section;
use crate::config::sections::{Config, LogConfig, LogFormat, StorageConfig};
use crate::model::sweep::Sweep;

/// Each source has a poller with a client of its own, and they share one writer.
const SOURCES_MAX: usize = 64;

/// Each target has a worker with a client of its own, and every event gets a row for each.
const TARGETS_MAX: usize = 128;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// HPE keeps entries for three months (HPE developer portal, audit logs v1): an id that
/// is forgotten sooner could come back as new.
const API_RETENTION: Duration = Duration::from_hours(93 * 24);

/// Reads the whole file; `None` only when a fault has been told.
pub(super) fn config(mut root: Section<'_>) -> Option<Config> {
    let storage = storage(root.section("storage", "[storage]"));
    let (section, is_receiving) = root.optional_section("receiver", "[receiver]");
    let receiver = receiver(section, is_receiving);
    let (section, has_admin) = root.optional_section("admin", "[admin]");
    let admin = admin(section, has_admin, receiver.as_ref());
    let mut paths = Paths::new(is_receiving);
    let mut source_names = BTreeSet::new();
    let sections = tables(&mut root, "source", SOURCES_MAX);
    if sections.as_ref().is_some_and(Vec::is_empty) {
        root.fault("source", "there is none", "write at least one [[source]]");
    }
    let sources: Vec<_> = sections
        .unwrap_or_default()
        .into_iter()
        .map(|section| source::source(section, &mut source_names, &mut paths))
        .collect();
    if is_receiving && paths.is_empty() {
        root.fault(
            "receiver",
            "has nothing to receive: no source has a webhook",
            "write a [source.push], or leave [receiver] out",
        );
    }
    let mut target_names = BTreeSet::new();
    let sections = tables(&mut root, "target", TARGETS_MAX);
    if sections.as_ref().is_some_and(Vec::is_empty) {
        root.warn(
            "target",
            "there is none: history is kept and nothing is delivered",
            "write a [[target]]",
        );
    }
    let targets: Vec<_> = sections
        .unwrap_or_default()
        .into_iter()
        .map(|section| target::target(section, &source_names, &mut target_names))
        .collect();
    let log = log(root.section("log", "[log]"));
    root.finish();
    Some(Config {
        storage,
        sources: sources.into_iter().collect::<Option<_>>()?,
        targets: targets.into_iter().collect::<Option<_>>()?,
        receiver,
        admin,
        log,
    })
}

/// A day more than the deepest sweep reads again: what is pruned must not be shown anew.
const KEEP_MIN: Duration =
    DAY.saturating_add(Duration::from_secs(Sweep::DAILY.reach_secs.unsigned_abs()));

/// `[storage]`.
pub(super) fn storage(mut section: Section<'_>) -> StorageConfig {
    let path = section.find("path").and_then(|field| field.path("\"tailwater.db\""));
    let keep = section.duration("keep", 100 * DAY, &(KEEP_MIN..=3_650 * DAY));
    let min_free = section.find("min_free");
    let min_free = min_free.and_then(|field| field.size(&(0..=1 << 50), "64MiB"));
    if keep < API_RETENTION {
        section.warn(
            "keep",
            "is shorter than the three months for which HPE keeps entries, so that an old one could come back as new",
            "write 100d or more",
        );
    }
    section.finish();
    StorageConfig {
        path: path.unwrap_or_else(|| "tailwater.db".into()),
        keep,
        min_free: min_free.unwrap_or(64 << 20),
    }
}

fn log(mut section: Section<'_>) -> LogConfig {
    let format = section.choice("format", LogFormat::Auto, &[]);
    let filter = section.find("filter").and_then(|field| {
        let text = field.filled("\"info\"")?;
        match EnvFilter::builder().parse(text) {
            Ok(_) => Some(text.to_owned()),
            Err(error) => field.fault(
                format!("is not a filter: {error}"),
                "write for example \"info\" or \"info,tailwater::poll=debug\"",
            ),
        }
    });
    section.finish();
    LogConfig { format, filter: filter.unwrap_or_else(|| "info".to_owned()) }
}

/// The tables under `key`; told when there are too many.
fn tables<'a>(root: &mut Section<'a>, key: &'static str, max: usize) -> Option<Vec<Section<'a>>> {
    let sections = root.sections(key)?;
    if sections.len() > max {
        let what = format!("there are {} of them", sections.len());
        root.fault(key, what, format!("write {max} at most"));
    }
    Some(sections)
}
