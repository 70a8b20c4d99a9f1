//! How late polled entries became visible, and what was learnt of it.

use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};

use crate::model::lateness::{CURVE_BOUNDS, Curve, Learnt, Sample};
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::filter::HistoryFilter;
use crate::storage::script::Script;
use crate::storage::{Ledger, Reader};

/// Events at the end of the ledger, those of all its sources, that a learnt overlap may
/// rest on: reading them takes a fraction of a second, once an hour.
const RECENT_EVENTS: i64 = 100_000;

/// Puts `learnt` in the place of what was learnt before.
pub(super) fn replace(
    script: &mut Script,
    source_id: i64,
    learnt: &Learnt,
) -> Result<(), StorageError> {
    let statement = script.add(
        "UPDATE source
         SET learnt_us = ?, overlap_us = ?, entries = ?, swept = ?, quantile_us = ?,
             late_us = ?, curve = ?
         WHERE id = ?",
    )?;
    statement
        .push(learnt.at.micros())?
        .push(Timestamp::from_secs(learnt.overlap_secs).micros())?
        .push(i64::try_from(learnt.entries).unwrap_or(i64::MAX))?
        .push(i64::try_from(learnt.swept).unwrap_or(i64::MAX))?
        .push(learnt.quantile)?
        .push(learnt.late_since.map(Timestamp::micros))?
        .push(json!(learnt.within).to_string())?
        .push(source_id)?;
    Ok(())
}

impl Reader {
    /// What was learnt of the lateness of each source, or of the one that is named, by
    /// the source's name; sources of which nothing was learnt yet are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_learnt(
        &self,
        source: Option<&str>,
    ) -> Result<Vec<(String, Learnt)>, StorageError> {
        let rows = sqlx::query(
            "SELECT name, learnt_us, overlap_us, entries, swept, quantile_us, late_us, curve
             FROM source
             WHERE learnt_us IS NOT NULL AND ($1 IS NULL OR name = $1)
             ORDER BY name",
        )
        .bind(source)
        .fetch_all(&self.0)
        .await?;
        rows.iter().map(|row| learnt_row(row).map_err(StorageError::from)).collect()
    }

    /// The lateness of the entries that `filter` chooses, as far as polling could tell it.
    /// Takes all of them, whatever `filter.limit` says: sixteen bytes an entry, some more while they come.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_curve(&self, filter: &HistoryFilter) -> Result<Curve, StorageError> {
        // The plus keeps SQLite from reading all sightings first, whatever the conditions.
        let mut query = QueryBuilder::new(
            "SELECT max(coalesce(g.unseen_us - e.occurred_us - 1000000, 0), 0),
                    max(g.shown_us - e.occurred_us, 0), g.tier IS NOT NULL
             FROM event e JOIN sighting g
               ON g.sequence = +e.sequence AND g.route = 'poll' AND g.shown_us IS NOT NULL
             WHERE true",
        );
        filter.push_conditions_to(&mut query);
        let samples: Vec<(i64, i64, bool)> = query.build_query_as().fetch_all(&self.0).await?;
        Ok(samples
            .into_iter()
            .map(|(at_least, at_most, is_swept)| Sample { at_least, at_most, is_swept })
            .collect())
    }
}

impl Ledger {
    /// What was learnt of a source's lateness; `None` before it was for the first time.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_learnt(&self, source: &str) -> Result<Option<Learnt>, StorageError> {
        Ok(self.reader().list_learnt(Some(source)).await?.pop().map(|(_, learnt)| learnt))
    }

    /// The lateness of the source's entries of the last `window`, among the last
    /// 100,000 events.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_recent_curve(
        &self,
        source: &str,
        window: Duration,
    ) -> Result<Curve, StorageError> {
        let last = self.reader().find_last_sequence().await?;
        let filter = HistoryFilter {
            source: Some(source.to_owned()),
            from: Some(self.shared.clock.now().minus(window)),
            after: Some(last.saturating_sub(RECENT_EVENTS)),
            ..HistoryFilter::default()
        };
        self.reader().find_curve(&filter).await
    }
}

fn learnt_row(row: &SqliteRow) -> Result<(String, Learnt), sqlx::Error> {
    let late: Option<i64> = row.try_get(6)?;
    let curve: Option<String> = row.try_get(7)?;
    // One with other bounds, or none, is made anew within the hour.
    let within: Vec<u64> =
        curve.and_then(|curve| serde_json::from_str(&curve).ok()).unwrap_or_default();
    let learnt = Learnt {
        at: Timestamp::from_micros(row.try_get(1)?),
        overlap_secs: Timestamp::from_micros(row.try_get(2)?).secs(),
        entries: row.try_get::<i64, _>(3)?.unsigned_abs(),
        swept: row.try_get::<i64, _>(4)?.unsigned_abs(),
        quantile: row.try_get(5)?,
        late_since: late.map(Timestamp::from_micros),
        within: if within.len() == CURVE_BOUNDS.len() { within } else { Vec::new() },
    };
    Ok((row.try_get(0)?, learnt))
}
