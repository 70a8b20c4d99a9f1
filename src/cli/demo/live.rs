//! How the demo shows itself while it runs: a few lines redrawn in place at a terminal,
//! one line a second everywhere else.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use comfy_table::Table;

/// Time between two lines where nothing can be redrawn.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Columns where the terminal does not tell how many it has.
const COLUMNS: u16 = 80;

/// Lines of the redrawn form.
const ROWS: usize = 7;

/// How far the demo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Entries are made.
    Running {
        /// Time since the start.
        since: Duration,
        /// How long, where that is known.
        length: Option<Duration>,
    },
    /// No more are made; the bridge works off what is left.
    Draining {
        /// Time since the start.
        since: Duration,
        /// Time since draining began.
        waited: Duration,
    },
}

/// How things stand at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) phase: Phase,
    pub(super) made: u64,
    pub(super) stored: u64,
    /// Events that polling has shown, too.
    pub(super) polled: u64,
    /// Entries on their way to the webhook.
    pub(super) pushing: u64,
    pub(super) pending: u64,
    pub(super) polls: u64,
    /// Why the last poll did not come through, in a word.
    pub(super) held_up: Option<&'static str>,
    /// How long it takes until every entry is visible; known while draining.
    pub(super) hidden_for: Duration,
    /// Of each target: its name, different events, repeats.
    pub(super) arrived: Vec<(&'static str, u64, u64)>,
    pub(super) trouble: Option<String>,
}

impl Snapshot {
    /// What draining waits for; `None` when the bridge has nothing left to do.
    pub(super) fn wait(&self) -> Option<String> {
        if !self.hidden_for.is_zero() {
            let seconds = self.hidden_for.as_secs_f64();
            return Some(format!("late entries, the last visible in {seconds:.1} s"));
        }
        let unseen = self.made.saturating_sub(self.stored.min(self.polled));
        if unseen > 0 {
            return Some(format!("the next poll, to show {unseen} entries"));
        }
        if self.pushing > 0 {
            return Some(format!("{} pushes", self.pushing));
        }
        (self.pending > 0).then(|| format!("{} deliveries", self.pending))
    }

    /// Changes when something moves.
    pub(super) fn progress(&self) -> [u64; 5] {
        let arrived = self.arrived.iter().map(|(_, events, repeats)| events + repeats).sum();
        [self.stored, self.polled, self.pushing, self.pending, arrived]
    }

    fn since(&self) -> Duration {
        match self.phase {
            Phase::Running { since, .. } | Phase::Draining { since, .. } => since,
        }
    }

    fn state(&self) -> String {
        match self.phase {
            Phase::Running { length: Some(length), .. } => {
                format!("running for {}", humantime::format_duration(length))
            }
            Phase::Running { length: None, .. } => "running until Ctrl-C".to_owned(),
            Phase::Draining { .. } => match self.wait() {
                Some(what) => format!("draining: waits for {what}"),
                None => "drained".to_owned(),
            },
        }
    }

    /// `  3 s  made 75  stored 70  siem 70  archive 70  flaky 64  pending 6`
    fn line(&self) -> String {
        let mut line =
            format!("{:>3} s  made {}  stored {}", self.since().as_secs(), self.made, self.stored);
        for (name, events, _) in &self.arrived {
            let _ = write!(line, "  {name} {events}");
        }
        let _ = write!(line, "  pending {}", self.pending);
        if let Phase::Draining { .. } = self.phase {
            let _ = write!(line, "  {}", self.state());
        }
        line
    }

    fn rows(&self) -> [String; ROWS] {
        let target = |index: usize| {
            let Some((name, events, repeats)) = self.arrived.get(index) else {
                return String::new();
            };
            let left = self.stored.saturating_sub(*events);
            format!("{name:<8} {events:>7} arrived   {left:>5} to come   {repeats:>4} repeats")
        };
        let polling = match self.held_up {
            Some(reason) => format!("held up: {reason}"),
            None => "polling".to_owned(),
        };
        [
            format!("{:>4} s   {}", self.since().as_secs(), self.state()),
            format!("cloud    {:>7} made", self.made),
            format!("ledger   {:>7} stored    {:>5} polls     {polling}", self.stored, self.polls),
            target(0),
            target(1),
            target(2),
            format!("trouble  {}", self.trouble.as_deref().unwrap_or("none so far")),
        ]
    }
}

/// The display.
#[derive(Debug)]
pub(super) struct Live {
    can_redraw: bool,
    /// Lines that are on the screen and will be written over.
    drawn: usize,
    /// What the newest line was about, to leave out what is too soon.
    told_at: (bool, Duration),
}

