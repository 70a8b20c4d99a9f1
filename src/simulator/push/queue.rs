//! What waits for one webhook: entries on their way, batches in the making, tries to come.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Pushes that wait for one webhook; what comes on top is lost, and told.
pub(super) const WAITING_MAX: usize = 100_000;

/// Requests to one webhook at once: enough to keep a receiver busy, few enough for the
/// machine that also runs it.
const UNDER_WAY_MAX: usize = 16;

/// The period of the rate that a receiver grants (CloudEvents web hook 1.0.2, 4.2.5).
const MINUTE: Duration = Duration::from_mins(1);

/// The highest rate that is kept to, a minute: 1,000 a second is more than one machine
/// with both ends on it makes.
const RATE_MAX: usize = 60_000;

/// One push: an event, or a batch of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    /// Places of its entries in the store.
    pub(super) entries: Vec<u32>,
    /// Whether it is sent as an array.
    pub(super) is_batch: bool,
    /// How often it was tried.
    pub(super) tries: u32,
    /// By what a failed one is known.
    pub(super) failure_id: Option<String>,
}

/// What a webhook's own settings, its receiver and the knobs ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Events in a batch; `None`: each is sent by itself.
    pub(super) batch_events: Option<usize>,
    /// How long the first of a batch waits.
    pub(super) batch_wait: Duration,
    /// Requests a minute; `None`: as many as there are.
    pub(super) rate: Option<usize>,
}

#[derive(Debug)]
enum Waiting {
    Entry(u32),
    Parcel(Parcel),
}

/// The queue of one webhook.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By when they are due, ties in the order they came.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    came: u64,
    batch: Vec<u32>,
    batch_due: Option<Instant>,
    under_way: usize,
    /// When requests were sent within the last minute; kept where a rate is granted.
    sent: VecDeque<Instant>,
}

impl Queue {
    /// Whether no more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Entries and pushes that wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.batch.len() + self.under_way
    }

    /// An entry that is to go out at `due`.
    pub(super) fn add_entry(&mut self, entry: u32, due: Instant) {
        self.add(due, Waiting::Entry(entry));
    }

    /// A push that is to be tried again at `due`.
    pub(super) fn add_parcel(&mut self, parcel: Parcel, due: Instant) {
        self.add(due, Waiting::Parcel(parcel));
    }

    fn add(&mut self, due: Instant, what: Waiting) {
        self.came += 1;
        self.waiting.insert((due, self.came), what);
    }

    /// The next push to send now, which counts as under way until [`Queue::done`].
    pub(super) fn next(&mut self, now: Instant, rules: Rules) -> Option<Parcel> {
        if self.wait_for_rate(now, rules.rate).is_some() || self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let parcel = self.due(now, rules)?;
        self.under_way += 1;
        if rules.rate.is_some() {
            self.sent.push_back(now);
        }
        Some(parcel)
    }

    fn due(&mut self, now: Instant, rules: Rules) -> Option<Parcel> {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
            match (first.remove(), rules.batch_events) {
                (Waiting::Parcel(parcel), _) => return Some(parcel),
                (Waiting::Entry(entry), None) => return Some(Parcel::new(vec![entry], false)),
                (Waiting::Entry(entry), Some(most)) => {
                    self.batch_due.get_or_insert(now + rules.batch_wait);
                    self.batch.push(entry);
                    if self.batch.len() >= most {
                        return self.end_batch();
                    }
                }
            }
        }
        // Whoever switches batching off must not strand what waits.
        let is_over = rules.batch_events.is_none() || self.batch_due.is_some_and(|at| at <= now);
        if is_over { self.end_batch() } else { None }
    }

    fn end_batch(&mut self) -> Option<Parcel> {
        self.batch_due = None;
        let entries = std::mem::take(&mut self.batch);
        (!entries.is_empty()).then(|| Parcel::new(entries, true))
    }

    /// When to look again; `None`: when something changes.
    pub(super) fn wake(&mut self, now: Instant, rules: Rules) -> Option<Instant> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let first = self.waiting.first_key_value().map(|((due, _), _)| *due);
        let due = [first, self.batch_due].into_iter().flatten().min()?;
        Some(self.wait_for_rate(now, rules.rate).map_or(due, |at| due.max(at)))
    }

    /// When the receiver's rate allows the next request; `None`: now.
    fn wait_for_rate(&mut self, now: Instant, rate: Option<usize>) -> Option<Instant> {
        let Some(rate) = rate else {
            self.sent.clear();
            return None;
        };
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.sent.pop_front();
        }
        let over = (self.sent.len() + 1).checked_sub(rate.clamp(1, RATE_MAX))?;
        Some(*self.sent.get(over.checked_sub(1)?)? + MINUTE)
    }

    /// A request has ended.
    pub(super) fn done(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Gives up all that waits; how many events that were.
    pub(super) fn clear(&mut self) -> usize {
        let waiting = std::mem::take(&mut self.waiting);
        let events = waiting.values().map(|what| match what {
            Waiting::Entry(_) => 1,
            Waiting::Parcel(parcel) => parcel.entries.len(),
        });
        let batch = self.end_batch().map_or(0, |parcel| parcel.entries.len());
        events.sum::<usize>() + batch
    }
}

