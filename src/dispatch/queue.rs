//! The window of deliveries that a worker holds in memory, and which of them goes next.
//!
//! Pure: what is read from the ledger goes in, what is to be attempted comes out.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::config::{Format, Order, TargetConfig};
use crate::model::event::Sequence;
use crate::storage::Due;

/// Smallest window: enough that slots do not wait while the ledger takes a full page of
/// entries, some 30 ms.
const WINDOW_MIN: usize = 1024;

/// Largest window: with events of 64 KiB it is 256 MiB at the very worst, and some
/// 4 MiB with ordinary ones.
const WINDOW_MAX: usize = 4096;

/// While both wait, one request in so many is a retry, and retries have one slot in so
/// many: neither lane starves the other, however few slots or turns there are.
const SHARE: usize = 4;

/// One delivery alone: for the probe of a failing target.
pub(super) const PROBE: Gathering = Gathering { max_events: 1, max_wait: Duration::ZERO, slots: 1 };

/// How deliveries are gathered into requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathering {
    /// Deliveries in one request, at most.
    pub(super) max_events: usize,
    /// How long the first of them waits for others.
    pub(super) max_wait: Duration,
    /// Requests under way, at most.
    pub(super) slots: usize,
}

impl Gathering {
    /// How `target` wants its requests.
    pub(super) fn new(target: &TargetConfig) -> Self {
        let (max_events, max_wait) = match target.format {
            Format::Batch => (target.batch.max_events, target.batch.max_wait),
            Format::Structured | Format::Binary => (1, Duration::ZERO),
        };
        match target.order {
            // What comes while a request is under way gathers by itself for the next one.
            Order::Strict => Self { max_events, max_wait: Duration::ZERO, slots: 1 },
            Order::None => Self { max_events, max_wait, slots: target.concurrency },
        }
    }

    /// Deliveries held in memory, at most, for each of the two lanes.
    pub(super) fn window(&self) -> usize {
        (2 * self.capacity()).clamp(WINDOW_MIN, WINDOW_MAX)
    }

    /// Deliveries under way, at most.
    pub(super) fn capacity(&self) -> usize {
        self.slots * self.max_events
    }

    /// Slots that retries may use at once. A share is kept for fresh deliveries, also
    /// while none is waiting: retries at a target that hangs hold theirs for long.
    fn slots_for_retries(&self, is_fresh_ready: bool) -> usize {
        let share = (self.slots / SHARE).max(1);
        if is_fresh_ready { share } else { (self.slots - share).max(1) }
    }
}

/// Where a delivery waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Never tried, or replayed.
    Fresh,
    /// Tried before.
    Retry,
}

/// One request's worth of deliveries.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) deliveries: Vec<Due>,
    pub(super) is_retry: bool,
}

/// Deliveries in memory: waiting for a slot, under way, or not settled yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: VecDeque<Due>,
    retries: VecDeque<Due>,
    /// Everything between reading and settling, so that it is not taken up twice.
    held: HashSet<Sequence>,
    /// Let go since the last reading began, which may have seen them as still owed.
    settled: HashSet<Sequence>,
    /// Time since boot at which the oldest waiting fresh delivery came.
    waiting_since: Option<Duration>,
    /// Fresh requests since the last retry.
    fresh_in_a_row: usize,
}

impl Queue {
    /// Notes that a reading begins, whose deliveries come by the two methods below.
    pub(super) fn begin_reading(&mut self) {
        self.settled.clear();
    }

    /// Takes up fresh deliveries; those held, or settled since the reading began, are
    /// left out.
    pub(super) fn extend_fresh(&mut self, deliveries: Vec<Due>, uptime: Duration) {
        for due in deliveries {
            if self.hold(due.sequence) {
                self.fresh.push_back(due);
            }
        }
        if !self.fresh.is_empty() {
            self.waiting_since.get_or_insert(uptime);
        }
    }