impl Live {
    /// Redraws at a terminal, unless log lines would come between.
    pub(super) fn new(has_log: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_disturbed = has_log && stderr().is_terminal();
        Self {
            can_redraw: stdout().is_terminal() && !is_dumb && !is_disturbed,
            drawn: 0,
            told_at: (false, Duration::ZERO),
        }
    }

    /// Shows it, or nothing when that would be too soon.
    pub(super) fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut out = stdout().lock();
        if self.can_redraw {
            let columns = usize::from(Table::new().width().unwrap_or(COLUMNS));
            let mut frame = String::new();
            if self.drawn > 0 {
                let _ = write!(frame, "\x1b[{}A", self.drawn);
            }
            for row in snapshot.rows() {
                let row: String = row.chars().take(columns.saturating_sub(1)).collect();
                let _ = writeln!(frame, "\r\x1b[2K{row}");
            }
            self.drawn = ROWS;
            out.write_all(frame.as_bytes())?;
        } else if self.is_time(snapshot) {
            writeln!(out, "{}", snapshot.line())?;
        }
        out.flush()
    }

    /// Leaves the last picture where it is, and a blank line.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.drawn = 0;
        writeln!(stdout())
    }

    /// Once a second, and when another phase begins.
    fn is_time(&mut self, snapshot: &Snapshot) -> bool {
        let is_draining = matches!(snapshot.phase, Phase::Draining { .. });
        let now = snapshot.since();
        let (was_draining, told_at) = self.told_at;
        let is_time = was_draining != is_draining || now.saturating_sub(told_at) >= LINE_EVERY;
        if is_time {
            self.told_at = (is_draining, now);
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            phase: Phase::Draining { since: Duration::from_secs(21), waited: Duration::ZERO },
            made: 10,
            stored: 10,
            polled: 10,
            pushing: 0,
            pending: 0,
            polls: 3,
            held_up: None,
            hidden_for: Duration::ZERO,
            arrived: vec![("siem", 10, 0), ("archive", 9, 0), ("flaky", 8, 1)],
            trouble: None,
        }
    }

    #[test]
    fn draining_waits_for_the_cloud_then_the_poll_then_pushes_then_deliveries() {
        let hidden = Snapshot { hidden_for: Duration::from_millis(1_500), stored: 7, ..snapshot() };
        assert_eq!(hidden.wait().unwrap(), "late entries, the last visible in 1.5 s");
        let missing = Snapshot { stored: 7, pending: 4, ..snapshot() };
        assert_eq!(missing.wait().unwrap(), "the next poll, to show 3 entries");
        let pushed_only = Snapshot { polled: 8, ..snapshot() };
        assert_eq!(pushed_only.wait().unwrap(), "the next poll, to show 2 entries");
        let pushing = Snapshot { pushing: 2, pending: 4, ..snapshot() };
        assert_eq!(pushing.wait().unwrap(), "2 pushes");
        let pending = Snapshot { pending: 4, ..snapshot() };
        assert_eq!(pending.wait().unwrap(), "4 deliveries");
        assert_eq!(snapshot().wait(), None);
    }

    #[test]
    fn what_moves_is_progress() {
        let before = snapshot().progress();
        assert_eq!(snapshot().progress(), before);
        assert_ne!(Snapshot { pending: 1, ..snapshot() }.progress(), before);
        let more = Snapshot { arrived: vec![("siem", 10, 1)], ..snapshot() };
        assert_ne!(more.progress(), before);
    }

    #[test]
    fn lines_come_once_a_second_and_when_the_phase_changes() {
        let mut live = Live { can_redraw: false, drawn: 0, told_at: (false, Duration::ZERO) };
        let mut told = |millis: u64, is_draining: bool| {
            let since = Duration::from_millis(millis);
            let phase = if is_draining {
                Phase::Draining { since, waited: since }
            } else {
                Phase::Running { since, length: None }
            };
            live.is_time(&Snapshot { phase, ..snapshot() })
        };
        let moments = [(0, false), (200, false), (1_000, false), (1_200, true), (1_400, true)];
        let found: Vec<bool> = moments.into_iter().map(|(at, phase)| told(at, phase)).collect();
        assert_eq!(found, [false, false, true, true, false]);
    }

    #[test]
    fn rows_fit_the_terminal() {
        let rows = Snapshot { held_up: Some("contradictory"), ..snapshot() }.rows();
        assert!(rows.iter().all(|row| row.chars().count() < 80), "{rows:?}");
    }
}
