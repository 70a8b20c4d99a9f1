//! Serving on this machine only, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long requests under way may take to end once we stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Neither the simulator nor the sink is made to face a network.
    #[error("{0} is not a loopback address; write 127.0.0.1:{port} instead", port = .0.port())]
    NotLoopback(SocketAddr),
    /// No request could ever be for this path.
    #[error("the path {0:?} cannot be used; write one like \"/hooks\", not below \"/sink\"")]
    Path(String),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Listens on `address`, which must be of this machine; port 0 takes a free one.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let listen = |source| BindError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// Serves until `stop`, then for at most [`DRAIN`] longer.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    // Small answers must not wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|io| {
        let _ = io.set_nodelay(true);
    });
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = serving => served,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}
