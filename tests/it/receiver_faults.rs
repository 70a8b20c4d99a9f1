//! The receiver when things go wrong: it dies before it answers, the disk is full, senders
//! are hostile, secrets rotate while pushes come, and many come at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::disk::SmallDisk;
use crate::support::nth_call::{Calls, Deed, Strike};
use crate::support::push::{SECRET, send};
use crate::support::{
    Audit, CloudServer, Home, Pusher, SOON, Setup, SinkServer, entry, eventually, until,
};

const STOP: Duration = Duration::from_secs(20);
const NEW_SECRET: &str = "the-secret-after-the-rotation";

/// A source that is not polled.
fn pushed_only() -> Setup {
    Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false").push("")
}

/// Calls to the network of one life that is pushed to once and delivers, with room.
const CALLS_MAX: u64 = 200;

/// Lives at the same time.
const LANES: u64 = 4;

/// What became of the pushes of lives that were cut short.
#[derive(Debug, Default)]
struct Toll {
    lives: AtomicU64,
    /// Stored, and the sender never heard of it.
    unanswered: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_answer_never_came_is_sent_again_and_is_one_event() {
    let (next, end, toll) = (AtomicU64::new(1), AtomicU64::new(CALLS_MAX), Toll::default());
    let lanes = (0..LANES).map(|_| async {
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            if at >= end.load(Ordering::SeqCst) {
                return;
            }
            if !life_until(at, &toll).await {
                end.fetch_min(at, Ordering::SeqCst);
            }
        }
    });
    join_all(lanes).await;
    println!("{toll:?}");
    assert!(end.load(Ordering::SeqCst) < CALLS_MAX, "a life does not end");
    assert!(toll.lives.into_inner() >= 4);
    assert!(toll.unanswered.into_inner() >= 1, "none died between the commit and the answer");
}

