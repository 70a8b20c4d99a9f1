//! The last events that were stored, still in memory: what is fresh is delivered without
//! being read back, and every target shares one body.
//!
//! It only ever holds what is committed, without a hole in its sequences. Whoever asks
//! for something older is sent to the ledger.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::model::event::Sequence;
use crate::storage::Ledger;
use crate::storage::deliveries::Due;

/// Bytes of bodies kept: several full pages of ordinary entries, and little enough for a
/// daemon that is to stay small.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event that was stored a moment ago.
#[derive(Debug)]
pub(super) struct RecentEvent {
    pub(super) sequence: Sequence,
    pub(super) source: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) body: Bytes,
}

impl RecentEvent {
    /// Keeps what was just stored; `body` is shared, not copied.
    pub(super) fn new(sequence: Sequence, source: Arc<str>, id: Arc<str>, body: Arc<str>) -> Self {
        Self { sequence, source, id, body: Bytes::from_owner(Body(body)) }
    }
}

/// A text as bytes.
struct Body(Arc<str>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Events of one transaction, and who gets them.
#[derive(Debug)]
struct Part {
    events: Vec<RecentEvent>,
    targets: Vec<String>,
    bytes: usize,
}

/// The last events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    parts: VecDeque<Arc<Part>>,
    bytes: usize,
    /// The furthest that any target has looked.
    taken: Sequence,
}

impl Recent {
    /// Adds what was committed. What does not follow on is left to the ledger: two
    /// transactions may come here in another order than they were committed in.
    pub(super) fn push(&self, events: Vec<RecentEvent>, targets: Vec<String>) {
        let Some(first) = events.first().map(|event| event.sequence) else { return };
        let bytes = events.iter().map(|event| event.body.len()).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kept.last();
        if last.is_some_and(|last| first <= last) {
            return;
        }
        if last.is_some_and(|last| first != last + 1) {
            *kept = Kept { taken: kept.taken, ..Kept::default() };
        }
        kept.bytes += bytes;
        kept.parts.push_back(Arc::new(Part { events, targets, bytes }));
        while kept.bytes > BYTES_MAX
            && let Some(part) = kept.parts.pop_front()
        {
            kept.bytes -= part.bytes;
        }
    }

    /// What a target gets of the events above `after`, at most `limit`, and the last
    /// sequence looked at. `None` when the ledger must be asked: it is not all here.
    pub(super) fn take(
        &self,
        target: &str,
        after: Sequence,
        limit: usize,
    ) -> Option<(Vec<Due>, Sequence)> {
        let parts: Vec<Arc<Part>> = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = kept.parts.front()?.events.first()?.sequence;
            if after + 1 < first || Some(after) > kept.last() {
                return None;
            }
            let is_above = |part: &&Arc<Part>| part.last().is_some_and(|last| last > after);
            kept.parts.iter().filter(is_above).cloned().collect()
        };
        let (taken, seen) = select(&parts, target, after, limit);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.taken = kept.taken.max(seen);
        Some((taken, seen))
    }

    /// Whether no target keeps up with what is stored: more would soon be pushed out, and
    /// be read back from the ledger.
    pub(super) fn is_ahead(&self) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_owed =
            |part: &&Arc<Part>| !part.targets.is_empty() && part.last() > Some(kept.taken);
        let owed: usize = kept.parts.iter().filter(is_owed).map(|part| part.bytes).sum();
        owed > BYTES_MAX / 4
    }
}

/// What `target` gets of the events above `after` in `parts`, and the last one looked at.
fn select(
    parts: &[Arc<Part>],
    target: &str,
    after: Sequence,
    limit: usize,
) -> (Vec<Due>, Sequence) {
    let (mut taken, mut seen) = (Vec::new(), after);
    for part in parts {
        let is_wanted = part.targets.iter().any(|name| name == target);
        for event in part.events.iter().filter(|event| event.sequence > after) {
            if taken.len() >= limit {
                return (taken, seen);
            }
            seen = event.sequence;
            taken.extend(is_wanted.then(|| event.due()));
        }
    }
    (taken, seen)
}

impl Kept {
    fn last(&self) -> Option<Sequence> {
        self.parts.back()?.last()
    }
}

impl Part {
    fn last(&self) -> Option<Sequence> {
        self.events.last().map(|event| event.sequence)
    }
}

