//! What is kept of one source, and the laws that each commit has to keep.

use std::collections::HashSet;

use tailwater::model::coverage::{Coverage, Span};
use tailwater::model::event::Event;
use tailwater::model::lateness::{Learnt, Sample, Sighted};
use tailwater::model::sweep::Sweep;
use tailwater::poll::gap::GAP_TYPE;
use tailwater::poll::late::{LATE_TYPE, ON_TIME_TYPE};
use tailwater::storage::{Ingest, Ingested};

use crate::cloud::{Cloud, Entry};

/// The part of the ledger that holds one source: one transaction a call, as the real one.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) coverage: Option<Coverage>,
    /// The shortest overlap that was ever in use.
    pub(crate) overlap: i64,
    /// Ids of the poller's own events.
    pub(crate) notices: HashSet<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) learnt: Option<Learnt>,
    /// What was asked and answered since the watermark, with the server time (seconds) of
    /// the asking: the only thing that may move the watermark.
    asked: Vec<(Span, i64)>,
}

impl Shelf {
    pub(crate) fn new(overlap: i64) -> Self {
        Self {
            coverage: None,
            overlap,
            notices: HashSet::new(),
            samples: Vec::new(),
            learnt: None,
            asked: Vec::new(),
        }
    }

    pub(crate) fn note_asked(&mut self, span: Span, stamp: i64) {
        self.asked.push((span, stamp));
    }

    /// Keeps what is new and the coverage, together.
    ///
    /// # Errors
    /// The law that this commit breaks, in words.
    pub(crate) fn ingest(
        &mut self,
        cloud: &mut Cloud,
        ingest: Ingest,
        at: i64,
    ) -> Result<Ingested, String> {
        let mut ingested = Ingested::default();
        if !ingest.events.is_sorted_by_key(|event| event.occurred_at) {
            return Err("a page is not kept oldest first".to_owned());
        }
        for event in &ingest.events {
            let kind = event.envelope.event_type.as_str();
            if [GAP_TYPE, LATE_TYPE, ON_TIME_TYPE].contains(&kind) {
                ingested.new += u64::from(self.notices.insert(event.envelope.id.clone()));
                continue;
            }
            let number: usize =
                event.envelope.id.parse().map_err(|_| "an id changed".to_owned())?;
            let entry = &cloud.entries[number];
            let is_same = event.workspace_id == cloud.workspace_id
                && event.occurred_at.secs() == entry.second();
            if !is_same {
                return Err(format!("I7: entry {number} came as another"));
            }
            if !entry.is_stored {
                let second = entry.second();
                let sighted = ingest.shown.as_ref().and_then(|shown| shown.sighted(second));
                if let Some(sighted) = sighted {
                    check_ends(entry, sighted, cloud.is_steady())?;
                    self.samples.push(Sample {
                        at_least: sighted.at_least(second),
                        at_most: sighted.at_most(second),
                        is_swept: sighted.tier.is_some(),
                    });
                }
            }
            let entry = &mut cloud.entries[number];
            ingested.new += u64::from(!entry.is_stored);
            ingested.known += u64::from(entry.is_stored);
            entry.is_stored = true;
        }
        for item in &ingest.unreadable {
            let number: usize =
                item.raw.trim_start_matches("broken ").parse().map_err(|_| "a text changed")?;
            ingested.quarantined += u64::from(!cloud.entries[number].is_stored);
            cloud.entries[number].is_stored = true;
        }
        if let Some(learnt) = ingest.learnt {
            self.overlap = self.overlap.min(learnt.overlap_secs);
            self.check_alarm(&learnt, &ingest.events)?;
            self.learnt = Some(learnt);
        }
        if let Some(next) = ingest.coverage {
            self.check_step(&next)?;
            self.coverage = Some(next);
        }
        self.check(cloud, at)?;
        Ok(ingested)
    }

    /// Each change of state is told once, with the state.
    fn check_alarm(&self, learnt: &Learnt, events: &[Event]) -> Result<(), String> {
        let was_late = self.learnt.as_ref().is_some_and(|learnt| learnt.late_since.is_some());
        let is_told = events.len() == 1;
        if (was_late != learnt.late_since.is_some()) == is_told {
            return Ok(());
        }
        Err(format!("the alarm: {learnt:?} after {:?} with {events:?}", self.learnt))
    }

    /// I3 and I8: the watermark moves forward only, and only over what was asked for late
    /// enough.
    fn check_step(&mut self, next: &Coverage) -> Result<(), String> {
        let Some(before) = &self.coverage else {
            let is_new = next.watermark == next.start && next.scans.is_empty();
            return if is_new {
                Ok(())
            } else {
                Err("I3: the first start settles time".to_owned())
            };
        };
        if next.watermark < before.watermark {
            let (from, to) = (before.watermark, next.watermark);
            return Err(format!("I8: the watermark moves back from {from} to {to}"));
        }
        if next.start != before.start {
            return Err(format!("I8: the start moves from {} to {}", before.start, next.start));
        }
        let mut settled = before.watermark;
        while settled < next.watermark {
            let reach = self.asked.iter().filter(|(span, _)| span.contains(settled));
            let reach = reach.map(|(span, stamp)| span.until.min(stamp - self.overlap + 1)).max();
            match reach.filter(|reach| *reach > settled) {
                Some(reach) => settled = reach,
                None => return Err(format!("I3: second {settled} is settled without a scan")),
            }
        }
        self.asked.retain(|(span, _)| span.until > next.watermark);
        Ok(())
    }

