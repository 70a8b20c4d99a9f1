//! Deliveries: who is owed what, and how it stands.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::model::delivery::Status;
use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::checksum::require_same;
use crate::storage::error::StorageError;
use crate::storage::targets::TargetId;

/// Events looked at behind the head of a strict order: where an order was not strict before,
/// what is still owed lies scattered, and is then sent in smaller batches.
const BEHIND_MAX: i64 = 10_000;

/// A delivery that is owed now, with what it takes to make it.
#[derive(Clone, Debug)]
pub struct Due {
    /// The event's place in the ledger.
    pub sequence: Sequence,
    /// Failed attempts since it was made or replayed.
    pub step: u32,
    /// When the first of those started; `None` before.
    pub first_attempt_at: Option<Timestamp>,
    /// Nothing is recorded of it yet: it was never tried.
    pub is_first: bool,
    /// The envelope's `source`.
    pub event_source: Arc<str>,
    /// The envelope's `id`.
    pub event_id: Arc<str>,
    /// The structured CloudEvent, the same bytes at every attempt.
    pub body: Bytes,
}

/// One line of `delivery_log`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeliveryRow {
    /// The event's place in the ledger.
    pub sequence: Sequence,
    /// The event's id.
    pub event_id: String,
    /// The target's name.
    pub target: String,
    /// `pending`, `delivered` or `dead`.
    pub status: String,
    /// Attempts so far, replays included.
    pub attempts: i64,
    /// RFC 3339 UTC; `None` before the first.
    pub last_attempt_at: Option<String>,
    /// HTTP status of the last attempt; `None` when there was no answer.
    pub last_status: Option<i64>,
    /// Why the last attempt did not deliver; `None` when it did.
    pub last_reason: Option<String>,
    /// RFC 3339 UTC; `None` when it is due at once or has ended.
    pub next_attempt_at: Option<String>,
    /// RFC 3339 UTC; `None` unless delivered.
    pub delivered_at: Option<String>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only to this target.
    pub target: Option<String>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only of the event with this id.
    pub event_id: Option<String>,
    /// Rows at most, newest events first.
    pub limit: u32,
}

/// Selects the sequences of deliveries in a status that few of them are in, from what
/// holds those alone; `None` for one that most are in.
pub(super) const fn select_few(status: Status) -> Option<&'static str> {
    match status {
        Status::Pending => Some(
            "SELECT owed.sequence FROM fresh f CROSS JOIN event owed \
             ON owed.sequence >= f.from_sequence AND owed.sequence < f.until_sequence UNION ALL \
             SELECT sequence FROM delivery WHERE status = 'pending' AND step > 0",
        ),
        Status::Dead => Some("SELECT sequence FROM delivery WHERE status = 'dead'"),
        Status::Delivered => None,
    }
}

impl Reader {
    /// Deliveries to a target that were never tried (or are replayed), oldest event first,
    /// from above `after`; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read, or gives back an event other than it was stored.
    pub async fn list_fresh(
        &self,
        target: TargetId,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<Due>, StorageError> {
        let rows = sqlx::query(
            "SELECT e.sequence, coalesce(d.step, 0), d.first_attempt_us, d.sequence IS NULL,
                    o.uri, e.id, e.body, e.checksum
             FROM fresh f
             CROSS JOIN event e ON e.sequence >= max(f.from_sequence, $2 + 1)
                               AND e.sequence < f.until_sequence
             CROSS JOIN origin o ON o.id = e.origin_id
             LEFT JOIN delivery d ON d.sequence = e.sequence AND d.target_id = f.target_id
             WHERE f.target_id = $1
               AND f.from_sequence >= coalesce((SELECT max(from_sequence) FROM fresh
                                                WHERE target_id = $1 AND from_sequence <= $2), $2)
             ORDER BY f.from_sequence, e.sequence
             LIMIT $3",
        )
        .bind(target)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.0)
        .await?;
        rows.iter().map(due).collect()
    }

