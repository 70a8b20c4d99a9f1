//! Targets that speak HTTP/2, and do their worst with it until they are mended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::hostile::id_of;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// It takes everything.
    Well,
    /// It takes everything, and says after each answer that it takes no more streams.
    GoAwayPolitely,
    /// It is closed with `ENHANCE_YOUR_CALM` at each request.
    GoAway,
    /// Each stream of it is reset.
    Reset,
    /// Each answer is a 500 whose body has no end.
    Endless,
    /// It says nothing any more, not even to pings.
    Silent,
    /// It allows no stream at all.
    None,
}

#[derive(Debug)]
struct Shared {
    streams: watch::Sender<Streams>,
    connections: AtomicUsize,
    taken: Mutex<BTreeSet<String>>,
}

/// A running target; dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct Http2Target {
    url: String,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Http2Target {
    /// Does this to every connection. `tls` has to offer `h2`.
    pub(crate) async fn start(streams: Streams, tls: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared {
            streams: watch::Sender::new(streams),
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

    /// Takes everything on connections from now on; bad ones that still listen are closed.
    pub(crate) fn mend(&self) {
        self.shared.streams.send_replace(Streams::Well);
    }

    /// Connections that spoke HTTP/2 so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ids of the events that it answered 204 to.
    pub(crate) fn taken(&self) -> BTreeSet<String> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                // Errors are the client's going away.
                connections.spawn(async move { _ = serve(stream, tls, shared).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) -> Result<(), h2::Error> {
    let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
    let mut changes = shared.streams.subscribe();
    let streams = *changes.borrow_and_update();
    let mut builder = Builder::new();
    if streams == Streams::None {
        builder.max_concurrent_streams(0);
    }
    let mut connection = builder.handshake(stream).await?;
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let mut answers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Some(_) = answers.join_next() => continue,
            _ = changes.changed(), if streams != Streams::Well => return Ok(()),
        };
        let Some(accepted) = accepted else { return Ok(()) };
        let (request, mut respond) = accepted?;
        match streams {
            Streams::GoAway => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            Streams::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
            Streams::Silent => std::future::pending().await,
            Streams::Endless => _ = answers.spawn(async move { _ = go_on(respond).await }),
            Streams::Well | Streams::GoAwayPolitely | Streams::None => {
                let shared = Arc::clone(&shared);
                answers.spawn(async move { _ = take(request, respond, &shared).await });
                if streams == Streams::GoAwayPolitely {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

async fn take(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: &Shared,
) -> Result<(), h2::Error> {
    let mut stream = request.into_body();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    shared.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(id_of(&body));
    respond.send_response(status(StatusCode::NO_CONTENT), true)?;
    Ok(())
}

async fn go_on(mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut body = respond.send_response(status(StatusCode::INTERNAL_SERVER_ERROR), false)?;
    loop {
        body.reserve_capacity(16_384);
        let room = std::future::poll_fn(|context| body.poll_capacity(context)).await;
        let Some(room) = room else { return Ok(()) };
        body.send_data(Bytes::from(vec![b'x'; room?]), false)?;
    }
}

fn status(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}
