//! Reading a body: so large, so long, and so many at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// GreenLake's payloads are 64 KB (HPE developer portal, webhook FAQ), its batches ten of
/// them: with room for senders that pack more.
const BODY_MAX: usize = 1024 * 1024;

/// A body of 1 MiB in this time is 100 KiB/s.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Bytes of all bodies in memory at once: 32 of the largest, or 500 of GreenLake's.
const ROOM: usize = 32 * 1024 * 1024;

/// Room is counted in pieces of this size, so that a trickle of single bytes costs little.
const PIECE: usize = 1024;

/// Why a body is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    TooLarge,
    TooSlow,
    /// The sender, or the connection, ended it before its end.
    Cut,
    /// Too many others are under way.
    NoRoom,
}

/// The room that bodies share.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// A body, and the room it takes until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / PIECE)))
    }

    /// Reads `body` to its end.
    pub(super) async fn read(&self, body: Body) -> Result<Held, BodyFault> {
        self.read_within(BODY_TIME, body).await
    }

    async fn read_within(&self, limit: Duration, body: Body) -> Result<Held, BodyFault> {
        if body.size_hint().lower() > BODY_MAX as u64 {
            return Err(BodyFault::TooLarge);
        }
        timeout(limit, self.gather(body)).await.unwrap_or(Err(BodyFault::TooSlow))
    }

    async fn gather(&self, body: Body) -> Result<Held, BodyFault> {
        let mut stream = body.into_data_stream();
        let mut bytes = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| BodyFault::Cut)?;
            let size = bytes.len() + chunk.len();
            if size > BODY_MAX {
                return Err(BodyFault::TooLarge);
            }
            let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = size.div_ceil(PIECE).saturating_sub(held);
            if wanted > 0 {
                let wanted = u32::try_from(wanted).map_err(|_| BodyFault::TooLarge)?;
                let more = Arc::clone(&self.0).try_acquire_many_owned(wanted);
                let more = more.map_err(|_| BodyFault::NoRoom)?;
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held { bytes: bytes.freeze(), _room: room })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunks(count: usize, size: usize) -> Body {
        let chunk = move |_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]));
        Body::from_stream(stream::iter((0..count).map(chunk)))
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        let room = Room::new();
        for (count, size) in [(0, 0), (1, 5), (3, 700), (1024, 1024), (1, BODY_MAX)] {
            let held = room.read(chunks(count, size)).await.unwrap();
            assert_eq!(held.bytes.len(), count * size);
        }
        for body in [chunks(1025, 1024), chunks(1, BODY_MAX + 1), vec![0; BODY_MAX + 1].into()] {
            assert_eq!(room.read(body).await.unwrap_err(), BodyFault::TooLarge);
        }
        assert_eq!(room.0.available_permits(), ROOM / PIECE, "all room is given back");
    }

    #[tokio::test]
    async fn bodies_that_find_no_room_are_told_so_until_others_are_done() {
        let room = Room::new();
        let mut held = Vec::new();
        for _ in 0..ROOM / BODY_MAX {
            held.push(room.read(chunks(1, BODY_MAX)).await.unwrap());
        }
        assert_eq!(room.read(chunks(1, 1)).await.unwrap_err(), BodyFault::NoRoom);
        held.pop();
        assert!(room.read(chunks(1, 1)).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_is_cut_or_never_ends_is_told() {
        let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
        let room = Room::new();
        assert_eq!(room.read(Body::from_stream(cut)).await.unwrap_err(), BodyFault::Cut);
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let slow = room.read_within(Duration::from_millis(20), endless).await;
        assert_eq!(slow.unwrap_err(), BodyFault::TooSlow);
    }
}
