//! Staying below the source's limit without being told to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::clock::Clock;

/// Longest wait for a turn, a little more than the minute in which limits start anew.
/// Longer ones are the caller's, who can tell people about them.
const MAX_TURN_WAIT: Duration = Duration::from_secs(65);

/// Requests a minute that one source stays below: 80 % of the 100 that HPE allows a user
/// for the v2beta1 list (HPE developer portal, audit logs; for v1 no limit is published),
/// so that a person with the same credentials is not locked out by us.
pub(crate) const REQUESTS_PER_MINUTE: u32 = 80;

/// Decides when the next request may be sent: a few at once, then evenly spread.
///
/// In no span of 60 s are there `per_minute` requests: an eighth of them may come at
/// once, the rest in equal steps, so that an ordinary poll never waits and a backfill
/// does not use up its minute in the first seconds. Instants are boot-time.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Time that one request takes up.
    step: Duration,
    /// How far ahead of now the next slot may lie without a wait.
    slack: Duration,
    next: Duration,
    held_until: Duration,
}

impl Pacer {
    /// A pacer that has not seen a request. `per_minute` is at least 2.
    pub(crate) fn new(per_minute: u32) -> Self {
        let at_once = (per_minute / 8).max(1);
        let step = Duration::from_mins(1) / (per_minute - at_once).saturating_sub(1).max(1);
        Self { step, slack: step * (at_once - 1), next: Duration::ZERO, held_until: Duration::ZERO }
    }

    /// Takes the next slot and returns how long to wait for it, from `now`.
    ///
    /// A slot that is taken and not used is lost.
    pub(crate) fn next_slot(&mut self, now: Duration) -> Duration {
        let slot = self.next.max(now);
        self.next = slot + self.step;
        let paced = slot.saturating_sub(now).saturating_sub(self.slack);
        paced.max(self.held_for(now))
    }

    /// How long the source has forbidden requests, from `now`; zero if it has not.
    pub(crate) fn held_for(&self, now: Duration) -> Duration {
        self.held_until.saturating_sub(now)
    }

    /// Keeps all requests back until `until`; a shorter hold than before changes nothing.
    pub(crate) fn hold(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
    }
}

/// A [`Pacer`] that waits, shared by all requests of a source; or none at all.
#[derive(Debug)]
pub(crate) struct Pace {
    pacer: Option<Mutex<Pacer>>,
    clock: Clock,
}

impl Pace {
    /// Stays below `per_minute` requests; `None` lets everything pass.
    pub(crate) fn new(per_minute: Option<u32>, clock: Clock) -> Self {
        Self { pacer: per_minute.map(|per_minute| Mutex::new(Pacer::new(per_minute))), clock }
    }

    /// Waits until the next request may be sent.
    ///
    /// # Errors
    /// How long the source has forbidden requests, at once, if that is more than 65 s.
    pub(crate) async fn turn(&self) -> Result<(), Duration> {
        let wait = self.take_slot()?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn take_slot(&self) -> Result<Duration, Duration> {
        let Some(mut pacer) = self.lock() else { return Ok(Duration::ZERO) };
        let now = self.clock.uptime();
        let held = pacer.held_for(now);
        if held > MAX_TURN_WAIT { Err(held) } else { Ok(pacer.next_slot(now)) }
    }

    /// Keeps requests back for `wait` from now.
    pub(crate) fn hold(&self, wait: Duration) {
        if let Some(mut pacer) = self.lock() {
            pacer.hold(self.clock.uptime() + wait);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Pacer>> {
        let pacer = self.pacer.as_ref()?;
        Some(pacer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    /// Instants at which `count` requests go out that all want to go at `START`.
    fn rush(pacer: &mut Pacer, count: usize) -> Vec<Duration> {
        let mut now = START;
        let mut send = || {
            now += pacer.next_slot(now);
            now
        };
        (0..count).map(|_| send()).collect()
    }

    #[test]
    fn no_minute_holds_the_whole_budget() {
        let sent = rush(&mut Pacer::new(REQUESTS_PER_MINUTE), 400);
        let busiest = sent.iter().map(|from| {
            let until = *from + Duration::from_mins(1);
            sent.iter().filter(|at| (*from..until).contains(*at)).count()
        });
        let busiest = busiest.max().expect("a minute");
        assert!((78..80).contains(&busiest), "{busiest}");
    }

    #[test]
    fn an_ordinary_poll_does_not_wait() {
        let mut pacer = Pacer::new(REQUESTS_PER_MINUTE);
        assert!(rush(&mut pacer, 10).iter().all(|at| *at == START));
        assert!(pacer.next_slot(START) > Duration::ZERO);
        let after_a_while = START + Duration::from_secs(30);
        assert_eq!(pacer.next_slot(after_a_while), Duration::ZERO);
    }

    #[test]
    fn a_hold_keeps_requests_back_until_its_end() {
        let mut pacer = Pacer::new(REQUESTS_PER_MINUTE);
        pacer.hold(START + Duration::from_secs(48));
        pacer.hold(START + Duration::from_secs(5));
        assert_eq!(pacer.next_slot(START), Duration::from_secs(48));
        assert_eq!(pacer.next_slot(START + Duration::from_secs(48)), Duration::ZERO);
    }
}
