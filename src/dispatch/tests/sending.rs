use std::collections::HashSet;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::fixture::{Bench, Got, Stub, config, status, with_body};
use crate::config::{Auth, BatchConfig, Format, Order, RetryConfig, Secret, Signing, TargetConfig};
use crate::dispatch::Target;
use crate::dispatch::attempt::attempt;
use crate::dispatch::request::Message;
use crate::model::address::AddressPolicy;
use crate::model::clock::Clock;
use crate::model::outcome::{Outcome, Reason};
use crate::model::signature::{
    StandardKey, TOLERANCE, VerifyKey, verify_greenlake, verify_standard,
};
use crate::model::timestamp::Timestamp;
use crate::storage::{Ledger, Which};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_overlap_with_settling_send_nothing_twice() {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    let working = bench.start(config(&stub.url));
    for part in 0..20 {
        bench.ingest(part * 200, (part + 1) * 200).await;
        working.nudge.notify_one();
    }
    bench.until(|rows| rows.len() == 4000 && rows.iter().all(|r| r.status == "delivered")).await;
    working.stop().await.unwrap();
    let sent: Vec<String> = stub.so_far().iter().flat_map(Got::ids).collect();
    let distinct: HashSet<&String> = sent.iter().collect();
    assert_eq!((sent.len(), distinct.len()), (4000, 4000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_follows_another_sends_only_what_that_one_has_left() {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    for round in 0..3 {
        let working = bench.start(config(&stub.url));
        bench.ingest(round * 2, round * 2 + 1).await;
        working.nudge.notify_one();
        bench.until_delivered().await;
        working.stop().await.unwrap();
        // Stored while nobody works.
        bench.ingest(round * 2 + 1, round * 2 + 2).await;
    }
    let working = bench.start(config(&stub.url));
    bench.until_delivered().await;
    bench.ingest(6, 7).await;
    working.nudge.notify_one();
    bench.until(|rows| rows.len() == 7 && rows.iter().all(|r| r.status == "delivered")).await;
    working.stop().await.unwrap();
    let mut sent: Vec<String> = stub.so_far().iter().flat_map(Got::ids).collect();
    sent.sort_unstable();
    assert_eq!(sent, (0..7).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn attempts_of_a_delivery_have_the_same_body_and_id_and_signatures_of_their_own() {
    let stub = Stub::start(|number, _| status(if number < 2 { 500 } else { 204 })).await;
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_100));
    let bench = Bench::new(clock.clone()).await;
    bench.ingest(0, 1).await;
    let signing = Signing {
        standard: vec![StandardKey::parse(KEY).unwrap()],
        greenlake: Some(Secret::new("greenlake-secret")),
    };
    let working = bench.start(TargetConfig { signing, ..config(&stub.url) });
    for attempt in 1..=2 {
        bench.until(|rows| rows[0].attempts == attempt).await;
        clock.advance(Duration::from_secs(1));
    }
    bench.until_delivered().await;
    working.stop().await.unwrap();

    let got = stub.so_far();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|one| one.body == got[0].body));
    assert!(got.iter().all(|one| one.header("webhook-id") == "e0"));
    let times: HashSet<&str> = got.iter().map(|one| one.header("webhook-timestamp")).collect();
    assert_eq!(times.len(), 3);
    let keys = [VerifyKey::parse(KEY).unwrap()];
    for one in &got {
        let (time, signature) = (one.header("webhook-timestamp"), one.header("webhook-signature"));
        let now = clock.now().secs();
        verify_standard(&keys, "e0", time, signature, &one.body, now, TOLERANCE).unwrap();
        let greenlake = one.header("hpe-webhook-signature");
        assert_eq!(verify_greenlake(&[b"greenlake-secret"], &[greenlake], &one.body), Some(0));
    }
}

#[tokio::test]
async fn a_batch_waits_for_others_no_longer_than_it_may() {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 10).await;
    let batch = BatchConfig { max_events: 4, max_wait: Duration::from_millis(50) };
    let format = Format::Batch;
    let working = bench.start(TargetConfig { batch, format, concurrency: 1, ..config(&stub.url) });
    bench.until_delivered().await;
    working.stop().await.unwrap();
    let sizes: Vec<usize> = stub.so_far().iter().map(|one| one.ids().len()).collect();
    assert_eq!(sizes, [4, 4, 2]);
}

