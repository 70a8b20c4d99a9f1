//! Sources, and which of their time has been scanned.

use sqlx::{Row, SqliteConnection};

use crate::model::coverage::{Coverage, Scan, Span};
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::{Ledger, Reader};

/// The id of a source, made where it is new.
pub(super) async fn require_source(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<i64, StorageError> {
    let found = sqlx::query_scalar("SELECT id FROM source WHERE name = $1")
        .bind(name)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(id) = found {
        return Ok(id);
    }
    let id = sqlx::query_scalar("INSERT INTO source (name) VALUES ($1) RETURNING id")
        .bind(name)
        .fetch_one(connection)
        .await?;
    Ok(id)
}

/// Puts `coverage` in the place of what is known of a source's time.
///
/// The watermark never moves back (I8): a lower one is refused as a contradiction, at once;
/// the rest is left to `script`.
pub(super) async fn replace(
    connection: &mut SqliteConnection,
    source_id: i64,
    coverage: &Coverage,
    script: &mut Script,
) -> Result<(), StorageError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT INTO coverage (source_id, from_us, until_us, asked_us) SELECT * FROM (VALUES ",
        "(?, ?, ?, ?)",
        ") WHERE column1 IS NOT NULL",
    );
    let moved = sqlx::query(
        "UPDATE source
         SET start_us = $2, watermark_us = $3
         WHERE id = $1 AND (watermark_us IS NULL OR watermark_us <= $3)",
    )
    .bind(source_id)
    .bind(micros(coverage.start))
    .bind(micros(coverage.watermark))
    .execute(connection)
    .await?;
    if moved.rows_affected() != 1 {
        return Err(StorageError::Inconsistent(format!(
            "the watermark of source {source_id} would move back to {}",
            Timestamp::from_secs(coverage.watermark)
        )));
    }
    script.add("DELETE FROM coverage WHERE source_id = ?")?.push(source_id)?;
    for chunk in coverage.scans.chunks(ROWS_MAX) {
        let filling = script.begin(&INSERT, chunk.len())?;
        for scan in chunk {
            filling
                .push(source_id)?
                .push(micros(scan.span.from))?
                .push(micros(scan.span.until))?
                .push(micros(scan.asked_at))?;
        }
    }
    Ok(())
}

impl Reader {
    /// What is known of a source's time, by the source's name; `None` before its first
    /// poll.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_coverage(&self, source: &str) -> Result<Option<Coverage>, StorageError> {
        let row = sqlx::query("SELECT id, start_us, watermark_us FROM source WHERE name = $1")
            .bind(source)
            .fetch_optional(&self.0)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (Some(start), Some(watermark)) =
            (row.try_get::<Option<i64>, _>(1)?, row.try_get::<Option<i64>, _>(2)?)
        else {
            return Ok(None);
        };
        let rows = sqlx::query(
            "SELECT from_us, until_us, asked_us FROM coverage WHERE source_id = $1
             ORDER BY from_us",
        )
        .bind(row.try_get::<i64, _>(0)?)
        .fetch_all(&self.0)
        .await?;
        let scans = rows
            .iter()
            .map(|row| {
                let span = Span { from: secs(row.try_get(0)?), until: secs(row.try_get(1)?) };
                Ok(Scan { span, asked_at: secs(row.try_get(2)?) })
            })
            .collect::<Result<_, sqlx::Error>>()?;
        Ok(Some(Coverage { start: secs(start), watermark: secs(watermark), scans }))
    }
}

impl Ledger {
    /// See [`Reader::find_coverage`].
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_coverage(&self, source: &str) -> Result<Option<Coverage>, StorageError> {
        self.reader().find_coverage(source).await
    }
}

fn micros(secs: i64) -> i64 {
    Timestamp::from_secs(secs).micros()
}

fn secs(micros: i64) -> i64 {
    Timestamp::from_micros(micros).secs()
}
