//! The client against peers that misbehave, over real sockets.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::client::with_lookup;
use super::*;
use crate::model::address::AddressPolicy;

const PLANTED: &str = "planted-key-4711";

fn options() -> ClientOptions {
    ClientOptions { gzip: true, ..ClientOptions::default() }
}

fn make(options: &ClientOptions) -> Client {
    client(options).expect("a client")
}

/// A peer that answers each connection with `answer`, then closes it (or, if `keep_open`,
/// leaves it open). Stops when the set is dropped.
async fn peer(answer: Vec<u8>, keep_open: bool) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            if keep_open {
                held.push(stream);
            }
        }
    });
    (format!("http://user:{PLANTED}@{address}/path?key={PLANTED}"), tasks)
}

/// A gzip stream of one byte, then `matches` times 258 copies of it (RFC 1951, 3.2.6:
/// fixed codes, length 258 at distance 1), without an end.
fn gzip_bomb(matches: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let mut push = |code: u32, width: u32| {
        bits.extend((0..width).rev().map(|bit| code >> bit & 1 == 1));
    };
    push(0x30 + u32::from(b'x'), 8);
    for _ in 0..matches {
        push(0b1100_0101, 8);
        push(0, 5);
    }
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(bits.chunks(8).map(|chunk| {
        chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at)
    }));
    bytes
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let (url, _peer) = peer(answer("content-length: 5\r\n", b"hello"), false).await;
    let get = async || make(&options()).get(&url).send().await.expect("an answer");
    assert_eq!(read_bounded(get().await, 5).await.expect("a body"), "hello");
    assert_eq!(read_bounded(get().await, 4).await, Err(BodyError::TooLarge));
}

#[tokio::test]
async fn a_body_of_unknown_length_stops_at_the_limit() {
    let (url, _peer) = peer(answer("", &vec![b'x'; 100_000]), false).await;
    let response = make(&options()).get(&url).send().await.expect("an answer");
    assert_eq!(read_bounded(response, 1_000).await, Err(BodyError::TooLarge));
}

#[tokio::test]
async fn a_gzip_bomb_ends_at_the_limit() {
    let bomb = gzip_bomb(100_000);
    let packed = bomb.len() as u64;
    let headers = format!("content-encoding: gzip\r\ncontent-length: {packed}\r\n");
    let (url, _peer) = peer(answer(&headers, &bomb), false).await;
    let response = make(&options()).get(&url).send().await.expect("an answer");
    assert_eq!(read_bounded(response, packed).await, Err(BodyError::TooLarge));
}

#[tokio::test]
async fn a_body_that_ends_early_is_cut() {
    let (url, _peer) = peer(answer("content-length: 50\r\n", b"hello"), false).await;
    let response = make(&options()).get(&url).send().await.expect("an answer");
    assert_eq!(read_bounded(response, 99).await, Err(BodyError::Cut(Reason::Reset)));
}

#[tokio::test]
async fn a_body_that_stalls_is_cut_by_the_read_timeout() {
    let (url, _peer) = peer(answer("content-length: 50\r\n", b"hello"), true).await;
    let impatient =
        ClientOptions { read_timeout: Duration::from_millis(50), ..ClientOptions::default() };
    let response = make(&impatient).get(&url).send().await.expect("an answer");
    assert_eq!(read_bounded(response, 99).await, Err(BodyError::Cut(Reason::Timeout)));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let (url, _peer) = peer(redirect.to_vec(), false).await;
    let response = make(&options()).get(&url).send().await.expect("an answer");
    assert_eq!(response.status(), 302);
}

#[tokio::test]
async fn every_network_fault_has_its_reason_and_shows_no_key() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let (silent, _silent) = peer(Vec::new(), true).await;
    let (hangs_up, _hangs_up) = peer(Vec::new(), false).await;
    let (plain, _plain) = peer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false).await;

    let impatient =
        ClientOptions { timeout: Duration::from_millis(200), ..ClientOptions::default() };
    for (url, options, reason) in [
        (format!("http://127.0.0.1:{port}/?key={PLANTED}"), options(), Reason::Refused),
        (format!("http://host.invalid/?key={PLANTED}"), options(), Reason::Dns),
        (plain.replace("http:", "https:"), options(), Reason::Tls),
        (hangs_up.replace("http:", "https:"), options(), Reason::Tls),
        (silent, impatient, Reason::Timeout),
        (hangs_up, options(), Reason::Reset),
    ] {
        let error = make(&options).get(&url).send().await.expect_err("no answer");
        assert_eq!(network_reason(&error), reason, "{url}: {error:?}");
        let text = explain(&error);
        assert!(text.starts_with(reason.as_str()) && !text.contains(PLANTED), "{text}");
    }
}

#[tokio::test]
async fn an_explicit_proxy_is_asked_for_every_host() {
    let (url, _proxy) = peer(answer("content-length: 5\r\n", b"proxy"), false).await;
    let options = ClientOptions { proxy: Some(Url::parse(&url).expect("a URL")), ..options() };
    let response = make(&options).get("http://host.invalid/").send().await.expect("an answer");
    assert_eq!(read_bounded(response, 5).await.expect("a body"), "proxy");
}

const METADATA: [u8; 4] = [169, 254, 169, 254];
const HERE: [u8; 4] = [127, 0, 0, 1];

