//! The one transaction that ends attempts: their rows, their deliveries' new status, and
//! the target's state, together.

use sqlx::SqliteConnection;

use crate::model::breaker::Turn;
use crate::model::delivery::{Attempt, Fate};
use crate::model::event::Sequence;
use crate::model::own_event::turned;
use crate::model::timestamp::Timestamp;
use crate::storage::bulk::ROWS_MAX;
use crate::storage::error::StorageError;
use crate::storage::moves::{move_all_on, move_on, move_run_on};
use crate::storage::script::Script;
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
        if settlements.iter().all(is_plain) {
            match self.writer.run_script(plain(target, &settlements, now)?).await {
                Err(StorageError::Refused(_)) => {}
                settled => return settled,
            }
        }
        self.writer
            .run(move |connection| {
                Box::pin(async move { apply(connection, target, &settlements, now).await })
            })
            .await
    }
}

/// Whether a settlement comes to nothing but its delivery's move and its attempt's row.
fn is_plain(settlement: &Settlement) -> bool {
    settlement.turn.is_none() && !matches!(settlement.fate, Fate::Dead(_))
}

/// What settles plain settlements of deliveries that are all pending, as they are but after
/// rare interventions; refused where one is not.
fn plain(
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Script, StorageError> {
    let Grouped { single, runs } = Grouped::of(settlements);
    let mut script = Script::default();
    for run in &runs {
        move_run_on(&mut script, target, run, now)?;
        targets::count_moved(&mut script, target, run.len(), count_delivered(run.iter()), now)?;
    }
    for chunk in single.chunks(ROWS_MAX) {
        move_on(&mut script, target, chunk, now)?;
        let delivered = count_delivered(chunk.iter().copied());
        targets::count_moved(&mut script, target, chunk.len(), delivered, now)?;
    }
    insert_attempts(&mut script, target, single, runs)?;
    Ok(script)
}

fn count_delivered<'a>(settlements: impl Iterator<Item = &'a Settlement>) -> usize {
    settlements.filter(|settlement| settlement.fate == Fate::Delivered).count()
}

async fn apply(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(), StorageError> {
    let Grouped { single, runs } = Grouped::of(settlements);
    let (delivered, dead) = move_all_on(connection, target, &single, &runs, now).await?;
    let mut script = Script::default();
    insert_attempts(&mut script, target, single, runs)?;
    script.run(connection).await?;
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

/// Settlements by how they are written.
struct Grouped<'a> {
    single: Vec<&'a Settlement>,
    /// Each two neighbours in one of these are a run.
    runs: Vec<&'a [Settlement]>,
}

impl<'a> Grouped<'a> {
    fn of(settlements: &'a [Settlement]) -> Self {
        let (mut single, mut runs) = (Vec::new(), Vec::new());
        for run in settlements.chunk_by(is_run) {
            if run.len() < RUN_MIN {
                single.extend(run);
            } else {
                runs.push(run);
            }
        }
        Self { single, runs }
    }
}

/// From so many deliveries of one request on, one statement that says it once costs less
/// than rows.
const RUN_MIN: usize = 8;

/// Whether two settlements are of one request, for events that follow on each other.
fn is_run(one: &Settlement, next: &Settlement) -> bool {
    one.sequence + 1 == next.sequence && one.fate == next.fate && one.attempt == next.attempt
}

/// Adds the rows of attempts, but for those that delivered: they are part of their delivery.
fn insert_attempts(
    script: &mut Script,
    target: TargetId,
    mut single: Vec<&Settlement>,
    mut runs: Vec<&[Settlement]>,
) -> Result<(), StorageError> {
    single.retain(|settlement| settlement.fate != Fate::Delivered);
    runs.retain(|run| run[0].fate != Fate::Delivered);
    for run in runs {
        attempts::insert_run(script, target, run)?;
    }
    for chunk in single.chunks(ROWS_MAX) {
        attempts::insert(script, target, chunk)?;
    }
    Ok(())
}
