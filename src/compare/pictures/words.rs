//! Sentences about a comparison that more than one picture needs.

use crate::compare::answer::counted;
use crate::compare::{Comparison, Coverage};

/// `1 entry`, `1,204 entries`.
pub(super) fn entries(number: u64) -> String {
    counted(number, "entry", "entries")
}

/// Why there is no entry that both routes showed.
pub(super) fn why_none_is_paired(comparison: &Comparison) -> String {
    let (coverage, set_apart) = (comparison.coverage, comparison.apart.entries());
    match coverage {
        _ if coverage.entries() == 0 && set_apart > 0 => format!(
            "Nothing to compare: {} of this period came in ways that must not be compared.",
            entries(set_apart)
        ),
        _ if coverage.entries() == 0 => "No entry was created in this period.".to_owned(),
        Coverage { poll_only: 0, push_only: 0, .. } => format!(
            "Nothing to compare yet: {} came by one route, and the other one still has time.",
            entries(coverage.pending)
        ),
        Coverage { push_only: 0, .. } => format!(
            "Nothing to compare: push showed none of the {} that polling showed.",
            entries(coverage.poll_only + coverage.pending)
        ),
        Coverage { poll_only: 0, .. } => format!(
            "Nothing to compare: polling showed none of the {} that push showed.",
            entries(coverage.push_only + coverage.pending)
        ),
        _ => "Nothing to compare: no entry was shown by both routes.".to_owned(),
    }
}
