//! The one transaction that ends attempts: their rows, their deliveries' new status, and
//! the target's state, together.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::model::breaker::Turn;
use crate::model::delivery::{Attempt, Fate};
use crate::model::event::Sequence;
use crate::model::outcome::Reason;
use crate::model::own_event::turned;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::targets::{self, TargetId};
use crate::storage::{Ledger, attempts, own};

/// An attempt that has ended, and what becomes of its delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The event's place in the ledger.
    pub sequence: Sequence,
    /// What was tried.
    pub attempt: Attempt,
    /// What becomes of the delivery.
    pub fate: Fate,
    /// What the attempt has shown of the target; `None`: nothing new.
    pub turn: Option<Turn>,
}

impl Ledger {
    /// Settles attempts at one target: records them, moves their deliveries on, and the
    /// target to what its turns say, in their order. All or nothing. A delivery must not
    /// stand in `settlements` twice.
    ///
    /// A delivery that is no longer pending (an operator buried or pruned it meanwhile)
    /// stays as it is.
    ///
    /// # Errors
    /// On any error nothing of it is stored: the deliveries are still pending and will be
    /// attempted again, with the same ids.
    pub async fn settle(
        &self,
        target: TargetId,
        settlements: Vec<Settlement>,
    ) -> Result<(), StorageError> {
        let now = self.shared.clock.now();
        self.writer
            .run(move |connection| {
                Box::pin(async move { apply(connection, target, &settlements, now).await })
            })
            .await
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    let (mut delivered, mut dead) = (0, 0);
    let mut ended = |ended: (i64, i64)| {
        delivered += ended.0;
        dead += ended.1;
    };
    let mut single = Vec::new();
    for run in settlements.chunk_by(is_run) {
        if run.len() < RUN_MIN {
            single.extend(run);
            continue;
        }
        ended(move_run_on(connection, target, run, now).await?);
        if run[0].fate != Fate::Delivered {
            attempts::insert_run(connection, target, run).await?;
        }
    }
    for chunk in single.chunks(ROWS_MAX) {
        ended(move_on(connection, target, chunk, now).await?);
    }
    // One that delivered is part of its delivery.
    single.retain(|settlement| settlement.fate != Fate::Delivered);
    for chunk in single.chunks(ROWS_MAX) {
        attempts::insert(connection, target, chunk).await?;
    }
    if delivered + dead > 0 {
        targets::count(connection, target, (delivered, dead), now).await?;
    }
    if dead > 0 {
        own::insert_dead(connection, target, settlements, now).await?;
    }
    for settlement in settlements {
        if let Some(turn) = settlement.turn
            && let Some(name) = targets::move_on(connection, target, turn, now).await?
        {
            let event = turned(&name, turn, &settlement.attempt, now);
            own::insert(connection, target, event, now).await?;
        }
    }
    Ok(())
}

/// From so many deliveries of one request on, one statement that says it once costs less
/// than rows.
const RUN_MIN: usize = 8;

/// Whether two settlements are of one request, for events that follow on each other.
fn is_run(one: &Settlement, next: &Settlement) -> bool {
    one.sequence + 1 == next.sequence && one.fate == next.fate && one.attempt == next.attempt
}

/// As [`move_on`], for settlements of which each two neighbours are a run.
async fn move_run_on(
    connection: &mut SqliteConnection,
    target: TargetId,
    run: &[Settlement],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    let [first, .., last] = run else { return Ok((0, 0)) };
    let (status, failed, next, end) = columns(first.fate, now);
    let moved = sqlx::query(
        "UPDATE delivery
         SET status = $4,
             attempts = attempts + 1,
             step = step + $5,
             first_attempt_us = coalesce(first_attempt_us, $6),
             last_attempt_us = $6,
             last_status = $7,
             last_reason = $8,
             next_attempt_us = CASE WHEN $9 THEN next_attempt_us ELSE $10 END,
             settled_us = $11,
             delivered_in_us = $12,
             delivered_answer = $13
         WHERE sequence BETWEEN $1 AND $2 AND target_id = $3 AND status = 'pending'",
    )
    .bind(first.sequence)
    .bind(last.sequence)
    .bind(target)
    .bind(status)
    .bind(failed)
    .bind(first.attempt.started_at.micros())
    .bind(first.attempt.status)
    .bind(first.attempt.outcome.reason().map(Reason::as_str))
    .bind(first.fate == Fate::Held)
    .bind(next)
    .bind(end)
    .bind(delivered_in(first))
    .bind(delivered_answer(first))
    .execute(connection)
    .await?
    .rows_affected();
    let moved = i64::try_from(moved).unwrap_or(i64::MAX);
    Ok(match first.fate {
        Fate::Delivered => (moved, 0),
        Fate::Dead(_) => (0, moved),
        Fate::RetryAt(_) | Fate::Held => (0, 0),
    })
}

/// Moves pending deliveries to what becomes of them; how many were delivered and buried.
async fn move_on(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    static MOVE_ON: Bulk = Bulk::new(
        "WITH settled (sequence, status, failed, attempt_us, answer, reason, next_us, end_us, \
         stays, took_us, body) AS (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") UPDATE delivery \
         SET status = CASE s.status WHEN 1 THEN 'delivered' WHEN 2 THEN 'dead' \
                      ELSE 'pending' END, \
             attempts = attempts + 1, \
             step = step + s.failed, \
             first_attempt_us = coalesce(first_attempt_us, s.attempt_us), \
             last_attempt_us = s.attempt_us, \
             last_status = s.answer, \
             last_reason = s.reason, \
             next_attempt_us = CASE WHEN s.stays THEN next_attempt_us ELSE s.next_us END, \
             settled_us = s.end_us, \
             delivered_in_us = s.took_us, \
             delivered_answer = s.body \
         FROM settled s \
         WHERE delivery.sequence = s.sequence \
           AND delivery.status = 'pending' \
           AND delivery.target_id = ?",
    );
    let mut filling = MOVE_ON.of(settlements.len());
    for settlement in settlements {
        let (_, failed, next, end) = columns(settlement.fate, now);
        // A number: a text would have to be made for each row.
        let status = match settlement.fate {
            Fate::RetryAt(_) | Fate::Held => 0,
            Fate::Delivered => 1,
            Fate::Dead(_) => 2,
        };
        let attempt = &settlement.attempt;
        filling
            .push(settlement.sequence)?
            .push(status)?
            .push(failed)?
            .push(attempt.started_at.micros())?
            .push(attempt.status)?
            .push(attempt.outcome.reason().map(Reason::as_str))?
            .push(next)?
            .push(end)?
            .push(settlement.fate == Fate::Held)?
            .push(delivered_in(settlement))?
            .push(delivered_answer(settlement))?;
    }
    filling.push_behind(target)?;
    let moved = filling.query()?.execute(&mut *connection).await?.rows_affected();
    if usize::try_from(moved) == Ok(settlements.len()) {
        let count = |wanted: fn(&Fate) -> bool| {
            let count = settlements.iter().filter(|s| wanted(&s.fate)).count();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let delivered = count(|fate| *fate == Fate::Delivered);
        return Ok((delivered, count(|fate| matches!(fate, Fate::Dead(_)))));
    }
    count_ended(connection, target, settlements, now).await
}

/// How long the attempt took, if it delivered.
fn delivered_in(settlement: &Settlement) -> Option<i64> {
    let is_delivered = settlement.fate == Fate::Delivered;
    is_delivered.then(|| attempts::micros(settlement.attempt.duration))
}

/// What the target answered to the attempt, if that delivered.
fn delivered_answer(settlement: &Settlement) -> Option<&str> {
    let answer = settlement.attempt.answer.as_deref();
    answer.filter(|_| settlement.fate == Fate::Delivered)
}

/// How many of `settlements` have been delivered and buried just now, where some were not
/// pending any more.
async fn count_ended(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT coalesce(sum(status = 'delivered'), 0), coalesce(sum(status = 'dead'), 0) \
         FROM delivery WHERE target_id = ",
    );
    query.push_bind(target).push(" AND settled_us = ").push_bind(now.micros());
    query.push(" AND sequence IN (");
    let mut list = query.separated(", ");
    for settlement in settlements {
        list.push_bind(settlement.sequence);
    }
    query.push(")");
    Ok(query.build_query_as().fetch_one(connection).await?)
}

/// Status, steps further, next attempt, end.
fn columns(fate: Fate, now: Timestamp) -> (&'static str, i64, Option<i64>, Option<i64>) {
    match fate {
        Fate::Delivered => ("delivered", 0, None, Some(now.micros())),
        Fate::RetryAt(at) => ("pending", 1, Some(at.micros()), None),
        Fate::Held => ("pending", 0, None, None),
        Fate::Dead(_) => ("dead", 1, None, Some(now.micros())),
    }
}