    /// Deliveries to a target whose next attempt is due by `now`, longest due first; at
    /// most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read, or gives back an event other than it was stored.
    pub async fn list_retries(
        &self,
        target: TargetId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StorageError> {
        let rows = sqlx::query(
            "SELECT d.sequence, d.step, d.first_attempt_us, false, o.uri, e.id, e.body, e.checksum
             FROM delivery d
             JOIN event e ON e.sequence = d.sequence
             JOIN origin o ON o.id = e.origin_id
             WHERE d.target_id = $1 AND d.status = 'pending' AND d.step > 0
               AND d.next_attempt_us <= $2
             ORDER BY d.next_attempt_us, d.sequence
             LIMIT $3",
        )
        .bind(target)
        .bind(now.micros())
        .bind(limit)
        .fetch_all(&self.0)
        .await?;
        rows.iter().map(due).collect()
    }

    /// The oldest delivery owed to a target, with the time of its next attempt (`None`:
    /// at once); `None` when nothing is owed. For strict order.
    ///
    /// # Errors
    /// When the ledger cannot be read, or gives back an event other than it was stored.
    pub async fn find_head(
        &self,
        target: TargetId,
    ) -> Result<Option<(Due, Option<Timestamp>)>, StorageError> {
        let row = sqlx::query(
            "SELECT e.sequence, coalesce(d.step, 0), d.first_attempt_us, d.sequence IS NULL,
                    o.uri, e.id, e.body, e.checksum, d.next_attempt_us
             FROM event e
             JOIN origin o ON o.id = e.origin_id
             LEFT JOIN delivery d ON d.sequence = e.sequence AND d.target_id = $1
             WHERE e.sequence = (
                   SELECT min(sequence)
                   FROM (SELECT min(from_sequence) AS sequence FROM fresh WHERE target_id = $1
                         UNION ALL
                         SELECT min(sequence) FROM delivery
                         WHERE target_id = $1 AND status = 'pending' AND step > 0) heads)",
        )
        .bind(target)
        .fetch_optional(&self.0)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let next = row.try_get::<Option<i64>, _>(8)?.map(Timestamp::from_micros);
        Ok(Some((due(&row)?, next)))
    }

    /// Deliveries owed to a target that come right behind the one of event `head`, in the
    /// order of their events, due or not; at most `limit`. For batches in strict order.
    ///
    /// # Errors
    /// When the ledger cannot be read, or gives back an event other than it was stored.
    pub async fn list_behind(
        &self,
        target: TargetId,
        head: Sequence,
        limit: u32,
    ) -> Result<Vec<Due>, StorageError> {
        let rows = sqlx::query(
            "SELECT e.sequence, coalesce(d.step, 0), d.first_attempt_us, d.sequence IS NULL,
                    o.uri, e.id, e.body, e.checksum
             FROM event e
             CROSS JOIN origin o ON o.id = e.origin_id
             LEFT JOIN delivery d ON d.sequence = e.sequence AND d.target_id = $1
             WHERE e.sequence > $2 AND e.sequence <= $2 + $4
               AND (d.status = 'pending' AND d.step > 0
                    OR e.sequence < (SELECT until_sequence FROM fresh
                                     WHERE target_id = $1 AND from_sequence <= e.sequence
                                     ORDER BY from_sequence DESC LIMIT 1))
             ORDER BY e.sequence
             LIMIT $3",
        )
        .bind(target)
        .bind(head)
        .bind(limit)
        .bind(BEHIND_MAX)
        .fetch_all(&self.0)
        .await?;
        rows.iter().map(due).collect()
    }

    /// When the next retry to a target is due after `now`; `None` when none is.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_next_retry(
        &self,
        target: TargetId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StorageError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(next_attempt_us) FROM delivery
             WHERE target_id = $1 AND status = 'pending' AND step > 0
               AND next_attempt_us > $2",
        )
        .bind(target)
        .bind(now.micros())
        .fetch_one(&self.0)
        .await?;
        Ok(next.map(Timestamp::from_micros))
    }

    /// Lines of `delivery_log`, newest events first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Vec<DeliveryRow>, StorageError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT sequence, event_id, target, status, attempts, last_attempt_at, \
             last_status, last_reason, next_attempt_at, delivered_at \
             FROM delivery_log WHERE true",
        );
        if let Some(target) = &filter.target {
            query.push(" AND target = ").push_bind(target);
        }
        if let Some(status) = filter.status {
            if let Some(few) = select_few(status) {
                query.push(" AND sequence IN (").push(few).push(")");
            }
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(id) = &filter.event_id {
            // Ids are indexed within their namespaces, of which there are few.
            query.push(
                " AND sequence IN (SELECT sequence FROM event \
                 WHERE origin_id IN (SELECT id FROM origin) AND id = ",
            );
            query.push_bind(id).push(")");
        }
        query.push(" ORDER BY sequence DESC, target LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.0).await?;
        rows.iter().map(delivery_row).collect()
    }
}

fn due(row: &SqliteRow) -> Result<Due, StorageError> {
    let due = Due {
        sequence: row.try_get(0)?,
        step: row.try_get(1)?,
        first_attempt_at: row.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_micros),
        is_first: row.try_get(3)?,
        event_source: row.try_get::<&str, _>(4)?.into(),
        event_id: row.try_get::<&str, _>(5)?.into(),
        body: Bytes::from(row.try_get::<String, _>(6)?),
    };
    let Due { sequence, event_source, event_id, body, .. } = &due;
    require_same(*sequence, row.try_get(7)?, (event_source, event_id, body))?;
    Ok(due)
}

fn delivery_row(row: &SqliteRow) -> Result<DeliveryRow, StorageError> {
    Ok(DeliveryRow {
        sequence: row.try_get(0)?,
        event_id: row.try_get(1)?,
        target: row.try_get(2)?,
        status: row.try_get(3)?,
        attempts: row.try_get(4)?,
        last_attempt_at: row.try_get(5)?,
        last_status: row.try_get(6)?,
        last_reason: row.try_get(7)?,
        next_attempt_at: row.try_get(8)?,
        delivered_at: row.try_get(9)?,
    })
}
