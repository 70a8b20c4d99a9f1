//! The client that a source is polled by.

use anyhow::Context;

use crate::config::SourceConfig;
use crate::greenlake::AuditLog;
use crate::model::clock::Clock;

/// Requests a minute that a poller may send to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBudget {
    /// What HPE allows, with room to spare.
    Documented,
    /// As many as it likes: for a simulator on this machine.
    Unlimited,
}

/// The client of a source.
///
/// # Errors
/// When its proxy or CA file cannot be used.
pub fn audit_log(
    source: &SourceConfig,
    clock: &Clock,
    budget: RequestBudget,
) -> anyhow::Result<AuditLog> {
    let log = AuditLog::new(source, clock.clone())
        .with_context(|| format!("source {:?}", source.name))?;
    Ok(match budget {
        RequestBudget::Documented => log,
        RequestBudget::Unlimited => log.with_budget(None),
    })
}