impl Parcel {
    fn new(entries: Vec<u32>, is_batch: bool) -> Self {
        Self { entries, is_batch, tries: 0, failure_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SINGLE: Rules = Rules { batch_events: None, batch_wait: MINUTE, rate: None };
    const BATCHES: Rules = Rules { batch_events: Some(3), batch_wait: MINUTE, rate: None };

    fn entries(queue: &mut Queue, now: Instant, rules: Rules) -> Vec<Vec<u32>> {
        let mut all = Vec::new();
        while let Some(parcel) = queue.next(now, rules) {
            queue.done();
            all.push(parcel.entries);
        }
        all
    }

    #[test]
    fn what_is_due_goes_out_oldest_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (entry, due) in [(1, 2), (2, 1), (3, 3), (4, 1)] {
            queue.add_entry(entry, now + due * SECOND);
        }
        assert_eq!(entries(&mut queue, now, SINGLE), Vec::<Vec<u32>>::new());
        assert_eq!(queue.wake(now, SINGLE), Some(now + SECOND));
        assert_eq!(entries(&mut queue, now + 2 * SECOND, SINGLE), [[2], [4], [1]]);
        assert_eq!(queue.wake(now, SINGLE), Some(now + 3 * SECOND));
        assert_eq!(queue.clear(), 1);
        assert_eq!(queue.wake(now, SINGLE), None);
    }

    #[test]
    fn a_batch_is_full_or_its_first_has_waited() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for entry in 0..7 {
            queue.add_entry(entry, now);
        }
        assert_eq!(entries(&mut queue, now, BATCHES), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(queue.wake(now, BATCHES), Some(now + MINUTE));
        queue.add_entry(7, now + 30 * SECOND);
        assert_eq!(entries(&mut queue, now + 59 * SECOND, BATCHES), Vec::<Vec<u32>>::new());
        assert_eq!(entries(&mut queue, now + MINUTE, BATCHES), [[6, 7]]);
        queue.add_entry(8, now);
        assert_eq!(queue.next(now, BATCHES), None);
        let last = queue.next(now, SINGLE).unwrap();
        assert!(last.is_batch && last.entries == [8], "{last:?}");
    }

    #[test]
    fn no_more_than_the_granted_rate_goes_out_in_any_minute() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let rules = Rules { rate: Some(5), ..SINGLE };
        for entry in 0..12 {
            queue.add_entry(entry, start);
        }
        assert_eq!(entries(&mut queue, start, rules).len(), 5);
        assert_eq!(queue.wake(start, rules), Some(start + MINUTE));
        assert_eq!(entries(&mut queue, start + 59 * SECOND, rules).len(), 0);
        assert_eq!(entries(&mut queue, start + MINUTE, rules).len(), 5);
        assert_eq!(entries(&mut queue, start + MINUTE, SINGLE).len(), 2, "no rate, no limit");
    }

    #[test]
    fn so_many_are_under_way_and_no_more() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for entry in 0..40 {
            queue.add_entry(entry, now);
        }
        let mut sent = 0;
        while queue.next(now, SINGLE).is_some() {
            sent += 1;
        }
        assert_eq!((sent, queue.wake(now, SINGLE)), (UNDER_WAY_MAX, None));
        queue.done();
        assert!(queue.next(now, SINGLE).is_some() && queue.next(now, SINGLE).is_none());
    }
}
