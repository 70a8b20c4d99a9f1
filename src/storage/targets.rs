//! Targets, as the ledger knows them: by name, with the state they are in.

use sqlx::{Row, SqliteConnection};

use crate::model::breaker::Turn;
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::operations::{self, Verb};
use crate::storage::requests::whole;
use crate::storage::script::Script;
use crate::storage::{Ledger, Reader};

/// A target's key in the ledger.
pub type TargetId = i64;

/// Whether anything is sent to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// It gets its deliveries.
    Active,
    /// It takes nothing: one delivery at a time is tried, until one succeeds.
    Failing,
    /// An operator paused it: nothing is sent until an operator resumes it.
    Paused,
    /// It answered 410: nothing is sent until an operator resumes it.
    Gone,
}

impl TargetState {
    /// The word for it in tables and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }

    fn from_column(text: &str) -> Result<Self, StorageError> {
        match text {
            "active" => Ok(Self::Active),
            "failing" => Ok(Self::Failing),
            "paused" => Ok(Self::Paused),
            "gone" => Ok(Self::Gone),
            other => Err(StorageError::Inconsistent(format!("a target in state {other:?}"))),
        }
    }
}

/// What a target is owed, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Whether anything is sent to it.
    pub state: TargetState,
    /// When an operator last resumed it; `None` if never. Patience with its deliveries
    /// begins anew then.
    pub resumed_at: Option<Timestamp>,
    /// Whether it has dead letters that no event has told of.
    pub has_untold_dead: bool,
    /// Whether there are deliveries that were never tried, or are replayed.
    pub has_fresh: bool,
    /// When the first of its retries is, or was, due; `None` when none waits.
    pub next_retry: Option<Timestamp>,
}

/// A target with its figures, as `target_status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TargetRow {
    /// Its name in the configuration, today's or an earlier one's.
    #[serde(rename = "target")]
    pub name: String,
    /// Whether anything is sent to it.
    pub state: TargetState,
    /// Since when, RFC 3339 UTC.
    pub state_since: String,
    /// Deliveries owed.
    pub pending: i64,
    /// Dead letters.
    pub dead: i64,
    /// Deliveries made, ever.
    pub delivered_total: i64,
    /// Last delivery, RFC 3339 UTC; `None` before the first.
    pub last_delivered_at: Option<String>,
}

