//! Many rows in few statements.

use std::sync::OnceLock;

use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, FromRow, SqlSafeStr, SqlStr, Type};

use crate::storage::error::StorageError;

/// Rows of one statement, at most: 256 of 14 values stay far below SQLite's 32,766
/// parameters.
pub(super) const ROWS_MAX: usize = 256;

/// Numbers of rows that statements are made for: the powers of two up to [`ROWS_MAX`]. Few,
/// so that each one's text is made once and parsed once a connection.
const SIZES: usize = ROWS_MAX.ilog2() as usize + 1;

/// A statement over up to [`ROWS_MAX`] rows.
///
/// It is made for the next power of two; the rows that are missing are of nulls. So the
/// statement must be one to which a row whose first value is null means nothing, as
/// `WHERE column1 IS NOT NULL` behind its `VALUES` achieves.
///
/// One that changes many rows is an `INSERT OR FAIL` or an `UPDATE OR FAIL`: an error then
/// leaves the rows before it to the job's own end, which takes everything back. Otherwise
/// SQLite would do that for the statement, and keep a copy of every page that it changes
/// (<https://sqlite.org/lang_conflict.html>).
pub(super) struct Bulk {
    /// Before the rows, among them.
    head: &'static str,
    /// One row, with a `?` for each value.
    row: &'static str,
    tail: &'static str,
    texts: [OnceLock<String>; SIZES],
}

impl Bulk {
    /// `head` `row`, `row`, … `tail`.
    pub(super) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, texts: [const { OnceLock::new() }; SIZES] }
    }

    /// Begins the values of `rows` rows, 1 to [`ROWS_MAX`].
    pub(super) fn of(&'static self, rows: usize) -> Filling {
        let mut filling = Filling::default();
        filling.begin(self, rows);
        filling
    }

    /// The statement for `size` rows.
    fn text(&'static self, size: usize) -> &'static str {
        let at = size.ilog2() as usize;
        self.texts[at]
            .get_or_init(|| [self.head, &vec![self.row; size].join(", "), self.tail].concat())
    }

    fn width(&self) -> usize {
        self.row.bytes().filter(|byte| *byte == b'?').count()
    }
}

/// Statements whose values are being filled in, in the order of the question marks.
#[derive(Default)]
pub(super) struct Filling {
    pub(super) texts: Vec<&'static str>,
    values: SqliteArguments,
    /// Rows of the last statement that has some, and values of those that are missing.
    pub(super) rows: usize,
    missing: usize,
}

impl Filling {
    /// Begins one more statement, over `rows` rows.
    pub(super) fn begin(&mut self, bulk: &'static Bulk, rows: usize) {
        let size = rows.clamp(1, ROWS_MAX).next_power_of_two();
        self.missing = (size - rows.min(size)) * bulk.width();
        // Growing step by step is what costs.
        self.values.reserve(size * bulk.width() + 3, 0);
        self.rows = size;
        self.texts.push(bulk.text(size));
    }

    /// Adds a value. Texts that are handed over are not copied.
    pub(super) fn push<'t, T>(&mut self, value: T) -> Result<&mut Self, StorageError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.values.add(value).map_err(sqlx::Error::Encode)?;
        Ok(self)
    }

    /// Adds a value that stands behind the rows.
    pub(super) fn push_behind<'t, T>(&mut self, value: T) -> Result<&mut Self, StorageError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.fill_up()?;
        self.push(value)
    }

    /// The statement, for its effect or for rows that are read by hand.
    pub(super) fn query(mut self) -> Result<Query<'static, Sqlite, SqliteArguments>, StorageError> {
        self.fill_up()?;
        Ok(sqlx::query_with(self.text(), self.values))
    }

    /// The statement, for rows of `T`.
    pub(super) fn query_as<T>(
        mut self,
    ) -> Result<QueryAs<'static, Sqlite, T, SqliteArguments>, StorageError>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        self.fill_up()?;
        Ok(sqlx::query_as_with(self.text(), self.values))
    }

    /// Whether it is of fewer rows than a statement can have.
    pub(super) fn is_short(&self) -> bool {
        self.rows < ROWS_MAX || self.missing > 0
    }

    fn text(&self) -> SqlStr {
        match self.texts[..] {
            [text] => text.into_sql_str(),
            _ => AssertSqlSafe(self.texts.join(";")).into_sql_str(),
        }
    }

    /// Ends the statement that was begun last.
    pub(super) fn fill_up(&mut self) -> Result<(), StorageError> {
        for _ in 0..std::mem::take(&mut self.missing) {
            self.push(None::<i64>)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    #[tokio::test]
    async fn every_row_is_there_once_whatever_their_number() {
        static PAIRS: Bulk = Bulk::new(
            "SELECT column1 + ?, column2 FROM (VALUES ",
            "(?, ?)",
            ") WHERE column1 IS NOT NULL AND column1 <> ?",
        );
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        for count in [1, 2, 3, 7, 64, 65, 255, 256] {
            let mut filling = PAIRS.of(count);
            filling.push(1_000).unwrap();
            for number in 0..i64::try_from(count).unwrap() {
                filling.push(number).unwrap().push(number.to_string()).unwrap();
            }
            filling.push_behind(-1).unwrap();
            let rows: Vec<(i64, String)> =
                filling.query_as().unwrap().fetch_all(&mut connection).await.unwrap();
            let expected = 0..i64::try_from(count).unwrap();
            let expected: Vec<_> = expected.map(|n| (n + 1_000, n.to_string())).collect();
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn a_statement_has_a_row_for_each_of_the_next_power_of_two() {
        static PAIRS: Bulk = Bulk::new("VALUES ", "(?, ?)", " LIMIT 9");
        assert_eq!(PAIRS.text(1), "VALUES (?, ?) LIMIT 9");
        assert_eq!(PAIRS.text(4), "VALUES (?, ?), (?, ?), (?, ?), (?, ?) LIMIT 9");
        assert_eq!([1, 2, 3, 129, 256].map(|rows| PAIRS.of(rows).rows), [1, 2, 4, 256, 256]);
    }
}
