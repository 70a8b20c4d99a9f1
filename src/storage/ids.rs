//! The ids of sources and of namespaces, kept in memory: they are few, never change, and
//! nothing is stored without them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;

use crate::storage::error::StorageError;
use crate::storage::{coverage, events};

/// Ids that are kept; the others are looked up each time. A large partner has some hundred
/// workspaces.
const KEPT_MAX: usize = 4096;

/// Ids that are on disk. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownIds(Arc<Mutex<Found>>);

/// Ids by what they stand for.
#[derive(Debug, Default)]
struct Found {
    sources: HashMap<String, i64>,
    /// By workspace, and then by the envelope's `source`.
    origins: HashMap<String, HashMap<String, i64>>,
    count: usize,
}

impl Found {
    fn origin(&self, workspace_id: &str, uri: &str) -> Option<i64> {
        self.origins.get(workspace_id)?.get(uri).copied()
    }
}

impl KnownIds {
    /// For one transaction.
    pub(super) fn begin(&self) -> Ids {
        Ids { known: self.clone(), found: Found::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids that one transaction uses. What it finds or makes may be taken back until it is
/// committed; until then only itself knows of it.
#[derive(Debug)]
pub(super) struct Ids {
    known: KnownIds,
    found: Found,
}

impl Ids {
    /// The id of the source of that name, if it is known.
    pub(super) fn source(&self, name: &str) -> Option<i64> {
        let known = self.known.lock().sources.get(name).copied();
        known.or_else(|| self.found.sources.get(name).copied())
    }

    /// The id of a namespace of event ids, if it is known.
    pub(super) fn origin(&self, workspace_id: &str, uri: &str) -> Option<i64> {
        let known = self.known.lock().origin(workspace_id, uri);
        known.or_else(|| self.found.origin(workspace_id, uri))
    }

    /// The id of the source of that name, made where it is new.
    pub(super) async fn require_source(
        &mut self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<i64, StorageError> {
        if let Some(id) = self.source(name) {
            return Ok(id);
        }
        let id = coverage::require_source(connection, name).await?;
        self.found.sources.insert(name.to_owned(), id);
        self.found.count += 1;
        Ok(id)
    }

    /// Has the id of a namespace of event ids known, made where it is new.
    pub(super) async fn require_origin(
        &mut self,
        connection: &mut SqliteConnection,
        workspace_id: &str,
        uri: &str,
    ) -> Result<(), StorageError> {
        if self.origin(workspace_id, uri).is_some() {
            return Ok(());
        }
        let id = events::require_origin(connection, workspace_id, uri).await?;
        self.found.origins.entry(workspace_id.to_owned()).or_default().insert(uri.to_owned(), id);
        self.found.count += 1;
        Ok(())
    }

    /// After the commit: keeps for the next transactions what this one found.
    pub(super) fn keep(self) {
        if self.found.count == 0 {
            return;
        }
        let mut known = self.known.lock();
        if known.count + self.found.count > KEPT_MAX {
            return;
        }
        known.count += self.found.count;
        known.sources.extend(self.found.sources);
        for (workspace_id, uris) in self.found.origins {
            known.origins.entry(workspace_id).or_default().extend(uris);
        }
    }
}