#[tokio::test]
async fn a_rejected_batch_is_halved_until_only_the_culprit_is_buried() {
    let stub =
        Stub::start(|_, got| status(if got.ids().contains(&"e5".to_owned()) { 422 } else { 200 }))
            .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 8).await;
    let batch = BatchConfig { max_events: 8, max_wait: Duration::ZERO };
    let format = Format::Batch;
    let working = bench.start(TargetConfig { format, batch, ..config(&stub.url) });
    let rows = bench.until(|rows| rows.iter().all(|row| row.status != "pending")).await;
    working.stop().await.unwrap();
    let dead: Vec<&str> =
        rows.iter().filter(|r| r.status == "dead").map(|r| r.event_id.as_str()).collect();
    assert_eq!(dead, ["e5"]);
    let taken: Vec<String> = stub
        .so_far()
        .iter()
        .filter(|one| !one.ids().contains(&"e5".to_owned()))
        .flat_map(Got::ids)
        .collect();
    assert_eq!(taken, ["e0", "e1", "e2", "e3", "e4", "e6", "e7"]);
}

#[tokio::test]
async fn in_strict_order_the_head_blocks_and_nothing_overtakes_it() {
    let stub = Stub::start(|number, _| status(if number % 3 == 2 { 200 } else { 503 })).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 4).await;
    let working = bench.start(TargetConfig { order: Order::Strict, ..config(&stub.url) });
    bench.until_delivered().await;
    working.stop().await.unwrap();
    let ids: Vec<String> = stub.so_far().iter().flat_map(Got::ids).collect();
    let expected = ["e0", "e1", "e2", "e3"].map(|id| [id; 3]).concat();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn in_strict_order_batches_are_full_and_wait_for_nothing() {
    let stub = Stub::start(|number, _| status(if number % 2 == 1 { 200 } else { 503 })).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 10).await;
    let batch = BatchConfig { max_events: 4, max_wait: Duration::from_hours(1) };
    let (order, format) = (Order::Strict, Format::Batch);
    let working = bench.start(TargetConfig { format, order, batch, ..config(&stub.url) });
    bench.until_delivered().await;
    working.stop().await.unwrap();
    let sent: Vec<Vec<String>> = stub.so_far().iter().map(Got::ids).collect();
    let [first, second, third] =
        [&["e0", "e1", "e2", "e3"][..], &["e4", "e5", "e6", "e7"], &["e8", "e9"]];
    assert_eq!(sent, [first, first, second, second, third, third]);
}

#[tokio::test]
async fn a_replay_by_another_process_is_noticed_without_a_nudge() {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 3).await;
    let working = bench.start(config(&stub.url));
    bench.until_delivered().await;

    let path = bench.dir.path().join("t.db");
    let beside = Ledger::open_beside(&path, Clock::system()).await.unwrap();
    let before = std::time::Instant::now();
    let operation = beside.begin_replay(bench.target, "event e1".to_owned()).await.unwrap();
    beside.replay(operation, bench.target, Which::Every, vec![2]).await.unwrap();
    let got = stub.got(4).await;
    // A second of the slow tick, and room for a busy machine.
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert_eq!(got[3].ids(), ["e1"]);
    let first = got.iter().find(|one| one.ids() == ["e1"]).unwrap();
    assert_eq!(got[3].body, first.body);
    beside.close().await;
    working.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_lets_what_is_under_way_end_and_settles_it() {
    let (release, released) = tokio::sync::watch::channel(false);
    let stub = Stub::start(move |_, _| {
        let mut released = released.clone();
        let body = stream::once(async move {
            released.wait_for(|done| *done).await.unwrap();
            Ok::<_, std::io::Error>("taken")
        });
        with_body(200, Body::from_stream(body))
    })
    .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 20).await;
    let working = bench.start(config(&stub.url));
    stub.got(4).await;
    let stopping = working.stop();
    release.send(true).unwrap();
    stopping.await.unwrap();
    let rows = bench.deliveries().await;
    let delivered = rows.iter().filter(|row| row.status == "delivered").count();
    assert_eq!(stub.so_far().len(), delivered, "what was sent is settled");
    assert!(delivered < 20, "nothing new was begun");
}

