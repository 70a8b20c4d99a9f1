//! What a run asks for, in which order, and how much at a time.
//!
//! Pure: the run loop takes a [`Slice`], asks for it and tells the plan what came of it.
//! Fresh events never wait for a backfill, and the ordinary idle poll is one request.
//! A sweep is a plan of its own, for the time between two polls.

use std::collections::VecDeque;

use crate::model::coverage::{Span, Unsettled};
use crate::poll::pace::{Lane, Paces};
use crate::poll::verdict::TOTAL_CAP;

/// What to ask for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Whole seconds, never empty.
    pub span: Span,
    /// The density it was cut by.
    pub lane: Lane,
    /// At least so many entries are in it, as far as an answer has told; 0 when none has.
    held: u64,
}

/// The slices of one run, cut as they are taken.
#[derive(Clone, Debug)]
pub struct Plan {
    queue: VecDeque<Slice>,
    paces: Paces,
    limit: i64,
}

impl Plan {
    /// Plans to read `parts` (as [`Coverage::unsettled`] gives them) of the time before
    /// second `hi`, by pages of `limit` entries.
    ///
    /// Order: the present in one request when it fits in one, else what of it was never
    /// scanned; then other stretches never scanned, oldest first; then re-reads, the one
    /// with the oldest scan first. `hot_secs` is the length of the present.
    ///
    /// [`Coverage::unsettled`]: crate::model::coverage::Coverage::unsettled
    #[must_use]
    pub fn new(parts: &[Unsettled], hi: i64, hot_secs: i64, limit: u32, paces: Paces) -> Self {
        let mut plan = Self { queue: VecDeque::new(), paces, limit: i64::from(limit.max(1)) };
        let hot = Span::new(hi.saturating_sub(hot_secs), hi);
        let tail = tail(parts, hi);
        if plan.paces.present.fits(tail.secs(), plan.limit) {
            plan.push(tail, Lane::Present);
            let rest = parts.iter().filter(|part| part.span.until <= tail.from);
            plan.queue_rest(rest.copied().collect(), hot);
            return plan;
        }
        let never = parts.iter().filter(|part| part.asked_at.is_none());
        let fresh: Vec<Span> = never.map(|part| part.span.intersect(hot)).collect();
        for span in fresh {
            plan.push(span, Lane::Present);
        }
        let mut rest = parts.to_vec();
        for part in rest.iter_mut().filter(|part| part.asked_at.is_none()) {
            part.span.until = part.span.until.min(hot.from);
        }
        plan.queue_rest(rest, hot);
        plan
    }

    /// Plans to sweep `parts` (as [`Coverage::unswept`] gives them): what was forgotten
    /// first, then the oldest scans.
    ///
    /// [`Coverage::unswept`]: crate::model::coverage::Coverage::unswept
    #[must_use]
    pub fn sweep(parts: Vec<Unsettled>, limit: u32, paces: Paces) -> Self {
        let mut plan = Self { queue: VecDeque::new(), paces, limit: i64::from(limit.max(1)) };
        plan.queue_rest(parts, Span::new(i64::MAX, i64::MAX));
        plan
    }

    /// The next slice, cut to what is expected to fit in one page; `None` at the end.
    pub fn next_slice(&mut self) -> Option<Slice> {
        let slice = self.queue.pop_front()?;
        let secs = slice.span.secs();
        let pace = self.paces.get(slice.lane);
        let width = if slice.held > self.limit.unsigned_abs() {
            // It is known not to fit: what is left of it never goes out in one piece.
            pace.width(self.limit).min(ceil_div(secs, 2))
        } else if pace.fits(secs, self.limit) {
            secs
        } else {
            pace.width(self.limit)
        };
        let first = even_part(slice.span, width);
        if first.until < slice.span.until {
            let rest = Span::new(first.until, slice.span.until);
            self.queue.push_front(Slice { span: rest, ..slice });
        }
        Some(Slice { span: first, held: 0, ..slice })
    }

