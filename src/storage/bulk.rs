//! Many rows in few statements.

/// Rows in one statement, largest first. Few sizes, so that each statement is parsed
/// once and then comes from the connection's cache; 256 rows of 13 values stay far below
/// SQLite's 32,766 parameters.
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
}
