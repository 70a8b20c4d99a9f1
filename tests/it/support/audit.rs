//! Looks into a ledger behind the program's back, through SQLite alone.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tailwater::simulator::entry::Made;
use tempfile::TempDir;

use super::Home;

/// A connection to a ledger, for reading.
pub(crate) struct Audit {
    connection: SqliteConnection,
    /// Holds the copy that is looked at.
    _copy: Option<TempDir>,
}

impl Audit {
    /// Looks at the ledger where it is, beside a running daemon or without one, as it is
    /// at this moment, and leaves no trace.
    pub(crate) async fn live(home: &Home) -> Self {
        let path = home.ledger();
        let is_open = path.with_extension("db-wal").exists();
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let options = options.immutable(!is_open);
        let connection = options.connect().await.expect("the ledger opens");
        let mut audit = Self { connection, _copy: None };
        // The first reading is what fixes the moment.
        audit.rows::<(i64,)>("BEGIN").await;
        audit.value::<i64>("SELECT count(*) FROM ledger").await;
        audit
    }

    /// Looks at a copy, as a killed daemon left it: its log is rolled forward in the copy
    /// only, so that the daemon itself still finds the ledger as it was.
    pub(crate) async fn of_copy(home: &Home) -> Self {
        let copy = TempDir::with_prefix("tailwater-audit-").expect("a temporary folder");
        let path = home.ledger();
        for suffix in ["db", "db-wal"] {
            let from = path.with_extension(suffix);
            if from.exists() {
                std::fs::copy(&from, copy.path().join(format!("ledger.{suffix}"))).expect("a copy");
            }
        }
        Self::open(&copy.path().join("ledger.db"), Some(copy)).await
    }

    /// Looks at any ledger; its log is rolled forward.
    pub(crate) async fn of(path: &Path) -> Self {
        Self::open(path, None).await
    }

    async fn open(path: &Path, copy: Option<TempDir>) -> Self {
        let options = SqliteConnectOptions::new().filename(path);
        // A copy that nobody else needs: closing it must not wait for the disk.
        let options = options.synchronous(SqliteSynchronous::Off);
        Self { connection: options.connect().await.expect("the ledger opens"), _copy: copy }
    }

