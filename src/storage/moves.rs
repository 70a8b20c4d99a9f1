//! The statements that move deliveries on to what became of them.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::model::delivery::Fate;
use crate::model::outcome::Reason;
use crate::model::timestamp::Timestamp;
use crate::storage::attempts;
use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::settle::Settlement;
use crate::storage::targets::TargetId;

/// One row a settlement, joined with its event: what is not there any more is owed to nobody.
const HEAD: &str = "INSERT OR FAIL INTO delivery (sequence, target_id, status, attempts, step, \
     first_attempt_us, last_attempt_us, last_status, last_reason, next_attempt_us, settled_us, \
     delivered_in_us, delivered_answer) \
     SELECT e.sequence, ?, \
     CASE column2 WHEN 1 THEN 'delivered' WHEN 2 THEN 'dead' ELSE 'pending' END, \
     1, column3, column4, column4, column5, column6, column7, column8, column9, column10 \
     FROM (VALUES ";

const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Makes the rows of deliveries that were tried for the first time; refused where one has a row.
pub(super) fn make(
    script: &mut Script,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    static MAKE: Bulk = Bulk::new(HEAD, ROW, ") CROSS JOIN event e WHERE e.sequence = column1");
    let filling = script.begin(&MAKE, settlements.len())?;
    push(filling, target, settlements, now)
}

/// As [`make`], for settlements of one request whose events follow on each other.
pub(super) fn make_run(
    script: &mut Script,
    target: TargetId,
    run: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    static MAKE_RUN: Bulk =
        Bulk::new(HEAD, ROW, ") CROSS JOIN event e WHERE e.sequence BETWEEN column1 AND ?");
    let [first, .., last] = run else { return Ok(()) };
    let filling = script.begin(&MAKE_RUN, 1)?;
    push(filling, target, &[first], now)?;
    filling.push_behind(last.sequence)?;
    Ok(())
}

/// Moves deliveries on that are pending, tried before or not; others stay as they are.
pub(super) fn move_on(
    script: &mut Script,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    // What stays pending without a step further is held: it keeps its time.
    static MOVE_ON: Bulk = Bulk::new(
        HEAD,
        ROW,
        ") CROSS JOIN event e WHERE e.sequence = column1 \
         ON CONFLICT (sequence, target_id) DO UPDATE \
         SET status = excluded.status, \
             attempts = attempts + 1, \
             step = step + excluded.step, \
             first_attempt_us = coalesce(first_attempt_us, excluded.first_attempt_us), \
             last_attempt_us = excluded.last_attempt_us, \
             last_status = excluded.last_status, \
             last_reason = excluded.last_reason, \
             next_attempt_us = CASE WHEN excluded.status = 'pending' AND excluded.step = 0 \
                               THEN next_attempt_us ELSE excluded.next_attempt_us END, \
             settled_us = excluded.settled_us, \
             delivered_in_us = excluded.delivered_in_us, \
             delivered_answer = excluded.delivered_answer \
         WHERE delivery.status = 'pending'",
    );
    let filling = script.begin(&MOVE_ON, settlements.len())?;
    push(filling, target, settlements, now)
}

/// As [`move_on`], of any number; how many were delivered and buried.
pub(super) async fn move_all_on(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(i64, i64), StorageError> {
    let all: Vec<&Settlement> = settlements.iter().collect();
    let mut script = Script::default();
    for chunk in all.chunks(ROWS_MAX) {
        move_on(&mut script, target, chunk, now)?;
    }
    let moved = script.run(connection).await?;
    if usize::try_from(moved) == Ok(all.len()) {
        let count = |wanted: fn(&Fate) -> bool| {
            let count = all.iter().filter(|settlement| wanted(&settlement.fate)).count();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let delivered = count(|fate| *fate == Fate::Delivered);
        return Ok((delivered, count(|fate| matches!(fate, Fate::Dead(_)))));
    }
    let mut ended = (0, 0);
    for chunk in settlements.chunks(ROWS_MAX) {
        let (delivered, dead) = count_ended(connection, target, chunk, now).await?;
        ended = (ended.0 + delivered, ended.1 + dead);
    }
    Ok(ended)
}

/// Fills in the values of [`HEAD`] and of its rows.
fn push(
    filling: &mut Filling,
    target: TargetId,
    settlements: &[&Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    filling.push(target)?;
    for settlement in settlements {
        let attempt = &settlement.attempt;
        let (status, failed, next, end) = columns(settlement.fate, now);
        filling
            .push(settlement.sequence)?
            .push(status)?
            .push(failed)?
            .push(attempt.started_at.micros())?
            .push(attempt.status)?
            .push(attempt.outcome.reason().map(Reason::as_str))?
            .push(next)?
            .push(end)?
            .push(delivered_in(settlement))?
            .push(delivered_answer(settlement))?;
    }
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
    settlements: &[Settlement],
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

/// Status (a number: a text would have to be made for each row), steps further, next attempt,
/// end.
fn columns(fate: Fate, now: Timestamp) -> (i64, i64, Option<i64>, Option<i64>) {
    match fate {
        Fate::Held => (0, 0, None, None),
        Fate::RetryAt(at) => (0, 1, Some(at.micros()), None),
        Fate::Delivered => (1, 0, None, Some(now.micros())),
        Fate::Dead(_) => (2, 1, None, Some(now.micros())),
    }
}
