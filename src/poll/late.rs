//! What a source's entries have taught about their lateness: the overlap in use, and an
//! alarm when they come later.
//!
//! Keeps true: what was learnt survives in the ledger; an alarm is stored in the same
//! transaction as the state that it tells of, so each change of state is told once,
//! whatever happens in between.

use serde_json::json;

use crate::config::Overlap;
use crate::model::event::{Event, Route};
use crate::model::lateness::{
    Curve, FIRST_OVERLAP_SECS, LEARN_EVERY_SECS, Learnt, TRACKED, WINDOW, advice, is_late,
    next_overlap,
};
use crate::model::notice::{Notice, notice};
use crate::model::timestamp::Timestamp;
use crate::poll::report::Trouble;
use crate::poll::run::Run;
use crate::poll::{Keep, Log};
use crate::storage::Ingest;

/// The envelope's `type` of the event that tells that entries come later than the overlap.
pub const LATE_TYPE: &str = "com.tailwater.source.late";

/// The envelope's `type` of the event that tells that they no longer do.
pub const ON_TIME_TYPE: &str = "com.tailwater.source.on-time";

/// What follows from `curve` at server time `now`, after `before`.
#[must_use]
pub fn learn(overlap: Overlap, before: Option<&Learnt>, curve: &Curve, now: Timestamp) -> Learnt {
    let overlap_secs = match overlap {
        Overlap::Fixed(_) => first_overlap(overlap, None),
        Overlap::Auto => next_overlap(first_overlap(overlap, before), curve),
    };
    let since = before.and_then(|before| before.late_since);
    Learnt {
        overlap_secs,
        at: now,
        entries: curve.entries(),
        quantile: curve.quantile(TRACKED),
        swept: curve.swept(),
        late_since: is_late(curve, overlap_secs).then(|| since.unwrap_or(now)),
        within: curve.within(),
    }
}

/// The overlap to begin with, in seconds, rounded up: as configured, or as learnt before.
pub(super) fn first_overlap(overlap: Overlap, before: Option<&Learnt>) -> i64 {
    match overlap {
        Overlap::Fixed(overlap) => {
            let secs = overlap.as_secs() + u64::from(overlap.subsec_nanos() > 0);
            i64::try_from(secs).unwrap_or(i64::MAX / 4)
        }
        Overlap::Auto => before.map_or(FIRST_OVERLAP_SECS, |learnt| learnt.overlap_secs),
    }
}

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// Looks at the curve once an hour, and whenever a sweep found something.
    pub(super) async fn learn(&mut self) -> Result<(), Trouble> {
        let now = self.scanner.log.server_now();
        let before = self.scanner.learnt.take();
        let age = before.as_ref().map_or(i64::MAX, |before| (now.secs() - before.at.secs()).abs());
        if age < LEARN_EVERY_SECS && self.report.late == 0 {
            self.scanner.learnt = before;
            return Ok(());
        }
        let settings = &self.scanner.settings;
        let curve = match self.scanner.keep.find_curve(&settings.name, WINDOW).await {
            Ok(curve) => curve,
            Err(error) => {
                self.scanner.learnt = before;
                return Err(error.into());
            }
        };
        let learnt = learn(settings.overlap, before.as_ref(), &curve, now);
        let was_late = before.as_ref().and_then(|before| before.late_since);
        let ingest = Ingest {
            source: settings.name.clone(),
            route: Route::Poll,
            events: change_of(&settings.name, &settings.workspace_id, was_late, &learnt, &curve)
                .into_iter()
                .collect(),
            unreadable: Vec::new(),
            targets: settings.targets.borrow().clone(),
            coverage: None,
            request: None,
            shown: None,
            learnt: Some(learnt.clone()),
        };
        let stored = self.scanner.keep.ingest(ingest).await;
        let ingested = stored.inspect_err(|_| self.scanner.learnt.clone_from(&before))?;
        if ingested.new > 0 {
            (self.scanner.wake)();
        }
        self.tell(before.as_ref(), &learnt);
        self.scanner.overlap_secs = learnt.overlap_secs;
        self.scanner.learnt = Some(learnt);
        Ok(())
    }

    fn tell(&self, before: Option<&Learnt>, learnt: &Learnt) {
        let source = &self.scanner.settings.name;
        let (entries, swept) = (learnt.entries, learnt.swept);
        let p995 = learnt.quantile.map(seconds);
        let overlap_s = learnt.overlap_secs;
        if overlap_s != self.scanner.overlap_secs {
            tracing::info!(source, overlap_s, entries, p995, "the learnt overlap changes");
        }
        match (before.and_then(|before| before.late_since), learnt.late_since) {
            (None, Some(_)) => tracing::warn!(
                source,
                overlap_s,
                entries,
                swept,
                p995,
                "entries become visible later than the overlap; sweeps find them, hours later; \
                 `tailwater history --lateness` shows how late"
            ),
            (Some(_), None) => {
                tracing::info!(source, overlap_s, entries, "entries keep within the overlap again");
            }
            _ => {}
        }
    }
}