    /// I1 and I2: whatever is not kept was not there to be seen by any scan that is
    /// recorded, and not within `overlap` of its making when it is below the watermark.
    ///
    /// # Errors
    /// The first entry that is missing.
    pub(crate) fn check(&self, cloud: &Cloud, at: i64) -> Result<(), String> {
        let Some(coverage) = &self.coverage else { return Ok(()) };
        let oldest = cloud.oldest(at);
        let is_steady = cloud.is_steady();
        for (number, entry) in cloud.entries.iter().enumerate() {
            let second = entry.second();
            if entry.is_stored || second < coverage.start || second < oldest {
                continue;
            }
            self.check_missing(coverage, entry, is_steady)
                .map_err(|law| format!("{law}: entry {number}, {entry:?}, {coverage:?}"))?;
        }
        Ok(())
    }

    fn check_missing(
        &self,
        coverage: &Coverage,
        entry: &Entry,
        is_steady: bool,
    ) -> Result<(), &'static str> {
        let second = entry.second();
        if second < coverage.watermark {
            if is_steady && entry.late <= self.overlap * crate::cloud::SECOND {
                return Err("I2: a hole, and the entry was not late");
            }
            if entry.unseen_at < second + self.overlap {
                return Err("I2: a hole, and no late scan failed to see the entry");
            }
        }
        let scan = coverage.scans.iter().find(|scan| scan.span.contains(second));
        if scan.is_some_and(|scan| entry.unseen_at < scan.asked_at) {
            return Err("I1: a scan is recorded without what it saw");
        }
        Ok(())
    }

    /// The sweeps' law, once nothing goes wrong any more and each had its turn: whatever is
    /// missing is not shown, or came later than the sweeps reach.
    ///
    /// # Errors
    /// The first entry that is missing.
    pub(crate) fn check_swept(&self, cloud: &Cloud, at: i64) -> Result<(), String> {
        let Some(coverage) = &self.coverage else { return Ok(()) };
        let (oldest, reach) = (cloud.oldest(at), Sweep::DAILY.reach_secs);
        for (number, entry) in cloud.entries.iter().enumerate() {
            let second = entry.second();
            let is_shown = entry.visible <= at && second >= oldest;
            if entry.is_stored || second < coverage.start || !is_shown {
                continue;
            }
            let within = cloud.is_steady() && entry.late <= reach * crate::cloud::SECOND;
            if within || entry.unseen_at < second + reach {
                return Err(format!("sweeps: entry {number} was never found, {entry:?}"));
            }
        }
        Ok(())
    }

    /// How many entries are in, out of reach of a hot re-read, and late beyond `overlap`.
    pub(crate) fn tally(&self, cloud: &Cloud) -> Tally {
        let mut tally = Tally::default();
        let Some(coverage) = &self.coverage else { return tally };
        for entry in cloud.entries.iter().filter(|entry| entry.second() >= coverage.start) {
            tally.made += 1;
            tally.stored += u64::from(entry.is_stored);
            let is_late = entry.late > self.overlap * crate::cloud::SECOND;
            tally.late += u64::from(is_late);
            tally.late_missed += u64::from(is_late && !entry.is_stored);
        }
        tally
    }
}

/// The true lateness lies between the two ends. Five seconds are allowed for a `Date` that
/// is rounded or off, and for the answer's way; after slow answers, whose `Date` was old
/// when it came, our idea of the source's time lies behind by as much as they took.
fn check_ends(entry: &Entry, sighted: Sighted, is_steady: bool) -> Result<(), String> {
    const ALLOWED: i64 = 5 * crate::cloud::SECOND;
    const SLOW: i64 = 25 * crate::cloud::SECOND;
    let (least, most) = (sighted.at_least(entry.second()), sighted.at_most(entry.second()));
    let is_between = least <= entry.late + ALLOWED && entry.late <= most + ALLOWED + SLOW;
    if is_between || !is_steady {
        return Ok(());
    }
    Err(format!("lateness: from {least} to {most} is wrong for {entry:?}, {sighted:?}"))
}

/// What became of the entries of one or many stories.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) made: u64,
    pub(crate) stored: u64,
    /// Visible later than `overlap` after their making.
    pub(crate) late: u64,
    pub(crate) late_missed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.made += other.made;
        self.stored += other.stored;
        self.late += other.late;
        self.late_missed += other.late_missed;
    }
}
