//! Several statements in one handing over.
//!
//! Each time that something is handed to SQLite's thread, that thread is woken, and then the
//! one that waits for it. This costs more than most statements, and on a busy machine each of
//! the two waits for a processor.
//!
//! Several statements in one query are a thing of sqlx's SQLite driver alone, and sqlx means to
//! end it (launchbadge/sqlx#3108). Then each statement is a part of its own; the tests below
//! fail first.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::storage::bulk::{Bulk, Filling, ROWS_MAX};
use crate::storage::error::StorageError;

/// Statements of more rows are handed over alone: each combination that is handed over is
/// kept by SQLite for the next time, and must be small, and one of few.
pub(super) const TOGETHER_ROWS_MAX: usize = 64;

/// Statements in one handing over, for the same reason.
const TOGETHER_MAX: usize = 16;

/// Statements that are carried out one after the other, in as few handings over as can be.
///
/// Their values stand for a plain `?` each: numbered ones would count from the first statement.
#[derive(Default)]
pub(super) struct Script {
    parts: Vec<Filling>,
    /// The last part is one that stands alone.
    is_closed: bool,
}

impl Script {
    /// Begins a statement over so many rows, at most [`ROWS_MAX`]; its values are to be pushed.
    pub(super) fn begin(
        &mut self,
        bulk: &'static Bulk,
        rows: usize,
    ) -> Result<&mut Filling, StorageError> {
        debug_assert!(rows <= ROWS_MAX);
        let is_large = rows > TOGETHER_ROWS_MAX;
        let part = self.part(is_large)?;
        part.begin(bulk, rows);
        Ok(part)
    }

    /// Begins one statement; its values are to be pushed.
    pub(super) fn add(&mut self, text: &'static str) -> Result<&mut Filling, StorageError> {
        let part = self.part(false)?;
        part.texts.push(text);
        Ok(part)
    }

    /// Adds a statement that is filled in.
    pub(super) fn append(&mut self, filling: Filling) {
        self.is_closed = filling.rows > TOGETHER_ROWS_MAX;
        self.parts.push(filling);
    }

    fn part(&mut self, is_alone: bool) -> Result<&mut Filling, StorageError> {
        let is_full = self.parts.last().is_none_or(|last| last.texts.len() >= TOGETHER_MAX);
        if self.is_closed || is_alone || is_full {
            self.parts.push(Filling::default());
        }
        self.is_closed = is_alone;
        // One was just made where there was none.
        let last = self.parts.len() - 1;
        let part = &mut self.parts[last];
        part.fill_up()?;
        Ok(part)
    }

    /// Makes a transaction of them. After an error it is still open, unless SQLite has ended it.
    pub(super) fn enclose(&mut self) {
        if self.parts.is_empty() {
            self.parts.push(Filling::default());
        }
        if let Some(first) = self.parts.first_mut() {
            first.texts.insert(0, "BEGIN IMMEDIATE");
        }
        if let Some(last) = self.parts.last_mut() {
            last.texts.push("COMMIT");
        }
    }

    /// Carries them out; how many rows they changed together. After an error, those behind
    /// the one that failed are not carried out.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<u64, StorageError> {
        let mut changed = 0;
        for part in self.parts {
            changed += part.query()?.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changed)
    }

    /// Carries them out; the rows of all, in the order of the statements.
    pub(super) async fn fetch_all(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, StorageError> {
        let mut rows = Vec::new();
        for part in self.parts {
            rows.append(&mut part.query()?.fetch_all(&mut *connection).await?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, FromRow};

    use super::*;

    #[tokio::test]
    async fn a_script_keeps_each_value_with_its_statement_and_its_order() {
        static ROWS: Bulk = Bulk::new(
            "INSERT INTO t SELECT * FROM (VALUES ",
            "(?, ?)",
            ") WHERE column1 IS NOT NULL",
        );
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        let mut script = Script::default();
        script.add("CREATE TABLE t (number INTEGER, text TEXT)").unwrap();
        script.run(&mut connection).await.unwrap();
        for count in [1, 3, 64, 65, 200] {
            let mut script = Script::default();
            script.add("DELETE FROM t WHERE number >= ?").unwrap().push(0).unwrap();
            let rows = script.begin(&ROWS, count).unwrap();
            for number in 0..i64::try_from(count).unwrap() {
                rows.push(number).unwrap().push("row").unwrap();
            }
            script.add("UPDATE t SET text = ? WHERE number = ?").unwrap();
            script.parts.last_mut().unwrap().push("last").unwrap().push(0).unwrap();
            script.add("SELECT count(*), min(text) FROM t").unwrap();
            let is_large = count > TOGETHER_ROWS_MAX;
            assert_eq!(script.parts.len(), if is_large { 3 } else { 1 }, "{count} rows");
            let rows = script.fetch_all(&mut connection).await.unwrap();
            let found: (i64, String) = FromRow::from_row(&rows[0]).unwrap();
            assert_eq!((rows.len(), found), (1, (i64::try_from(count).unwrap(), "last".into())));
        }
    }

    #[tokio::test]
    async fn a_long_script_is_handed_over_in_parts_and_enclosed_as_one_transaction() {
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        sqlx::query("CREATE TABLE t (number INTEGER UNIQUE)")
            .execute(&mut connection)
            .await
            .unwrap();
        let script = |numbers: std::ops::Range<usize>| {
            let mut script = Script::default();
            for number in numbers {
                let number = i64::try_from(number).unwrap();
                script.add("INSERT INTO t VALUES (?)").unwrap().push(number).unwrap();
            }
            script.enclose();
            script
        };
        let whole = script(0..TOGETHER_MAX * 2);
        assert_eq!(whole.parts.len(), 2);
        whole.run(&mut connection).await.unwrap();
        // The last one is there already.
        let error = script(TOGETHER_MAX * 2 - 1..TOGETHER_MAX * 2).run(&mut connection).await;
        assert!(matches!(error, Err(StorageError::Refused(_))), "{error:?}");
        sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
        script(0..0).run(&mut connection).await.unwrap();
        let count = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut connection);
        let count: i64 = count.await.unwrap();
        assert_eq!(usize::try_from(count), Ok(TOGETHER_MAX * 2));
    }
}
