//! Notices when the disk gives back an event other than it was stored.

use crate::model::event::Sequence;
use crate::storage::error::StorageError;

/// CRC-32 of what a target gets of an event. It finds any error of up to 32 bits in a row,
/// which SQLite by itself does not look for within a row.
pub(super) fn checksum(source: &str, id: &str, body: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [source.as_bytes(), id.as_bytes(), body] {
        hasher.update(part);
        hasher.update(&[0]);
    }
    i64::from(hasher.finalize())
}

/// Refuses an event that is not as it was stored.
pub(super) fn require_same(
    sequence: Sequence,
    stored: i64,
    (source, id, body): (&str, &str, &[u8]),
) -> Result<(), StorageError> {
    if checksum(source, id, body) == stored {
        return Ok(());
    }
    Err(StorageError::Damaged(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_found() {
        let (source, id, body) = ("//here", "one", br#"{"id":"one"}"#.to_vec());
        let stored = checksum(source, id, &body);
        assert!(require_same(7, stored, (source, id, &body)).is_ok());
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut other = body.clone();
                other[at] ^= 1 << bit;
                let found = require_same(7, stored, (source, id, &other));
                assert!(matches!(found, Err(StorageError::Damaged(7))), "{at} {bit}");
            }
        }
        assert!(require_same(7, stored, (source, "two", &body)).is_err());
        assert!(require_same(7, stored, ("//herf", id, &body)).is_err());
        assert_ne!(checksum("a", "b", b""), checksum("ab", "", b""));
    }
}