/// Makes sure that each target has its row.
async fn insert(
    connection: &mut SqliteConnection,
    names: &[String],
    now: Timestamp,
) -> Result<(), StorageError> {
    for name in names {
        sqlx::query(
            "INSERT INTO target (name, created_us, state, since_us)
             VALUES ($1, $2, 'active', $2)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(now.micros())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Moves a target on to what an attempt has shown, and records it; its name. `None` when it
/// is not where that starts from: an operator has paused it, say.
pub(super) async fn move_on(
    connection: &mut SqliteConnection,
    target_id: TargetId,
    turn: Turn,
    now: Timestamp,
) -> Result<Option<String>, StorageError> {
    let (verb, statement) = match turn {
        Turn::Failing => (
            Verb::Failing,
            "UPDATE target SET state = 'failing', since_us = $2
             WHERE id = $1 AND state = 'active'
             RETURNING name",
        ),
        Turn::Recovered => (
            Verb::Recovered,
            "UPDATE target SET state = 'active', since_us = $2
             WHERE id = $1 AND state = 'failing'
             RETURNING name",
        ),
        Turn::Gone => (
            Verb::Gone,
            "UPDATE target SET state = 'gone', since_us = $2
             WHERE id = $1 AND state IN ('active', 'failing')
             RETURNING name",
        ),
    };
    let name: Option<String> = sqlx::query_scalar(statement)
        .bind(target_id)
        .bind(now.micros())
        .fetch_optional(&mut *connection)
        .await?;
    if name.is_some() {
        operations::insert(connection, verb, target_id, now).await?;
    }
    Ok(name)
}

/// Adds to what a target has got and lost.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    target_id: TargetId,
    (delivered, dead): (i64, i64),
    now: Timestamp,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE target
         SET delivered = delivered + $2,
             dead = dead + $3,
             last_delivered_us = CASE WHEN $2 > 0 THEN $4 ELSE last_delivered_us END
         WHERE id = $1",
    )
    .bind(target_id)
    .bind(delivered)
    .bind(dead)
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to what a target has got, behind a statement that is to have moved so many of its
/// deliveries. Refused where it has not: then the value is null, which the column does not take.
pub(super) fn count_moved(
    script: &mut Script,
    target_id: TargetId,
    moved: usize,
    delivered: usize,
    now: Timestamp,
) -> Result<(), StorageError> {
    let statement = script.add(
        "UPDATE target
         SET delivered = CASE changes() WHEN ? THEN delivered + ? END,
             last_delivered_us = coalesce(?, last_delivered_us)
         WHERE id = ?",
    )?;
    let delivered_at = (delivered > 0).then(|| now.micros());
    statement.push(whole(moved))?.push(whole(delivered))?.push(delivered_at)?.push(target_id)?;
    Ok(())
}

impl Ledger {
    /// Makes the targets of the configuration known; events ingested from now on can be
    /// scheduled for them. Known ones stay as they are.
    ///
    /// # Errors
    /// On any error none of them is made known.
    pub async fn insert_targets(&self, names: Vec<String>) -> Result<(), StorageError> {
        let now = self.shared.clock.now();
        self.writer
            .run(move |connection| Box::pin(async move { insert(connection, &names, now).await }))
            .await
    }

    /// Has nothing more sent to an active or failing target until it is resumed, and records that an
    /// operator asked for it; `false` when it was neither. Its deliveries stay pending.
    ///
    /// # Errors
    /// On any error its state is as before.
    pub async fn pause_target(&self, name: &str) -> Result<bool, StorageError> {
        self.turn(name, TargetState::Paused).await
    }

    /// Lets a target that is paused, gone or failing have its deliveries again, and records
    /// that an operator asked for it; `false` when it was active.
    ///
    /// # Errors
    /// On any error its state is as before.
    pub async fn resume_target(&self, name: &str) -> Result<bool, StorageError> {
        self.turn(name, TargetState::Active).await
    }

    async fn turn(&self, name: &str, wanted: TargetState) -> Result<bool, StorageError> {
        let (name, now) = (name.to_owned(), self.shared.clock.now());
        self.writer
            .run(move |connection| {
                Box::pin(async move { turn(connection, &name, wanted, now).await })
            })
            .await
    }
}

/// Resumes a target, or pauses it; `false` when it is so already, or gone and to be
/// paused.
async fn turn(
    connection: &mut SqliteConnection,
    name: &str,
    wanted: TargetState,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let (verb, statement) = if wanted == TargetState::Active {
        (
            Verb::Resume,
            "UPDATE target SET state = 'active', since_us = $2, resumed_us = $2
             WHERE name = $1 AND state <> 'active'
             RETURNING id",
        )
    } else {
        (
            Verb::Pause,
            "UPDATE target SET state = 'paused', since_us = $2
             WHERE name = $1 AND state IN ('active', 'failing')
             RETURNING id",
        )
    };
    let id: Option<TargetId> = sqlx::query_scalar(statement)
        .bind(name)
        .bind(now.micros())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(id) = id else { return Ok(false) };
    operations::insert(connection, verb, id, now).await?;
    Ok(true)
}

impl Reader {
    /// A target's key and state, by name; `None` when the ledger does not know it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_target(
        &self,
        name: &str,
    ) -> Result<Option<(TargetId, TargetState)>, StorageError> {
        let row = sqlx::query("SELECT id, state FROM target WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.0)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row.try_get(0)?, TargetState::from_column(row.try_get(1)?)?)))
    }

    /// What a target is owed, in short: one question a second and target while there is
    /// nothing to do. `None` when the ledger does not know the target.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_owed(&self, target: TargetId) -> Result<Option<Owed>, StorageError> {
        let row = sqlx::query(
            "SELECT state,
                    resumed_us,
                    dead > dead_told,
                    EXISTS (SELECT 1 FROM fresh f WHERE f.target_id = t.id),
                    (SELECT min(d.next_attempt_us) FROM delivery d
                     WHERE d.target_id = t.id AND d.status = 'pending' AND d.step > 0)
             FROM target t
             WHERE t.id = $1",
        )
        .bind(target)
        .fetch_optional(&self.0)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Owed {
            state: TargetState::from_column(row.try_get(0)?)?,
            resumed_at: row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_micros),
            has_untold_dead: row.try_get(2)?,
            has_fresh: row.try_get(3)?,
            next_retry: row.try_get::<Option<i64>, _>(4)?.map(Timestamp::from_micros),
        }))
    }

    /// Every target that the ledger knows, by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list_targets(&self) -> Result<Vec<TargetRow>, StorageError> {
        let rows = sqlx::query(
            "SELECT target, state, state_since, pending, dead, delivered_total,
                    last_delivered_at
             FROM target_status
             ORDER BY target",
        )
        .fetch_all(&self.0)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TargetRow {
                    name: row.try_get(0)?,
                    state: TargetState::from_column(row.try_get(1)?)?,
                    state_since: row.try_get(2)?,
                    pending: row.try_get(3)?,
                    dead: row.try_get(4)?,
                    delivered_total: row.try_get(5)?,
                    last_delivered_at: row.try_get(6)?,
                })
            })
            .collect()
    }
}
