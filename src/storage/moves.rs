//! The statements that move deliveries on to what became of them.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::model::delivery::Fate;
use crate::model::event::Sequence;
use crate::model::outcome::Reason;
use crate::model::timestamp::Timestamp;
use crate::storage::attempts;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::settle::Settlement;
use crate::storage::targets::TargetId;

/// Moves pending deliveries to what becomes of them; how many were delivered and buried.
pub(super) async fn move_all_on(
    connection: &mut SqliteConnection,
    target: TargetId,
    single: &[&Settlement],
    runs: &[&[Settlement]],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    let mut script = Script::default();
    for run in runs {
        move_run_on(&mut script, target, run, now)?;
    }
    for chunk in single.chunks(ROWS_MAX) {
        move_on(&mut script, target, chunk, now)?;
    }
    let moved = script.run(connection).await?;
    let all = || single.iter().copied().chain(runs.iter().copied().flatten());
    if usize::try_from(moved) == Ok(all().count()) {
        let count = |wanted: fn(&Fate) -> bool| {
            let count = all().filter(|settlement| wanted(&settlement.fate)).count();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let delivered = count(|fate| *fate == Fate::Delivered);
        return Ok((delivered, count(|fate| matches!(fate, Fate::Dead(_)))));
    }
    let all: Vec<Sequence> = all().map(|settlement| settlement.sequence).collect();
    let mut ended = (0, 0);
    for chunk in all.chunks(ROWS_MAX) {
        let (delivered, dead) = count_ended(connection, target, chunk, now).await?;
        ended = (ended.0 + delivered, ended.1 + dead);
    }
    Ok(ended)
}

/// Moves on deliveries whose settlements are a run, each two neighbours of them.
pub(super) fn move_run_on(
    script: &mut Script,
    target: TargetId,
    run: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    let [first, .., last] = run else { return Ok(()) };
    let (status, failed, next, end) = columns(first.fate, now);
    let started_at = first.attempt.started_at.micros();
    let statement = script.add(
        "UPDATE OR FAIL delivery
         SET status = ?,
             attempts = attempts + 1,
             step = step + ?,
             first_attempt_us = coalesce(first_attempt_us, ?),
             last_attempt_us = ?,
             last_status = ?,
             last_reason = ?,
             next_attempt_us = CASE WHEN ? THEN next_attempt_us ELSE ? END,
             settled_us = ?,
             delivered_in_us = ?,
             delivered_answer = ?
         WHERE sequence BETWEEN ? AND ? AND target_id = ? AND status = 'pending'",
    )?;
    statement
        .push(status)?
        .push(failed)?
        .push(started_at)?
        .push(started_at)?
        .push(first.attempt.status)?
        .push(first.attempt.outcome.reason().map(Reason::as_str))?
        .push(first.fate == Fate::Held)?
        .push(next)?
        .push(end)?
        .push(delivered_in(first))?
        .push(delivered_answer(first))?
        .push(first.sequence)?
        .push(last.sequence)?
        .push(target)?;
    Ok(())
}

/// Moves on deliveries whose settlements have little in common.
pub(super) fn move_on(
    script: &mut Script,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    static MOVE_ON: Bulk = Bulk::new(
        "WITH settled (sequence, status, failed, attempt_us, answer, reason, next_us, end_us, \
         stays, took_us, body) AS (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") UPDATE OR FAIL delivery \
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
    let filling = script.begin(&MOVE_ON, settlements.len())?;
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
    Ok(())
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

/// How many of these deliveries have been delivered and buried just now, where some were not
/// pending any more.
async fn count_ended(
    connection: &mut SqliteConnection,
    target: TargetId,
    sequences: &[Sequence],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT coalesce(sum(status = 'delivered'), 0), coalesce(sum(status = 'dead'), 0) \
         FROM delivery WHERE target_id = ",
    );
    query.push_bind(target).push(" AND settled_us = ").push_bind(now.micros());
    query.push(" AND sequence IN (");
    let mut list = query.separated(", ");
    for sequence in sequences {
        list.push_bind(*sequence);
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
