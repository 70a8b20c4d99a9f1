//! Replays: deliveries that are made again because an operator asked.
//!
//! Looking for them is a reader's work, page by page; the writer is only given sequences,
//! so that however long the search takes, nobody waits for it. Each step is recorded with
//! what it does: a replay that is cut short is in the ledger as far as it went.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::model::event::{Route, Sequence};
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::filter::HistoryFilter;
use crate::storage::operations::{self, OperationId};
use crate::storage::own::OWN_SOURCE_NAME;
use crate::storage::targets::TargetId;
use crate::storage::{Ledger, Reader, attempts, fresh};

/// What is to be delivered again, and to whom.
#[derive(Clone, Debug)]
pub struct Replay {
    /// To this target.
    pub target: TargetId,
    /// Which of the events of `filter`.
    pub which: Which,
    /// Which events; its limit and order do not matter.
    pub filter: HistoryFilter,
    /// What the target subscribes to; `None`: everything.
    pub scope: Option<Scope>,
}

/// Which events are delivered again, by what became of them at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All, also those that it has had.
    Every,
    /// Its dead letters.
    DeadLetters,
    /// Those that it has not had and is not owed: dead letters, and events from before it
    /// was a target.
    Missed,
}

/// Of which sources, and by which first routes, a target gets events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Names of sources, or `*`.
    pub sources: Vec<String>,
    /// Routes.
    pub routes: Vec<Route>,
}

impl Reader {
    /// How many deliveries a replay would make pending.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_replay(&self, replay: &Replay) -> Result<i64, StorageError> {
        let mut query = QueryBuilder::new("SELECT count(*)");
        push_candidates(&mut query, replay);
        Ok(query.build_query_scalar().fetch_one(&self.0).await?)
    }

    /// The events of a replay above the sequence `after`, oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_replay(
        &self,
        replay: &Replay,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<Sequence>, StorageError> {
        let mut query = QueryBuilder::new("SELECT e.sequence");
        let filter = HistoryFilter { after: Some(after), ..replay.filter.clone() };
        push_candidates(&mut query, &Replay { filter, ..replay.clone() });
        // By the column of the index that is walked: nothing is sorted.
        let walked = if replay.which == Which::DeadLetters { "d" } else { "e" };
        query.push(" ORDER BY ").push(walked).push(".sequence LIMIT ").push_bind(limit);
        Ok(query.build_query_scalar().fetch_all(&self.0).await?)
    }
}

impl Ledger {
    /// Records that an operator asked for a replay to a target; `selection` says in words
    /// what of. The steps of [`Ledger::replay`] follow.
    ///
    /// # Errors
    /// On any error nothing is recorded.
    pub async fn begin_replay(
        &self,
        target: TargetId,
        selection: String,
    ) -> Result<OperationId, StorageError> {
        let now = self.shared.clock.now();
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    operations::insert_replay(connection, target, &selection, now).await
                })
            })
            .await
    }

    /// Makes deliveries of these events to a target pending, with a fresh retry schedule,
    /// as a step of a replay. Returns how many; those that no longer are what `which` asks
    /// for are left alone. The writer is kept for as long as all of them take.
    ///
    /// # Errors
    /// On any error nothing of this step is done.
    pub async fn replay(
        &self,
        operation: OperationId,
        target: TargetId,
        which: Which,
        sequences: Vec<Sequence>,
    ) -> Result<u64, StorageError> {
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let made = make_pending(connection, target, which, &sequences).await?;
                    operations::count(connection, operation, made).await?;
                    Ok(made)
                })
            })
            .await
    }
}

