//! The log of requests to the audit log.

use std::time::Duration;

use sqlx::SqliteConnection;

use crate::model::coverage::Span;
use crate::model::sweep::Tier;
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::{Ledger, coverage};

/// One request to the audit log, as `poll_log` keeps it.
#[derive(Clone, Debug)]
pub struct PollRequest {
    /// Our wall time when it was sent.
    pub started_at: Timestamp,
    /// Until the last byte of the answer, or until it failed.
    pub duration: Duration,
    /// What it served.
    pub tier: Tier,
    /// What was asked for.
    pub span: Span,
    /// Entries skipped.
    pub offset: u64,
    /// What it came to: `complete`, `split`, `page`, `outside`, `throttled`, … one word.
    pub outcome: &'static str,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// `count` of the answer.
    pub count: Option<u64>,
    /// `total` of the answer.
    pub total: Option<u64>,
    /// Bytes of the decoded body.
    pub bytes: u64,
    /// What went wrong, in words.
    pub error: Option<String>,
}

impl PollRequest {
    /// When the answer was there.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.plus(self.duration)
    }
}

/// Inserts one request; `new` events came with it.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    source_id: i64,
    request: &PollRequest,
    new: u64,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO poll_request
             (source_id, started_us, duration_us, from_us, until_us, skip, outcome, status,
              count, total, new, bytes, error, tier)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(source_id)
    .bind(request.started_at.micros())
    .bind(whole(request.duration.as_micros()))
    .bind(Timestamp::from_secs(request.span.from).micros())
    .bind(Timestamp::from_secs(request.span.until).micros())
    .bind(whole(request.offset))
    .bind(request.outcome)
    .bind(request.status)
    .bind(request.count.map(whole))
    .bind(request.total.map(whole))
    .bind(whole(new))
    .bind(whole(request.bytes))
    .bind(request.error.as_deref())
    .bind(request.tier.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

impl Ledger {
    /// Writes the log row of a request that brought nothing to store.
    ///
    /// # Errors
    /// On any error the row is not stored.
    pub async fn log_request(
        &self,
        source: &str,
        request: PollRequest,
    ) -> Result<(), StorageError> {
        let source = source.to_owned();
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let source_id = coverage::require_source(connection, &source).await?;
                    insert(connection, source_id, &request, 0).await
                })
            })
            .await
    }
}

/// A count as SQL has it; beyond `i64` it stays at the end.
fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
