//! Figures of the ledger for whoever watches it: asked for again and again, so none of
//! them may cost more the longer the history is.

use std::fs;
use std::path::Path;

use sqlx::Row;

use crate::model::event::Sequence;
use crate::model::lateness::Learnt;
use crate::model::timestamp::Timestamp;
use crate::storage::error::StorageError;
use crate::storage::targets::TargetId;
use crate::storage::{Ledger, Reader, TargetState, open};

/// Rows of a target that are counted of each kind: stretches of fresh deliveries, retries, dead
/// letters. A million of them take a fraction of a second.
const COUNTED_MAX: i64 = 1_000_000;

/// Figures of the ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Every source that the ledger knows, by name.
    pub sources: Vec<SourceFigures>,
    /// The targets that were asked for, as far as the ledger knows them.
    pub targets: Vec<TargetFigures>,
    /// Events stored, ever, pruned ones included.
    pub events: u64,
    /// Items put into quarantine, ever.
    pub quarantined: u64,
    /// Bytes of the ledger's file.
    pub file_bytes: u64,
    /// Bytes of its write-ahead log; 0 without one.
    pub wal_bytes: u64,
    /// Bytes free for it; `None` when the file system does not tell.
    pub free_bytes: Option<u64>,
}

/// Figures of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFigures {
    /// Its name in the configuration, today's or an earlier one's.
    pub name: String,
    /// Below it history is complete; `None` before the first poll.
    pub watermark: Option<Timestamp>,
    /// Server time at which its last complete scan began; `None` before the first.
    pub asked_at: Option<Timestamp>,
    /// What was learnt of its lateness; `None` before.
    pub learnt: Option<Learnt>,
    /// Since when its webhook is taken; `None` without one.
    pub push_since: Option<Timestamp>,
    /// When the last audit entry was pushed; `None` before the first.
    pub heard_at: Option<Timestamp>,
    /// Since when pushes stay away from what polling finds; `None`: they do not.
    pub silent_since: Option<Timestamp>,
    /// Entries that polling showed and pushes did not within the horizon, ever.
    pub missed_by_push: u64,
    /// Entries that were pushed and polling did not show within the horizon, ever.
    pub missed_by_poll: u64,
}

/// Figures of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFigures {
    /// Its name in the configuration.
    pub name: String,
    /// Whether anything is sent to it.
    pub state: TargetState,
    /// Deliveries that it is owed; at most a million stretches of fresh ones and a million
    /// retries are counted.
    pub pending: u64,
    /// When the oldest event that it is owed was stored; `None` when nothing is owed.
    pub pending_since: Option<Timestamp>,
    /// Dead letters that nobody has sent again; at most a million are counted.
    pub dead: u64,
    /// Deliveries that succeeded, ever.
    pub delivered_total: u64,
    /// Deliveries that became dead letters, ever.
    pub dead_total: u64,
    /// When the last one succeeded; `None` before the first.
    pub last_delivered_at: Option<Timestamp>,
}

impl Ledger {
    /// Figures of the ledger, all its sources, and the targets of these names.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_figures(&self, targets: &[String]) -> Result<Figures, StorageError> {
        let reader = self.reader();
        let mut found = Vec::with_capacity(targets.len());
        for name in targets {
            found.extend(reader.find_target_figures(name).await?);
        }
        let next: Option<i64> = sqlx::query_scalar("SELECT next_sequence FROM ledger")
            .fetch_optional(&reader.0)
            .await?;
        let quarantined: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM quarantined")
            .fetch_one(&reader.0)
            .await?;
        let path = &self.shared.path;
        Ok(Figures {
            sources: reader.list_source_figures().await?,
            targets: found,
            events: next.map_or(0, |next| count(next - 1)),
            quarantined: count(quarantined),
            file_bytes: size(path),
            wal_bytes: size(&open::with_suffix(path, "-wal")),
            free_bytes: self.free_space().ok(),
        })
    }
}

