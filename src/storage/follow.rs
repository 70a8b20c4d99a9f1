//! Reading for as long as somebody looks on, while daemons come and go.

use std::path::{Path, PathBuf};

use crate::storage::error::StorageError;
use crate::storage::{Reader, open};

/// A reader that outlives daemons.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    reader: Reader,
    /// A write-ahead log was there: without one, the file was opened as unchanging.
    is_live: bool,
}

impl Follower {
    /// Opens the ledger at `path` as [`Reader::open`] does.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn open(path: &Path) -> Result<Self, StorageError> {
        let is_live = is_live(path);
        let reader = Reader::open(path).await?;
        Ok(Self { path: path.to_owned(), reader, is_live })
    }

    /// The reader; opened anew where a daemon has come or gone since.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn reader(&mut self) -> Result<&Reader, StorageError> {
        if is_live(&self.path) != self.is_live {
            self.reader.0.close().await;
            *self = Self::open(&self.path).await?;
        }
        Ok(&self.reader)
    }
}

fn is_live(path: &Path) -> bool {
    open::with_suffix(path, "-wal").exists()
}
