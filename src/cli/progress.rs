//! How far long work has come, on standard error, where that is a terminal.

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks of somebody who waits.
const EVERY: Duration = Duration::from_millis(200);

/// One line that is written over again and again.
#[derive(Debug)]
pub(super) struct Progress {
    /// What is counted: `events exported`.
    what: &'static str,
    is_seen: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, is_seen: stderr().is_terminal(), shown_at: None }
    }

    /// Whether anybody sees it.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// Shows how much is done, now and then.
    pub(super) fn show(&mut self, done: u64, total: Option<u64>) {
        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
        let what = self.what;
        self.tell(format_args!("{done}{of} {what}"));
    }

    /// Shows `line` instead, now and then.
    pub(super) fn tell(&mut self, line: fmt::Arguments<'_>) {
        let is_fresh = self.shown_at.is_some_and(|at| at.elapsed() < EVERY);
        if !self.is_seen || is_fresh {
            return;
        }
        self.shown_at = Some(Instant::now());
        // Nobody is told less if it cannot be shown.
        let _ = write!(stderr(), "\r{line}\x1b[K");
    }
}

/// Takes the line away.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