    /// The rows that `sql` finds.
    pub(crate) async fn rows<T>(&mut self, sql: &str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let found = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The only value that `sql` finds.
    pub(crate) async fn value<T>(&mut self, sql: &str) -> T
    where
        T: sqlx::Type<sqlx::Sqlite> + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + Send + Unpin,
    {
        let found: Result<(T,), _> =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await;
        found.unwrap_or_else(|error| panic!("{sql}: {error}")).0
    }

    /// Ids of the events, oldest sequence first; each stands there once.
    pub(crate) async fn ids(&mut self) -> BTreeSet<String> {
        let ids: Vec<(String,)> = self.rows("SELECT id FROM event ORDER BY sequence").await;
        let count = ids.len();
        let ids: BTreeSet<String> = ids.into_iter().map(|(id,)| id).collect();
        assert_eq!(ids.len(), count, "an event stands in the ledger twice (I4)");
        ids
    }

    /// Ids of a target's deliveries in `status`.
    pub(crate) async fn deliveries(&mut self, target: &str, status: &str) -> BTreeSet<String> {
        let sql = format!(
            "SELECT event_id FROM delivery_log WHERE target = '{target}' AND status = '{status}'"
        );
        self.rows::<(String,)>(&sql).await.into_iter().map(|(id,)| id).collect()
    }

    /// Whether the ledger has its tables and its first row.
    pub(crate) async fn is_made(&mut self) -> bool {
        let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'history'";
        self.value::<i64>(made).await > 0
            && self.value::<i64>("SELECT count(*) FROM ledger").await > 0
    }

    /// Checks all that has to be true of a ledger at any moment, given everything that
    /// its source has ever made and the number of targets that want it all.
    pub(crate) async fn check(&mut self, made: &[Made], targets: i64) {
        self.check_file().await;
        self.check_sequences().await;
        self.check_deliveries(targets).await;
        self.check_coverage(made).await;
    }

    async fn check_file(&mut self) {
        let found: String = self
            .value("SELECT group_concat(integrity_check, '; ') FROM pragma_integrity_check")
            .await;
        assert_eq!(found, "ok");
        let orphans: i64 = self.value("SELECT count(*) FROM pragma_foreign_key_check").await;
        assert_eq!(orphans, 0, "rows point at rows that are not there");
    }

    async fn check_sequences(&mut self) {
        let (count, lowest, highest): (i64, i64, i64) = self
            .rows("SELECT count(*), coalesce(min(sequence), 1), coalesce(max(sequence), 0) FROM event")
            .await[0];
        assert_eq!(highest - lowest + 1, count, "sequences have holes");
        let next: i64 = self.value("SELECT next_sequence FROM ledger").await;
        assert_eq!(next, highest + 1, "the next sequence does not follow the last");
    }

    /// I1: whoever wants an event is owed it. Counters and attempts agree with the rows.
    async fn check_deliveries(&mut self, targets: i64) {
        let strays: i64 = self
            .value(&format!(
                "SELECT count(*) FROM event e WHERE {targets} <>
                 (SELECT count(*) FROM delivery_log d WHERE d.sequence = e.sequence)"
            ))
            .await;
        assert_eq!(strays, 0, "events that not every target is owed");
        let unseen: i64 = self
            .value(
                "SELECT count(*) FROM event e WHERE NOT EXISTS
                 (SELECT 1 FROM sighting s WHERE s.sequence = e.sequence)",
            )
            .await;
        assert_eq!(unseen, 0, "events without a sighting");
        let wrong: i64 = self
            .value(
                "SELECT count(*) FROM target t WHERE
                 t.delivered <> (SELECT count(*) FROM delivery d
                                 WHERE d.target_id = t.id AND d.status = 'delivered')",
            )
            .await;
        assert_eq!(wrong, 0, "targets whose count of deliveries is wrong");
        let unexplained: i64 = self
            .value(
                "SELECT count(*) FROM delivery d WHERE
                 d.attempts <> (SELECT count(*) FROM attempt a
                                WHERE a.sequence = d.sequence AND a.target_id = d.target_id)
                               + (d.delivered_in_us IS NOT NULL)
                 OR (d.status = 'delivered') <> (d.delivered_in_us IS NOT NULL)
                 OR (d.status = 'delivered' AND (d.last_status NOT BETWEEN 200 AND 299
                                                 OR d.last_reason IS NOT NULL))
                 OR (d.status = 'dead' AND d.last_reason IS NULL)",
            )
            .await;
        assert_eq!(unexplained, 0, "deliveries that their attempts do not explain (I5)");
        let untrue: i64 = self
            .value(
                "SELECT (SELECT count(*) FROM delivery d WHERE
                         (d.status = 'pending' AND d.step = 0) <>
                         EXISTS (SELECT 1 FROM fresh f
                                 WHERE f.target_id = d.target_id
                                   AND d.sequence >= f.from_sequence
                                   AND d.sequence < f.until_sequence))
                      + (SELECT count(*) FROM fresh f JOIN fresh g ON g.target_id = f.target_id
                         WHERE g.from_sequence > f.from_sequence
                           AND g.from_sequence <= f.until_sequence)
                      + (SELECT count(*) FROM fresh f
                         WHERE f.until_sequence - f.from_sequence <>
                               (SELECT count(*) FROM event e
                                WHERE e.sequence >= f.from_sequence
                                  AND e.sequence < f.until_sequence))",
            )
            .await;
        assert_eq!(untrue, 0, "what is fresh is not what is pending and untried");
    }

    /// I2, I3: whatever the coverage claims to have read is there.
    async fn check_coverage(&mut self, made: &[Made]) {
        let ids = self.ids().await;
        let scans: Vec<(i64, i64, i64)> =
            self.rows("SELECT from_us, until_us, asked_us FROM coverage ORDER BY from_us").await;
        assert!(
            scans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "stretches of the coverage overlap: {scans:?}"
        );
        let start: Option<i64> = self.value("SELECT max(start_us) FROM source").await;
        let watermark: Option<i64> = self.value("SELECT max(watermark_us) FROM source").await;
        let (start, watermark) = (start.unwrap_or(i64::MAX), watermark.unwrap_or(i64::MIN));
        for entry in made.iter().filter(|entry| !ids.contains(&entry.id)) {
            let (created, visible) =
                (entry.created_at.truncated_to_second().micros(), entry.visible_at.micros());
            assert!(
                created < start || created >= watermark,
                "missing below the watermark: {entry}"
            );
            let claims = |scan: &&(i64, i64, i64)| {
                scan.0 <= created && created < scan.1 && visible <= scan.2
            };
            assert_eq!(scans.iter().find(claims), None, "missing, though scanned: {entry}");
        }
        let made: BTreeSet<&str> = made.iter().map(|made| made.id.as_str()).collect();
        let foreign: Vec<&String> = ids.iter().filter(|id| !made.contains(id.as_str())).collect();
        assert!(foreign.is_empty(), "events that nobody made: {foreign:?}");
    }

    pub(crate) async fn close(self) {
        self.connection.close().await.expect("nothing is under way");
    }
}
