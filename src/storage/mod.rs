//! The ledger: everything that came in and everything that has to go out, in SQLite.
//!
//! Floor 2. All SQL lives here and no SQLite type shows above it, so that another
//! database can take this module's place. Changes go through one writer with group
//! commit ([`Ledger`]); questions go to readers ([`Reader`]) that never block it.
//!
//! To add a statement: one function in the file of its table, taking a connection, or a
//! script that it joins; the caller owns the transaction. Only `ingest.rs` and `settle.rs` say
//! what must be together.

mod arrivals;
mod attempts;
mod bulk;
mod checkpoints;
mod checksum;
mod comparison;
mod costs;
mod coverage;
mod deliveries;
mod differences;
mod error;
mod events;
mod figures;
mod filter;
mod follow;
mod fresh;
mod history;
mod ids;
mod ingest;
mod known;
mod lateness;
mod missed;
mod moves;
mod open;
mod operations;
mod own;
mod presumed;
mod pushes;
mod recent;
mod replay;
mod requests;
mod script;
mod settle;
mod sightings;
mod silence;
mod targets;
mod thread;
mod upkeep;
mod what_if;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::SqlitePool;
use tokio_util::task::TaskTracker;

use crate::model::clock::Clock;
use crate::storage::arrivals::Arrivals;
use crate::storage::checkpoints::Checkpoints;
use crate::storage::ingest::Store;
use crate::storage::recent::Recent;
use crate::storage::writer::Writer;

pub use attempts::AttemptRow;
pub use comparison::{Entries, FieldDifference, Pair, Routes};
pub use costs::{PollCost, PushCost};
pub use deliveries::{DeliveryFilter, DeliveryRow, Due};
pub use error::StorageError;
pub use figures::{Figures, SourceFigures, TargetFigures};
pub use filter::HistoryFilter;
pub use follow::Follower;
pub use history::HistoryRow;
pub use ingest::{Ingest, Ingested};
pub use missed::Missed;
pub use open::BUSY_TIMEOUT;
pub use operations::OperationId;
pub use pushes::{Heard, PushRequest, SignedBy, Silent};
pub use replay::{Replay, Scope, Which};
pub use requests::{Label, PollRequest, Request};
pub use settle::Settlement;
pub use silence::{Unheard, WebhookTurn};
pub use targets::{Owed, TargetId, TargetRow, TargetState};
pub use what_if::{PollCycle, Polled};

/// Answers questions about the ledger. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Reader(SqlitePool);

impl Reader {
    /// Opens the ledger at `path` for reading only, beside a running daemon or without
    /// one. Leaves no trace: the folder is byte for byte as it was.
    ///
    /// # Errors
    /// When there is no ledger, or it is not one that this version understands.
    pub async fn open(path: &Path) -> Result<Self, StorageError> {
        open::readers_without_trace(path).await.map(Self)
    }
}

/// The open ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    reader: Reader,
    writer: Writer,
    store: Store,
    arrivals: Arrivals,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Clock,
    writing: TaskTracker,
    recent: Arc<Recent>,
    /// `None` beside a daemon.
    _lock: Option<open::Lock>,
}

impl Ledger {
    /// Opens the ledger at `path` as its owner (I10), making and migrating it where
    /// needed; checks the whole file if the last owner did not stop cleanly.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when another owner runs; otherwise what is wrong with the
    /// file. Nothing has been written to a file that is refused.
    pub async fn open(path: &Path, clock: Clock) -> Result<Self, StorageError> {
        let lock = open::Lock::take(path)?;
        let mut connection = open::writer(path).await?;
        let clean = upkeep::mark_in_use(&mut connection, clock.now()).await?;
        open::check(&mut connection, path, clean).await?;
        Self::with_writer(path, clock, connection, Some(lock)).await
    }

    /// Opens the ledger for single changes beside a daemon that owns it, or without one.
    ///
    /// # Errors
    /// When there is no ledger, or it is not one that this version understands.
    pub async fn open_beside(path: &Path, clock: Clock) -> Result<Self, StorageError> {
        let connection = open::writer_beside(path).await?;
        Self::with_writer(path, clock, connection, None).await
    }

    async fn with_writer(
        path: &Path,
        clock: Clock,
        connection: sqlx::SqliteConnection,
        lock: Option<open::Lock>,
    ) -> Result<Self, StorageError> {
        let reader = Reader(open::readers(path).await?);
        let is_owner = lock.is_some();
        let (committed, checkpoints) = Checkpoints::open(path, is_owner).await?;
        let (writer, task) = Writer::new(connection, committed);
        let store = Store::new(writer.clone(), clock.clone());
        let recent = store.recent.clone();
        let (arrivals, arriving) = Arrivals::new(store.clone());
        let work = async move {
            // The writer's connection is closed last: it is the one that tidies up.
            let (connection, (), ()) = tokio::join!(task.run(), checkpoints.run(), arriving.run());
            if let Err(error) = upkeep::close(connection, is_owner).await {
                tracing::warn!(%error, "the ledger was not closed cleanly");
            }
        };
        let writing = thread::spawn(work).map_err(|error| StorageError::Unusable {
            path: path.to_owned(),
            why: format!("no thread to write it with: {error}"),
        })?;
        let shared =
            Arc::new(Shared { path: path.to_owned(), clock, writing, recent, _lock: lock });
        Ok(Self { reader, writer, store, arrivals, shared })
    }

    /// Answers questions about this ledger.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Closes this clone; the last one waits until everything asked for is on disk and
    /// the file is closed cleanly.
    pub async fn close(self) {
        let Self { reader, writer, store, arrivals, shared } = self;
        drop((writer, store, arrivals));
        if Arc::strong_count(&shared) == 1 {
            reader.0.close().await;
            shared.writing.wait().await;
        }
    }
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
