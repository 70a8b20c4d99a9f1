//! Targets that do their worst over HTTP/1.1. Each attempt ends within its limits and says
//! why, memory stays bounded, the neighbour does not notice (I11), and the events come as
//! soon as the target is well.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::hostile::{Act, End, Hostile};
use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, eventually, until};

/// Limit of an attempt.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How far an attempt may go beyond it on a busy machine.
const SLACK: Duration = Duration::from_secs(20);

/// Some thirty targets with four attempts each, all of which are sent as much as they
/// take, in an unoptimised build.
const PEAK_MIB: u64 = 160;

/// Events before the targets are mended, and as many after.
const EVENTS: u64 = 5;

const STOP: Duration = Duration::from_secs(30);

const AT_ONCE: Duration = Duration::ZERO;

/// What an attempt may have come to: its status, if any, and its reason, if any.
type Ends = &'static [(Option<i64>, Option<&'static str>)];

const RESET: Ends = &[(None, Some("reset"))];
const TIMED_OUT: Ends = &[(None, Some("timeout"))];
const NO_HTTP: Ends = &[(None, Some("network"))];
const TAKEN: Ends = &[(Some(200), None)];
const FAILED: Ends = &[(Some(500), Some("status"))];

/// The head of an answer with a body that ends when the connection does.
fn head(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{headers}\r\n")
}

/// Connections that end before there is an answer.
fn breaks() -> Vec<(&'static str, Act, Ends)> {
    vec![
        ("hangs-up", Act::say("", End::Close).unasked(), RESET),
        ("hangs-up-after-the-request", Act::say("", End::Close), RESET),
        ("resets", Act::say("", End::Reset).unasked(), RESET),
        ("resets-after-the-request", Act::say("", End::Reset), RESET),
        ("half-closes", Act::say("", End::HalfClose), RESET),
        ("half-closes-in-the-head", Act::say("HTTP/1.1 20", End::HalfClose), RESET),
        ("closes-in-the-head", Act::say("HTTP/1.1 200 OK\r\nx-y: z", End::Close), RESET),
        ("says-nothing", Act::say("", End::Hold), TIMED_OUT),
        ("never-reads", Act::say("", End::Hold).unasked(), TIMED_OUT),
    ]
}

/// Answers without an end, or with one that is far away.
fn floods() -> Vec<(&'static str, Act, Ends)> {
    let second = Duration::from_secs(1);
    let say = |text: String| Act::say(text, End::Hold);
    let many = |text: &str| text.repeat(1000);
    vec![
        ("endless-200", say(head(200, "")).and_again(many("x"), AT_ONCE), TAKEN),
        ("endless-500", say(head(500, "")).and_again(many("x"), AT_ONCE), FAILED),
        (
            "endless-chunks",
            {
                let chunked = "HTTP/1.1 500 Said\r\ntransfer-encoding: chunked\r\n\r\n";
                say(chunked.to_owned()).and_again(many("1\r\nx\r\n"), AT_ONCE)
            },
            FAILED,
        ),
        (
            "endless-head",
            say("HTTP/1.1 200 OK\r\n".into()).and_again("x-y: z\r\n", AT_ONCE),
            &[(None, Some("network")), (None, Some("timeout"))],
        ),
        (
            "endless-header-line",
            say("HTTP/1.1 200 OK\r\nx-y: ".into()).and_again(many("z"), AT_ONCE),
            &[(None, Some("network")), (None, Some("timeout"))],
        ),
        (
            "endless-100-continue",
            say(String::new())
                .and_again("HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(10)),
            TIMED_OUT,
        ),
        (
            "gibibyte",
            {
                let length = format!("content-length: {}\r\n", 1_u64 << 30);
                say(head(500, &length)).and_again(many("x"), AT_ONCE)
            },
            FAILED,
        ),
        ("gibibyte-of-air", say(head(500, "content-length: 1073741824\r\n")), FAILED),
        (
            "drips-its-head",
            say("H".into()).and_again("T", second),
            &[(None, Some("timeout")), (None, Some("network"))],
        ),
        ("drips-its-body", say(head(500, "")).and_again("x", second), FAILED),
        ("drips-after-200", say(head(200, "")).and_again("x", second), TAKEN),
        (
            "gzip-bomb",
            {
                let packed = head(500, "content-encoding: gzip\r\n");
                say(packed).and_again([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255].repeat(100), AT_ONCE)
            },
            FAILED,
        ),
    ]
}

/// Answers that are odd, or none.
fn oddities() -> Vec<(&'static str, Act, Ends)> {
    let say = |text: String| Act::say(text, End::Close);
    let header = |text: &str| head(500, &format!("{text}\r\n"));
    let metadata = "location: http://169.254.169.254/latest/meta-data/";
    let redirected = head(302, &format!("{metadata}\r\n"));
    let headers = "x-y: z\r\n".repeat(10_000);
    let line = format!("x-y: {}", "z".repeat(1 << 20));
    let mut bytes = head(500, "").into_bytes();
    bytes.extend(b"\0\xff\xfe\x1b[31mred\xc3");
    let continued = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5) + &head(200, "");
    let unasked: Ends =
        &[(Some(500), Some("status")), (None, Some("network")), (None, Some("reset"))];
    vec![
        ("redirects-to-metadata", say(redirected), &[(Some(302), Some("redirect"))]),
        ("ten-thousand-headers", say(head(500, &headers)), NO_HTTP),
        ("a-header-line-of-a-mebibyte", say(header(&line)), NO_HTTP),
        ("the-same-header-twice", say(header("x-y: 1\r\nx-y: 2\r\nretry-after: -5")), FAILED),
        ("one-length-twice", say(header("content-length: 0\r\ncontent-length: 0")), FAILED),
        ("two-lengths", say(header("content-length: 0\r\ncontent-length: 5")), NO_HTTP),
        ("a-negative-length", say(header("content-length: -1")), NO_HTTP),
        ("a-nul-in-a-header", say(header("x-y: a\0b")), NO_HTTP),
        ("bytes-that-are-no-text", Act::say(bytes, End::Close), FAILED),
        ("no-http", say("220 smtp.example.com ESMTP\r\n".into()), NO_HTTP),
        ("status-000", say("HTTP/1.1 000 Nothing\r\n\r\n".into()), NO_HTTP),
        ("several-100-continue", say(continued), TAKEN),
        ("answers-unasked", say(header("content-length: 0")).unasked(), unasked),
        (
            "switches-protocols",
            Act::say(
                "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                End::Hold,
            ),
            &[(Some(101), Some("status")), (None, Some("network"))],
        ),
    ]
}

