//! Reading an answer's body up to a limit.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use crate::transport::reason::{Reason, network_reason};

/// Room made for a body before its first byte. Bodies of known length get theirs, but
/// never more than this up front: the length is only the peer's word.
const INITIAL_CAPACITY: u64 = 256 * 1024;

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
/// as it unfolds, so a small answer that unfolds without end stops at the limit.
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
    let mut body = BytesMut::with_capacity(usize::try_from(capacity).unwrap_or(0));
    loop {
        let chunk = response.chunk().await.map_err(|error| BodyError::Cut(network_reason(&error)));
        let Some(chunk) = chunk? else { return Ok(body.freeze()) };
        if body.len() as u64 + chunk.len() as u64 > limit_bytes {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
}
