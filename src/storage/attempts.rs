//! Attempts: one row for each HTTP request for a delivery.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::storage::error::StorageError;
use crate::storage::settle::Settlement;
use crate::storage::targets::TargetId;

/// Inserts the attempts of deliveries that are being settled; their number is the
/// delivery's count of attempts, which must have been raised before.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
) -> Result<(), StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH made (sequence, started_us, duration_us, status, reason, answer) AS (",
    );
    query.push_values(settlements, |mut row, settlement| {
        let attempt = &settlement.attempt;
        row.push_bind(settlement.sequence)
            .push_bind(attempt.started_at.micros())
            .push_bind(i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX))
            .push_bind(attempt.status)
            .push_bind(attempt.outcome.reason().map(super::super::model::outcome::Reason::as_str))
            .push_bind(attempt.answer.as_deref());
    });
    query.push(
        ") INSERT INTO attempt \
         (sequence, target_id, number, started_us, duration_us, status, reason, answer) \
         SELECT d.sequence, d.target_id, d.attempts, m.started_us, m.duration_us, m.status, \
         m.reason, m.answer \
         FROM made m \
         CROSS JOIN delivery d ON d.sequence = m.sequence AND d.target_id = ",
    );
    // Without the WHERE, SQLite reads ON CONFLICT as a join's.
    query.push_bind(target).push(" WHERE true ON CONFLICT DO NOTHING");
    query.build().execute(connection).await?;
    Ok(())
}
