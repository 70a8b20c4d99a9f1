//! A sink: stands in for a target, verifies and counts what comes, and fails on demand.
//!
//! It answers 204 to what it could read, 400 to what it could not, 401 where a signature
//! was wanted and is none or bad, 413 to what is too large; and whatever its
//! [`SinkFault`] says. It remembers the id of every event, for an honest count.

pub mod faults;
pub mod latency;
pub mod report;

mod arrival;
mod receive;
mod verify;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::model::clock::Clock;
use crate::model::signature::VerifyKey;
use crate::model::timestamp::Timestamp;
use crate::simulator::loopback::{self, BindError};
use crate::simulator::sink::receive::{is_path, receive, report, set_fault, shown_fault};
use crate::simulator::sink::report::Tally;

pub use arrival::Arrival;
pub use faults::{SinkFault, SinkFaults};
pub use report::Report;
pub use verify::Signature;

/// Notices that a slow reader may fall behind before it loses the oldest.
const NOTICES: usize = 4096;

/// How a sink is set up.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it takes events: begins with `/`, not `/sink/…`.
    pub path: String,
    /// Time for tolerances and latencies.
    pub clock: Clock,
    /// Standard Webhooks keys; with one or more, requests must be signed with one of them.
    pub keys: Vec<VerifyKey>,
    /// Secrets for `HPE-Webhook-Signature`; with one or more, requests must be signed so.
    pub greenlake_secrets: Vec<Secret>,
    /// How it fails from the start.
    pub fault: SinkFault,
}

impl Default for SinkSettings {
    /// Takes everything at `/` of a free port.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            path: "/".to_owned(),
            clock: Clock::system(),
            keys: Vec::new(),
            greenlake_secrets: Vec::new(),
            fault: SinkFault::default(),
        }
    }
}

/// A sink that listens but does not answer before [`Sink::run`].
#[derive(Debug)]
pub struct Sink {
    listener: TcpListener,
    address: SocketAddr,
    handle: SinkHandle,
}

/// A handle to a sink's counts and faults; clones share it.
#[derive(Clone, Debug)]
pub struct SinkHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: SinkSettings,
    faults: SinkFaults,
    tally: Mutex<Tally>,
    notices: broadcast::Sender<Arrival>,
}

impl Sink {
    /// Listens; returns once the address is taken.
    ///
    /// # Errors
    /// When the address is not of this machine, or is taken, or the path is none.
    pub async fn bind(settings: SinkSettings) -> Result<Self, BindError> {
        if !is_path(&settings.path) {
            return Err(BindError::Path(settings.path));
        }
        let (listener, address) = loopback::bind(settings.listen).await?;
        let shared = Shared {
            faults: SinkFaults::new(settings.fault.clone()),
            tally: Mutex::default(),
            notices: broadcast::channel(NOTICES).0,
            settings,
        };
        Ok(Self { listener, address, handle: SinkHandle(Arc::new(shared)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to write as a target's `url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.handle.0.settings.path)
    }

    /// The handle to its counts and faults, good also while it runs and afterwards.
    #[must_use]
    pub fn handle(&self) -> SinkHandle {
        self.handle.clone()
    }

    /// Takes events until `stop`; ends within seconds of it.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let router = Router::new()
            .route(&self.handle.0.settings.path, post(receive))
            .route("/sink/report", get(report))
            .route("/sink/faults", get(shown_fault).put(set_fault))
            .with_state(self.handle.clone());
        loopback::serve(self.listener, router, stop).await
    }
}

impl SinkHandle {
    /// How it fails; to be changed while it runs.
    #[must_use]
    pub fn faults(&self) -> &SinkFaults {
        &self.0.faults
    }

    /// What came so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.tally().report()
    }

    /// The ids of all events that came, of whichever source; at most
    /// [`report::MAX_IDS`] of them.
    #[must_use]
    pub fn ids(&self) -> HashSet<String> {
        self.tally().ids()
    }

    /// When each event came for the first time, by its id, of whichever source; at most
    /// [`report::MAX_IDS`] of them.
    #[must_use]
    pub fn first_arrivals(&self) -> HashMap<String, Timestamp> {
        self.tally().first_arrivals()
    }

    /// What comes from now on; a reader that falls far behind loses the oldest.
    #[must_use]
    pub fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.0.notices.subscribe()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        self.0.notices.receiver_count() > 0
    }

    /// Tells those who watch; costs nothing when nobody does.
    fn tell(&self, arrival: impl FnOnce() -> Arrival) {
        if self.is_watched() {
            // An error means that the last one has just stopped watching.
            let _ = self.0.notices.send(arrival());
        }
    }
}

#[cfg(test)]
mod tests;
