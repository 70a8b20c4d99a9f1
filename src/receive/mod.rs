//! Way in, pushed: takes what GreenLake's webhooks send, and answers its challenges.
//!
//! Floor 3. The way of a request: [`crate::transport`] (socket, TLS, time for the head, so
//! many connections) → `accept` (path, method) → `body` (size, time, room) →
//! `authenticate` (signature over the raw bytes, key) → `decode` (a challenge, or events) →
//! the ledger → `answer`. What stays true:
//!
//! - 2xx is said only after the commit is on disk (I6); what cannot be stored is answered
//!   503, and GreenLake sends it again.
//! - Nothing is read of a body whose signature does not fit, but whether it is a challenge.
//! - An event is seen when its body was there, before anything was done with it.
//! - A webhook that is dead is told from a workspace that is quiet (`silence`).
//! - Everything that a stranger can use up is bounded, and makes room by itself.
//!
//! HPE's field names are [`crate::greenlake`]'s.

mod accept;
mod answer;
mod authenticate;
mod body;
mod buckets;
mod challenge;
mod decode;
mod desk;
mod inlet;
mod permission;
mod rows;
mod silence;
mod tally;
mod tls;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::config::ReceiverConfig;
use crate::model::clock::Clock;
use crate::receive::accept::accept;
use crate::receive::desk::Desk;
use crate::receive::rows::{Rows, Written};
use crate::receive::silence::Ears;
use crate::receive::tls::Certificate;
use crate::storage::Ledger;
use crate::transport::{Seats, serve};

pub use desk::Inlets;
pub use inlet::{Inlet, Polled, Wake};
pub use silence::{HEARD_TYPE, SILENT_TYPE};
pub use tally::{PUSH_STATUSES, PushTally};
pub use tls::{TlsError, certificate_end};

/// Connections at once. GreenLake needs a handful.
const SEATS: usize = 256;

/// Why nothing is received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The address is taken or not ours.
    #[error("the receiver cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("the receiver has no certificate")]
    Tls(#[from] TlsError),
    /// The socket failed.
    #[error("the receiver's socket failed")]
    Socket(#[source] io::Error),
}

/// A receiver that listens, but does not answer before [`Receiver::run`].
pub struct Receiver {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Certificate>,
    desk: Arc<Desk>,
    written: Written,
    ledger: Ledger,
}

impl Receiver {
    /// Listens; returns once the address is taken and the certificate is read.
    ///
    /// # Errors
    /// [`ReceiveError::Listen`] or [`ReceiveError::Tls`].
    pub async fn bind(
        config: ReceiverConfig,
        inlets: Vec<Inlet>,
        ledger: Ledger,
        clock: Clock,
    ) -> Result<Self, ReceiveError> {
        let certificate = match config.tls {
            Some(files) => Some(Certificate::load(files).await?),
            None => None,
        };
        let fail = |source| ReceiveError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let (rows, written) = Rows::new();
        let desk = Arc::new(Desk::new(clock, rows, config.behind_proxy));
        desk.replace(inlets);
        Ok(Self { listener, address, certificate, desk, written, ledger })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle to what it takes in, good also while it runs.
    #[must_use]
    pub fn inlets(&self) -> Inlets {
        Inlets(Arc::clone(&self.desk))
    }

    /// Takes pushes until `stop`, then stores and answers what has come whole; ends within
    /// bounds.
    ///
    /// Dropping it cuts every connection: what was not answered is sent again.
    ///
    /// # Errors
    /// [`ReceiveError::Socket`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), ReceiveError> {
        let Self { listener, address, certificate, desk, written, ledger } = self;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        tracing::info!(%address, scheme, "receiving");
        let config = certificate.as_ref().map(|certificate| certificate.config.clone());
        let router = Router::new().fallback(accept).with_state(Arc::clone(&desk));
        let drained = CancellationToken::new();
        let serving = async {
            let served = serve(listener, router, Seats::new(SEATS), config, stop.clone()).await;
            drained.cancel();
            served
        };
        let following = async {
            if let Some(certificate) = certificate {
                certificate.follow(stop.clone()).await;
            }
        };
        let listening = Ears::new(Arc::clone(&desk)).run(stop.clone());
        let (served, (), (), ()) =
            tokio::join!(serving, following, listening, written.run(ledger, drained.clone()));
        // A connection that ends late must not keep the ledger open.
        desk.replace(Vec::new());
        served.map_err(ReceiveError::Socket)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}
