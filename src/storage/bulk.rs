//! Many rows in few statements.

use std::sync::OnceLock;

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Arguments, Encode, Type};

use crate::storage::error::StorageError;

/// Rows in one statement, largest first. Few sizes, so that each statement's text is made
/// once and parsed once a connection; 256 rows of 13 values stay far below SQLite's 32,766
/// parameters.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// Cuts `rows` into runs of [`SIZES`], in order.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

/// As [`chunks`], to move out of the rows.
pub(super) fn chunks_mut<T>(mut rows: &mut [T]) -> impl Iterator<Item = &mut [T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = std::mem::take(&mut rows).split_at_mut(size);
        rows = rest;
        Some(chunk)
    })
}

/// A statement over many rows.
pub(super) struct Bulk {
    /// Before the rows, among them.
    head: &'static str,
    /// One row, with a `?` for each value.
    row: &'static str,
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl Bulk {
    /// `head` `row`, `row`, … `tail`.
    pub(super) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The statement for `rows` rows, one of [`SIZES`].
    fn text(&'static self, rows: usize) -> &'static str {
        let at = SIZES.iter().position(|size| *size == rows).unwrap_or_default();
        self.texts[at]
            .get_or_init(|| [self.head, &vec![self.row; rows].join(", "), self.tail].concat())
    }

    /// The statement for `rows` rows with its `values`, in the order of the question marks.
    pub(super) fn query(
        &'static self,
        rows: usize,
        values: Values,
    ) -> Query<'static, Sqlite, SqliteArguments> {
        sqlx::query_with(self.text(rows), values.0)
    }
}

/// The values of a statement, in order.
pub(super) struct Values(SqliteArguments);

impl Values {
    /// No values yet, with room for `count`: growing step by step is what costs.
    pub(super) fn with_capacity(count: usize) -> Self {
        let mut values = SqliteArguments::default();
        values.reserve(count, 0);
        Self(values)
    }

    /// Adds one. Texts that are handed over are not copied.
    pub(super) fn push<'t, T>(&mut self, value: T) -> Result<&mut Self, StorageError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.0.add(value).map_err(sqlx::Error::Encode)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_chunk_in_order() {
        for count in [0, 1, 3, 4, 5, 255, 256, 257, 1000] {
            let rows: Vec<usize> = (0..count).collect();
            let chunks: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(chunks.concat(), rows);
            assert!(chunks.iter().all(|chunk| SIZES.contains(&chunk.len())));
        }
    }

    #[test]
    fn a_statement_has_a_row_for_each() {
        static PAIRS: Bulk = Bulk::new("VALUES ", "(?, ?)", " LIMIT 9");
        assert_eq!(PAIRS.text(1), "VALUES (?, ?) LIMIT 9");
        assert_eq!(PAIRS.text(4), "VALUES (?, ?), (?, ?), (?, ?), (?, ?) LIMIT 9");
    }
}
