//! Questions that people ask about history.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::model::delivery::Status;
use crate::model::event::{Route, Sequence};
use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::error::StorageError;

/// Which events to list. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Happened at or after this instant.
    pub from: Option<Timestamp>,
    /// Happened before this instant.
    pub until: Option<Timestamp>,
    /// Of this source, by its name in the configuration.
    pub source: Option<String>,
    /// Of this category, normalised.
    pub category: Option<String>,
    /// By this user: part of the name, whatever its case.
    pub user: Option<String>,
    /// With this text in the description or the data, whatever its case.
    pub text: Option<String>,
    /// That came first by this route.
    pub route: Option<Route>,
    /// That have a delivery in this status.
    pub delivery: Option<Status>,
    /// The event with this id.
    pub id: Option<String>,
    /// Only above this sequence.
    pub after: Option<Sequence>,
    /// Rows at most.
    pub limit: u32,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

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

    /// Deliveries that are owed, over all targets.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_pending(&self) -> Result<i64, StorageError> {
        let count = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM delivery WHERE status = 'pending' AND step = 0)
                  + (SELECT count(*) FROM delivery WHERE status = 'pending' AND step > 0)",
        )
        .fetch_one(&self.0)
        .await?;
        Ok(count)
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
    if let Some(from) = filter.from {
        query.push(" AND e.occurred_us >= ").push_bind(from.micros());
    }
    if let Some(until) = filter.until {
        query.push(" AND e.occurred_us < ").push_bind(until.micros());
    }
    if let Some(source) = &filter.source {
        query.push(" AND h.source_name = ").push_bind(source.clone());
    }
    if let Some(category) = &filter.category {
        query.push(" AND e.category = ").push_bind(category.clone());
    }
    if let Some(user) = &filter.user {
        query.push(" AND lower(e.username) LIKE ").push_bind(like(user)).push(" ESCAPE '\\'");
    }
    if let Some(text) = &filter.text {
        query.push(" AND (lower(e.description) LIKE ").push_bind(like(text));
        query.push(" ESCAPE '\\' OR lower(h.data) LIKE ").push_bind(like(text));
        query.push(" ESCAPE '\\')");
    }
    if let Some(route) = filter.route {
        query.push(" AND e.first_route = ").push_bind(route.as_str());
    }
    if let Some(status) = filter.delivery {
        query
            .push(" AND EXISTS (SELECT 1 FROM delivery d WHERE d.sequence = e.sequence AND d.status = ")
            .push_bind(status.as_str())
            .push(")");
    }
    if let Some(id) = &filter.id {
        query.push(" AND e.id = ").push_bind(id.clone());
    }
    if let Some(after) = filter.after {
        query.push(" AND e.sequence > ").push_bind(after);
    }
    query.push(if filter.oldest_first {
        " ORDER BY e.sequence LIMIT "
    } else {
        " ORDER BY e.sequence DESC LIMIT "
    });
    query.push_bind(filter.limit);
    query
}

/// A pattern that finds `text` anywhere, taken literally.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
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
