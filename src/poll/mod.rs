//! Way in, pulled: plans a scan, fetches slices, ingests, settles.
//!
//! Floor 3. What is asked and what an answer proves are pure functions ([`plan`],
//! [`verdict`], [`crowd`], [`gap`], [`late`], [`due`]); [`Scanner`] makes one run of them
//! over a [`Log`] and a [`Keep`], [`Poller`] makes runs when they are due. What stays true:
//!
//! - A stretch counts as read only when one answer, or several that agree, show all of
//!   it; the coverage commits together with the entries it stands for.
//! - The ledger's coverage is the only cursor: it is read anew for each run, so a failed
//!   commit, a partial run and a restart all go on from the same place.
//! - A run's upper bound is fixed once, in whole seconds.
//! - Every run ends: requests, failures, passes and waits are bounded.
//!
//! Pacing by the source's rate limit and the renewal of tokens are the client's
//! ([`crate::greenlake`]); when cron lines fall due is the app's.

mod bound;
pub mod crowd;
pub mod dry;
pub mod due;
#[cfg(test)]
mod fake;
pub mod gap;
pub mod late;
pub mod pace;
mod part;
pub mod past;
pub mod plan;
pub mod poller;
pub mod report;
mod request;
mod run;
pub mod scanner;
mod second;
mod storing;
mod stuck;
mod sweeping;
pub mod verdict;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::greenlake::{AuditLog, FetchError, Page, Query};
use crate::model::coverage::Coverage;
use crate::model::lateness::{Curve, Learnt};
use crate::model::timestamp::Timestamp;
use crate::storage::{Ingest, Ingested, Ledger, PollRequest, StorageError};

pub use dry::DryRun;
pub use due::stagger;
pub use past::Past;
pub use poller::{Bells, Poller, Status, Timing};
pub use report::{Problem, REQUEST_OUTCOMES, RUN_OUTCOMES, Reason, RunReport, Tally};
pub use scanner::{ScanSettings, Scanner, Tell, Wake};

/// The audit log of one source, as a poller sees it.
pub trait Log: Send + Sync {
    /// Asks for one page. Dropping the future abandons the request; nothing is lost.
    fn fetch(&self, query: &Query) -> impl Future<Output = Result<Page, FetchError>> + Send;

    /// Server time by the last answer and our own clock; our wall time before the first.
    fn server_now(&self) -> Timestamp;

    /// Terms to narrow each question by, one request each: only what all of them let
    /// through together is all of a stretch. Never empty; one empty term for no need.
    fn parts(&self) -> Vec<String>;
}

impl<L: Log> Log for Arc<L> {
    async fn fetch(&self, query: &Query) -> Result<Page, FetchError> {
        L::fetch(self, query).await
    }

    fn server_now(&self) -> Timestamp {
        L::server_now(self)
    }

    fn parts(&self) -> Vec<String> {
        L::parts(self)
    }
}

impl Log for AuditLog {
    async fn fetch(&self, query: &Query) -> Result<Page, FetchError> {
        AuditLog::fetch(self, query).await
    }

    fn server_now(&self) -> Timestamp {
        AuditLog::server_now(self)
    }

    fn parts(&self) -> Vec<String> {
        AuditLog::parts(self).to_vec()
    }
}

/// Where a poller's entries and its coverage are kept: the [`Ledger`], or a stand-in.
pub trait Keep: Send + Sync {
    /// See [`Ledger::ingest`].
    fn ingest(&self, ingest: Ingest)
    -> impl Future<Output = Result<Ingested, StorageError>> + Send;

    /// See [`Ledger::log_request`].
    fn log_request(
        &self,
        source: &str,
        request: PollRequest,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// See [`Ledger::find_coverage`].
    fn find_coverage(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Option<Coverage>, StorageError>> + Send;

    /// See [`Ledger::find_learnt`].
    fn find_learnt(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Option<Learnt>, StorageError>> + Send;

    /// See [`Ledger::find_recent_curve`].
    fn find_curve(
        &self,
        source: &str,
        window: Duration,
    ) -> impl Future<Output = Result<Curve, StorageError>> + Send;

    /// See [`Ledger::is_ahead`].
    fn is_ahead(&self) -> bool {
        false
    }

    /// See [`Ledger::free_space`].
    ///
    /// # Errors
    /// When the file system does not tell.
    fn free_space(&self) -> io::Result<u64>;
}

impl Keep for Ledger {
    fn is_ahead(&self) -> bool {
        Ledger::is_ahead(self)
    }

    async fn ingest(&self, ingest: Ingest) -> Result<Ingested, StorageError> {
        Ledger::ingest(self, ingest).await
    }

    async fn log_request(&self, source: &str, request: PollRequest) -> Result<(), StorageError> {
        Ledger::log_request(self, source, request).await
    }

    async fn find_coverage(&self, source: &str) -> Result<Option<Coverage>, StorageError> {
        Ledger::find_coverage(self, source).await
    }

    async fn find_learnt(&self, source: &str) -> Result<Option<Learnt>, StorageError> {
        Ledger::find_learnt(self, source).await
    }

    async fn find_curve(&self, source: &str, window: Duration) -> Result<Curve, StorageError> {
        Ledger::find_recent_curve(self, source, window).await
    }

    fn free_space(&self) -> io::Result<u64> {
        Ledger::free_space(self)
    }
}

/// A poller that had to stop.
#[derive(Debug, thiserror::Error)]
#[error("source {name}: polling stopped")]
pub struct PollError {
    /// The source's name in the configuration.
    pub name: String,
    /// What the ledger could not do. Nothing of the page in hand was stored.
    #[source]
    pub error: StorageError,
}
