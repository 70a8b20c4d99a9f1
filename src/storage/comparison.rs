//! What a comparison of the two routes rests on.
//!
//! Entries and their sightings are read from two indexes and no body.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::{FromRow, Row};

use crate::model::event::AUDIT_SOURCE;
use crate::model::lateness::Sighted;
use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::error::StorageError;
use crate::storage::requests::Label;
use crate::storage::what_if::Polled;

/// Sets of differing fields that are told apart; payloads choose their names.
const DIFFERENCES_MAX: i64 = 10_000;

/// What the ledger knows of the two routes of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The source's name in the configuration.
    pub source: String,
    /// Where polling's history begins; `None` before its first poll.
    pub start: Option<Timestamp>,
    /// Below it polling's history is complete; `None` before its first poll.
    pub watermark: Option<Timestamp>,
    /// Since when its webhook is taken; `None` without one.
    pub push_since: Option<Timestamp>,
    /// How long after one route showed an entry the other one counts as having missed it;
    /// `None` without a webhook.
    pub horizon: Option<Duration>,
}

/// When an audit entry was made, and when each route first showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its creation, by the source: cut to the second if polling was there first.
    pub created: Timestamp,
    /// Our time when polling first showed it; `None`: not yet.
    pub polled: Option<Timestamp>,
    /// Our time when it was first pushed; `None`: not yet.
    pub pushed: Option<Timestamp>,
    /// What keeps it out of comparisons. Of several labels the last one that [`Label`] lists.
    pub label: Option<Label>,
}

/// The audit entries of a period, as both routes showed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// All of them.
    pub pairs: Vec<Pair>,
    /// Those that polling brought in its own time.
    pub polled: Vec<Polled>,
}

/// A field that the two routes tell differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Its path in `data`: `user.username`.
    pub field: String,
    /// Entries in which it differs.
    pub entries: u64,
}

impl Reader {
    /// What is known of every source's routes, by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_routes(&self) -> Result<Vec<Routes>, StorageError> {
        let rows = sqlx::query(
            "SELECT name, start_us, watermark_us, push_since_us, horizon_us
             FROM source
             ORDER BY name",
        )
        .fetch_all(&self.0)
        .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let at = |index: usize| row.try_get::<Option<i64>, _>(index);
            Ok(Routes {
                source: row.try_get(0)?,
                start: at(1)?.map(Timestamp::from_micros),
                watermark: at(2)?.map(Timestamp::from_micros),
                push_since: at(3)?.map(Timestamp::from_micros),
                horizon: at(4)?.map(|us| Duration::from_micros(us.unsigned_abs())),
            })
        };
        rows.iter()
            .map(|row| read(row).map_err(|error: sqlx::Error| StorageError::from(error)))
            .collect()
    }

    /// The audit entries of a source that were created in `[from, until)`, oldest first, at
    /// most `limit` of either half of that time. 48 bytes each, and again for those that
    /// polling brought in its own time.
    ///
    /// Two connections read a half each: most of the work is SQLite's, on its own threads.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_entries(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Entries, StorageError> {
        let middle = Timestamp::from_micros(from.micros().midpoint(until.micros()));
        let (mut entries, mut later) = tokio::try_join!(
            self.list_half(source, (from, middle), limit),
            self.list_half(source, (middle, until), limit),
        )?;
        entries.pairs.append(&mut later.pairs);
        entries.polled.append(&mut later.polled);
        Ok(entries)
    }

    async fn list_half(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Entries, StorageError> {
        // The label rides on the creation, in its two lowest bits: a value less to hand over
        // for each row. The plus keeps SQLite from the index of ids, which has no times.
        let mut rows = sqlx::query_as::<_, PairRow>(
            "SELECT e.occurred_us * 4 + CASE WHEN push.label = 'outside' THEN 3
                                             WHEN push.label = 'batch' THEN 2
                                             WHEN poll.label = 'nudged' THEN 1
                                             ELSE 0 END,
                    poll.seen_us, push.seen_us,
                    CASE WHEN poll.tier IS NULL THEN poll.shown_us END, poll.unseen_us
             FROM event e
             LEFT JOIN sighting poll ON poll.sequence = e.sequence AND poll.route = 'poll'
             LEFT JOIN sighting push ON push.sequence = e.sequence AND push.route = 'push'
             WHERE e.occurred_us >= $1 AND e.occurred_us < $2
               AND e.source_id = (SELECT id FROM source WHERE name = $3)
               AND +e.origin_id IN (SELECT id FROM origin WHERE uri = $4)
             ORDER BY e.occurred_us
             LIMIT $5",
        )
        .bind(from.micros())
        .bind(until.micros())
        .bind(source)
        .bind(AUDIT_SOURCE)
        .bind(limit)
        .fetch(&self.0);
        let mut entries = Entries::default();
        while let Some(row) = rows.try_next().await? {
            entries.pairs.push(row.pair());
            entries.polled.extend(row.polled());
        }
        Ok(entries)
    }

    /// In how many audit entries of a source, created in `[from, until)`, the routes differ,
    /// and in which fields: those that differ most often first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_differences(
        &self,
        source: &str,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<(u64, Vec<FieldDifference>), StorageError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT g.differs, count(*)
             FROM sighting g CROSS JOIN event e ON e.sequence = g.sequence
             WHERE g.differs IS NOT NULL
               AND +e.occurred_us >= $1 AND +e.occurred_us < $2
               AND e.source_id = (SELECT id FROM source WHERE name = $3)
             GROUP BY g.differs
             LIMIT $4",
        )
        .bind(from.micros())
        .bind(until.micros())
        .bind(source)
        .bind(DIFFERENCES_MAX)
        .fetch_all(&self.0)
        .await?;
        let (mut entries, mut fields) = (0, BTreeMap::<String, u64>::new());
        for (paths, count) in rows {
            entries += count.unsigned_abs();
            for field in serde_json::from_str::<Vec<String>>(&paths).unwrap_or_default() {
                *fields.entry(field).or_default() += count.unsigned_abs();
            }
        }
        let mut fields: Vec<FieldDifference> =
            fields.into_iter().map(|(field, entries)| FieldDifference { field, entries }).collect();
        fields.sort_by_key(|field| std::cmp::Reverse(field.entries));
        Ok((entries, fields))
    }
}

/// Creation with the label, the sightings by polling and by push; when polling's answer was
/// there, unless it was a sweep's or tells nothing, and the last scan before.
#[derive(FromRow)]
struct PairRow(i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

impl PairRow {
    fn polled(&self) -> Option<Polled> {
        let Self(created, seen, _, shown, unseen) = *self;
        let shown_at = Timestamp::from_micros(shown?);
        let unseen_at = unseen.map(Timestamp::from_micros);
        Some(Polled {
            created_at: Timestamp::from_micros(created.div_euclid(4)),
            seen_at: Timestamp::from_micros(seen?),
            sighted: Sighted { unseen_at, shown_at, tier: None },
        })
    }

    fn pair(&self) -> Pair {
        let Self(created, polled, pushed, ..) = *self;
        Pair {
            created: Timestamp::from_micros(created.div_euclid(4)),
            polled: polled.map(Timestamp::from_micros),
            pushed: pushed.map(Timestamp::from_micros),
            label: match created.rem_euclid(4) {
                1 => Some(Label::Nudged),
                2 => Some(Label::Batch),
                3 => Some(Label::Outside),
                _ => None,
            },
        }
    }
}