/// A client that asks `target.test`, whose addresses are each of `answers` in turn, the
/// last one from then on.
fn resolving(answers: &'static [&'static [[u8; 4]]], options: &ClientOptions) -> Client {
    let asked = AtomicUsize::new(0);
    let lookup = move |_: &str| {
        let at = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        Ok(answers[at].iter().map(|ip| SocketAddr::from((*ip, 0))).collect())
    };
    let options = ClientOptions { hosts: vec!["target.test".to_owned()], ..options.clone() };
    with_lookup(&options, Arc::new(lookup)).expect("a client")
}

/// A peer that says `hello`, and its URL with `name` as its host.
async fn hello(name: &str) -> (String, JoinSet<()>) {
    let (url, peer) = peer(answer("content-length: 5\r\n", b"hello"), false).await;
    (url.replace("127.0.0.1", name), peer)
}

#[tokio::test]
async fn a_name_that_moves_to_a_metadata_address_is_not_followed_there() {
    let (url, _peer) = hello("target.test").await;
    let client = resolving(&[&[HERE], &[METADATA]], &options());
    let response = client.get(&url).send().await.expect("an answer");
    // Whole, so that its connection is closed and the next request needs another one.
    assert_eq!(read_bounded(response, 5).await.expect("a body"), "hello");
    let error = loop {
        match client.get(&url).send().await {
            // The closed connection may be noticed a moment later.
            Err(error) if network_reason(&error) == Reason::Reset => {}
            other => break other.expect_err("no answer"),
        }
    };
    assert_eq!(network_reason(&error), Reason::Address);
    assert_eq!(
        explain(&error),
        "address: 169.254.169.254 is a link-local or metadata address, which is never asked"
    );
}

#[tokio::test]
async fn of_several_addresses_only_those_that_pass_are_connected_to() {
    let (url, _peer) = hello("target.test").await;
    let client = resolving(&[&[METADATA, HERE]], &options());
    client.get(&url).send().await.expect("an answer");

    let public_only = ClientOptions { addresses: AddressPolicy::PublicOnly, ..options() };
    let error = resolving(&[&[HERE, METADATA]], &public_only).get(&url).send().await;
    let text = explain(&error.expect_err("no answer"));
    assert_eq!(text, "address: 127.0.0.1 is a loopback address, which public_only = true refuses");
}

#[tokio::test]
async fn a_proxy_may_be_where_a_target_may_not() {
    let (url, _proxy) = hello("proxy.test").await;
    let options = ClientOptions {
        proxy: Some(Url::parse(&url).expect("a URL")),
        addresses: AddressPolicy::PublicOnly,
        ..options()
    };
    let client = resolving(&[&[HERE]], &options);
    let response = client.get("http://target.test/").send().await.expect("an answer");
    assert_eq!(read_bounded(response, 5).await.expect("a body"), "hello");
}

#[tokio::test]
async fn names_that_nobody_answers_for_hold_few_threads() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (asked, held) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&gate));
    let count = Arc::clone(&asked);
    let lookup = move |_: &str| {
        count.fetch_add(1, Ordering::SeqCst);
        let (open, changed) = &*held;
        let open = open.lock().expect("nobody panicked");
        drop(changed.wait_while(open, |open| !*open).expect("nobody panicked"));
        Ok(Vec::new())
    };
    let impatient =
        ClientOptions { connect_timeout: Duration::from_millis(100), ..ClientOptions::default() };
    let client = with_lookup(&impatient, Arc::new(lookup)).expect("a client");
    for _ in 0..3 {
        let asking = (0..8).map(|_| client.get("http://target.test/").send());
        for asked in futures_util::future::join_all(asking).await {
            assert_eq!(network_reason(&asked.expect_err("no answer")), Reason::Timeout);
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    *gate.0.lock().expect("nobody panicked") = true;
    gate.1.notify_all();
}

#[test]
fn a_bad_ca_file_is_told_with_its_path() {
    let mut empty = tempfile::NamedTempFile::new().expect("a file");
    writeln!(empty, "no certificate here").expect("room");
    let mut broken = tempfile::NamedTempFile::new().expect("a file");
    writeln!(broken, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----").expect("room");
    for (path, says) in [
        (empty.path(), "holds no certificate"),
        (broken.path(), "holds a broken certificate"),
        (std::path::Path::new("/nowhere/ca.pem"), "cannot read the CA file"),
    ] {
        let options = ClientOptions { ca_file: Some(path.into()), ..options() };
        let text = client(&options).expect_err("refused").to_string();
        assert!(text.contains(says) && text.contains(path.to_str().expect("text")), "{text}");
    }
}

#[test]
fn a_proxy_that_is_none_is_told_without_its_password() {
    let proxy = Url::parse(&format!("ftp://user:{PLANTED}@proxy.example/")).expect("a URL");
    let text = client(&ClientOptions { proxy: Some(proxy), ..options() }).expect_err("refused");
    assert!(text.to_string().contains("ftp://proxy.example/"), "{text}");
    assert!(!text.to_string().contains(PLANTED), "{text}");
}

#[test]
fn a_redacted_url_keeps_no_key() {
    for (url, shown) in [
        ("https://u:p@example.com:8443/a/b?key=k#f", "https://example.com:8443/a/b"),
        ("https://example.com", "https://example.com/"),
        ("mailto:someone", "mailto:someone"),
    ] {
        assert_eq!(redact(&Url::parse(url).expect("a URL")), shown);
    }
}
