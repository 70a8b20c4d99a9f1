//! Why the ledger could not do it.

use std::path::PathBuf;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::model::event::Sequence;

/// Why the ledger could not do it. Whatever was asked for has not happened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk is full. Writing goes on by itself once there is space.
    #[error("the disk with the ledger is full; free some space, nothing is lost meanwhile")]
    Full,
    /// Another process held the ledger for longer than [`BUSY_TIMEOUT`](super::open::BUSY_TIMEOUT).
    #[error("the ledger is busy in another process; try again")]
    Busy,
    /// There is no ledger at that path.
    #[error("there is no ledger at {0}; `tailwater run` makes one")]
    Missing(PathBuf),
    /// Another daemon has it open (I10).
    #[error("{0} is in use by another Tailwater process; stop that one first")]
    Locked(PathBuf),
    /// The file, or its folder, cannot be read or written.
    #[error("{path} cannot be opened: {why}")]
    Unusable {
        /// What was to be opened.
        path: PathBuf,
        /// What the system says, and what to do.
        why: String,
    },
    /// The file is something else.
    #[error("{0} is not a Tailwater ledger; set storage.path to another file")]
    Foreign(PathBuf),
    /// A newer Tailwater wrote it.
    #[error("{0} was written by a newer version of Tailwater; install that version or newer")]
    Newer(PathBuf),
    /// The file is damaged.
    #[error(
        "{path} is damaged ({why}); move it aside with its -wal and -shm files and keep them, \
         restore a backup or start anew"
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What the check found first.
        why: String,
    },
    /// An event came back from the disk other than it was stored.
    #[error(
        "event {0} in the ledger is not as it was stored: its file is damaged; keep it, \
         restore a backup or start anew"
    )]
    Damaged(Sequence),
    /// A row was not in the state that a move starts from.
    #[error("the ledger contradicts itself: {0}")]
    Inconsistent(String),
    /// The writer has stopped.
    #[error("the ledger is closed")]
    Closed,
    /// A constraint of the ledger refuses a row: it is there already, say.
    #[error("the ledger refuses a row: {0}")]
    Refused(String),
    /// Anything else that the database says.
    #[error("the ledger's database: {0}")]
    Database(String),
}

impl StorageError {
    /// Whether the same request may succeed later without anybody changing the program,
    /// its configuration or the ledger's file.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Full | Self::Busy)
    }

    /// The same trouble once more, for somebody else to hear.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Busy => Self::Busy,
            Self::Refused(why) => Self::Refused(why.clone()),
            other => Self::Database(other.to_string()),
        }
    }
}

/// SQLite's primary result codes (sqlite.org/rescode.html).
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match primary_code(database.as_ref()) {
                Some(FULL) => Self::Full,
                Some(BUSY | LOCKED) => Self::Busy,
                Some(CONSTRAINT) => Self::Refused(database.message().to_owned()),
                Some(CORRUPT | NOTADB) => Self::Database(format!(
                    "{}; its file is damaged: keep it, restore a backup or start anew",
                    database.message()
                )),
                _ => Self::Database(database.message().to_owned()),
            },
            _ => Self::Database(error.to_string()),
        }
    }
}

impl StorageError {
    /// Tells an error at opening `path` apart by its cause.
    pub(super) fn at_opening(path: PathBuf, error: &sqlx::Error) -> Self {
        let (code, why) = match error {
            sqlx::Error::Database(database) => {
                (primary_code(database.as_ref()), database.message().to_owned())
            }
            _ => (None, error.to_string()),
        };
        match code {
            Some(NOTADB) => Self::Foreign(path),
            Some(CORRUPT) => Self::Corrupt { path, why },
            Some(READONLY) => Self::Unusable {
                path,
                why: "it is read-only; give this user the right to write to it and its folder"
                    .to_owned(),
            },
            Some(CANTOPEN) => Self::Unusable {
                path,
                why: "the folder does not exist or this user may not write there".to_owned(),
            },
            Some(FULL) => Self::Full,
            Some(BUSY | LOCKED) => Self::Busy,
            _ => Self::Unusable { path, why },
        }
    }

    /// Tells an error of the migrations apart.
    pub(super) fn at_migration(path: PathBuf, error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Self::Newer(path),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::at_opening(path, &error)
            }
            other => Self::Unusable { path, why: other.to_string() },
        }
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}
