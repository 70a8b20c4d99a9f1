//! Opening the ledger's file: settings, checks, migrations, and the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::storage::error::StorageError;

/// How long a statement waits for another process's transaction, such as a backup.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Readers at once: one for the dispatcher, the others for people.
const READERS: u32 = 4;

/// "TWLR": marks a SQLite file as one of ours.
const APPLICATION_ID: i64 = 0x5457_4C52;

/// Older ones can corrupt a WAL when two connections checkpoint at once
/// (sqlite.org/wal.html, "WAL reset bug").
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// Up to this size the whole file is checked at every start, its indexes against its rows:
/// that takes a fraction of a second.
const WHOLE_CHECK_MAX: u64 = 64 * 1024 * 1024;

/// Above this size the quick check is left out after a clean stop: it reads all of the
/// file, and a start must not take minutes.
const QUICK_CHECK_MAX: u64 = 1024 * 1024 * 1024;

/// File systems without working shared memory, by statfs(2)'s type: NFS, SMB, CIFS, SMB2.
const NETWORK_FILE_SYSTEMS: [u64; 4] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42];

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The lock file beside the ledger, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file is what unlocks it")] File);

impl Lock {
    /// Takes the lock of the ledger at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, StorageError> {
        let lock_path = with_suffix(path, ".lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(
                |error| StorageError::Unusable {
                    path: lock_path.clone(),
                    why: format!("{error}; the ledger's folder must exist and be writable"),
                },
            )?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => {
                Err(StorageError::Unusable { path: lock_path, why: error.to_string() })
            }
        }
    }
}

/// Opens the one writing connection, making and migrating the ledger where needed.
pub(super) async fn writer(path: &Path) -> Result<SqliteConnection, StorageError> {
    refuse_network_file_system(path)?;
    let options = base(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Twice the usual: an event takes 1.5 KB, of which five fit well, and each page is
        // two writes to the log.
        .page_size(8192)
        // 48 MiB: behind the checkpoints that are made beside it.
        .pragma("wal_autocheckpoint", "6000")
        // 16 MiB of pages in memory, used as needed: the indexes of a backlog's ids and
        // deliveries are not read again for every page of entries.
        .pragma("cache_size", "-16384")
        // Savepoints keep their journal in memory; a page is at most a few MiB.
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", "67108864");
    let fail = |error| StorageError::at_opening(path.to_owned(), &error);
    refuse_foreign(path).await?;
    let mut connection = options.connect().await.map_err(fail)?;
    require_sqlite_version(&mut connection, path).await?;
    // Before the first table: a start that is cut short must not leave a stranger's file.
    sqlx::query("PRAGMA application_id = 1415007314")
        .execute(&mut connection)
        .await
        .map_err(fail)?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| StorageError::at_migration(path.to_owned(), error))?;
    Ok(connection)
}

/// Opens the one writing connection of a process beside the daemon: nothing is made or
/// migrated.
pub(super) async fn writer_beside(path: &Path) -> Result<SqliteConnection, StorageError> {
    require_schema(path).await?;
    checkpointer(path).await
}

/// Opens the connection that copies the log into the file, beside the writer.
pub(super) async fn checkpointer(path: &Path) -> Result<SqliteConnection, StorageError> {
    base(path)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .map_err(|error| StorageError::at_opening(path.to_owned(), &error))
}

/// Opens the readers.
pub(super) async fn readers(path: &Path) -> Result<SqlitePool, StorageError> {
    pool(base(path).read_only(true))
        .await
        .map_err(|error| StorageError::at_opening(path.to_owned(), &error))
}

/// Opens readers for a process that must not leave a trace: where no daemon has the
/// ledger open, its file is taken as unchanging, so that no `-wal` and `-shm` appear.
pub(super) async fn readers_without_trace(path: &Path) -> Result<SqlitePool, StorageError> {
    require_schema(path).await?;
    let unchanging = !with_suffix(path, "-wal").exists();
    pool(base(path).read_only(true).immutable(unchanging))
        .await
        .map_err(|error| StorageError::at_opening(path.to_owned(), &error))
}

/// The only place that makes a pool: sqlx 0.9.0's reaper can spin for ever, and is not
/// started when nothing can time out (transact-rs/sqlx#4289).
async fn pool(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    PoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("mmap_size", "0")
        .statement_cache_capacity(64)
        // Rows that may wait between SQLite's thread and the reader of a listing: fewer
        // would have the two threads wake each other for every few rows.
        .row_buffer_size(512)
        // Bulk statements are kilobytes long, and nobody debugs with them.
        .disable_statement_logging()
}

