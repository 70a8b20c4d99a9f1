//! Whether a webhook is heard: what polling found since, and the turns from heard to
//! silent and back, each in one transaction with the event that tells of it.

use sqlx::SqliteConnection;

use crate::model::event::{AUDIT_TYPE, Event, Sequence};
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::{Ledger, Reader, own};

/// Events looked at in one step: some milliseconds.
const STEP: Sequence = 5_000;

/// What polling found above some sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// How many entries.
    pub count: u64,
    /// The last sequence looked at; those above it are for the next look.
    pub until: Sequence,
}

/// A webhook's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookTurn {
    /// Pushes stay away from what polling finds.
    Silent {
        /// [`Heard::sequence`](crate::storage::Heard::sequence) by which it was decided.
        heard: Sequence,
    },
    /// They come again.
    Heard,
}

impl Reader {
    /// How many of the source's entries polls of the present have found above the sequence
    /// `after` that were made at `made_since` or later, in one step of bounded length.
    ///
    /// Sweeps do not count: what they find was late for polling, too.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_unheard(
        &self,
        source: &str,
        after: Sequence,
        made_since: Timestamp,
    ) -> Result<Unheard, StorageError> {
        let until = self.find_last_sequence().await?.min(after + STEP);
        if until <= after {
            return Ok(Unheard { count: 0, until: after });
        }
        // The plus keeps SQLite from going through the index by time.
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*)
             FROM event e
             JOIN sighting g ON g.sequence = e.sequence AND g.route = 'poll' AND g.tier IS NULL
             WHERE e.sequence > $1 AND e.sequence <= $2 AND +e.occurred_us >= $3 AND e.type = $4
               AND e.source_id = (SELECT id FROM source WHERE name = $5)",
        )
        .bind(after)
        .bind(until)
        .bind(made_since.micros())
        .bind(AUDIT_TYPE)
        .bind(source)
        .fetch_one(&self.0)
        .await?;
        Ok(Unheard { count: count.unsigned_abs(), until })
    }
}

impl Ledger {
    /// Notes the turn of a source's webhook and tells these targets of it by `event`, in one
    /// transaction; `false` when it is so already, or when a push came in between.
    ///
    /// # Errors
    /// On any error nothing is noted and nothing told.
    pub async fn turn_webhook(
        &self,
        source: &str,
        turn: WebhookTurn,
        event: Event,
        targets: Vec<String>,
    ) -> Result<bool, StorageError> {
        let (source, now) = (source.to_owned(), self.shared.clock.now());
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let has_turned = match turn {
                        WebhookTurn::Silent { heard } => {
                            note_silent(connection, &source, heard, now).await?
                        }
                        WebhookTurn::Heard => note_heard(connection, &source).await?,
                    };
                    if has_turned {
                        own::tell(connection, event, &targets, now).await?;
                    }
                    Ok(has_turned)
                })
            })
            .await
    }
}

async fn note_silent(
    connection: &mut SqliteConnection,
    source: &str,
    heard: Sequence,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let done = sqlx::query(
        "UPDATE source SET silent_us = $3, silent_sequence = $2
         WHERE name = $1 AND silent_us IS NULL AND push_since_us IS NOT NULL
           AND coalesce(heard_sequence, 0) = $2",
    )
    .bind(source)
    .bind(heard)
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn note_heard(connection: &mut SqliteConnection, source: &str) -> Result<bool, StorageError> {
    let done = sqlx::query(
        "UPDATE source SET silent_us = NULL, silent_sequence = NULL
         WHERE name = $1 AND silent_sequence <> heard_sequence",
    )
    .bind(source)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