/// Target, status, reason, milliseconds, and what was kept of the answer.
type Attempt = (String, Option<i64>, Option<String>, f64, Option<String>);

const ATTEMPTS: &str = "SELECT target, status, reason, duration_ms, answer FROM attempt_log";

async fn survives(rows: Vec<(&'static str, Act, Ends)>) {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let mut targets = Vec::new();
    let mut setup = Setup::new(&cloud).target("healthy", &sink.url, "");
    for (name, act, ends) in rows {
        let target = Hostile::start(act).await;
        let lines = format!(
            "timeout = \"{}s\"\nconcurrency = 4\nretry = {{ schedule = [\"200ms\"] }}",
            TIMEOUT.as_secs()
        );
        setup = setup.target(name, target.url(), &lines);
        targets.push((name, target, ends));
    }
    let home = Home::new(&setup);
    cloud.make(EVENTS);
    let daemon = home.run_daemon().await;
    eventually("every target has shown what it does", SOON, async || {
        let tried = "SELECT count(DISTINCT target) FROM attempt_log WHERE target <> 'healthy'";
        let count: i64 = Audit::live(&home).await.value(tried).await;
        (count == i64::try_from(targets.len()).expect("few")).then_some(())
    })
    .await;
    // While all the others do their worst.
    cloud.make(EVENTS);
    until("the neighbour has all", SOON, || sink.ids() == cloud.ids()).await;
    let attempts: Vec<Attempt> = Audit::live(&home).await.rows(ATTEMPTS).await;
    let peak = daemon.peak_mib();
    for (name, target, _) in &targets {
        target.mend();
        // Otherwise it would be asked at growing intervals whether it is back.
        home.command(&["targets", "resume", name]).await;
    }
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    let mut faults = Vec::new();
    for (name, target, ends) in &targets {
        for (_, status, reason, took, answer) in attempts.iter().filter(|row| row.0 == *name) {
            let end = (*status, reason.as_deref());
            if !ends.contains(&end) {
                faults.push(format!("{name}: came to {end:?}: {answer:?}"));
            }
            if Duration::from_secs_f64(took / 1000.0) > TIMEOUT + SLACK {
                faults.push(format!("{name}: took {took} ms"));
            }
            let is_clean = |text: &String| {
                text.len() <= 2048 && !text.contains(|c: char| c.is_control() && c != '\n')
            };
            if !answer.as_ref().is_none_or(is_clean) {
                faults.push(format!("{name}: keeps {answer:?}"));
            }
        }
        let is_taken = ends.iter().any(|(_, reason)| reason.is_none());
        let missing: BTreeSet<String> = &cloud.ids() - &target.taken();
        if !is_taken && !missing.is_empty() {
            faults.push(format!("{name}: never got {missing:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(peak <= PEAK_MIB, "{peak} MiB at the most");
    assert_eq!(sink.report().repeats, 0);
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), i64::try_from(targets.len()).expect("few") + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_breaks_connections_gets_its_events_once_it_is_well() {
    survives(breaks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_answers_have_no_end_costs_neither_time_nor_memory() {
    survives(floods()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_answers_are_odd_gets_its_events_once_it_is_well() {
    survives(oddities()).await;
}
