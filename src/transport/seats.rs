//! Connections: so many at once, and the idle ones make room for others.
//!
//! A connection has a seat. It is *waiting* for as long as no whole request of it is being
//! worked on: silent, half-way through a head or a body, or idle after an answer. When all
//! seats are taken, the one that has waited longest is cut. So a flood of connections that
//! send nothing costs other floods their seats, and an honest sender, who is done within
//! milliseconds, gets through.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Layer;

/// How long a connection may stay silent before its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// The seats of one listener. Clones share them.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    max: usize,
}

#[derive(Debug, Default)]
struct Table {
    taken: usize,
    /// Waiting seats, the longest first.
    waiting: BTreeMap<u64, CancellationToken>,
    next: u64,
    is_closing: bool,
}

/// One connection's seat, in the extensions of each of its requests; the last clone gives
/// it back.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    shared: Arc<Shared>,
    /// Its place among the waiting; `None` while it is worked for.
    place: Mutex<Option<u64>>,
    cut: CancellationToken,
}

/// While it lives, the seat cannot be taken away.
#[derive(Debug)]
pub struct Busy<'a>(&'a Taken);

impl Seats {
    /// Seats for `max` connections at once. Each costs up to 64 KiB for its head.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared { table: Mutex::default(), max }))
    }

    /// Takes a seat, if need be from the one that has waited longest; `None` when all of
    /// them are busy.
    fn take(&self) -> Option<Seat> {
        let cut = CancellationToken::new();
        let mut table = self.0.table();
        if table.is_closing {
            return None;
        }
        if table.taken >= self.0.max {
            let (_, longest) = table.waiting.pop_first()?;
            longest.cancel();
        }
        table.taken += 1;
        let place = Some(table.wait(cut.clone()));
        drop(table);
        Some(Seat(Arc::new(Taken { shared: Arc::clone(&self.0), place: Mutex::new(place), cut })))
    }

    /// Cuts every connection that waits, now and from now on.
    pub(super) fn close(&self) {
        let mut table = self.0.table();
        table.is_closing = true;
        for cut in std::mem::take(&mut table.waiting).into_values() {
            cut.cancel();
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn wait(&mut self, cut: CancellationToken) -> u64 {
        let place = self.next;
        self.next += 1;
        if self.is_closing {
            cut.cancel();
        } else {
            self.waiting.insert(place, cut);
        }
        place
    }
}

impl Seat {
    /// Keeps the seat while a whole request is worked on.
    #[must_use]
    pub fn busy(&self) -> Busy<'_> {
        if let Some(place) = self.0.place().take() {
            self.0.shared.table().waiting.remove(&place);
        }
        Busy(&self.0)
    }
}

impl Taken {
    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let place = self.0.shared.table().wait(self.0.cut.clone());
        *self.0.place() = Some(place);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let place = self.place().take();
        let mut table = self.shared.table();
        table.taken -= 1;
        if let Some(place) = place {
            table.waiting.remove(&place);
        }
    }
}

/// Gives connections their seats, and waits for their first byte.
#[derive(Clone, Debug)]
pub(super) struct Doorkeeper(pub(super) Seats);

impl<S: Send + 'static> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Seated;
    type Service = <Extension<Seat> as Layer<S>>::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let seat = self.0.take();
        Box::pin(async move {
            let seat = seat.ok_or(io::ErrorKind::ConnectionRefused)?;
            // Small answers must not wait for the acknowledgement of the one before.
            stream.set_nodelay(true)?;
            let mut first = [0];
            tokio::select! {
                () = seat.0.cut.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
                // `readable` would return at once on a silent connection.
                seen = timeout(FIRST_BYTE, stream.peek(&mut first)) => seen??,
            };
            let service = Extension(seat.clone()).layer(service);
            Ok((Seated::new(stream, seat), service))
        })
    }
}

/// A connection on its seat.
#[derive(Debug)]
pub(super) struct Seated {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _seat: Seat,
}

impl Seated {
    fn new(stream: TcpStream, seat: Seat) -> Self {
        let cut = Box::pin(seat.0.cut.clone().cancelled_owned());
        Self { stream, cut, _seat: seat }
    }
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(seat: &Seat) -> bool {
        seat.0.cut.is_cancelled()
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().unwrap(), seats.take().unwrap());
        let third = seats.take().unwrap();
        assert_eq!([&first, &second, &third].map(is_cut), [true, false, false]);
        drop(first);
        let busy = second.busy();
        let fourth = seats.take().unwrap();
        assert_eq!([&second, &third, &fourth].map(is_cut), [false, true, false]);
        drop((third, busy));
        let fifth = seats.take().unwrap();
        assert_eq!([&second, &fourth, &fifth].map(is_cut), [false, true, false]);
    }

    #[test]
    fn nobody_gets_a_seat_while_all_are_busy_and_seats_come_back() {
        let seats = Seats::new(1);
        let only = seats.take().unwrap();
        let busy = only.busy();
        assert!(seats.take().is_none());
        drop(busy);
        drop(only);
        for _ in 0..3 {
            assert!(!is_cut(&seats.take().unwrap()));
        }
        assert_eq!(seats.0.table().taken, 0);
        assert!(seats.0.table().waiting.is_empty());
    }

    #[test]
    fn closing_cuts_who_waits_and_lets_work_end() {
        let seats = Seats::new(9);
        let (idle, working) = (seats.take().unwrap(), seats.take().unwrap());
        let busy = working.busy();
        seats.close();
        assert_eq!([&idle, &working].map(is_cut), [true, false]);
        drop(busy);
        assert!(is_cut(&working) && seats.take().is_none());
    }
}
