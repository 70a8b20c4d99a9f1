//! The one transaction that ends attempts: their rows, their deliveries' new status, and
//! the target's state, together.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::model::delivery::{Attempt, Fate};
use crate::model::event::Sequence;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::chunks;
use crate::storage::error::StorageError;
use crate::storage::targets::{self, TargetId};
use crate::storage::{Ledger, attempts};

/// An attempt that has ended, and what becomes of its delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The event's place in the ledger.
    pub sequence: Sequence,
    /// What was tried.
    pub attempt: Attempt,
    /// What becomes of the delivery.
    pub fate: Fate,
}

impl Ledger {
    /// Settles attempts at one target: records them, moves their deliveries on, and marks
    /// the target as gone when a fate is [`Fate::Held`]. All or nothing. A delivery must
    /// not stand in `settlements` twice.
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
    for chunk in chunks(settlements) {
        move_on(connection, target, chunk, now).await?;
        attempts::insert(connection, target, chunk).await?;
    }
    let count = |wanted: fn(&Fate) -> bool| {
        i64::try_from(settlements.iter().filter(|s| wanted(&s.fate)).count()).unwrap_or(i64::MAX)
    };
    let delivered = count(|fate| matches!(fate, Fate::Delivered));
    let dead = count(|fate| matches!(fate, Fate::Dead(_)));
    if delivered + dead > 0 {
        targets::count(connection, target, (delivered, dead), now).await?;
    }
    if count(|fate| matches!(fate, Fate::Held)) > 0 {
        targets::mark_gone(connection, target, now).await?;
    }
    Ok(())
}

/// Moves pending deliveries to what becomes of them.
async fn move_on(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH settled (sequence, status, failed, attempt_us, answer, reason, next_us, end_us) AS (",
    );
    query.push_values(settlements, |mut row, settlement| {
        let (status, failed, next, end) = columns(settlement.fate, now);
        let attempt = &settlement.attempt;
        row.push_bind(settlement.sequence)
            .push_bind(status)
            .push_bind(failed)
            .push_bind(attempt.started_at.micros())
            .push_bind(attempt.status)
            .push_bind(attempt.outcome.reason().map(super::super::model::outcome::Reason::as_str))
            .push_bind(next)
            .push_bind(end);
    });
    query.push(
        ") UPDATE delivery \
         SET status = s.status, \
             attempts = attempts + 1, \
             step = step + s.failed, \
             first_attempt_us = coalesce(first_attempt_us, s.attempt_us), \
             last_attempt_us = s.attempt_us, \
             last_status = s.answer, \
             last_reason = s.reason, \
             next_attempt_us = s.next_us, \
             settled_us = s.end_us \
         FROM settled s \
         WHERE delivery.sequence = s.sequence \
           AND delivery.status = 'pending' \
           AND delivery.target_id = ",
    );
    query.push_bind(target);
    query.build().execute(connection).await?;
    Ok(())
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
