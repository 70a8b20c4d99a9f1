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
use crate::storage::moves::{make, make_run, move_all_on, move_on};
use crate::storage::script::Script;
use crate::storage::targets::{self, TargetId};
use crate::storage::{Ledger, attempts, fresh, own};

/// An attempt that has ended, and what becomes of its delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The event's place in the ledger.
    pub sequence: Sequence,
    /// As far as the caller knows, nothing is recorded of the delivery yet
    /// ([`Due::is_first`](crate::storage::Due::is_first)).
    pub is_first: bool,
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
        let tried = tried(&settlements);
        if settlements.iter().all(is_plain) {
            let (script, tried) = (plain(target, &settlements, now)?, tried.clone());
            let settled = self.writer.run(move |connection| {
                Box::pin(async move { finish(connection, script, target, &tried).await })
            });
            match settled.await {
                Err(StorageError::Refused(_)) => {}
                settled => return settled,
            }
        }
        self.writer
            .run(move |connection| {
                Box::pin(async move {
                    let script = apply(connection, target, &settlements, now).await?;
                    finish(connection, script, target, &tried).await
                })
            })
            .await
    }
}

/// The events that are fresh no more: tried with another end than to be held.
fn tried(settlements: &[Settlement]) -> Vec<Sequence> {
    let tried = settlements.iter().filter(|settlement| settlement.fate != Fate::Held);
    let mut tried: Vec<Sequence> = tried.map(|settlement| settlement.sequence).collect();
    tried.sort_unstable();
    tried
}

/// Carries out a settlement's statements, and takes what was tried out of what is fresh.
async fn finish(
    connection: &mut SqliteConnection,
    mut script: Script,
    target: TargetId,
    tried: &[Sequence],
) -> Result<(), StorageError> {
    fresh::take_out(connection, &mut script, target, tried).await?;
    script.run(connection).await.map(drop)
}

/// Whether a settlement comes to nothing but its delivery's and its attempt's row.
fn is_plain(settlement: &Settlement) -> bool {
    settlement.turn.is_none() && !matches!(settlement.fate, Fate::Dead(_))
}

/// What settles plain settlements that are all as they are thought to be, pending and with or
/// without a row; refused where one is not, after a rare intervention.
fn plain(
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Script, StorageError> {
    let Grouped { single, runs } = Grouped::of(settlements);
    let mut script = Script::default();
    for run in &runs {
        make_run(&mut script, target, run, now)?;
        targets::count_moved(&mut script, target, run.len(), count_delivered(run.iter()), now)?;
    }
    let (first, again): (Vec<_>, Vec<_>) = single.iter().partition(|single| single.is_first);
    for (group, is_first) in [(first, true), (again, false)] {
        let write = if is_first { make } else { move_on };
        for chunk in group.chunks(ROWS_MAX) {
            write(&mut script, target, chunk, now)?;
            let delivered = count_delivered(chunk.iter().copied());
            targets::count_moved(&mut script, target, chunk.len(), delivered, now)?;
        }
    }
    insert_attempts(&mut script, target, single, runs)?;
    Ok(script)
}

fn count_delivered<'a>(settlements: impl Iterator<Item = &'a Settlement>) -> usize {
    settlements.filter(|settlement| settlement.fate == Fate::Delivered).count()
}

/// Settles settlements of any kind, but for what is left to the script.
async fn apply(
    connection: &mut SqliteConnection,
    target: TargetId,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Script, StorageError> {
    let (delivered, dead) = move_all_on(connection, target, settlements, now).await?;
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
    let Grouped { single, runs } = Grouped::of(settlements);
    let mut script = Script::default();
    insert_attempts(&mut script, target, single, runs)?;
    Ok(script)
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
            if run.len() < RUN_MIN || !run[0].is_first {
                single.extend(run);
            } else {
                runs.push(run);
            }
        }
        Self { single, runs }
    }
}

/// From so many first tries of one request on, one statement that says it once costs less
/// than rows.
const RUN_MIN: usize = 8;

/// Whether two settlements are of one request, for events that follow on each other.
fn is_run(one: &Settlement, next: &Settlement) -> bool {
    one.sequence + 1 == next.sequence
        && one.is_first == next.is_first
        && one.fate == next.fate
        && one.attempt == next.attempt
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
