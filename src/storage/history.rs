//! Questions that people ask about history.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::model::event::Sequence;
use crate::storage::Reader;
use crate::storage::checksum::require_same;
use crate::storage::error::StorageError;
use crate::storage::filter::HistoryFilter;

/// One line of `history`; instants are RFC 3339 UTC with milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HistoryRow {
    /// Place in the ledger.
    pub sequence: Sequence,
    /// The event's id.
    pub id: String,
    /// The envelope's `source`.
    pub source: String,
    /// Workspace.
    pub workspace_id: String,
    /// The envelope's `type`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened.
    pub time: String,
    /// Category, normalised.
    pub category: Option<String>,
    /// Who did it.
    pub username: Option<String>,
    /// What was done.
    pub description: Option<String>,
    /// From where.
    pub ip_address: Option<String>,
    /// `poll` or `push`.
    pub first_route: String,
    /// When the ledger first stored it.
    pub recorded_at: String,
    /// When polling first saw it; `None` when it has not.
    pub poll_seen_at: Option<String>,
    /// When it was first pushed; `None` when it was not.
    pub push_seen_at: Option<String>,
    /// Milliseconds by which push was first; negative: poll was. `None` unless both saw it.
    pub lead_ms: Option<i64>,
    /// Deliveries made.
    pub delivered: i64,
    /// Deliveries owed.
    pub pending: i64,
    /// Dead letters.
    pub dead: i64,
    /// The payload: JSON text.
    pub data: Option<String>,
    /// The source's name in the configuration.
    pub source_name: String,
}

impl Reader {
    /// Lines of `history`, newest sequence first unless asked otherwise.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_history(
        &self,
        filter: &HistoryFilter,
    ) -> Result<Vec<HistoryRow>, StorageError> {
        let mut query = selection(filter);
        let rows = query.build().fetch_all(&self.0).await?;
        rows.iter().map(|row| history_row(row).map_err(StorageError::from)).collect()
    }

    /// The structured CloudEvents of the events that [`Reader::list_history`] lists, byte
    /// for byte what targets get, each with its sequence.
    ///
    /// # Errors
    /// When the ledger cannot be read, or gives back an event other than it was stored.
    pub async fn list_bodies(
        &self,
        filter: &HistoryFilter,
    ) -> Result<Vec<(Sequence, String)>, StorageError> {
        let mut query = QueryBuilder::new(
            "SELECT e.sequence, o.uri, e.id, e.body, e.checksum \
             FROM event e JOIN origin o ON o.id = e.origin_id WHERE true",
        );
        filter.push_to(&mut query);
        let rows = query.build().fetch_all(&self.0).await?;
        rows.iter().map(body).collect()
    }

    /// The sequence of the newest event; 0: there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_last_sequence(&self) -> Result<Sequence, StorageError> {
        let last = sqlx::query_scalar("SELECT coalesce(max(sequence), 0) FROM event")
            .fetch_one(&self.0)
            .await?;
        Ok(last)
    }

    /// How many events polling has shown, those that were pushed first included.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_polled(&self) -> Result<i64, StorageError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM sighting WHERE route = 'poll'")
            .fetch_one(&self.0)
            .await?;
        Ok(count)
    }

    /// How many events the ledger holds, and the sequence of the last one (0: none).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_events(&self) -> Result<(i64, Sequence), StorageError> {
        let row = sqlx::query("SELECT count(*), coalesce(max(sequence), 0) FROM event")
            .fetch_one(&self.0)
            .await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Deliveries that are owed, over all targets; `at_most` when there are that many or
    /// more, because counting a backlog of millions would read it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_pending(&self, at_most: u32) -> Result<u32, StorageError> {
        let count: u32 = sqlx::query_scalar(
            "SELECT min((SELECT coalesce(sum(until_sequence - from_sequence), 0)
                         FROM (SELECT from_sequence, until_sequence FROM fresh
                               LIMIT $1) heads), $1)
                  + (SELECT count(*) FROM (SELECT 1 FROM delivery
                                           WHERE status = 'pending' AND step > 0
                                           LIMIT $1) retries)",
        )
        .bind(at_most)
        .fetch_one(&self.0)
        .await?;
        Ok(count.min(at_most))
    }
}

fn selection(filter: &HistoryFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT h.sequence, h.id, h.source, h.workspace_id, h.type, h.time, h.category, \
         h.username, h.description, h.ip_address, h.first_route, h.recorded_at, \
         h.poll_seen_at, h.push_seen_at, h.lead_ms, h.delivered, h.pending, h.dead, h.data, \
         h.source_name \
         FROM history h JOIN event e ON e.sequence = h.sequence WHERE true",
    );
    filter.push_to(&mut query);
    query
}

fn body(row: &SqliteRow) -> Result<(Sequence, String), StorageError> {
    let (sequence, source, id): (_, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let body: String = row.try_get(3)?;
    require_same(sequence, row.try_get(4)?, (&source, &id, body.as_bytes()))?;
    Ok((sequence, body))
}

fn history_row(row: &SqliteRow) -> Result<HistoryRow, sqlx::Error> {
    Ok(HistoryRow {
        sequence: row.try_get(0)?,
        id: row.try_get(1)?,
        source: row.try_get(2)?,
        workspace_id: row.try_get(3)?,
        event_type: row.try_get(4)?,
        time: row.try_get(5)?,
        category: row.try_get(6)?,
        username: row.try_get(7)?,
        description: row.try_get(8)?,
        ip_address: row.try_get(9)?,
        first_route: row.try_get(10)?,
        recorded_at: row.try_get(11)?,
        poll_seen_at: row.try_get(12)?,
        push_seen_at: row.try_get(13)?,
        lead_ms: row.try_get(14)?,
        delivered: row.try_get(15)?,
        pending: row.try_get(16)?,
        dead: row.try_get(17)?,
        data: row.try_get(18)?,
        source_name: row.try_get(19)?,
    })
}
