//! What one route showed and the other one did not: judged once for each audit entry, a
//! horizon after it was stored, and counted, so that asking for the counts costs nothing.

use sqlx::Row;

use crate::model::event::{AUDIT_TYPE, Sequence};
use crate::storage::error::StorageError;
use crate::storage::{Ledger, Reader};

/// Events looked at in one step: some milliseconds of a reader, and none of the writer.
const STEP: Sequence = 5_000;

/// How many audit entries of a source one route showed and the other one did not within
/// the horizon, since the source has a webhook. Neither number ever falls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The source's name in the configuration.
    pub source: String,
    /// Polled, and not pushed in time.
    pub by_push: u64,
    /// Pushed, and not polled in time.
    pub by_poll: u64,
}

impl Reader {
    /// What either route has missed so far of each source that has a webhook, by name.
    ///
    /// Reads one row a source, however long history is. An entry counts a horizon
    /// (`source.push.horizon`) after it was stored, within a minute.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_missed(&self) -> Result<Vec<Missed>, StorageError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT name, missed_by_push, missed_by_poll FROM source
             WHERE push_since_us IS NOT NULL
             ORDER BY name",
        )
        .fetch_all(&self.0)
        .await?;
        let missed = |(source, push, poll): (String, i64, i64)| Missed {
            source,
            by_push: push.unsigned_abs(),
            by_poll: poll.unsigned_abs(),
        };
        Ok(rows.into_iter().map(missed).collect())
    }
}

impl Ledger {
    /// Judges the next events that were stored at least a horizon ago, some thousands at
    /// most, by what both routes have shown of them; whether there may be more to judge.
    /// Does nothing for a source without a webhook.
    ///
    /// Each entry is judged once: what comes after its judgement changes nothing.
    ///
    /// # Errors
    /// On any error nothing is counted; the next call begins where this one did.
    pub async fn judge_missed(&self, source: &str) -> Result<bool, StorageError> {
        let Some(judged) = self.find_judged(source).await? else { return Ok(false) };
        let old = self.shared.clock.now().micros().saturating_sub(judged.horizon_us);
        let until = self.find_last_old(judged.sequence, old).await?;
        if until <= judged.sequence {
            return Ok(false);
        }
        let (by_push, by_poll) = self.compare(&judged, until).await?;
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    // Only from where it was: nobody else may have judged them meanwhile.
                    sqlx::query(
                        "UPDATE source
                         SET judged_sequence = $3, missed_by_push = missed_by_push + $4,
                             missed_by_poll = missed_by_poll + $5
                         WHERE id = $1 AND judged_sequence = $2",
                    )
                    .bind(judged.source_id)
                    .bind(judged.sequence)
                    .bind(until)
                    .bind(by_push)
                    .bind(by_poll)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(until - judged.sequence >= STEP)
    }

    async fn find_judged(&self, source: &str) -> Result<Option<Judged>, StorageError> {
        let row = sqlx::query(
            "SELECT id, judged_sequence, horizon_us, push_since_us, start_us FROM source
             WHERE name = $1 AND judged_sequence IS NOT NULL",
        )
        .bind(source)
        .fetch_optional(&self.reader().0)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Judged {
            source_id: row.try_get(0)?,
            sequence: row.try_get(1)?,
            horizon_us: row.try_get(2)?,
            since_us: row.try_get(3)?,
            start_us: row.try_get(4)?,
        }))
    }

    /// The last sequence of the step above `after` before which everything was stored
    /// earlier than `old`; events are stored in the order of their sequence.
    async fn find_last_old(&self, after: Sequence, old: i64) -> Result<Sequence, StorageError> {
        let until = after + STEP;
        let (young, last): (Option<Sequence>, Option<Sequence>) = sqlx::query_as(
            "SELECT (SELECT min(sequence) FROM event
                     WHERE sequence > $1 AND sequence <= $2 AND recorded_us >= $3),
                    (SELECT max(sequence) FROM event)",
        )
        .bind(after)
        .bind(until)
        .bind(old)
        .fetch_one(&self.reader().0)
        .await?;
        Ok(young.map_or(until.min(last.unwrap_or(after)), |young| young - 1))
    }

    /// How many entries up to `until` either route has missed: by push, by poll.
    async fn compare(&self, judged: &Judged, until: Sequence) -> Result<(i64, i64), StorageError> {
        let counts = sqlx::query_as(
            "SELECT count(*) FILTER (
                        WHERE poll.seen_us IS NOT NULL AND e.occurred_us >= $4
                          AND (push.seen_us IS NULL OR push.seen_us - poll.seen_us > $6)),
                    count(*) FILTER (
                        WHERE push.seen_us IS NOT NULL AND e.occurred_us >= $5
                          AND coalesce(push.label, '') <> 'outside'
                          AND (poll.seen_us IS NULL OR poll.seen_us - push.seen_us > $6))
             FROM event e
             LEFT JOIN sighting poll ON poll.sequence = e.sequence AND poll.route = 'poll'
             LEFT JOIN sighting push ON push.sequence = e.sequence AND push.route = 'push'
             WHERE e.sequence > $1 AND e.sequence <= $2 AND e.source_id = $3 AND e.type = $7",
        )
        .bind(judged.sequence)
        .bind(until)
        .bind(judged.source_id)
        .bind(judged.since_us)
        .bind(judged.start_us)
        .bind(judged.horizon_us)
        .bind(AUDIT_TYPE)
        .fetch_one(&self.reader().0)
        .await?;
        Ok(counts)
    }
}

/// How far a source has been judged, and by which rule.
struct Judged {
    source_id: i64,
    sequence: Sequence,
    horizon_us: i64,
    /// Since when the webhook is taken.
    since_us: i64,
    /// Where polled history begins; `None`: nothing was polled.
    start_us: Option<i64>,
}
