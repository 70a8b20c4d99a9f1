//! What comes to us: the receiver's socket, what a source's webhook is taken by, and the
//! socket for people and probes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::secret::Secret;

/// `[receiver]`: where pushes are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTPS by these files; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy stands in front that speaks TLS to the outside.
    pub behind_proxy: bool,
}

/// `[admin]`: where people and probes ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What requests must carry as a bearer token, all but `/healthz`; does not print.
    /// `None` only where `listen` is a loopback address: nothing is asked for.
    pub token: Option<Secret>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[source.push]`: how a source's webhook is taken. The secrets do not print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// Path of the webhook's destination; begins with `/`, unique.
    pub path: String,
    /// Secret of the webhook, as registered.
    pub secret: Secret,
    /// The other secret during a rotation.
    pub secondary_secret: Option<Secret>,
    /// What `Authorization` has to carry; `None`: nothing is asked for.
    pub api_key: Option<Secret>,
    /// How long after one route showed an entry the other one counts as having missed it.
    pub horizon: Duration,
    /// How long pushes may stay away from an entry that polling has found, before the
    /// route counts as silent.
    pub silent_after: Duration,
    /// Whether a push makes a poll due at once.
    pub nudge: bool,
    /// What becomes of an event of another workspace.
    pub foreign: Foreign,
    /// Origins that may send, compared exactly; `*` for any.
    pub origins: Vec<String>,
}

impl PushConfig {
    /// The secrets that a signature may be made with, the first one first.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.secret).chain(&self.secondary_secret)
    }
}

/// What becomes of a signed event that belongs to another workspace than its source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It goes into quarantine.
    Refuse,
    /// It is kept under its own workspace, and told.
    Flag,
}
