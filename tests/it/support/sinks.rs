//! Targets in this process.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tailwater::model::signature::VerifyKey;
use tailwater::simulator::sink::{Report, Sink, SinkHandle, SinkSettings};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running sink; dropping it stops it.
#[derive(Debug)]
pub(crate) struct SinkServer {
    pub(crate) url: String,
    pub(crate) sink: SinkHandle,
    stop: CancellationToken,
    _task: JoinSet<()>,
}

impl SinkServer {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        Self::with(SinkSettings::default()).await
    }

    /// Takes what is signed with the Standard Webhooks key `key`.
    pub(crate) async fn verifying(key: &str) -> Self {
        let keys = vec![VerifyKey::parse(key).expect("a key")];
        Self::with(SinkSettings { keys, ..SinkSettings::default() }).await
    }

    pub(crate) async fn with(settings: SinkSettings) -> Self {
        let sink = Sink::bind(settings).await.expect("a free port");
        let (url, handle) = (sink.url(), sink.handle());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        let until = stop.clone();
        task.spawn(async move { sink.run(until).await.expect("the sink runs") });
        Self { url, sink: handle, stop, _task: task }
    }

    /// Ids of all events that came.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.sink.ids().into_iter().collect()
    }

    pub(crate) fn report(&self) -> Report {
        self.sink.report()
    }
}

impl Drop for SinkServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An address where nobody listens and that nobody else can get: connections to it are
/// refused until [`Reserved::open`].
#[derive(Debug)]
pub(crate) struct Reserved {
    _socket: TcpSocket,
    address: SocketAddr,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Lets the sink listen beside this socket, which never listens itself.
        socket.set_reuseaddr(true).expect("a new socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        Self { _socket: socket, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Starts a sink there.
    pub(crate) async fn open(&self) -> SinkServer {
        SinkServer::with(SinkSettings { listen: self.address, ..SinkSettings::default() }).await
    }
}
