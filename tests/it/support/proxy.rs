//! A stretch of bad network between the daemon and a server: a proxy that reads a request
//! whole, fetches the answer, and does to it what the test says.
//!
//! A change counts from the next request on, whatever connection it comes by; a request
//! that is being spoilt stays so until its client gives up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It comes as it is.
    Clear,
    /// It comes after so long.
    Delay(Duration),
    /// It comes byte by byte, with this pause before each.
    Drip(Duration),
    /// The connection is reset (RST) after so many bytes of it, but never after all.
    Reset(usize),
    /// The sending side closes before the first byte; the other one goes on listening.
    HalfClose,
    /// Nothing comes, ever.
    BlackHole,
    /// The connection closes after so many bytes of it, but never after all.
    Cut(usize),
    /// Bytes come that are no HTTP.
    Garbage,
    /// `Content-Length` says ten bytes more than come; the connection stays open.
    LengthTooLong,
    /// `Content-Length` says ten bytes fewer than come.
    LengthTooShort,
    /// A second answer follows, with an empty page that nobody asked for.
    Doubled,
    /// Headers come without an end.
    EndlessHead,
    /// Interim answers (1xx) come without an end, a hundred a second.
    EndlessInterim,
    /// A body comes without an end.
    EndlessBody,
    /// The same, and each byte of it unfolds to some hundred.
    GzipBomb,
}

/// What the proxy does, and to which requests.
#[derive(Debug)]
struct Switch {
    wire: Wire,
    /// Part of the request line.
    path: &'static str,
    /// Requests that are let through before.
    spared: usize,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    switch: Mutex<Switch>,
    spoilt: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A running proxy; dropping it closes all its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Before the server at `url` (scheme `http`; the path does not matter).
    pub(crate) async fn before(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("plain HTTP").split('/').next();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared {
            upstream: host.expect("a host").to_owned(),
            switch: Mutex::new(Switch { wire: Wire::Clear, path: "", spared: 0 }),
            spoilt: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _task: task }
    }

    /// `url` of the server behind it, by way of this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(&self.shared.upstream, &self.address, 1)
    }

    /// From the next request on, does this to every answer.
    pub(crate) fn set(&self, wire: Wire) {
        self.set_for("", 0, wire);
    }

    /// Does this to the answers to requests with `path` in their first line, but for the
    /// next `spared` of them.
    pub(crate) fn set_for(&self, path: &'static str, spared: usize, wire: Wire) {
        let mut switch = self.shared.switch.lock().unwrap_or_else(PoisonError::into_inner);
        *switch = Switch { wire, path, spared };
    }

    /// Answers spoilt so far.
    pub(crate) fn spoilt(&self) -> usize {
        self.shared.spoilt.load(Ordering::SeqCst)
    }

    /// Connections that were open at one time, at most.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// What is to happen to the answer to the request that begins with `line`.
    fn draw(&self, line: &str) -> Wire {
        let mut switch = self.switch.lock().unwrap_or_else(PoisonError::into_inner);
        if switch.wire == Wire::Clear || !line.contains(switch.path) {
            return Wire::Clear;
        }
        if switch.spared > 0 {
            switch.spared -= 1;
            return Wire::Clear;
        }
        self.spoilt.fetch_add(1, Ordering::SeqCst);
        switch.wire
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.most_open.fetch_max(open, Ordering::SeqCst);
                    // An error is the client's going away.
                    let _ = carry(stream, &shared).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries request after request of one connection.
async fn carry(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut read = Vec::new();
    while let Some(request) = next_message(&mut client, &mut read).await? {
        let head = String::from_utf8_lossy(&request).into_owned();
        let wire = shared.draw(head.lines().next().unwrap_or_default());
        if !spoil(&mut client, wire, &request, shared).await? {
            break;
        }
    }
    Ok(())
}

/// Sends what becomes of the answer to `request`; whether the connection is good for more.
async fn spoil(
    client: &mut TcpStream,
    wire: Wire,
    request: &[u8],
    shared: &Shared,
) -> std::io::Result<bool> {
    match wire {
        Wire::Delay(delay) => sleep(delay).await,
        Wire::HalfClose => {
            client.shutdown().await?;
            return until_gone(client).await;
        }
        Wire::BlackHole => return until_gone(client).await,
        Wire::Garbage => {
            client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await?;
            return until_gone(client).await;
        }
        Wire::EndlessHead | Wire::EndlessInterim | Wire::EndlessBody | Wire::GzipBomb => {
            return go_on_and_on(client, wire).await;
        }
        _ => {}
    }
    let (answer, is_whole) = fetch(shared, request).await?;
    Ok(pass(client, wire, &answer).await? && is_whole)
}

/// Sends something without an end, until the client closes.
async fn go_on_and_on(client: &mut TcpStream, wire: Wire) -> std::io::Result<bool> {
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}").into_bytes();
    let (first, again) = match wire {
        Wire::EndlessHead => (head(""), b"x-more: and more\r\n".to_vec()),
        Wire::EndlessInterim => {
            // A flood of them keeps an unoptimised client's parser from looking at the clock.
            loop {
                client.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n").await?;
                sleep(Duration::from_millis(10)).await;
            }
        }
        Wire::GzipBomb => {
            let (first, again) = bomb();
            ([head("content-encoding: gzip\r\n\r\n"), first].concat(), again)
        }
        _ => (
            head("content-type: application/json\r\n\r\n{\"items\":[0"),
            b",{\"id\":\"endless\",\"createdAt\":\"later\"}".to_vec(),
        ),
    };
    client.write_all(&first).await?;
    let block = again.repeat(16_384 / again.len() + 1);
    loop {
        client.write_all(&block).await?;
    }
}

