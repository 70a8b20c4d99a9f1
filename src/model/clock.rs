//! The two clocks of a machine, as one value that tests can move by hand.
//!
//! Nothing else in the crate asks the system for the time (clippy forbids it), so a
//! test that moves its [`Clock`] moves all of the program's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::model::timestamp::Timestamp;

/// A source of wall time and of time since boot.
///
/// Clones of a hand-moved clock share their time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(start.micros()))))
    }

    /// The wall time. It can step back and forth when an administrator sets the clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => Timestamp::from_micros(micros_of(clock_gettime(ClockId::Realtime))),
            Kind::Manual(at) => Timestamp::from_micros(at.load(Ordering::SeqCst)),
        }
    }

    /// Time since boot, suspended time included. It never steps and never goes back.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        let micros = match &self.0 {
            Kind::System => micros_of(clock_gettime(ClockId::Boottime)),
            Kind::Manual(at) => at.load(Ordering::SeqCst),
        };
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Moves a hand-moved clock forward by `by`; the machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(at) = &self.0 {
            at.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

fn micros_of(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), Timestamp::from_secs(105));
        assert_eq!(other.uptime(), Duration::from_secs(105));
    }

    #[test]
    fn the_system_clock_runs() {
        let clock = Clock::system();
        assert!(clock.now() > Timestamp::from_secs(1_700_000_000));
        assert!(clock.uptime() > Duration::ZERO);
    }
}
