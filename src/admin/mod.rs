//! For people and probes: whether the daemon is alive, whether it is ready, and its figures.
//!
//! Floor 3. The way of a request: [`crate::transport`] (socket, time for the head, so many
//! connections) → `accept` (no body, the token, time for the answer) → `/healthz`, `/readyz`
//! or `/metrics`. What stays true:
//!
//! - Whoever asks changes nothing, and learns no secret and no URL.
//! - Asking often costs little: figures of the ledger are read one reading at a time,
//!   for no more than a tenth of the time.
//! - It knows the other parts only by what the app tells it ([`Look`]).
//!
//! What is answered here first says why not in a problem document (RFC 9457).

mod accept;
mod answer;
mod desk;
mod metrics;
mod readiness;
mod running;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admin::accept::router;
use crate::admin::desk::Desk;
use crate::config::AdminConfig;
use crate::model::clock::Clock;
use crate::storage::Ledger;
use crate::transport::{Seats, serve};

pub use running::{Look, Polled, Pushed, Running, RunningSource};

/// Connections at once: a Prometheus, some probes, a few people. Each has one request under
/// way at most.
const SEATS: usize = 64;

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken or not ours.
    #[error("[admin] cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The socket failed.
    #[error("the socket of [admin] failed")]
    Socket(#[source] io::Error),
}

/// A listener that does not answer before [`Admin::run`].
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// Changes who may ask a running [`Admin`].
#[derive(Clone)]
pub struct Door {
    desk: Arc<Desk>,
    /// As configured when it was bound.
    listen: SocketAddr,
}

impl Admin {
    /// Listens; returns once the address is taken.
    ///
    /// # Errors
    /// [`AdminError::Listen`].
    pub fn bind(
        config: AdminConfig,
        look: Look,
        ledger: Ledger,
        clock: Clock,
    ) -> Result<(Self, Door), AdminError> {
        let AdminConfig { listen, token } = config;
        let fail = |source| AdminError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let desk = Arc::new(Desk::new(look, ledger, clock, token));
        let door = Door { desk: Arc::clone(&desk), listen };
        Ok((Self { listener, address, desk }, door))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; ends within bounds.
    ///
    /// Dropping it cuts every connection.
    ///
    /// # Errors
    /// [`AdminError::Socket`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), AdminError> {
        let Self { listener, address, desk } = self;
        tracing::info!(%address, "answering people and probes");
        let drained = CancellationToken::new();
        let serving = async {
            let served = serve(listener, router(&desk), Seats::new(SEATS), None, stop).await;
            drained.cancel();
            served
        };
        let (served, ()) = tokio::join!(serving, desk.gather(drained.clone()));
        // A connection that ends late must not keep the ledger open.
        desk.leave();
        served.map_err(AdminError::Socket)
    }
}

impl Door {
    /// Asks for the token that `config` names from now on; without effect where it names
    /// another address, which would need a restart.
    pub fn change(&self, config: Option<&AdminConfig>) {
        if let Some(config) = config.filter(|config| config.listen == self.listen) {
            self.desk.change_token(config.token.clone());
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("listen", &self.listen).finish_non_exhaustive()
    }
}