#[tokio::test]
async fn an_answer_without_end_is_bounded_and_its_status_counts() {
    let stub = Stub::start(|number, _| {
        // Slowly for ever, and as fast as it can be read.
        let slow = number == 0;
        let endless = stream::unfold((), move |()| async move {
            if slow {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Some((Ok::<_, std::io::Error>("x".to_owned()), ()));
            }
            Some((Ok("x".repeat(65_536)), ()))
        });
        with_body(if number < 2 { 200 } else { 500 }, Body::from_stream(endless))
    })
    .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 3).await;
    let working = bench.start(TargetConfig {
        timeout: Duration::from_millis(500),
        concurrency: 1,
        retry: RetryConfig {
            schedule: vec![Duration::from_hours(1)],
            give_up: Duration::from_hours(2),
        },
        ..config(&stub.url)
    });
    let rows = bench.until(|rows| rows.iter().all(|row| row.attempts == 1)).await;
    working.stop().await.unwrap();
    let statuses: Vec<&str> = rows.iter().map(|row| row.status.as_str()).collect();
    assert_eq!(statuses, ["delivered", "delivered", "pending"]);
    assert_eq!(rows[2].last_status, Some(500));
    assert_eq!(stub.so_far().len(), 3);
}

#[tokio::test]
async fn an_address_that_may_not_be_asked_is_a_failure_and_nothing_is_sent() {
    let stub = Stub::start(|_, _| status(200)).await;
    let config = TargetConfig { addresses: AddressPolicy::PublicOnly, ..config(&stub.url) };
    let target = Target::new(1, config).unwrap();
    let headers = target.headers.clone();
    let message = Message { webhook_id: "e0".to_owned(), headers, body: Bytes::new() };
    let made = attempt(&target, message, &Clock::system()).await;
    assert_eq!((made.status, made.outcome), (None, Outcome::Retry(Reason::Address)));
    let told = "address: 127.0.0.1 is a loopback address, which public_only = true refuses";
    assert_eq!(made.answer.as_deref(), Some(told));
    assert!(stub.so_far().is_empty());
}

#[tokio::test]
async fn secrets_are_masked_in_what_is_kept_of_an_answer() {
    let stub = Stub::start(|_, got| {
        // An echo of everything, as a debugging endpoint gives.
        with_body(500, format!("{:?} at key=planted-in-url by planted-user", got.headers))
    })
    .await;
    for auth in [
        None,
        Some(Auth::Bearer(Secret::new("planted-token"))),
        Some(Auth::Basic { username: "me".to_owned(), password: Secret::new("planted-word") }),
    ] {
        let mut config = config(&stub.url);
        config.url.set_query(Some("key=planted-in-url"));
        config.url.set_username("planted-user").unwrap();
        config.headers = vec![("x-team".to_owned(), Secret::new("planted-value"))];
        config.auth = auth;
        let target = Target::new(1, config).unwrap();
        let headers = target.headers.clone();
        let message = Message { webhook_id: "e0".to_owned(), headers, body: Bytes::new() };
        let made = attempt(&target, message, &Clock::system()).await;
        let kept = made.answer.unwrap();
        assert!(kept.contains("authorization"), "{kept}");
        assert!(kept.contains("********"), "{kept}");
        assert!(!kept.contains("planted") && !kept.contains("cGxhbnRlZC"), "{kept}");
    }
}