/// Sends `answer`, or what `wire` leaves of it; whether the connection is good for more.
async fn pass(client: &mut TcpStream, wire: Wire, answer: &[u8]) -> std::io::Result<bool> {
    match wire {
        Wire::Drip(pause) => {
            for byte in answer {
                sleep(pause).await;
                client.write_all(&[*byte]).await?;
            }
        }
        Wire::Reset(after) => {
            client.write_all(part(answer, after)).await?;
            client.set_zero_linger()?;
            return Ok(false);
        }
        Wire::Cut(after) => {
            client.write_all(part(answer, after)).await?;
            return Ok(false);
        }
        Wire::LengthTooLong => {
            client.write_all(&with_length(answer, 10)).await?;
            return until_gone(client).await;
        }
        Wire::LengthTooShort => client.write_all(&with_length(answer, -10)).await?,
        Wire::Doubled => {
            let page = r#"{"items":[],"count":0,"total":0,"offset":0,"remainingRecords":false}"#;
            let second = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
            client.write_all(&[answer, second.as_bytes()].concat()).await?;
        }
        _ => client.write_all(answer).await?,
    }
    Ok(true)
}

/// The first `length` bytes, and never all.
fn part(answer: &[u8], length: usize) -> &[u8] {
    &answer[..length.min(answer.len().saturating_sub(1))]
}

/// Waits until the client closes.
async fn until_gone(client: &mut TcpStream) -> std::io::Result<bool> {
    let mut rest = [0; 4096];
    while client.read(&mut rest).await? > 0 {}
    Ok(false)
}

/// The server's answer, and whether it is all that its head announces.
async fn fetch(shared: &Shared, request: &[u8]) -> std::io::Result<(Vec<u8>, bool)> {
    let mut server = TcpStream::connect(&shared.upstream).await?;
    server.set_nodelay(true)?;
    server.write_all(request).await?;
    let mut read = Vec::new();
    Ok(match next_message(&mut server, &mut read).await? {
        Some(answer) => (answer, true),
        None => (read, false),
    })
}

/// The next request or answer: its head and as much body as `Content-Length` says. `None`
/// when the peer closed before; what had come then is left in `read`.
async fn next_message(
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(head) = head_length(read) {
            let length = head + content_length(&read[..head]);
            if read.len() >= length {
                return Ok(Some(read.drain(..length).collect()));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

fn head_length(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// `answer` with a `Content-Length` that is wrong by `by` bytes.
fn with_length(answer: &[u8], by: isize) -> Vec<u8> {
    let head = head_length(answer).expect("a whole answer");
    let length = content_length(&answer[..head]);
    let wrong = length.saturating_add_signed(by);
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let text = text
        .replace(&format!("content-length: {length}\r\n"), &format!("content-length: {wrong}\r\n"));
    [text.as_bytes(), &answer[head..]].concat()
}

/// The beginning of a gzip stream, and what may follow it for ever: copies of one byte,
/// 258 in 13 bits (RFC 1951, 3.2.6: fixed codes, length 258 at distance 1).
fn bomb() -> (Vec<u8>, Vec<u8>) {
    let mut bits = vec![true, true, false];
    let mut push = |code: u32, width: u32| {
        bits.extend((0..width).rev().map(|bit| code >> bit & 1 == 1));
    };
    push(0x30 + u32::from(b' '), 8);
    for _ in 0..16 {
        push(0b1100_0101, 8);
        push(0, 5);
    }
    let bytes: Vec<u8> = bits
        .chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
        .collect();
    // Eight copies take thirteen bytes; then the bits stand as before.
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    ([&header[..], &bytes[..2]].concat(), bytes[2..15].to_vec())
}
