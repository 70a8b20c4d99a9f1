//! `/metrics`: Prometheus' text format, every name with the prefix `tailwater_`.
//!
//! All of it is made anew for each scrape from what is known elsewhere, so nothing has to
//! be registered, kept in step or cleaned up, and a label that has drained shows 0. Labels
//! are names of the configuration and words of the program: their number is bounded.
//!
//! To add one: a figure of this process goes into [`instance`], one that the ledger keeps
//! into [`ledger`]; then a row in `docs/metrics.md`, which a test compares.

mod family;
mod instance;
mod ledger;

use prometheus::TextEncoder;

use crate::admin::desk::Desk;
use crate::admin::readiness::Now;

/// Prometheus' text format (prometheus.io, "Exposition formats").
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything, as a scrape gets it.
pub(super) async fn text(desk: &Desk) -> String {
    let running = (desk.look)();
    let figures = desk.figures().await;
    let now = Now { at: desk.clock.now(), uptime: desk.clock.uptime() };
    let mut families = instance::families(&running, desk.began_at, now);
    families.extend(ledger::families(&running, figures.as_deref(), now.at));
    // One without samples is left out: the format has no empty ones.
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
        tracing::error!(%error, "the metrics could not be written");
        String::new()
    })
}

#[cfg(test)]
mod tests;
