//! Figures of this process: counted since it started, lost when it ends.
//!
//! Use this file for what only the running program knows: what it asked and answered, how
//! its parts fare, what it was built from. A figure that has to survive a restart belongs
//! into the ledger, and into `ledger.rs`.

use std::time::Duration;

use prometheus::proto::{Metric, MetricFamily};

use crate::admin::metrics::family::{Family, Kind, fact, families, number, seconds};
use crate::admin::readiness::{Now, is_polled};
use crate::admin::running::{Polled, Pushed, Running};
use crate::model::timestamp::Timestamp;

families! {
    /// Always 1; the labels tell what was built.
    BUILD_INFO: Gauge = "build_info";
    /// When the process began to run, in seconds since the Unix epoch.
    PROCESS_START: Gauge = "process_start_time_seconds";
    /// 1 while the configuration that was last read is refused, and an older one in use.
    CONFIG_REFUSED: Gauge = "config_refused";
    /// 1 if the source was polled within three intervals, as /readyz asks.
    READY: Gauge = "source_ready";
    /// Time since the last poll that read up to the present, or since polling began.
    POLL_AGE: Gauge = "source_poll_age_seconds";
    /// Polls by what they came to.
    POLLS: Counter = "source_polls_total";
    /// Requests to the audit log by what they came to.
    REQUESTS: Counter = "source_requests_total";
    /// Events stored for the first time, by the route that brought them first.
    NEW_EVENTS: Counter = "source_new_events_total";
    /// Life left to the access token in hand; 0 without one.
    TOKEN_LIFE: Gauge = "source_token_life_seconds";
    /// Requests to the source's webhook by the status of our answer.
    PUSHES: Counter = "source_pushes_total";
}

/// All of them at the moment `now`, of a process that began at `began_at`.
pub(super) fn families(running: &Running, began_at: Timestamp, now: Now) -> Vec<MetricFamily> {
    let version = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("TAILWATER_COMMIT"))];
    let began = began_at.since(Timestamp::default());
    vec![
        BUILD_INFO.of([BUILD_INFO.sample(version, 1.0)]),
        PROCESS_START.single(began.as_secs_f64()),
        CONFIG_REFUSED.single(fact(running.is_config_refused)),
        polled(READY, running, |poll| fact(is_polled(poll, now))),
        polled(POLL_AGE, running, |poll| {
            let fresh_at = poll.fresh_at.unwrap_or(poll.since);
            seconds(Some(now.uptime.saturating_sub(fresh_at)))
        }),
        counted(POLLS, running, |poll| &poll.polls),
        counted(REQUESTS, running, |poll| &poll.requests),
        NEW_EVENTS.of(new_events(running)),
        polled(TOKEN_LIFE, running, |poll| {
            let life = poll.token_dies_at.map(|dies_at| dies_at.saturating_sub(now.uptime));
            seconds(Some(life.unwrap_or(Duration::ZERO)))
        }),
        PUSHES.of(pushes(running)),
    ]
}

/// A figure of each source that is polled.
fn polled(family: Family, running: &Running, value: impl Fn(&Polled) -> f64) -> MetricFamily {
    family.of(running.sources.iter().filter_map(|source| {
        Some(family.sample([("source", &source.name)], value(source.poll.as_ref()?)))
    }))
}

/// Counts by outcome of each source that is polled.
fn counted(
    family: Family,
    running: &Running,
    counts: impl Fn(&Polled) -> &[(&'static str, u64)],
) -> MetricFamily {
    let mut samples = Vec::new();
    for source in &running.sources {
        for (outcome, count) in source.poll.iter().flat_map(&counts) {
            let labels = [("source", source.name.as_str()), ("outcome", outcome)];
            samples.push(family.sample(labels, number(*count)));
        }
    }
    family.of(samples)
}

fn new_events(running: &Running) -> impl Iterator<Item = Metric> {
    running.sources.iter().flat_map(|source| {
        let of = |route, count| {
            let labels = [("source", source.name.as_str()), ("route", route)];
            NEW_EVENTS.sample(labels, number(count))
        };
        let poll = source.poll.as_ref().map(|poll| of("poll", poll.new_events));
        let push = source.push.as_ref().map(|push| of("push", push.new_events));
        poll.into_iter().chain(push)
    })
}

fn pushes(running: &Running) -> impl Iterator<Item = Metric> {
    running.sources.iter().flat_map(|source| {
        let answers = source.push.iter().flat_map(|Pushed { answers, .. }| answers);
        answers.map(|(status, count)| {
            let labels = [("source", source.name.as_str()), ("status", &status.to_string())];
            PUSHES.sample(labels, number(*count))
        })
    })
}
