//! Attempts: one row for each HTTP request for a delivery, but for the one that delivers it.

use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use crate::model::event::Sequence;
use crate::model::outcome::Reason;
use crate::storage::Reader;
use crate::storage::bulk::Bulk;
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::settle::Settlement;
use crate::storage::targets::TargetId;

/// One line of `attempt_log`.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AttemptRow {
    /// The event's id.
    pub event_id: String,
    /// The target's name.
    pub target: String,
    /// From 1, replays included.
    pub number: i64,
    /// RFC 3339 UTC.
    pub started_at: String,
    /// Until the end of the answer, or until it failed.
    pub duration_ms: f64,
    /// HTTP status; `None` when there was no answer.
    pub status: Option<i64>,
    /// Why it did not deliver; `None` when it did.
    pub reason: Option<String>,
    /// The beginning of the answer or of the error, redacted; `None` when there was nothing.
    pub answer: Option<String>,
}

impl Reader {
    /// Lines of `attempt_log` for the event with this id, to all targets or to one, in the
    /// order of targets and numbers; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_attempts(
        &self,
        event_id: &str,
        target: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StorageError> {
        // Ids are indexed within their namespaces, of which there are few.
        let rows = sqlx::query(
            "SELECT event_id, target, number, started_at, duration_ms, status, reason, answer
             FROM attempt_log
             WHERE sequence IN (SELECT sequence FROM event
                                WHERE origin_id IN (SELECT id FROM origin) AND id = $1)
               AND ($2 IS NULL OR target = $2)
             ORDER BY target, sequence, number
             LIMIT $3",
        )
        .bind(event_id)
        .bind(target)
        .bind(limit)
        .fetch_all(&self.0)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AttemptRow {
                    event_id: row.try_get(0)?,
                    target: row.try_get(1)?,
                    number: row.try_get(2)?,
                    started_at: row.try_get(3)?,
                    duration_ms: row.try_get(4)?,
                    status: row.try_get(5)?,
                    reason: row.try_get(6)?,
                    answer: row.try_get(7)?,
                })
            })
            .collect()
    }
}

/// Inserts the attempts that did not deliver of deliveries that are being settled; their
/// number is the delivery's count of attempts, which must have been raised before. Where it
/// was not, for the delivery had ended meanwhile, that number is taken: nothing is inserted.
pub(super) fn insert(
    script: &mut Script,
    target: TargetId,
    settlements: &[&Settlement],
) -> Result<(), StorageError> {
    // Were there no WHERE, SQLite would read ON CONFLICT as a join's.
    static INSERT: Bulk = Bulk::new(
        "WITH made (sequence, started_us, duration_us, status, reason, answer) AS (VALUES ",
        "(?, ?, ?, ?, ?, ?)",
        ") INSERT OR FAIL INTO attempt \
         (sequence, target_id, number, started_us, duration_us, status, reason, answer) \
         SELECT d.sequence, d.target_id, d.attempts, m.started_us, m.duration_us, m.status, \
         m.reason, m.answer \
         FROM made m \
         CROSS JOIN delivery d ON d.sequence = m.sequence AND d.target_id = ? \
         WHERE d.delivered_in_us IS NULL ON CONFLICT DO NOTHING",
    );
    let filling = script.begin(&INSERT, settlements.len())?;
    for settlement in settlements {
        let attempt = &settlement.attempt;
        filling
            .push(settlement.sequence)?
            .push(attempt.started_at.micros())?
            .push(micros(attempt.duration))?
            .push(attempt.status)?
            .push(attempt.outcome.reason().map(Reason::as_str))?
            .push(attempt.answer.as_deref())?;
    }
    filling.push_behind(target)?;
    Ok(())
}

/// As [`insert`], for settlements of one request whose events follow on each other.
pub(super) fn insert_run(
    script: &mut Script,
    target: TargetId,
    run: &[Settlement],
) -> Result<(), StorageError> {
    let [first, .., last] = run else { return Ok(()) };
    let statement = script.add(
        "INSERT OR FAIL INTO attempt
             (sequence, target_id, number, started_us, duration_us, status, reason, answer)
         SELECT sequence, target_id, attempts, ?, ?, ?, ?, ?
         FROM delivery
         WHERE sequence BETWEEN ? AND ? AND target_id = ? AND delivered_in_us IS NULL
         ON CONFLICT DO NOTHING",
    )?;
    statement
        .push(first.attempt.started_at.micros())?
        .push(micros(first.attempt.duration))?
        .push(first.attempt.status)?
        .push(first.attempt.outcome.reason().map(Reason::as_str))?
        .push(first.attempt.answer.as_deref())?
        .push(first.sequence)?
        .push(last.sequence)?
        .push(target)?;
    Ok(())
}

/// Gives the attempts that delivered `sequences` to a target rows of their own: these are to
/// be delivered again.
pub(super) async fn set_apart(
    connection: &mut SqliteConnection,
    target: TargetId,
    sequences: &[Sequence],
) -> Result<(), StorageError> {
    static SET_APART: Bulk = Bulk::new(
        "INSERT INTO attempt \
         (sequence, target_id, number, started_us, duration_us, status, reason, answer) \
         SELECT sequence, target_id, attempts, last_attempt_us, delivered_in_us, last_status, \
         last_reason, delivered_answer \
         FROM delivery WHERE target_id = ? AND +status = 'delivered' AND sequence IN (",
        "?",
        ")",
    );
    let mut filling = SET_APART.of(sequences.len());
    filling.push(target)?;
    for sequence in sequences {
        filling.push(*sequence)?;
    }
    filling.query()?.execute(connection).await?;
    Ok(())
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