    /// `slice` came back whole, with `entries` in it.
    pub fn whole(&mut self, slice: Slice, entries: u64) {
        self.note_held(slice, entries);
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.paces.get(slice.lane).whole(slice.span.secs(), entries);
    }

    /// `slice` holds more than a page (`total`, when the source could count it): it comes
    /// again in smaller pieces. It must be longer than a second.
    pub fn crowded(&mut self, slice: Slice, total: Option<u64>) {
        self.narrow(slice, total);
        // A source that cannot count them has more than it counts.
        let held = total.unwrap_or(TOTAL_CAP);
        self.note_held(slice, held);
        self.queue.push_front(Slice { held, ..slice });
    }

    /// `slice` could not be read; it is left for a later run, which asks for less at once.
    pub fn failed(&mut self, slice: Slice) {
        self.narrow(slice, None);
    }

    /// What the next run starts with.
    #[must_use]
    pub const fn paces(&self) -> Paces {
        self.paces
    }

    fn narrow(&mut self, slice: Slice, total: Option<u64>) {
        let total = total.map(|total| i64::try_from(total).unwrap_or(i64::MAX));
        self.paces.get(slice.lane).crowded(slice.span.secs(), total);
    }

    /// What lies behind `slice` in the stretch that it was cut from holds so much less.
    fn note_held(&mut self, slice: Slice, entries: u64) {
        if let Some(rest) = self.queue.front_mut().filter(|rest| rest.span.from == slice.span.until)
        {
            rest.held = rest.held.saturating_sub(entries);
        }
    }

    fn push(&mut self, span: Span, lane: Lane) {
        if !span.is_empty() {
            self.queue.push_back(Slice { span, lane, held: 0 });
        }
    }

    fn queue_rest(&mut self, parts: Vec<Unsettled>, hot: Span) {
        let (never, again): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part.asked_at.is_none());
        for part in never {
            self.push(part.span, Lane::Past);
        }
        let mut pieces = Vec::new();
        for stretch in adjoined(&again) {
            let lane = if stretch.until > hot.from { Lane::Present } else { Lane::Past };
            let width = self.paces.get(lane).width(self.limit);
            let mut left = stretch;
            while !left.is_empty() {
                let piece = even_part(left, width);
                left.from = piece.until;
                let slice = Slice { span: piece, lane, held: 0 };
                pieces.push((oldest_stamp(&again, piece), slice));
            }
        }
        pieces.sort_by_key(|(stamp, _)| *stamp);
        self.queue.extend(pieces.into_iter().map(|(_, slice)| slice));
    }
}

/// The unbroken stretch of parts that ends at `hi`; empty when none touches it.
fn tail(parts: &[Unsettled], hi: i64) -> Span {
    let mut tail = Span::new(hi, hi);
    for part in parts.iter().rev() {
        if part.span.until != tail.from {
            break;
        }
        tail.from = part.span.from;
    }
    tail
}

/// The parts with those that adjoin taken together.
fn adjoined(parts: &[Unsettled]) -> Vec<Span> {
    let mut stretches: Vec<Span> = Vec::new();
    for part in parts {
        match stretches.last_mut() {
            Some(last) if last.until == part.span.from => last.until = part.span.until,
            _ => stretches.push(part.span),
        }
    }
    stretches
}

fn oldest_stamp(parts: &[Unsettled], piece: Span) -> i64 {
    let inside = parts.iter().filter(|part| !part.span.intersect(piece).is_empty());
    inside.filter_map(|part| part.asked_at).min().unwrap_or(i64::MIN)
}

/// The first of the equal parts, none longer than `width`, that `span` is cut into.
fn even_part(span: Span, width: i64) -> Span {
    let width = width.max(1);
    let pieces = ceil_div(span.secs(), width).max(1);
    Span::new(span.from, span.from + ceil_div(span.secs(), pieces))
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a / b + i64::from(a % b != 0)
}

#[cfg(test)]
mod tests;