impl RecentEvent {
    fn due(&self) -> Due {
        Due {
            sequence: self.sequence,
            step: 0,
            first_attempt_at: None,
            is_first: true,
            event_source: self.source.clone(),
            event_id: self.id.clone(),
            body: self.body.clone(),
        }
    }
}

impl Ledger {
    /// Fresh deliveries to the target of that name among the events above `after`, oldest
    /// first, at most `limit`, with the last sequence looked at; from memory.
    ///
    /// Right only for a caller that has taken up nothing above `after` yet: it tells
    /// neither what was settled meanwhile nor what is replayed. `None` when the ledger
    /// must be asked ([`Reader::list_fresh`](crate::storage::Reader::list_fresh)).
    #[must_use]
    pub fn take_recent(
        &self,
        target: &str,
        after: Sequence,
        limit: usize,
    ) -> Option<(Vec<Due>, Sequence)> {
        self.shared.recent.take(target, after, limit)
    }

    /// Whether targets are far behind what is stored: there is no hurry to store more.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.shared.recent.is_ahead()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(sequences: impl IntoIterator<Item = Sequence>, bytes: usize) -> Vec<RecentEvent> {
        let event = |sequence| RecentEvent {
            sequence,
            source: "s".into(),
            id: format!("e{sequence}").into(),
            body: Bytes::from(vec![b'x'; bytes]),
        };
        sequences.into_iter().map(event).collect()
    }

    fn take(recent: &Recent, target: &str, after: Sequence) -> Option<(Vec<Sequence>, Sequence)> {
        let (taken, seen) = recent.take(target, after, 4)?;
        Some((taken.iter().map(|due| due.sequence).collect(), seen))
    }

    fn push(recent: &Recent, sequences: impl IntoIterator<Item = Sequence>, target: &str) {
        recent.push(events(sequences, 10), vec![target.to_owned()]);
    }

    #[test]
    fn a_target_gets_what_is_above_and_for_it() {
        let recent = Recent::default();
        assert_eq!(take(&recent, "a", 0), None);
        push(&recent, 1..=2, "a");
        push(&recent, 3..=4, "b");
        push(&recent, 5..=9, "a");
        assert_eq!(take(&recent, "a", 0), Some((vec![1, 2, 5, 6], 6)));
        assert_eq!(take(&recent, "a", 6), Some((vec![7, 8, 9], 9)));
        assert_eq!(take(&recent, "a", 9), Some((vec![], 9)));
        assert_eq!(take(&recent, "b", 1), Some((vec![3, 4], 9)));
    }

    #[test]
    fn what_is_not_all_here_is_left_to_the_ledger() {
        let recent = Recent::default();
        push(&recent, 11..=12, "a");
        assert_eq!(take(&recent, "a", 9), None);
        assert_eq!(take(&recent, "a", 10), Some((vec![11, 12], 12)));
        assert_eq!(take(&recent, "a", 13), None);
    }

    #[test]
    fn a_hole_or_another_order_is_never_bridged() {
        let recent = Recent::default();
        push(&recent, 3..=4, "a");
        push(&recent, 1..=2, "a");
        assert_eq!(take(&recent, "a", 2), Some((vec![3, 4], 4)));
        assert_eq!(take(&recent, "a", 0), None);
        push(&recent, 6..=7, "a");
        assert_eq!(take(&recent, "a", 4), None);
        assert_eq!(take(&recent, "a", 5), Some((vec![6, 7], 7)));
    }

    #[test]
    fn it_is_ahead_while_no_target_keeps_up() {
        let recent = Recent::default();
        let mebibyte = |sequence, targets: &[&str]| {
            let targets = targets.iter().map(|name| (*name).to_owned()).collect();
            recent.push(events([sequence], 1024 * 1024), targets);
        };
        for sequence in 1..=3 {
            mebibyte(sequence, &[]);
        }
        assert!(!recent.is_ahead(), "nobody wants it");
        for sequence in 4..=6 {
            mebibyte(sequence, &["a", "dead"]);
        }
        assert!(recent.is_ahead());
        take(&recent, "a", 3);
        assert!(!recent.is_ahead(), "one that is dead does not count");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let recent = Recent::default();
        for sequence in 1..=20 {
            recent.push(events([sequence], 1024 * 1024), vec!["a".to_owned()]);
        }
        assert_eq!(take(&recent, "a", 11), None);
        assert_eq!(take(&recent, "a", 12), Some((vec![13, 14, 15, 16], 16)));
    }
}
