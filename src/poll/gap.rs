//! Time that was lost because the poller was away for longer than the source keeps it.
//!
//! The stretch is read all the same: what is still there is kept, and the watermark
//! passes it by a scan as always. But nobody can confirm any more that it is complete, so
//! an event of our own with its bounds goes into the ledger and to every target, in the
//! same transaction as the first page after the outage.

use serde_json::json;

use crate::model::coverage::{Coverage, Span};
use crate::model::event::Event;
use crate::model::notice::{Notice, notice};
use crate::model::timestamp::Timestamp;

/// How far back the source shows entries: "the past three months" (HPE developer portal,
/// audit logs v1), which are 92 days at most. What was lost for certain is told.
pub const RETENTION_SECS: i64 = 92 * 86_400;

/// Outages shorter than a day are not told: a backfill from the edge of what the source
/// keeps loses some seconds at each restart, and the edge is not known that well.
const SHORTEST_OUTAGE_SECS: i64 = 86_400;

/// The envelope's `type` of a gap event.
pub const GAP_TYPE: &str = "com.tailwater.source.gap";

/// The stretches that went out of the source's reach between the youngest scan in
/// `before` and second `now` of server time, without having been settled.
///
/// Empty before the first scan: where nothing was ever read, nothing was interrupted.
#[must_use]
pub fn find_lost(before: &Coverage, overlap_secs: i64, now: i64) -> Vec<Span> {
    let Some(asked) = before.last_asked() else { return Vec::new() };
    if now.saturating_sub(asked) < SHORTEST_OUTAGE_SECS {
        return Vec::new();
    }
    let gone = Span::new(asked.saturating_sub(RETENTION_SECS), now.saturating_sub(RETENTION_SECS));
    let mut stretches: Vec<Span> = Vec::new();
    for part in before.unsettled(gone.until, overlap_secs) {
        let span = part.span.intersect(gone);
        match stretches.last_mut() {
            _ if span.is_empty() => {}
            Some(before) if before.until == span.from => before.until = span.until,
            _ => stretches.push(span),
        }
    }
    stretches
}

/// The event that tells of `lost`, noticed at `now`.
///
/// Its data: `{"source": "production", "from": "<RFC 3339>", "until": "<RFC 3339>"}`,
/// half-open. Its id comes from the source's name and `from`, so an outage that is noticed
/// again after a crash is still one event.
#[must_use]
pub fn gap_event(name: &str, workspace_id: &str, lost: Span, now: Timestamp) -> Event {
    let from = Timestamp::from_secs(lost.from).to_rfc3339_secs();
    let until = Timestamp::from_secs(lost.until).to_rfc3339_secs();
    let data = json!({ "from": from, "until": until });
    let description = format!(
        "GreenLake no longer shows entries created from {from} to {until}; \
         those that were not read before are lost"
    );
    let id = format!("gap-{from}");
    notice(name, workspace_id, now, Notice { event_type: GAP_TYPE, id, data, description })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::envelope::Data;

    const DAY: i64 = 86_400;

    #[test]
    fn only_what_went_out_of_reach_unsettled_is_lost() {
        let mut read = Coverage::new(0);
        read.record(Span::new(0, 10 * DAY + 1), 10 * DAY);
        read.advance(900);
        let watermark = read.watermark;
        let away = |days: i64| find_lost(&read, 900, (10 + days) * DAY);
        assert_eq!(away(0), []);
        assert_eq!(away(91), []);
        assert_eq!(away(100), [Span::new(watermark, 18 * DAY)]);

        let mut holes = Coverage::new(0);
        holes.record(Span::new(100 * DAY, 200 * DAY + 1), 200 * DAY);
        assert_eq!(find_lost(&holes, 900, 200 * DAY + 60), [], "an old backfill, restarted");
        assert_eq!(
            find_lost(&holes, 900, 300 * DAY),
            [Span::new(200 * DAY - 904, 208 * DAY)],
            "what was out of reach before the outage was not lost by it"
        );
        assert_eq!(find_lost(&Coverage::new(0), 900, 300 * DAY), [], "never read");
    }

    #[test]
    fn the_event_names_its_bounds_and_keeps_its_id() {
        let now = Timestamp::from_secs(300 * DAY);
        let event = gap_event("my source", "ws", Span::new(DAY, 2 * DAY), now);
        let again = gap_event("my source", "ws", Span::new(DAY, 3 * DAY), now);
        assert_eq!(event.envelope.id, again.envelope.id);
        assert_eq!(event.envelope.source, "//tailwater/my+source");
        let Data::Json(data) = &event.envelope.data else { panic!("no data") };
        let data: serde_json::Value = serde_json::from_str(data.get()).unwrap();
        assert_eq!(data["source"], "my source");
        assert_eq!(data["from"], "1970-01-02T00:00:00Z");
        assert_eq!(data["until"], "1970-01-03T00:00:00Z");
    }
}
