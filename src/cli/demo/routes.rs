//! What either route has shown: counted, and told in a sentence. Pure.

use std::time::Duration;

use crate::cli::demo::audit::{P50_MIN, Stored};
use crate::cli::demo::closing::shown;

/// Which routes have shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Poll,
    Push,
    Both {
        /// By how much push was first; negative: poll was.
        lead_ms: i64,
    },
}

/// What either route has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Routes {
    pub(super) both: u64,
    pub(super) poll_alone: u64,
    pub(super) push_alone: u64,
    /// Of those by both: how many push has shown first.
    pub(super) push_first: u64,
    pub(super) poll_first: u64,
    /// By how much push was first, in the middle; negative: poll was.
    pub(super) lead_ms: Option<i64>,
    /// Entries that were to be pushed; `None`: some were still on their way.
    pub(super) to_push: Option<u64>,
}

impl Routes {
    /// Counts `stored`, of which `to_push` were to come by push.
    pub(super) fn of(stored: &[Stored], to_push: Option<u64>) -> Self {
        let (mut routes, mut leads) = (Self { to_push, ..Self::default() }, Vec::new());
        for stored in stored {
            match stored.by {
                By::Poll => routes.poll_alone += 1,
                By::Push => routes.push_alone += 1,
                By::Both { lead_ms } => {
                    routes.both += 1;
                    routes.push_first += u64::from(lead_ms > 0);
                    routes.poll_first += u64::from(lead_ms < 0);
                    leads.push(lead_ms);
                }
            }
        }
        leads.sort_unstable();
        let middle = leads.get(leads.len().saturating_sub(1) / 2).copied();
        routes.lead_ms = middle.filter(|_| routes.both >= P50_MIN);
        routes
    }

    /// Whether polling has shown everything, and push all that was sent.
    pub(super) fn is_clean(&self) -> bool {
        self.push_alone == 0 && self.to_push.is_none_or(|count| count == self.both)
    }

    /// Who was first, and by how much, in a sentence.
    pub(super) fn sentence(&self) -> Option<String> {
        let lead = self.lead_ms?;
        let (who, count) = match lead {
            0.. => ("Push", self.push_first),
            _ => ("Polling", self.poll_first),
        };
        let both = self.both;
        // Both are at most the number of entries that fit into memory.
        #[expect(clippy::cast_precision_loss, reason = "a share, rounded to a hundredth anyway")]
        let share = (count as f64 * 100.0 / both as f64).round();
        let by = shown(Some(Duration::from_millis(lead.unsigned_abs())));
        Some(format!(
            "{who} was first for {share} % of {both}, by a median of {by}; polling alone saw {}.",
            self.poll_alone
        ))
    }

    /// What a route has not shown though it should have.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.push_alone > 0 {
            faults.push(format!("polling has not shown {} that were pushed", self.push_alone));
        }
        let pushed = self.both + self.push_alone;
        if let Some(sent) = self.to_push.filter(|sent| *sent != pushed) {
            faults.push(format!("{pushed} were seen by push, and {sent} were sent"));
        }
        faults
    }
}