impl Reader {
    async fn list_source_figures(&self) -> Result<Vec<SourceFigures>, StorageError> {
        let learnt = self.list_learnt(None).await?;
        let missed = self.count_missed().await?;
        let rows = sqlx::query(
            "SELECT s.name, s.watermark_us,
                    (SELECT max(c.asked_us) FROM coverage c WHERE c.source_id = s.id),
                    s.push_since_us, s.heard_us, s.silent_us
             FROM source s
             ORDER BY s.name",
        )
        .fetch_all(&self.0)
        .await?;
        let figures = rows.iter().map(|row| {
            let at = |index: usize| {
                row.try_get::<Option<i64>, _>(index).map(|at| at.map(Timestamp::from_micros))
            };
            let name: String = row.try_get(0)?;
            let learnt = learnt.iter().find(|(of, _)| *of == name);
            let missed = missed.iter().find(|missed| missed.source == name);
            Ok(SourceFigures {
                watermark: at(1)?,
                asked_at: at(2)?,
                learnt: learnt.map(|(_, learnt)| learnt.clone()),
                push_since: at(3)?,
                heard_at: at(4)?,
                silent_since: at(5)?,
                missed_by_push: missed.map_or(0, |missed| missed.by_push),
                missed_by_poll: missed.map_or(0, |missed| missed.by_poll),
                name,
            })
        });
        figures.collect()
    }

    async fn find_target_figures(&self, name: &str) -> Result<Option<TargetFigures>, StorageError> {
        let Some((id, state)) = self.find_target(name).await? else { return Ok(None) };
        let (delivered, dead, last): (i64, i64, Option<i64>) =
            sqlx::query_as("SELECT delivered, dead, last_delivered_us FROM target WHERE id = $1")
                .bind(id)
                .fetch_one(&self.0)
                .await?;
        let (fresh, first_fresh) = self.count(id, FRESH).await?;
        let (retries, first_retry) = self.count(id, RETRIES).await?;
        let (dead_letters, _) = self.count(id, DEAD).await?;
        let oldest = [first_fresh, first_retry].into_iter().flatten().min();
        Ok(Some(TargetFigures {
            name: name.to_owned(),
            state,
            pending: fresh + retries,
            pending_since: self.find_recorded_at(oldest).await?,
            dead: dead_letters,
            delivered_total: count(delivered),
            dead_total: count(dead),
            last_delivered_at: last.map(Timestamp::from_micros),
        }))
    }

    /// How many deliveries of a kind a target has, and the first of their events.
    async fn count(
        &self,
        target: TargetId,
        statement: &'static str,
    ) -> Result<(u64, Option<Sequence>), StorageError> {
        let (found, first): (i64, Option<Sequence>) =
            sqlx::query_as(statement).bind(target).bind(COUNTED_MAX).fetch_one(&self.0).await?;
        Ok((count(found), first))
    }

    async fn find_recorded_at(
        &self,
        sequence: Option<Sequence>,
    ) -> Result<Option<Timestamp>, StorageError> {
        let Some(sequence) = sequence else { return Ok(None) };
        let at: Option<i64> =
            sqlx::query_scalar("SELECT recorded_us FROM event WHERE sequence = $1")
                .bind(sequence)
                .fetch_optional(&self.0)
                .await?;
        Ok(at.map(Timestamp::from_micros))
    }
}

const FRESH: &str = "SELECT coalesce(sum(until_sequence - from_sequence), 0), min(from_sequence)
     FROM (SELECT from_sequence, until_sequence FROM fresh WHERE target_id = $1 LIMIT $2) heads";

const RETRIES: &str = "SELECT count(*), min(sequence)
     FROM (SELECT sequence FROM delivery
           WHERE target_id = $1 AND status = 'pending' AND step > 0 LIMIT $2) heads";

const DEAD: &str = "SELECT count(*), min(sequence)
     FROM (SELECT sequence FROM delivery
           WHERE target_id = $1 AND status = 'dead' LIMIT $2) heads";

/// A count as SQL gives it.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Bytes of a file; 0 when it is not there.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