    /// Takes up due retries; those held, or settled since the reading began, are left out.
    pub(super) fn extend_retries(&mut self, deliveries: Vec<Due>) {
        for due in deliveries {
            if self.hold(due.sequence) {
                self.retries.push_back(due);
            }
        }
    }

    fn hold(&mut self, sequence: Sequence) -> bool {
        !self.settled.contains(&sequence) && self.held.insert(sequence)
    }

    /// Lets go of a delivery that is settled.
    pub(super) fn release(&mut self, sequence: Sequence) {
        if self.held.remove(&sequence) {
            self.settled.insert(sequence);
        }
    }

    /// Lets go of everything that waits for a slot; the ledger has it.
    pub(super) fn clear(&mut self) {
        for due in self.fresh.drain(..).chain(self.retries.drain(..)) {
            self.held.remove(&due.sequence);
        }
        self.waiting_since = None;
    }

    /// Deliveries held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Deliveries that were sent, or are being sent, and are not settled.
    pub(super) fn under_way(&self) -> usize {
        self.held.len().saturating_sub(self.fresh.len() + self.retries.len())
    }

    /// Fresh deliveries waiting for a slot.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Retries waiting for a slot.
    pub(super) fn retries(&self) -> usize {
        self.retries.len()
    }

    /// Of which lane the next request is, when one is ready.
    pub(super) fn next_lane(
        &self,
        rule: &Gathering,
        flying_retries: usize,
        uptime: Duration,
    ) -> Option<Lane> {
        let is_fresh_ready = self.ready_at(rule).is_some_and(|at| at <= uptime);
        let has_turn = !is_fresh_ready || self.fresh_in_a_row + 1 >= SHARE;
        let has_slot = flying_retries < rule.slots_for_retries(is_fresh_ready);
        if !self.retries.is_empty() && has_turn && has_slot {
            return Some(Lane::Retry);
        }
        is_fresh_ready.then_some(Lane::Fresh)
    }

    /// The next request's worth, when a slot is free and something is ready.
    pub(super) fn next(
        &mut self,
        rule: &Gathering,
        flying_retries: usize,
        uptime: Duration,
    ) -> Option<Load> {
        let is_retry = self.next_lane(rule, flying_retries, uptime)? == Lane::Retry;
        self.fresh_in_a_row = if is_retry { 0 } else { self.fresh_in_a_row.saturating_add(1) };
        let lane = if is_retry { &mut self.retries } else { &mut self.fresh };
        let count = lane.len().min(rule.max_events);
        let deliveries = lane.drain(..count).collect();
        if !is_retry {
            self.waiting_since = (!self.fresh.is_empty()).then_some(uptime);
        }
        Some(Load { deliveries, is_retry })
    }

