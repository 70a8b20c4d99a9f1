//! A target whose mood changes with every request: now it takes an event, now it refuses,
//! hangs, redirects, hangs up, drips, shows a bad certificate or loses its own answer. It
//! remembers everything that came, in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::hostile::request;
use super::{SOON, until};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is taken.
    Well,
    /// It is taken, and the connection is closed then.
    WellAndClose,
    /// It is taken after a while.
    Slow,
    /// It is taken, with an answer that never ends.
    Endless,
    /// It gets this status.
    Status(u16),
    /// It gets a 503, and a second's pause is asked for.
    Overloaded,
    /// It gets an answer byte by byte.
    Drip,
    /// It gets no answer.
    Hang,
    /// The connection ends instead.
    Close,
    /// The same, with an RST.
    Reset,
}

/// Something that came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    /// Its `sequence` in the ledger.
    pub(crate) sequence: i64,
}

#[derive(Debug)]
struct Shared {
    moods: Vec<Mood>,
    /// How many requests in a hundred meet one of `moods`.
    percent: u32,
    dice: Mutex<StdRng>,
    is_well: AtomicBool,
    open: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
}

/// A running target; dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct Fickle {
    url: String,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Fickle {
    /// Meets `percent` in a hundred requests with one of `moods`, as `seed` has it. Behind
    /// TLS, each connection meets one of `certificates`, the first of which is the good one.
    pub(crate) async fn start(
        seed: u64,
        moods: &[Mood],
        percent: u32,
        certificates: Vec<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let scheme = if certificates.is_empty() { "http" } else { "https" };
        let url = format!("{scheme}://{}/", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared {
            moods: moods.to_vec(),
            percent,
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            is_well: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            arrivals: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, certificates, Arc::clone(&shared)));
        Self { url, shared, _task: task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Takes everything from now on.
    pub(crate) fn mend(&self) {
        self.shared.is_well.store(true, Ordering::SeqCst);
    }

    /// Waits until all that a daemon has sent before it ended is read.
    pub(crate) async fn rest(&self) {
        // Whoever knocked before this knock has been let in once it is answered.
        let address = self.url.split('/').nth(2).expect("a host");
        let mut knock = TcpStream::connect(address).await.expect("it listens");
        knock.shutdown().await.expect("an open socket");
        let _ = knock.read(&mut [0]).await;
        until("all connections are closed", SOON, || self.shared.open.load(Ordering::SeqCst) == 0)
            .await;
    }

    /// Everything that came whole, in order, taken or not.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals().clone()
    }

    /// How often each event came.
    pub(crate) fn counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for arrival in self.shared.arrivals().iter() {
            *counts.entry(arrival.id.clone()).or_default() += 1;
        }
        counts
    }
}

impl Shared {
    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dice(&self) -> MutexGuard<'_, StdRng> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> Mood {
        let mut dice = self.dice();
        let is_moody = dice.random_range(0..100) < self.percent;
        let mood = self.moods.choose(&mut *dice).copied();
        mood.filter(|_| is_moody && !self.is_well.load(Ordering::SeqCst)).unwrap_or(Mood::Well)
    }

    fn certificate(&self, certificates: &[TlsAcceptor]) -> Option<TlsAcceptor> {
        let drawn = certificates.choose(&mut *self.dice());
        let is_well = self.is_well.load(Ordering::SeqCst);
        if is_well { certificates.first() } else { drawn }.cloned()
    }

    fn note(&self, body: &[u8]) {
        let events = match serde_json::from_slice(body).expect("it is JSON") {
            Value::Array(events) => events,
            event => vec![event],
        };
        let arrival = |event: Value| Arrival {
            id: event["id"].as_str().expect("an event has an id").to_owned(),
            sequence: event["sequence"].as_str().and_then(|text| text.parse().ok()).expect("ours"),
        };
        self.arrivals().extend(events.into_iter().map(arrival));
    }
}

async fn accept(listener: TcpListener, certificates: Vec<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                let (tls, shared) = (shared.certificate(&certificates), Arc::clone(&shared));
                shared.open.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    meet(stream, tls, &shared).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Errors are the client's going away.
async fn meet(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) {
    // Where the connection ends by a mood it may end with an RST: the orderly ends close
    // their sending side first.
    stream.set_zero_linger().expect("an open socket");
    match tls {
        None => _ = serve(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                _ = serve(stream, shared).await;
            }
        }
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    while let Some(body) = request(&mut stream, &mut read).await? {
        shared.note(&body);
        if !answer(&mut stream, shared.mood()).await? {
            break;
        }
    }
    Ok(())
}

/// Answers as `mood` has it; whether the connection goes on.
async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mood: Mood,
) -> std::io::Result<bool> {
    let head = |status: u16, headers: &str| {
        format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n{headers}\r\n")
    };
    let says = match mood {
        Mood::Well | Mood::WellAndClose => head(200, ""),
        Mood::Slow => {
            sleep(Duration::from_millis(200)).await;
            head(200, "")
        }
        Mood::Endless => "HTTP/1.1 200 Said\r\n\r\n".to_owned(),
        Mood::Status(status) => head(status, "location: http://169.254.169.254/\r\n"),
        Mood::Overloaded => head(503, "retry-after: 1\r\n"),
        Mood::Drip => "HTTP/1.1 200 Sa".to_owned(),
        Mood::Hang | Mood::Close | Mood::Reset => String::new(),
    };
    stream.write_all(says.as_bytes()).await?;
    stream.flush().await?;
    match mood {
        Mood::Endless => loop {
            stream.write_all(&[b'x'; 4096]).await?;
        },
        Mood::Drip => loop {
            sleep(Duration::from_millis(100)).await;
            stream.write_all(b"i").await?;
            stream.flush().await?;
        },
        Mood::Hang => until_gone(stream).await,
        Mood::Close | Mood::WellAndClose => {
            stream.shutdown().await?;
            until_gone(stream).await
        }
        Mood::Reset => Ok(false),
        Mood::Well | Mood::Slow | Mood::Status(_) | Mood::Overloaded => Ok(true),
    }
}

async fn until_gone(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<bool> {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(false)
}
