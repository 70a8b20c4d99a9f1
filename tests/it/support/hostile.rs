//! Targets that do their worst, over HTTP/1.1, until they are mended. They speak plain TCP
//! or TLS, and say bytes rather than answers: no HTTP library would let them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// How a connection ends once all is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Orderly.
    Close,
    /// With an RST.
    Reset,
    /// Its sending side alone; the other one goes on listening.
    HalfClose,
    /// Not before the client closes it.
    Hold,
}

/// What happens to a connection.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Whether a request is read before anything is said.
    reads: bool,
    says: Vec<u8>,
    /// Said over and over after that, with a pause between.
    again: Option<(Vec<u8>, Duration)>,
    end: End,
}

impl Act {
    /// Reads a request, says this, and ends so.
    pub(crate) fn say(says: impl Into<Vec<u8>>, end: End) -> Self {
        Self { reads: true, says: says.into(), again: None, end }
    }

    /// Says it on connecting, whatever is asked.
    pub(crate) fn unasked(self) -> Self {
        Self { reads: false, ..self }
    }

    /// Goes on with `more` after that, until the client closes.
    pub(crate) fn and_again(self, more: impl Into<Vec<u8>>, pause: Duration) -> Self {
        Self { again: Some((more.into(), pause)), ..self }
    }
}

#[derive(Debug)]
struct Shared {
    /// `None`: it takes everything.
    act: Mutex<Option<Act>>,
    connections: AtomicUsize,
    taken: Mutex<BTreeSet<String>>,
}

/// A running target; dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct Hostile {
    url: String,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Hostile {
    /// Does this to every connection, over plain TCP.
    pub(crate) async fn start(act: Act) -> Self {
        Self::with(Some(act), None).await
    }

    /// Takes everything, over TLS.
    pub(crate) async fn well(tls: TlsAcceptor) -> Self {
        Self::with(None, Some(tls)).await
    }

    async fn with(act: Option<Act>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared {
            act: Mutex::new(act),
            connections: AtomicUsize::new(0),
            taken: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { url, shared, _task: task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Takes everything on connections from now on.
    pub(crate) fn mend(&self) {
        *self.shared.act.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ids of the events that it answered 204 to.
    pub(crate) fn taken(&self) -> BTreeSet<String> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                connections.spawn(meet(stream, tls.clone(), Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Errors are the client's going away.
async fn meet(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let act = shared.act.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if act.as_ref().is_some_and(|act| act.end == End::Reset) {
        stream.set_zero_linger().expect("an open socket");
    }
    match tls {
        None => serve(stream, act, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, act, &shared).await;
            }
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, act: Option<Act>, shared: &Shared) {
    let _ = match act {
        Some(act) => perform(&mut stream, &act).await,
        None => take(&mut stream, shared).await,
    };
}

async fn perform(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    act: &Act,
) -> std::io::Result<()> {
    if act.reads && request(stream, &mut Vec::new()).await?.is_none() {
        return Ok(());
    }
    stream.write_all(&act.says).await?;
    stream.flush().await?;
    if let Some((more, pause)) = &act.again {
        loop {
            stream.write_all(more).await?;
            stream.flush().await?;
            if !pause.is_zero() {
                sleep(*pause).await;
            }
        }
    }
    if act.end == End::HalfClose {
        stream.shutdown().await?;
    }
    if matches!(act.end, End::HalfClose | End::Hold) {
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
    }
    Ok(())
}

/// Answers 204 to request after request.
async fn take(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    shared: &Shared,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    while let Some(body) = request(stream, &mut read).await? {
        let id = id_of(&body);
        shared.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(id);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The `id` of a structured event.
pub(crate) fn id_of(body: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(body).ok()?;
    event["id"].as_str().map(str::to_owned)
}

/// The body of the next request, as long as `Content-Length` says; `None` when the client
/// closed before.
pub(crate) async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    read: &mut Vec<u8>,
) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if read.len() >= end + 4 + length {
                return Ok(Some(read.drain(..end + 4 + length).skip(end + 4).collect()));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}
