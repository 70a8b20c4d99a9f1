//! What a sink has counted.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::model::envelope::{CloudEvent, ExtensionValue};
use crate::model::timestamp::Timestamp;
use crate::simulator::sink::Signature;
use crate::simulator::sink::latency::{Latency, Quantiles};

/// Events whose identity is remembered, some 100 bytes each; repeats of later ones are
/// not recognised, and [`Report::unremembered`] tells how many those are.
pub const MAX_IDS: usize = 5_000_000;

/// What came to a sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Requests, refused and unreadable ones included.
    pub requests: u64,
    /// Requests that were turned away or dropped on demand.
    pub failed_on_demand: u64,
    /// Events taken, repeats included.
    pub events: u64,
    /// Different events by `source` and `id`.
    pub distinct: u64,
    /// Events that had come before.
    pub repeats: u64,
    /// Events that came when no more identities could be remembered.
    pub unremembered: u64,
    /// JSON that is no `CloudEvent`.
    pub plain: u64,
    /// Requests whose signatures fit.
    pub signatures_good: u64,
    /// Requests with a signature that does not fit.
    pub signatures_bad: u64,
    /// Requests without a signature that was wanted.
    pub signatures_missing: u64,
    /// Requests that could not be read.
    pub unreadable: u64,
    /// Numbers missing between the lowest and the highest `sequence`.
    pub gaps: u64,
    /// Events whose `sequence` is below one that came before them; repeats apart.
    pub out_of_order: u64,
    /// From `recordedtime` to arrival.
    pub since_recorded: Quantiles,
    /// From `time` to arrival.
    pub since_created: Quantiles,
}

/// The counts while they grow.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Report,
    /// When each event first came, by `source` and `id` with a line break between, which
    /// neither may hold.
    seen: HashMap<Box<str>, Timestamp>,
    /// Holds the key of the event in hand: one allocation for all.
    key: String,
    sequences: Option<Sequences>,
    since_recorded: Latency,
    since_created: Latency,
}

#[derive(Clone, Copy, Debug)]
struct Sequences {
    lowest: i64,
    highest: i64,
    count: u64,
}

impl Tally {
    /// Counts a request's signature.
    pub(super) fn count_signature(&mut self, signature: Signature) {
        match signature {
            Signature::Good => self.counts.signatures_good += 1,
            Signature::Bad => self.counts.signatures_bad += 1,
            Signature::Missing => self.counts.signatures_missing += 1,
            Signature::Unchecked => {}
        }
    }

    /// Counts an event; whether it came before.
    pub(super) fn count_event(&mut self, event: &CloudEvent, arrived_at: Timestamp) -> bool {
        self.counts.events += 1;
        self.key.clear();
        self.key.extend([&event.source, "\n", &event.id]);
        if self.seen.contains_key(self.key.as_str()) {
            self.counts.repeats += 1;
            return true;
        }
        if self.seen.len() < MAX_IDS {
            self.seen.insert(self.key.as_str().into(), arrived_at);
            self.counts.distinct += 1;
        } else {
            self.counts.unremembered += 1;
        }
        let extension = |name| match event.extensions.get(name) {
            Some(ExtensionValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        if let Some(at) = extension("recordedtime").and_then(Timestamp::parse_rfc3339) {
            self.since_recorded.record(arrived_at.since(at));
        }
        if let Some(at) = event.time.as_deref().and_then(Timestamp::parse_rfc3339) {
            self.since_created.record(arrived_at.since(at));
        }
        if let Some(sequence) = extension("sequence").and_then(|text| text.parse().ok()) {
            self.count_sequence(sequence);
        }
        false
    }

    fn count_sequence(&mut self, sequence: i64) {
        let Some(known) = &mut self.sequences else {
            self.sequences = Some(Sequences { lowest: sequence, highest: sequence, count: 1 });
            return;
        };
        self.counts.out_of_order += u64::from(sequence < known.highest);
        known.lowest = known.lowest.min(sequence);
        known.highest = known.highest.max(sequence);
        known.count += 1;
    }

    pub(super) fn report(&self) -> Report {
        let gaps = self.sequences.map_or(0, |known| {
            known.highest.abs_diff(known.lowest).saturating_add(1).saturating_sub(known.count)
        });
        Report {
            gaps,
            since_recorded: self.since_recorded.quantiles(),
            since_created: self.since_created.quantiles(),
            ..self.counts.clone()
        }
    }

    pub(super) fn ids(&self) -> HashSet<String> {
        self.seen.keys().filter_map(|key| id_of(key)).collect()
    }

    pub(super) fn first_arrivals(&self) -> HashMap<String, Timestamp> {
        self.seen.iter().filter_map(|(key, at)| Some((id_of(key)?, *at))).collect()
    }
}

/// The id in a key of `seen`.
fn id_of(key: &str) -> Option<String> {
    key.split_once('\n').map(|(_, id)| id.to_owned())
}
