//! The polls of the past and what each showed, for telling what others would have come to.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::model::lateness::Sighted;
use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::error::StorageError;

/// Polls at most, the newest: a year of them at an interval of 30 seconds, 40 MB.
const MAX_CYCLES: i64 = 1_000_000;

/// One poll's reading of the present, as `poll_log` keeps its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollCycle {
    /// Our wall time when it began.
    pub began_at: Timestamp,
    /// Requests about the present; those about the past and of sweeps do not count.
    pub requests: u64,
    /// Bytes of their decoded answers.
    pub bytes: u64,
    /// Whether it read all that was unsettled of the present.
    pub is_whole: bool,
    /// Whether it was due only because of a push.
    pub is_nudged: bool,
}

/// An audit entry that polling brought in its own time: no backfill, and no sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// When it was created, cut to the second by the source.
    pub created_at: Timestamp,
    /// Our wall time when the answer was there that showed it first.
    pub seen_at: Timestamp,
    /// Between which two moments of the source's time it became visible.
    pub sighted: Sighted,
}

impl Reader {
    /// The polls of a source that began at or after `from` and before `until`, oldest
    /// first; the newest million of them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_poll_cycles(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Vec<PollCycle>, StorageError> {
        let mut cycles = sqlx::query(
            "SELECT run_us, count(*), sum(bytes),
                    max(CASE WHEN outcome = 'complete' THEN 1 ELSE 0 END)
                    > max(CASE WHEN error IS NULL THEN 0 ELSE 1 END),
                    max(nudged)
             FROM poll_request
             WHERE source_id = (SELECT id FROM source WHERE name = $1) AND tier = 'hot'
               AND started_us >= $2 AND started_us < $3
             GROUP BY run_us
             ORDER BY run_us DESC
             LIMIT $4",
        )
        .bind(source)
        .bind(from.micros())
        .bind(until.micros())
        .bind(MAX_CYCLES)
        .try_map(|row| cycle(&row))
        .fetch_all(&self.0)
        .await?;
        cycles.reverse();
        Ok(cycles)
    }
}

fn cycle(row: &SqliteRow) -> Result<PollCycle, sqlx::Error> {
    Ok(PollCycle {
        began_at: Timestamp::from_micros(row.try_get(0)?),
        requests: row.try_get::<i64, _>(1)?.unsigned_abs(),
        bytes: row.try_get::<i64, _>(2)?.unsigned_abs(),
        is_whole: row.try_get(3)?,
        is_nudged: row.try_get(4)?,
    })
}

#[cfg(test)]
mod tests;
