//! Which events a question or a replay is about.

use sqlx::{QueryBuilder, Row, Sqlite};

use crate::model::delivery::Status;
use crate::model::event::{Route, Sequence};
use crate::model::timestamp::Timestamp;
use crate::storage::Reader;
use crate::storage::deliveries::select_few;
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
    /// Only above this sequence: for reading on page by page.
    pub after: Option<Sequence>,
    /// Only up to this sequence.
    pub through: Option<Sequence>,
    /// Rows at most.
    pub limit: u32,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

impl HistoryFilter {
    /// Adds its conditions, order and limit to a query that names events `e`.
    pub(super) fn push_to(&self, query: &mut QueryBuilder<Sqlite>) {
        self.push_conditions_to(query);
        let order = if self.oldest_first { "" } else { " DESC" };
        query.push(" ORDER BY e.sequence").push(order).push(" LIMIT ").push_bind(self.limit);
    }

    /// Adds its conditions to a query that names events `e`.
    pub(super) fn push_conditions_to(&self, query: &mut QueryBuilder<Sqlite>) {
        self.push_place_to(query);
        if let Some(source) = &self.source {
            query
                .push(" AND e.source_id = (SELECT id FROM source WHERE name = ")
                .push_bind(source.clone())
                .push(")");
        }
        if let Some(category) = &self.category {
            query.push(" AND e.category = ").push_bind(category.clone());
        }
        if let Some(user) = &self.user {
            query.push(" AND lower(e.username) LIKE ").push_bind(like(user)).push(" ESCAPE '\\'");
        }
        if let Some(text) = &self.text {
            query.push(" AND (lower(e.description) LIKE ").push_bind(like(text));
            query.push(" ESCAPE '\\' OR lower(e.body -> '$.data') LIKE ").push_bind(like(text));
            query.push(" ESCAPE '\\')");
        }
        if let Some(route) = self.route {
            query.push(" AND e.first_route = ").push_bind(route.as_str());
        }
        match self.delivery.map(|status| (status, select_few(status))) {
            Some((_, Some(few))) => {
                query.push(" AND e.sequence IN (").push(few).push(")");
            }
            Some((status, None)) => {
                query.push(" AND EXISTS (SELECT 1 FROM delivery d WHERE d.sequence = e.sequence");
                query.push(" AND d.status = ").push_bind(status.as_str()).push(")");
            }
            None => {}
        }
        if let Some(id) = &self.id {
            // Ids are indexed within their namespaces, of which there are few.
            query.push(" AND e.origin_id IN (SELECT id FROM origin) AND e.id = ");
            query.push_bind(id.clone());
        }
    }

    /// Adds its bounds of time and sequence.
    fn push_place_to(&self, query: &mut QueryBuilder<Sqlite>) {
        // Page by page in the order of sequences, the index of times would have all of them
        // sorted again for each page: the plus keeps it out.
        let time = if self.after.is_some() { " AND +e.occurred_us" } else { " AND e.occurred_us" };
        if let Some(from) = self.from {
            query.push(time).push(" >= ").push_bind(from.micros());
        }
        if let Some(until) = self.until {
            query.push(time).push(" < ").push_bind(until.micros());
        }
        if let Some(after) = self.after {
            query.push(" AND e.sequence > ").push_bind(after);
        }
        if let Some(through) = self.through {
            query.push(" AND e.sequence <= ").push_bind(through);
        }
    }
}

impl Reader {
    /// Fixes `filter` to the events that are there now, oldest first, for reading them page
    /// by page: sets `after` and `through` so that they enclose its time, unless set.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn enclose(&self, filter: HistoryFilter) -> Result<HistoryFilter, StorageError> {
        let bounds = HistoryFilter { from: filter.from, until: filter.until, ..Default::default() };
        let is_timed = bounds.from.is_some() || bounds.until.is_some();
        // In a stretch of time, the index of times holds the sequences too. The plus keeps
        // SQLite from walking all events in search of the first.
        let column = if is_timed { "+e.sequence" } else { "e.sequence" };
        let mut query = QueryBuilder::new("SELECT ");
        for (function, end) in [("(SELECT min(", "), "), ("(SELECT max(", ")")] {
            query.push(function).push(column).push(") FROM event e WHERE true");
            bounds.push_place_to(&mut query);
            query.push(end);
        }
        let row = query.build().fetch_one(&self.0).await?;
        let first: Option<Sequence> = row.try_get(0)?;
        let last: Option<Sequence> = row.try_get(1)?;
        Ok(HistoryFilter {
            after: filter.after.or(Some(first.map_or(0, |first| first - 1))),
            through: filter.through.or(Some(last.unwrap_or(0))),
            oldest_first: true,
            ..filter
        })
    }
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