    /// Time since boot at which a fresh request is ready to go; `None`: none is waiting.
    pub(super) fn ready_at(&self, rule: &Gathering) -> Option<Duration> {
        let since = self.waiting_since?;
        let is_full = self.fresh.len() >= rule.max_events;
        Some(if is_full { since } else { since + rule.max_wait })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const SINGLE: Gathering = Gathering { max_events: 1, max_wait: Duration::ZERO, slots: 8 };
    const BATCHES: Gathering =
        Gathering { max_events: 3, max_wait: Duration::from_secs(1), slots: 8 };

    fn due(sequence: Sequence) -> Due {
        Due {
            sequence,
            step: 0,
            first_attempt_at: None,
            is_first: true,
            event_source: "".into(),
            event_id: "".into(),
            body: Bytes::new(),
        }
    }

    fn dues(sequences: impl IntoIterator<Item = Sequence>) -> Vec<Due> {
        sequences.into_iter().map(due).collect()
    }

    fn sequences(load: Option<Load>) -> Vec<Sequence> {
        load.map(|load| load.deliveries.iter().map(|d| d.sequence).collect()).unwrap_or_default()
    }

    #[test]
    fn what_is_held_is_not_taken_up_again_until_it_is_settled() {
        let mut queue = Queue::default();
        queue.extend_fresh(dues([1, 2]), Duration::ZERO);
        assert_eq!(sequences(queue.next(&SINGLE, 0, Duration::ZERO)), [1]);
        queue.extend_fresh(dues([1, 2, 3]), Duration::ZERO);
        assert_eq!(queue.fresh(), 2);
        queue.release(1);
        queue.begin_reading();
        queue.extend_retries(dues([1]));
        assert_eq!(queue.retries(), 1);
    }

    #[test]
    fn a_reading_does_not_bring_back_what_was_settled_while_it_went_on() {
        let mut queue = Queue::default();
        queue.extend_fresh(dues([1]), Duration::ZERO);
        queue.next(&SINGLE, 0, Duration::ZERO);
        queue.begin_reading();
        queue.release(1);
        queue.extend_fresh(dues([1, 2]), Duration::ZERO);
        queue.extend_retries(dues([1]));
        assert_eq!((queue.fresh(), queue.retries()), (1, 0));
    }

    #[test]
    fn a_backlog_of_retries_leaves_slots_to_fresh_deliveries() {
        let mut queue = Queue::default();
        queue.extend_retries(dues(100..120));
        queue.extend_fresh(dues(1..20), Duration::ZERO);
        let mut flying_retries = 0;
        let mut fresh = 0;
        for _ in 0..20 {
            let load = queue.next(&SINGLE, flying_retries, Duration::ZERO).unwrap();
            if load.is_retry {
                flying_retries += 1;
            } else {
                fresh += 1;
            }
        }
        assert_eq!((flying_retries, fresh), (2, 18));
    }

    #[test]
    fn retries_leave_a_slot_for_what_may_come_unless_there_is_only_one() {
        for (slots, flying_retries, expected) in
            [(8, 5, true), (8, 6, false), (2, 0, true), (2, 1, false), (1, 0, true)]
        {
            let mut queue = Queue::default();
            queue.extend_retries(dues([7]));
            let load = queue.next(&Gathering { slots, ..SINGLE }, flying_retries, Duration::ZERO);
            assert_eq!(load.is_some(), expected, "{flying_retries} of {slots}");
        }
    }

    #[test]
    fn with_one_slot_or_few_turns_both_lanes_go_on() {
        let mut queue = Queue::default();
        queue.extend_retries(dues(100..200));
        queue.extend_fresh(dues(1..100), Duration::ZERO);
        let one = Gathering { slots: 1, ..SINGLE };
        let lanes: Vec<bool> =
            (0..12).map(|_| queue.next(&one, 0, Duration::ZERO).unwrap().is_retry).collect();
        assert_eq!(lanes, [[false, false, false, true]; 3].concat());
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_waited_long_enough() {
        let mut queue = Queue::default();
        queue.extend_fresh(dues([1, 2]), Duration::from_secs(10));
        assert!(queue.next(&BATCHES, 0, Duration::from_millis(10_900)).is_none());
        assert_eq!(queue.ready_at(&BATCHES), Some(Duration::from_secs(11)));
        assert_eq!(sequences(queue.next(&BATCHES, 0, Duration::from_secs(11))), [1, 2]);
        queue.extend_fresh(dues([3, 4, 5, 6]), Duration::from_secs(20));
        assert_eq!(sequences(queue.next(&BATCHES, 0, Duration::from_secs(20))), [3, 4, 5]);
        assert!(queue.next(&BATCHES, 0, Duration::from_secs(20)).is_none());
    }

    #[test]
    fn clearing_lets_go_of_what_waits_but_not_of_what_is_under_way() {
        let mut queue = Queue::default();
        queue.extend_fresh(dues([1, 2]), Duration::ZERO);
        queue.next(&SINGLE, 0, Duration::ZERO);
        queue.clear();
        assert_eq!((queue.held(), queue.fresh(), queue.under_way()), (1, 0, 1));
    }
}