/// Checks the whole file after an unclean stop or when it is small, and quickly otherwise.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    clean: bool,
) -> Result<(), StorageError> {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if clean && size > QUICK_CHECK_MAX {
        return Ok(());
    }
    let is_quick = clean && size > WHOLE_CHECK_MAX;
    let statement = if is_quick { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
    if !clean {
        tracing::info!(ledger.bytes = size, "the last stop was not clean: checking the ledger");
    }
    let found: String = sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .map_err(|error| StorageError::at_opening(path.to_owned(), &error))?;
    if found == "ok" {
        return Ok(());
    }
    let why = found.lines().next_back().unwrap_or_default().to_owned();
    Err(StorageError::Corrupt { path: path.to_owned(), why })
}

/// Refuses a database of somebody else's, or of a newer version, before anything is
/// written to it.
async fn refuse_foreign(path: &Path) -> Result<(), StorageError> {
    let empty = std::fs::metadata(path).map_or(true, |meta| meta.is_file() && meta.len() == 0);
    if !empty && require_ours(path).await? > known_version() {
        return Err(StorageError::Newer(path.to_owned()));
    }
    Ok(())
}

/// The newest schema that this program knows.
fn known_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Refuses a ledger that is missing, foreign, newer or older than this program.
async fn require_schema(path: &Path) -> Result<(), StorageError> {
    if !path.exists() {
        return Err(StorageError::Missing(path.to_owned()));
    }
    let version = require_ours(path).await?;
    if version == 0 {
        return Err(StorageError::Missing(path.to_owned()));
    }
    match version.cmp(&known_version()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StorageError::Newer(path.to_owned())),
        std::cmp::Ordering::Less => Err(StorageError::Unusable {
            path: path.to_owned(),
            why: "an older version of Tailwater wrote it; start `tailwater run` once, it \
                  brings the ledger up to date"
                .to_owned(),
        }),
    }
}

/// Checks that the file is a ledger, or about to become one; returns its schema's version.
async fn require_ours(path: &Path) -> Result<i64, StorageError> {
    if path.is_dir() {
        let why = "it is a folder; set storage.path to a file in it".to_owned();
        return Err(StorageError::Unusable { path: path.to_owned(), why });
    }
    let fail = |error| StorageError::at_opening(path.to_owned(), &error);
    let unchanging = !with_suffix(path, "-wal").exists();
    let options = base(path).read_only(true).immutable(unchanging);
    let mut connection = options.connect().await.map_err(fail)?;
    let version = find_version(&mut connection).await.map_err(fail)?;
    let is_text = is_schema_text(&mut connection).await.map_err(fail)?;
    connection.close().await.map_err(fail)?;
    let version = version.ok_or_else(|| StorageError::Foreign(path.to_owned()))?;
    if !is_text {
        let why = "its schema is no text".to_owned();
        return Err(StorageError::Corrupt { path: path.to_owned(), why });
    }
    Ok(version)
}

/// The schema's version: 0 for a database without tables, as a start that was cut short
/// leaves one; `None` for somebody else's.
async fn find_version(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let (tables, is_migrated): (i64, bool) = sqlx::query_as(
        "SELECT count(*), coalesce(max(name = '_sqlx_migrations'), 0) FROM sqlite_schema
         WHERE type = 'table'",
    )
    .fetch_one(&mut *connection)
    .await?;
    match (id, tables) {
        (0 | APPLICATION_ID, 0) => Ok(Some(0)),
        (APPLICATION_ID, _) if is_migrated => {
            let version: Option<i64> =
                sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
                    .fetch_one(connection)
                    .await?;
            Ok(Some(version.unwrap_or(0)))
        }
        _ => Ok(None),
    }
}

/// Whether the schema is UTF-8. SQLite does not ask; sqlx 0.9.0 panics at a column's type that
/// is not, on SQLite's thread, and whoever waits for that thread waits for ever.
async fn is_schema_text(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let texts: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL")
            .fetch_all(connection)
            .await?;
    Ok(texts.iter().all(|text| str::from_utf8(text).is_ok()))
}

async fn require_sqlite_version(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StorageError> {
    let text: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let version = (next(), next(), next());
    if version >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    Err(StorageError::Unusable {
        path: path.to_owned(),
        why: format!("this program was built with SQLite {text}, which can corrupt it"),
    })
}

fn refuse_network_file_system(path: &Path) -> Result<(), StorageError> {
    let Ok(found) = rustix::fs::statfs(folder(path)) else { return Ok(()) };
    let kind = u64::from_ne_bytes(found.f_type.to_ne_bytes());
    if NETWORK_FILE_SYSTEMS.contains(&(kind & 0xFFFF_FFFF)) {
        return Err(StorageError::Unusable {
            path: path.to_owned(),
            why: "it is on a network file system, where SQLite's write-ahead log does not \
                  work; set storage.path to a local disk"
                .to_owned(),
        });
    }
    Ok(())
}

/// The folder that holds the ledger.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path of a file that stands beside the ledger.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
