//! Requests that the receiver got, and what a source's webhook has shown so far.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Row;

use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::requests::{Brought, whole};
use crate::storage::script::Script;
use crate::storage::{Ledger, Reader, coverage, upkeep};

/// One request that the receiver got, as `push_log` keeps it.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// Our wall time when its body was there, before anything was done with it.
    pub received_at: Timestamp,
    /// From then until it was handed to the ledger, or answered.
    pub duration: Duration,
    /// HTTP status of our answer.
    pub status: u16,
    /// Events in it, readable or not.
    pub count: u64,
    /// Whether they came as an array.
    pub is_batch: bool,
    /// Ids of audit entries in it that polling, as it is configured, may never show.
    pub outside: HashSet<String>,
    /// Bytes of the body.
    pub bytes: u64,
    /// Whose signature it bore; `None`: none of ours.
    pub secret: Option<SignedBy>,
    /// Why it was turned away, in words.
    pub error: Option<String>,
}

/// With which of the two secrets a push was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// `source.push.secret` alone.
    Primary,
    /// `source.push.secondary_secret` alone.
    Secondary,
    /// Both, as GreenLake signs during a rotation.
    Both,
}

impl SignedBy {
    /// The name in `push_log`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Both => "both",
        }
    }
}

/// What a source's webhook has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Since when the webhook is taken; `None` without one.
    pub since: Option<Timestamp>,
    /// When the last audit entry was pushed; `None` before the first.
    pub last_at: Option<Timestamp>,
    /// The last sequence in the ledger then, or when the webhook was taken first.
    pub sequence: Sequence,
    /// Since when pushes stay away from what polling finds; `None` while they do not.
    pub silent: Option<Silent>,
}

/// What is known of a webhook that is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Since when.
    pub since: Timestamp,
    /// [`Heard::sequence`] then; once it is another one, the webhook was heard again.
    pub sequence: Sequence,
}

/// Inserts requests, each with its source and what it brought.
pub(super) fn insert(
    script: &mut Script,
    requests: &[(i64, &PushRequest, Brought)],
) -> Result<(), StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT OR FAIL INTO push_request \
         (source_id, received_us, duration_us, status, count, new, bytes, secret, error, \
         sighted, repeated) SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL",
    );
    for chunk in requests.chunks(ROWS_MAX) {
        let filling = script.begin(&INSERT, chunk.len())?;
        for (source_id, request, brought) in chunk {
            filling
                .push(*source_id)?
                .push(request.received_at.micros())?
                .push(whole(request.duration.as_micros()))?
                .push(request.status)?
                .push(whole(request.count))?
                .push(whole(brought.new))?
                .push(whole(request.bytes))?
                .push(request.secret.map(SignedBy::as_str))?
                .push(request.error.as_deref())?
                .push(whole(brought.sighted))?
                .push(whole(brought.repeated))?;
        }
    }
    Ok(())
}

/// Notes that audit entries were pushed.
pub(super) fn hear(
    script: &mut Script,
    source_id: i64,
    at: Timestamp,
    last: Sequence,
) -> Result<(), StorageError> {
    let statement = script.add(
        "UPDATE source
         SET heard_us = max(coalesce(heard_us, ?), ?), heard_sequence = ?
         WHERE id = ?",
    )?;
    statement.push(at.micros())?.push(at.micros())?.push(last)?.push(source_id)?;
    Ok(())
}

impl Ledger {
    /// Writes the log rows of requests that brought nothing to store.
    ///
    /// # Errors
    /// On any error none of the rows is stored.
    pub async fn log_pushes(&self, rows: Vec<(String, PushRequest)>) -> Result<(), StorageError> {
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let mut requests = Vec::with_capacity(rows.len());
                    for (source, request) in &rows {
                        let id = coverage::require_source(connection, source).await?;
                        requests.push((id, request, Brought::default()));
                    }
                    let mut script = Script::default();
                    insert(&mut script, &requests)?;
                    script.run(connection).await.map(drop)
                })
            })
            .await
    }

    /// Notes whether a source has a webhook, and its horizon. The time since when it has
    /// one stays while it has one.
    ///
    /// # Errors
    /// On any error nothing is changed.
    pub async fn note_webhook(
        &self,
        source: &str,
        horizon: Option<Duration>,
    ) -> Result<(), StorageError> {
        let (source, now) = (source.to_owned(), self.shared.clock.now());
        let horizon = horizon.map(|horizon| whole(horizon.as_micros()));
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let id = coverage::require_source(connection, &source).await?;
                    let last = upkeep::next_sequence(connection).await? - 1;
                    // The right sides see the row as it was.
                    sqlx::query(
                        "UPDATE source
                         SET horizon_us = $2,
                             push_since_us = CASE WHEN $2 IS NULL THEN NULL
                                                  ELSE coalesce(push_since_us, $3) END,
                             judged_sequence = CASE WHEN $2 IS NULL THEN NULL
                                                    ELSE coalesce(judged_sequence, $4) END,
                             heard_sequence = CASE WHEN $2 IS NULL OR push_since_us IS NOT NULL
                                                   THEN heard_sequence ELSE $4 END,
                             silent_us = CASE WHEN $2 IS NOT NULL THEN silent_us END,
                             silent_sequence = CASE WHEN $2 IS NOT NULL THEN silent_sequence END
                         WHERE id = $1",
                    )
                    .bind(id)
                    .bind(horizon)
                    .bind(now.micros())
                    .bind(last)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}

impl Reader {
    /// What the webhook of the source of that name has shown so far.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_heard(&self, source: &str) -> Result<Heard, StorageError> {
        let row = sqlx::query(
            "SELECT push_since_us, heard_us, heard_sequence, silent_us, silent_sequence
             FROM source WHERE name = $1",
        )
        .bind(source)
        .fetch_optional(&self.0)
        .await?;
        let Some(row) = row else { return Ok(Heard::default()) };
        let at = |index| row.try_get::<Option<i64>, _>(index);
        let silent = at(3)?.map(Timestamp::from_micros).zip(at(4)?);
        Ok(Heard {
            since: at(0)?.map(Timestamp::from_micros),
            last_at: at(1)?.map(Timestamp::from_micros),
            sequence: at(2)?.unwrap_or(0),
            silent: silent.map(|(since, sequence)| Silent { since, sequence }),
        })
    }
}

#[cfg(test)]
mod tests;