/// A life whose `at`-th call to the network is its last; `false` when there were fewer.
async fn life_until(at: u64, toll: &Toll) -> bool {
    let sink = SinkServer::start().await;
    let home = Home::new(&pushed_only().target("siem", &sink.url, ""));
    let strike = Strike::new(Calls::Net, at, Deed::Dies, home.path());
    let mut daemon = home.start_with(&["run"], &strike.variables());
    let pusher = Pusher::to(&daemon).await;
    let body = entry("AZ-one").to_string();
    let answer = pusher.signed(SECRET, body.clone()).send().await;
    let is_answered = answer.is_ok_and(|answer| answer.status() == 202);
    if is_answered {
        let is_over = || strike.struck().is_some() || sink.report().distinct == 1;
        until("it dies or delivers", SOON, is_over).await;
    }
    if strike.struck().is_none() {
        assert!(is_answered, "it neither died nor answered");
        // Ending makes calls, too.
        daemon.term();
    }
    until("it is gone", SOON, || !daemon.is_running()).await;
    let is_struck = strike.struck().is_some();
    if is_struck {
        toll.lives.fetch_add(1, Ordering::SeqCst);
        let is_stored = !Audit::of_copy(&home).await.ids().await.is_empty();
        assert!(is_stored || !is_answered, "acknowledged, and not on disk");
        toll.unanswered.fetch_add(u64::from(is_stored && !is_answered), Ordering::SeqCst);
    }

    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    assert_eq!(send(pusher.signed(SECRET, body)).await.status, 202);
    until("it is delivered", SOON, || sink.report().distinct == 1).await;
    home.until_settled(SOON).await;
    let mut audit = Audit::live(&home).await;
    assert_eq!(audit.value::<i64>("SELECT count(*) FROM event").await, 1);
    assert_eq!(audit.value::<i64>("SELECT count(*) FROM delivery_log").await, 1);
    assert_eq!(audit.value::<i64>("SELECT count(*) FROM sighting").await, 1);
    home.stop(daemon, STOP).await;
    is_struck
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_what_is_sent_again_is_taken() {
    let sink = SinkServer::start().await;
    for min_free in ["0B", "4MiB"] {
        let mut home = Home::new(&pushed_only().target("siem", &sink.url, ""));
        let Some(disk) = SmallDisk::mount(&home.path().join("disk"), 24) else { return };
        home.set_variable("TAILWATER__STORAGE__PATH", "disk/ledger.db");
        home.set_variable("TAILWATER__STORAGE__MIN_FREE", min_free);
        let mut daemon = home.run_daemon().await;
        let pusher = Pusher::to(&daemon).await;
        assert_eq!(pusher.push(&entry(&format!("AZ-before-{min_free}"))).await, 202);
        disk.fill(0);
        // What is left of pages that the log has already may take some.
        let mut taken = 0;
        let mut refused = None;
        while refused.is_none() && taken < 5_000 {
            let event = entry(&format!("AZ-{min_free}-{taken}"));
            let heard = send(pusher.signed(SECRET, event.to_string())).await;
            match heard.status {
                202 => taken += 1,
                503 => refused = Some((event, heard)),
                status => panic!("{status}"),
            }
        }
        let (event, heard) = refused.expect("a full disk is told");
        assert_eq!(
            (heard.headers["retry-after"].as_bytes(), heard.body.as_str()),
            (&b"30"[..], "")
        );
        for _ in 0..3 {
            assert_eq!(pusher.push(&event).await, 503, "as long as it is full");
        }
        assert!(daemon.is_running());
        assert_eq!(daemon.stderr().matches("pushes are put off (503)").count(), 1);
        disk.relieve();
        let again = async || (pusher.push(&event).await == 202).then_some(());
        eventually("it is taken", SOON, again).await;
        assert!(daemon.stderr().contains("pushes are taken again"));
        let listed = home.list(&["history", "--limit", "10000"]).await;
        assert_eq!(listed.len(), taken + 2, "{min_free}: each once, and none that was put off");
        home.stop(daemon, STOP).await;
    }
}

/// Nothing that a sender makes takes more than this of the daemon's memory, in MiB: 256 heads
/// of 64 KiB, 32 MiB of bodies, and what is made of a body while it is read; and the
/// unoptimised daemon itself, some 60.
const PEAK_MAX: u64 = 320;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_senders_cost_little_and_hold_up_nobody() {
    let home = Home::new(&pushed_only());
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    let before = daemon.peak_mib();
    let mut slow = slow_senders(&pusher.address).await;
    let whole = entry("AZ-cut").to_string();
    let arrays = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    let data = |depth: usize| {
        let nested = String::from_utf8(arrays(depth)).expect("ASCII");
        whole.replace("\"data\":{", &format!("\"data\":{{\"more\":{nested},")).into_bytes()
    };
    let twice = whole.replacen('{', "{\"id\":\"AZ-other\",\"id\":\"AZ-third\",", 1);
    let many = format!("[{}]", vec![whole.as_str(); 2_000].join(","));
    let bodies: Vec<(Vec<u8>, &[u16])> = vec![
        (vec![b'['; 1024 * 1024 + 1], &[413]),
        (vec![b' '; 1024 * 1024], &[400, 401]),
        (arrays(129), &[400]),
        (arrays(200_000), &[400]),
        (data(129), &[202, 400]),
        (data(200_000), &[202, 400]),
        (whole.as_bytes()[..whole.len() - 9].to_vec(), &[400]),
        (b"{\"a\":\"\xff\xfe\"}".to_vec(), &[400]),
        (twice.into_bytes(), &[202, 400]),
        (format!("[{}0]", "0,".repeat(500_000)).into_bytes(), &[413]),
        (many.as_bytes()[..many.len().min(1024 * 1024)].to_vec(), &[202, 400]),
        (format!("{{\"a\":\"{}\"}}", "\\u0000".repeat(150_000)).into_bytes(), &[400]),
    ];
    let bodies = Arc::new(bodies);
    let mut lanes = JoinSet::new();
    for lane in 0..24 {
        let (pusher, bodies) = (pusher.clone(), Arc::clone(&bodies));
        lanes.spawn(async move {
            for turn in 0..bodies.len() {
                let (body, allowed) = &bodies[(lane + turn) % bodies.len()];
                // Too large a body may be answered before it is read: then sending it fails.
                let Ok(answer) = pusher.signed(SECRET, body.clone()).send().await else {
                    assert_eq!(allowed, &[413]);
                    continue;
                };
                let status = answer.status().as_u16();
                // So many large ones at once find no room, and are to be sent again.
                assert!(status == 503 || allowed.contains(&status), "{status} not in {allowed:?}");
            }
        });
    }
    lanes.join_all().await;
    assert_eq!(pusher.push(&entry("AZ-after")).await, 202);
    let peak = daemon.peak_mib();
    println!("{before} MiB before, {peak} MiB at the peak");
    assert!(peak <= PEAK_MAX, "{peak} MiB");
    slow.abort_all();
    home.stop(daemon, STOP).await;
}

/// Connections that send a byte now and then, in their head or in their body.
async fn slow_senders(address: &str) -> JoinSet<()> {
    let mut slow = JoinSet::new();
    for index in 0..100 {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        slow.spawn(async move {
            let head: &[u8] = match index % 3 {
                0 => return std::future::pending().await,
                1 => b"POST /hook HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                _ => b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
            };
            let mut sent = stream.write_all(head).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
                sent = stream.write_all(b"x").await;
            }
        });
    }
    slow
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_reloads_turns_no_signed_push_away() {
    let [first, second] = [SECRET, NEW_SECRET];
    let stage = |secret: &str, other: Option<&str>| {
        let lines = other.map(|other| format!("secondary_secret = \"{other}\""));
        let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false");
        // The order matters: the other one may be the usual one.
        setup.push("#other").secret(secret).replacing("#other", &lines.unwrap_or_default())
    };
    let home = Home::new(&stage(first, None));
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    let (is_first, is_over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let mut pushing = JoinSet::new();
    for lane in 0..2 {
        let (pusher, is_first, is_over) = (pusher.clone(), is_first.clone(), is_over.clone());
        pushing.spawn(async move {
            let mut sent = 0;
            while !is_over.load(Ordering::SeqCst) {
                let secret = if is_first.load(Ordering::SeqCst) { SECRET } else { NEW_SECRET };
                let body = entry(&format!("AZ-{lane}-{sent}")).to_string();
                assert_eq!(send(pusher.signed(secret, body)).await.status, 202);
                sent += 1;
            }
            sent
        });
    }
    home.reload(&daemon, &stage(first, Some(second))).await;
    is_first.store(false, Ordering::SeqCst);
    // One that was signed before may still be under way.
    let both = "SELECT count(*) FROM push_log WHERE secret = 'secondary'";
    let seen = async || (Audit::live(&home).await.value::<i64>(both).await > 4).then_some(());
    eventually("the new secret is in use", SOON, seen).await;
    home.reload(&daemon, &stage(second, Some(first))).await;
    home.reload(&daemon, &stage(second, None)).await;
    let last = "SELECT secret FROM push_log ORDER BY id DESC LIMIT 1";
    let seen =
        async || (Audit::live(&home).await.value::<String>(last).await == "primary").then_some(());
    eventually("it is the first one", SOON, seen).await;
    is_over.store(true, Ordering::SeqCst);
    let sent: usize = pushing.join_all().await.into_iter().sum();
    let old = pusher.signed(first, entry("AZ-old").to_string());
    assert_eq!(send(old).await.status, 401, "the old one is gone");
    assert_eq!(Audit::live(&home).await.ids().await.len(), sent);
    home.stop(daemon, STOP).await;
}

/// Connections, and pushes over each.
const CONNECTIONS: usize = 64;
const PUSHES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_connections_push_while_polling_goes_on() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let home = Home::new(&Setup::new(&cloud).push("").target("siem", &sink.url, ""));
    cloud.make(50);
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    let feed = cloud.feed(5, Duration::from_millis(100));
    let (pages, began) = (cloud.cloud.served().pages, Instant::now());
    let mut lanes = JoinSet::new();
    for lane in 0..CONNECTIONS {
        let (pusher, cloud) = (pusher.clone(), cloud.cloud.clone());
        lanes.spawn(async move {
            for number in 0..PUSHES {
                // Every other one is an entry that polling shows, too.
                let made = cloud.made();
                let event = match number % 2 {
                    0 => entry(&format!("AZ-{lane}-{number}")),
                    _ => also_polled(&made[(lane * PUSHES + number) % made.len()]),
                };
                assert_eq!(pusher.push(&event).await, 202);
            }
        });
    }
    lanes.join_all().await;
    let (polled, passed) = (cloud.cloud.served().pages - pages, began.elapsed());
    drop(feed);
    until("polling has all", SOON, || cloud.ids().is_subset(&sink.ids())).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    println!("{polled} polls in {passed:.1?}");
    // One a second; that they keep their time to a second is not asked of a busy machine.
    assert!(polled + 1 >= passed.as_secs() / 3, "{polled} polls in {passed:?}");
    let mut expected = cloud.ids();
    let own = |lane: usize| (0..PUSHES).step_by(2).map(move |n| format!("AZ-{lane}-{n}"));
    expected.extend((0..CONNECTIONS).flat_map(own));
    let mut audit = Audit::live(&home).await;
    assert_eq!(audit.ids().await, expected);
    assert_eq!(audit.deliveries("siem", "delivered").await, expected);
    let twice = "SELECT count(*) - count(DISTINCT event_id) FROM delivery_log";
    assert_eq!(audit.value::<i64>(twice).await, 0);
    assert_eq!(sink.report().repeats, 0);
}

/// The push of an entry that the cloud shows.
fn also_polled(made: &tailwater::simulator::entry::Made) -> Value {
    let mut event = entry(&made.id);
    event["data"]["created_at"] = json!(made.created_at.millis());
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_the_receiver_and_sends_nothing() {
    let home = Home::new(&pushed_only());
    let done = home.command(&["check"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("  receiver  http://127.0.0.1:0, from this machine alone"));
    assert!(done.stdout.contains("/hook for production"), "{done:?}");
    let done = home.command(&["check", "--online", "--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("\"kind\":\"receiver\""), "{done:?}");
    let tls = "listen = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }";
    home.set_up(&pushed_only().receiver(tls, ""));
    let done = home.command(&["check"]).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stderr.contains("receiver.tls: cert.pem: No such file"), "{done:?}");
}
