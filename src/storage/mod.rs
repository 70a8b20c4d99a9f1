//! The ledger: everything that came in and everything that has to go out, in SQLite.
//!
//! Floor 2. All SQL lives here and no SQLite type shows above it.

use std::time::Duration;

use crate::model::coverage::{Coverage, Span};
use crate::model::event::{Event, Route, Sequence, Unreadable};
use crate::model::timestamp::Timestamp;

/// The open ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger(());

/// What one transaction brings in (I1).
#[derive(Debug)]
pub struct Ingest {
    /// The source's name in the configuration.
    pub source: String,
    /// By which way the events came.
    pub route: Route,
    /// Oldest first; known ones change nothing but their sighting.
    pub events: Vec<Event>,
    /// Items to put into quarantine.
    pub unreadable: Vec<Unreadable>,
    /// Names of the targets that get a delivery of each new event.
    pub targets: Vec<String>,
    /// The source's coverage after this transaction; `None` leaves it as it is.
    pub coverage: Option<Coverage>,
    /// The request that brought it, for `poll_log`.
    pub request: Option<PollRequest>,
}

/// One request to the audit log, as `poll_log` keeps it.
#[derive(Clone, Debug)]
pub struct PollRequest {
    /// Our wall time when it was sent.
    pub started_at: Timestamp,
    /// Until the last byte of the answer, or until it failed.
    pub duration: Duration,
    /// What was asked for.
    pub span: Span,
    /// Entries skipped.
    pub offset: u64,
    /// What it came to: `complete`, `split`, `page`, `outside`, `throttled`, … one word.
    pub outcome: &'static str,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// `count` of the answer.
    pub count: Option<u64>,
    /// `total` of the answer.
    pub total: Option<u64>,
    /// Bytes of the decoded body.
    pub bytes: u64,
    /// What went wrong, in words.
    pub error: Option<String>,
}

/// What an [`Ingest`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Events stored for the first time.
    pub new: u64,
    /// Events that were there already.
    pub known: u64,
    /// Items newly put into quarantine.
    pub quarantined: u64,
    /// Sequence of the last event in the ledger; 0 when it is empty.
    pub last_sequence: Sequence,
}

/// Why the ledger could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk is full: nothing was stored, and writing goes on once there is space.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Ledger {
    /// Stores new events, their deliveries and sightings, quarantined items, the coverage
    /// and the request's log row in one transaction (I1). Dropping the future does not
    /// stop the transaction.
    ///
    /// # Errors
    /// On any error nothing of it is stored.
    pub async fn ingest(&self, _ingest: Ingest) -> Result<Ingested, StorageError> {
        Err(StorageError::Other("not written yet".to_owned()))
    }

    /// Writes the log row of a request that brought nothing to store.
    ///
    /// # Errors
    /// On any error the row is not stored.
    pub async fn log_request(
        &self,
        _source: &str,
        _request: PollRequest,
    ) -> Result<(), StorageError> {
        Err(StorageError::Other("not written yet".to_owned()))
    }

    /// The coverage of a source by its name; `None` before its first start.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_coverage(&self, _source: &str) -> Result<Option<Coverage>, StorageError> {
        Err(StorageError::Other("not written yet".to_owned()))
    }

    /// Bytes free for us on the ledger's file system.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn free_space(&self) -> std::io::Result<u64> {
        Err(std::io::Error::other("not written yet"))
    }
}
