//! Reading an answer's body up to a limit.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use crate::transport::reason::{Reason, network_reason};

/// Room made for a body before its first byte. Bodies of known length get theirs, but
/// never more than this up front: the length is only the peer's word.
const INITIAL_CAPACITY: u64 = 256 * 1024;

/// Bytes in one piece while a body grows. Growing one piece on and on copies it each time,
/// and holds what it was beside what it becomes: three times the body, for a moment.
const PIECE: usize = 4 * 1024 * 1024;

/// Why a body could not be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It holds more bytes than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// It ended early, stalled, or did not decompress ([`Reason::Other`]).
    #[error("the body broke off ({0})")]
    Cut(Reason),
}

/// Reads the body of `response`, at most `limit_bytes` after decompression.
///
/// A body that declares more is refused before it is read; a compressed one is counted
/// as it unfolds, so a small answer that unfolds without end stops at the limit. Memory
/// is at most twice what is read, and only once all of it is there.
///
/// # Errors
/// [`BodyError`]; the connection is closed, what was read is dropped. Dropping the
/// future does the same.
pub async fn read_bounded(mut response: Response, limit_bytes: u64) -> Result<Bytes, BodyError> {
    let declared = response.content_length().unwrap_or(0);
    if declared > limit_bytes {
        return Err(BodyError::TooLarge);
    }

    let capacity = declared.min(INITIAL_CAPACITY).min(limit_bytes);
    let mut body = Pieces::with_capacity(usize::try_from(capacity).unwrap_or(0));
    loop {
        let chunk = response.chunk().await.map_err(|error| BodyError::Cut(network_reason(&error)));
        let Some(chunk) = chunk? else { return Ok(body.join()) };
        if body.len() as u64 + chunk.len() as u64 > limit_bytes {
            return Err(BodyError::TooLarge);
        }
        body.push(&chunk);
    }
}

/// A body while it grows.
struct Pieces {
    /// Each of [`PIECE`] bytes or a chunk more.
    full: Vec<Bytes>,
    full_bytes: usize,
    last: BytesMut,
}

impl Pieces {
    fn with_capacity(bytes: usize) -> Self {
        Self { full: Vec::new(), full_bytes: 0, last: BytesMut::with_capacity(bytes) }
    }

    fn len(&self) -> usize {
        self.full_bytes + self.last.len()
    }

    fn push(&mut self, chunk: &[u8]) {
        self.last.extend_from_slice(chunk);
        if self.last.len() >= PIECE {
            let piece = std::mem::replace(&mut self.last, BytesMut::with_capacity(PIECE));
            self.full_bytes += piece.len();
            self.full.push(piece.freeze());
        }
    }

    /// All of it in one piece; mostly there is only one.
    fn join(self) -> Bytes {
        if self.full.is_empty() {
            return self.last.freeze();
        }
        let mut body = BytesMut::with_capacity(self.len());
        // Each piece goes as soon as it is copied.
        for piece in self.full {
            body.extend_from_slice(&piece);
        }
        body.extend_from_slice(&self.last);
        body.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let body: Vec<u8> = (0..=250).cycle().take(2 * PIECE + 5).collect();
        for size in [1024, PIECE - 1, PIECE, PIECE + 1, body.len()] {
            let mut pieces = Pieces::with_capacity(0);
            for chunk in body.chunks(size) {
                pieces.push(chunk);
            }
            assert_eq!(pieces.len(), body.len());
            assert!(pieces.join() == body, "in chunks of {size}");
        }
        assert!(Pieces::with_capacity(9).join().is_empty());
    }
}