async fn make_pending(
    connection: &mut SqliteConnection,
    target: TargetId,
    which: Which,
    sequences: &[Sequence],
) -> Result<u64, StorageError> {
    static WANTED: Bulk = Bulk::new(
        "WITH wanted (target_id, is_every) AS (VALUES (?, ?)) \
         SELECT e.sequence FROM wanted w CROSS JOIN event e \
         LEFT JOIN delivery d ON d.sequence = e.sequence AND d.target_id = w.target_id \
         WHERE (w.is_every OR d.status = 'dead' OR d.sequence IS NULL \
                AND coalesce(e.sequence >= (SELECT f.until_sequence FROM fresh f \
                                            WHERE f.target_id = w.target_id \
                                              AND f.from_sequence <= e.sequence \
                                            ORDER BY f.from_sequence DESC LIMIT 1), true)) \
           AND e.sequence IN (",
        "?",
        ") ORDER BY e.sequence",
    );
    static ANEW: Bulk = Bulk::new(
        "UPDATE OR FAIL delivery \
         SET status = 'pending', step = 0, first_attempt_us = NULL, next_attempt_us = NULL, \
             settled_us = NULL, delivered_in_us = NULL, delivered_answer = NULL \
         WHERE target_id = ? AND sequence IN (",
        "?",
        ")",
    );
    let mut made = 0;
    for chunk in sequences.chunks(ROWS_MAX) {
        let mut filling = WANTED.of(chunk.len());
        filling.push(target)?.push(which == Which::Every)?;
        push_all(&mut filling, chunk)?;
        let wanted: Vec<(Sequence,)> = filling.query_as()?.fetch_all(&mut *connection).await?;
        let wanted: Vec<Sequence> = wanted.into_iter().map(|(sequence,)| sequence).collect();
        attempts::set_apart(connection, target, &wanted).await?;
        let mut filling = ANEW.of(wanted.len());
        filling.push(target)?;
        push_all(&mut filling, &wanted)?;
        filling.query()?.execute(&mut *connection).await?;
        fresh::add(connection, target, &wanted).await?;
        made += wanted.len() as u64;
    }
    Ok(made)
}

fn push_all(filling: &mut Filling, sequences: &[Sequence]) -> Result<(), StorageError> {
    for sequence in sequences {
        filling.push(*sequence)?;
    }
    Ok(())
}

fn push_candidates(query: &mut QueryBuilder<Sqlite>, replay: &Replay) {
    match replay.which {
        Which::Every => _ = query.push(" FROM event e WHERE true"),
        Which::DeadLetters => {
            // Dead letters have an index of their own, and are few beside events.
            query.push(
                " FROM delivery d CROSS JOIN event e ON e.sequence = d.sequence \
                 WHERE d.status = 'dead' AND d.target_id = ",
            );
            query.push_bind(replay.target);
            query.push(" AND d.sequence > ").push_bind(replay.filter.after.unwrap_or(0));
        }
        Which::Missed => {
            query.push(
                " FROM event e WHERE NOT EXISTS (SELECT 1 FROM delivery d \
                 WHERE d.sequence = e.sequence AND d.status <> 'dead' AND d.target_id = ",
            );
            query.push_bind(replay.target).push(") AND NOT ");
            push_is_fresh(query, replay.target);
        }
    }
    push_not_about_others(query, replay.target);
    replay.filter.push_conditions_to(query);
    let Some(scope) = &replay.scope else { return };
    if !scope.sources.iter().any(|name| name == "*") {
        query.push(" AND e.source_id IN (SELECT id FROM source WHERE name IN (");
        let mut list = query.separated(", ");
        for name in &scope.sources {
            list.push_bind(name);
        }
        query.push("))");
    }
    query.push(" AND e.first_route IN (");
    let mut list = query.separated(", ");
    for route in &scope.routes {
        list.push_bind(route.as_str());
    }
    query.push(")");
}

/// Events about targets are for those that subscribed when they came about, and never for
/// the one they are about: they are delivered again to those that were owed them.
fn push_not_about_others(query: &mut QueryBuilder<Sqlite>, target: TargetId) {
    query.push(
        " AND NOT EXISTS (SELECT 1 FROM source own WHERE own.id = e.source_id AND own.name = ",
    );
    query.push_bind(OWN_SOURCE_NAME);
    query.push(
        " AND NOT EXISTS (SELECT 1 FROM delivery had \
         WHERE had.sequence = e.sequence AND had.target_id = ",
    );
    query.push_bind(target).push(") AND NOT ");
    push_is_fresh(query, target);
    query.push(")");
}

/// Whether the target is owed event `e` and was not tried with it.
fn push_is_fresh(query: &mut QueryBuilder<Sqlite>, target: TargetId) {
    query.push("coalesce(e.sequence < (SELECT f.until_sequence FROM fresh f WHERE f.target_id = ");
    query.push_bind(target).push(" AND f.from_sequence <= e.sequence");
    query.push(" ORDER BY f.from_sequence DESC LIMIT 1), false)");
}