/// The event that tells of a change of state; `None` when there is none.
///
/// Its data: `{"source": "production", "overlap_s": 900, "entries": 700,
/// "found_by_sweeps": 3, "lateness_p995_s": 31.5, "longest_s": 3900.0,
/// "write": "overlap = \"65m\""}`; figures that too few entries carry, and an overlap that
/// would be too long, are null.
fn change_of(
    name: &str,
    workspace_id: &str,
    was_late: Option<Timestamp>,
    learnt: &Learnt,
    curve: &Curve,
) -> Option<Event> {
    let (event_type, id, description) = match (was_late, learnt.late_since) {
        (None, Some(since)) => (
            LATE_TYPE,
            format!("late-{}", since.to_rfc3339_secs()),
            format!(
                "Entries become visible later than the overlap of {} s: sweeps found {} of the \
                 last {}",
                learnt.overlap_secs, learnt.swept, learnt.entries
            ),
        ),
        (Some(since), None) => (
            ON_TIME_TYPE,
            format!("on-time-{}", since.to_rfc3339_secs()),
            format!("Entries keep within the overlap of {} s again", learnt.overlap_secs),
        ),
        _ => return None,
    };
    let data = json!({
        "overlap_s": learnt.overlap_secs,
        "entries": learnt.entries,
        "found_by_sweeps": learnt.swept,
        "lateness_p995_s": learnt.quantile.map(seconds),
        "longest_s": curve.longest().map(seconds),
        "write": advice(curve).map(|overlap| format!("overlap = \"{overlap}\"")),
    });
    let told = Notice { event_type, id, data, description };
    Some(notice(name, workspace_id, learnt.at, told))
}

#[expect(clippy::cast_precision_loss, reason = "a lateness is far below 2^52 microseconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::envelope::Data;
    use crate::model::lateness::Sample;

    fn curve(secs: i64, count: usize, is_swept: bool) -> Curve {
        let at_most = secs * 1_000_000;
        let sample = Sample { at_least: 0, at_most, is_swept };
        std::iter::repeat_n(sample, count).collect()
    }

    #[test]
    fn a_change_of_state_is_one_event_and_keeps_its_id() {
        let fixed = Overlap::Fixed(Duration::from_mins(15));
        let at = Timestamp::from_secs;
        let calm = learn(fixed, None, &curve(5, 700, false), at(100));
        assert_eq!((calm.late_since, calm.overlap_secs, calm.entries), (None, 900, 700));
        let found = curve(3_890, 1, true);
        let late = learn(fixed, Some(&calm), &found, at(200));
        assert_eq!(late.late_since, Some(at(200)));
        let event = change_of("production", "ws", calm.late_since, &late, &found).unwrap();
        assert_eq!(event.envelope.event_type, LATE_TYPE);
        assert_eq!(event.envelope.id, "late-1970-01-01T00:03:20Z");
        let Data::Json(data) = &event.envelope.data else { panic!("no data") };
        let data: serde_json::Value = serde_json::from_str(data.get()).unwrap();
        assert_eq!(data["write"], "overlap = \"65m\"");
        assert_eq!((&data["found_by_sweeps"], &data["source"]), (&1.into(), &"production".into()));
        assert_eq!(data["lateness_p995_s"], serde_json::Value::Null, "one entry tells no quantile");

        let still = learn(fixed, Some(&late), &found, at(300));
        assert_eq!(still.late_since, Some(at(200)));
        assert!(change_of("production", "ws", late.late_since, &still, &found).is_none());
        let again = learn(fixed, Some(&still), &curve(5, 700, false), at(400));
        let event = change_of("production", "ws", still.late_since, &again, &found).unwrap();
        assert_eq!(event.envelope.event_type, ON_TIME_TYPE);
        assert_eq!(event.envelope.id, "on-time-1970-01-01T00:03:20Z");
    }

    #[test]
    fn a_learnt_overlap_goes_on_where_it_was() {
        let at = Timestamp::from_secs(0);
        let first = learn(Overlap::Auto, None, &curve(5, 3, false), at);
        assert_eq!(first.overlap_secs, 900);
        let longer = learn(Overlap::Auto, Some(&first), &curve(2_000, 700, false), at);
        assert_eq!(longer.overlap_secs, 2_000);
        let shorter = learn(Overlap::Auto, Some(&longer), &curve(5, 700, false), at);
        assert_eq!(shorter.overlap_secs, 1_800);
    }
}
