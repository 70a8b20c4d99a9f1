//! A limit on how often something may happen, spread evenly.

use std::time::Duration;

/// Turns that came too late, because timers are that coarse, are caught up with this far:
/// without it a rate of 100/s would be 90/s. In any one second there is at most a
/// hundredth more than the rate, and one.
const SLACK: Duration = Duration::from_millis(10);

/// So many in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In each of these.
    pub per: Duration,
}

/// Gives out turns at a [`Rate`]: evenly, none saved up. Instants are boot-time.
#[derive(Debug)]
pub struct Turns {
    step: Duration,
    next_at: Duration,
}

impl Turns {
    /// The first turn is due at once.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { step: rate.per / rate.count.max(1), next_at: Duration::ZERO }
    }

    /// Takes a turn, if one is due.
    ///
    /// # Errors
    /// When the next one is due; none has been taken.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        if self.next_at > now {
            return Err(self.next_at);
        }
        self.next_at = self.next_at.max(now.saturating_sub(SLACK)) + self.step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Turns taken in `span` by somebody who asks `every` so often.
    fn taken(turns: &mut Turns, from: Duration, span: Duration, every: Duration) -> u32 {
        let (mut now, mut count) = (from, 0);
        while now < from + span {
            while turns.take(now).is_ok() {
                count += 1;
            }
            now += every;
        }
        count
    }

    #[test]
    fn turns_come_evenly_at_the_rate() {
        let minute = Duration::from_mins(1);
        for (count, per, span, least, most) in [
            (1, SECOND, 10 * SECOND, 10, 11),
            (100, SECOND, 10 * SECOND, 999, 1_002),
            (30, minute, 10 * minute, 300, 301),
            (7, 60 * minute, 60 * minute, 7, 8),
            (20_000, SECOND, SECOND, 19_900, 20_201),
        ] {
            let mut turns = Turns::new(Rate { count, per });
            let every = Duration::from_micros(1_100);
            let got = taken(&mut turns, 100 * SECOND, span, every);
            assert!((least..=most).contains(&got), "{count} per {per:?}: {got} in {span:?}");
        }
    }

    #[test]
    fn turns_that_nobody_took_are_not_saved_up() {
        let mut turns = Turns::new(Rate { count: 10, per: SECOND });
        assert_eq!(turns.take(SECOND), Ok(()));
        assert_eq!(turns.take(100 * SECOND), Ok(()));
        let next = 100 * SECOND + Duration::from_millis(90);
        assert_eq!(turns.take(100 * SECOND), Err(next));
        assert_eq!(turns.take(next), Ok(()));
        assert!(turns.take(next).is_err());
    }
}
