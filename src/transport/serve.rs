//! A socket of ours: HTTP/1.1, served with limits, stopped within bounds.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Address, Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;

use crate::transport::seats::{Doorkeeper, Seats};

/// How long a head may take, and an idle connection may wait for its next one.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Heads are below 8 KiB even with a large token; binary events carry theirs in it.
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// When stopping: the time in which a request that is just arriving may still come whole.
const LAST_CALL: Duration = Duration::from_millis(500);

/// When stopping: the time in which what has come is stored and answered. The process
/// itself waits 30 s.
const DRAIN: Duration = Duration::from_secs(15);

/// Serves `router` until `stop`, and then until what has come whole is answered, 15 s at
/// most; over HTTPS with `tls`. A request finds its peer's address and its [`Seat`] among
/// its extensions.
///
/// Dropping it cuts every connection.
///
/// # Errors
/// When the socket fails.
///
/// [`Seat`]: crate::transport::Seat
pub async fn serve(
    listener: TcpListener,
    router: Router,
    seats: Seats,
    tls: Option<RustlsConfig>,
    stop: CancellationToken,
) -> io::Result<()> {
    let handle = Handle::new();
    let server = axum_server::from_tcp(listener)?.handle(handle.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let door = Doorkeeper(seats.clone());
    let serving = async {
        match tls {
            None => limited(server.acceptor(door)).serve(service).await,
            Some(config) => {
                let door =
                    RustlsAcceptor::new(config).handshake_timeout(HANDSHAKE_TIME).acceptor(door);
                limited(server.acceptor(door)).serve(service).await
            }
        }
    };
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(DRAIN));
        tokio::time::sleep(LAST_CALL).await;
        seats.close();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = serving => ended,
        () = stopping => Ok(()),
    }
}

fn limited<A: Address, D>(mut server: Server<A, D>) -> Server<A, D> {
    server = server.http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX);
    server
}
