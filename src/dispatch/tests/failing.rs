use std::time::Duration;

use super::fixture::{Bench, Got, Stub, config, later, status};
use crate::config::{BatchConfig, Format, Order, RetryConfig, TargetConfig};
use crate::model::clock::Clock;
use crate::model::rate::Rate;
use crate::model::timestamp::Timestamp;
use crate::storage::TargetState;

#[tokio::test]
async fn retry_after_keeps_everything_from_the_target_until_then() {
    let stub =
        Stub::start(|number, _| if number == 0 { later(429, 60) } else { status(200) }).await;
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_100));
    let bench = Bench::new(clock.clone()).await;
    bench.ingest(0, 1).await;
    let working = bench.start(config(&stub.url));
    bench.until(|rows| rows[0].attempts == 1).await;

    bench.ingest(1, 10).await;
    clock.advance(Duration::from_secs(59));
    working.nudge.notify_one();
    // Two slow ticks: it has looked, and sent nothing.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(stub.so_far().len(), 1);

    clock.advance(Duration::from_secs(2));
    bench.until_delivered().await;
    assert_eq!(stub.so_far().len(), 11);
    working.stop().await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_gone_gets_nothing_until_it_is_resumed() {
    let stub = Stub::start(|number, _| status(if number == 0 { 410 } else { 200 })).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 5).await;
    let working = bench.start(TargetConfig { concurrency: 1, ..config(&stub.url) });
    bench.until(|rows| rows[0].attempts == 1).await;
    assert_eq!(bench.state().await, TargetState::Gone);
    bench.ingest(5, 10).await;
    working.nudge.notify_one();
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(stub.so_far().len(), 1);
    assert!(bench.deliveries().await.iter().all(|row| row.status == "pending"));

    bench.ledger.resume_target("siem").await.unwrap();
    bench.until_delivered().await;
    assert_eq!(stub.so_far().len(), 11);
    working.stop().await.unwrap();
}

#[tokio::test]
async fn a_target_that_is_paused_gets_nothing_until_it_is_resumed() {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ledger.pause_target("siem").await.unwrap();
    bench.ingest(0, 5).await;
    let working = bench.start(config(&stub.url));
    working.nudge.notify_one();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(stub.so_far().is_empty());

    bench.ledger.resume_target("siem").await.unwrap();
    bench.until_delivered().await;
    assert_eq!(stub.so_far().len(), 5);
    working.stop().await.unwrap();
}

/// Thousands of due retries and fresh deliveries, more of the one or of the other: how many
/// of the larger lane came before the last one of the smaller.
async fn race(retries: usize, fresh: usize) -> usize {
    let stub = Stub::start(|_, _| status(200)).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, retries).await;
    bench.fail_all().await;
    bench.ingest(retries, retries + fresh).await;
    let working = bench.start(config(&stub.url));
    let got = stub.got(retries + fresh).await;
    working.stop().await.unwrap();

    let number = |id: &String| id[1..].parse::<usize>().unwrap();
    let order: Vec<bool> = got.iter().flat_map(Got::ids).map(|id| number(&id) < retries).collect();
    let is_small = |is_retry: &bool| *is_retry == (retries < fresh);
    let last = order.iter().rposition(is_small).unwrap();
    order[..last].iter().filter(|one| !is_small(one)).count()
}

/// The shares are three to one, and what is under way when the smaller lane ends comes on
/// top, as does what a reading brings late.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_retries_do_not_starve_fresh_deliveries() {
    let before = race(3_000, 300).await;
    assert!((50..=400).contains(&before), "{before} retries before the last fresh one");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_fresh_deliveries_do_not_starve_retries() {
    let before = race(300, 3_000).await;
    assert!((500..=1_500).contains(&before), "{before} fresh ones before the last retry");
}

#[tokio::test]
async fn a_delivery_is_given_up_with_its_last_reason() {
    let stub = Stub::start(|_, _| status(503)).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 1).await;
    let retry = RetryConfig {
        schedule: vec![Duration::from_millis(20)],
        give_up: Duration::from_millis(100),
    };
    let working = bench.start(TargetConfig { retry, ..config(&stub.url) });
    let rows = bench.until(|rows| rows[0].status == "dead").await;
    working.stop().await.unwrap();
    assert_eq!(rows[0].last_reason.as_deref(), Some("status"));
    assert!(rows[0].attempts >= 2, "{}", rows[0].attempts);
    assert_eq!(usize::try_from(rows[0].attempts).unwrap(), stub.so_far().len());
}

fn attempts(rows: &[crate::storage::DeliveryRow]) -> i64 {
    rows.iter().map(|row| row.attempts).sum()
}

#[tokio::test]
async fn a_failing_target_is_probed_with_one_delivery_after_the_other_until_it_is_back() {
    // The first event fails for ever, the others for as long as the target is down.
    let stub = Stub::start(|number, got| {
        let is_poison = got.ids()[0] == "e0";
        status(if is_poison || number < 12 { 502 } else { 200 })
    })
    .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 300).await;
    let retry =
        RetryConfig { schedule: vec![Duration::from_hours(1)], give_up: Duration::from_hours(2) };
    let working = bench.start(TargetConfig { retry, concurrency: 1, ..config(&stub.url) });
    bench.until(|rows| attempts(rows) == 10).await;
    bench.until_state(TargetState::Failing).await;
    let rows = bench.until(|rows| count(rows, "delivered") >= 290).await;
    working.stop().await.unwrap();

    assert_eq!(bench.state().await, TargetState::Active);
    let sent: Vec<String> = stub.so_far().iter().take(13).flat_map(Got::ids).collect();
    let expected: Vec<String> =
        (0..10).chain([10, 11, 10]).map(|number| format!("e{number}")).collect();
    assert_eq!(sent[..12], expected[..12], "a probe each, of another delivery each time");
    assert_eq!(rows.len(), 300);
    let waiting = rows.iter().filter(|row| row.status == "pending");
    assert!(waiting.clone().all(|row| row.attempts == 1 && row.next_attempt_at.is_some()));
    assert_eq!(waiting.count(), 10, "those that failed before it was found failing");
}

fn count(rows: &[crate::storage::DeliveryRow], status: &str) -> usize {
    rows.iter().filter(|row| row.status == status).count()
}

#[tokio::test]
async fn in_strict_order_the_head_is_the_probe_and_its_patience_ends() {
    let stub = Stub::start(|_, got| status(if got.ids()[0] == "e0" { 500 } else { 200 })).await;
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_100));
    let bench = Bench::new(clock.clone()).await;
    bench.ingest(0, 5).await;
    let give_up = Duration::from_hours(1);
    let retry = RetryConfig { schedule: vec![Duration::from_millis(10)], give_up };
    let strict = TargetConfig { retry, order: Order::Strict, ..config(&stub.url) };
    let working = bench.start(strict);
    let pass = async |time| {
        clock.advance(time);
        working.nudge.notify_one();
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    while bench.state().await != TargetState::Failing {
        pass(Duration::from_millis(100)).await;
    }
    while count(&bench.deliveries().await, "delivered") < 4 {
        pass(Duration::from_mins(1)).await;
    }
    working.stop().await.unwrap();
    let head = &bench.deliveries().await[0];
    assert_eq!((head.status.as_str(), head.last_reason.as_deref()), ("dead", Some("status")));
    let ids: Vec<String> = stub.so_far().iter().flat_map(Got::ids).collect();
    let others: Vec<&String> = ids.iter().skip_while(|id| *id == "e0").collect();
    assert_eq!(others, ["e1", "e2", "e3", "e4"]);
}

#[tokio::test]
async fn a_restart_finds_a_failing_target_failing_and_probes_it() {
    let stub = Stub::start(|number, _| status(if number < 10 { 503 } else { 200 })).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 20).await;
    let retry =
        RetryConfig { schedule: vec![Duration::from_millis(1)], give_up: Duration::from_hours(2) };
    let patient = TargetConfig { retry, concurrency: 1, ..config(&stub.url) };
    let working = bench.start(patient.clone());
    bench.until_state(TargetState::Failing).await;
    working.stop().await.unwrap();
    assert_eq!(bench.state().await, TargetState::Failing);
    let before = stub.so_far().len();
    let working = bench.start(patient);
    bench.until_delivered().await;
    working.stop().await.unwrap();
    assert_eq!((before, stub.so_far().len()), (10, 30));
    assert_eq!(bench.state().await, TargetState::Active);
}

#[tokio::test]
async fn halving_ends_when_the_target_neither_takes_nor_rejects() {
    for (code, state) in
        [(410, TargetState::Gone), (429, TargetState::Active), (503, TargetState::Active)]
    {
        // The whole, its first half, and then something else.
        let stub = Stub::start(move |number, _| match number {
            0 => status(422),
            1 => status(200),
            _ => later(code, 3_600),
        })
        .await;
        let bench = Bench::new(Clock::system()).await;
        bench.ingest(0, 8).await;
        let batch = BatchConfig { max_events: 8, max_wait: Duration::ZERO };
        let format = Format::Batch;
        let working = bench.start(TargetConfig { format, batch, ..config(&stub.url) });
        let rows = bench.until(|rows| attempts(rows) == 16).await;
        working.stop().await.unwrap();
        let sizes: Vec<usize> = stub.so_far().iter().map(|one| one.ids().len()).collect();
        assert_eq!(sizes, [8, 4, 4], "{code}");
        assert_eq!((count(&rows, "delivered"), count(&rows, "pending")), (4, 4), "{code}");
        assert_eq!(bench.state().await, state);
    }
}

#[tokio::test]
async fn halves_that_were_let_go_are_delivered_later() {
    let stub = Stub::start(|number, got| match number {
        0 => status(422),
        1 => status(500),
        _ => status(if got.ids().contains(&"e7".to_owned()) { 422 } else { 200 }),
    })
    .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 8).await;
    let batch = BatchConfig { max_events: 8, max_wait: Duration::ZERO };
    let format = Format::Batch;
    let working = bench.start(TargetConfig { format, batch, ..config(&stub.url) });
    let rows = bench.until(|rows| count(rows, "pending") == 0).await;
    working.stop().await.unwrap();
    assert_eq!((count(&rows, "delivered"), count(&rows, "dead")), (7, 1));
    assert_eq!(rows[7].status, "dead");
}

#[tokio::test]
async fn a_retry_that_is_answered_410_is_delivered_after_a_resumption() {
    let stub = Stub::start(|number, _| status([500, 410, 200][number.min(2)])).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 1).await;
    let working = bench.start(config(&stub.url));
    bench.until_state(TargetState::Gone).await;
    bench.ledger.resume_target("siem").await.unwrap();
    let rows = bench.until_delivered().await;
    working.stop().await.unwrap();
    assert_eq!(rows[0].attempts, 3);
}

#[tokio::test]
async fn a_pause_of_any_length_buries_nothing() {
    let stub = Stub::start(|_, _| status(500)).await;
    let clock = Clock::manual(Timestamp::from_secs(1_734_698_100));
    let bench = Bench::new(clock.clone()).await;
    bench.ingest(0, 1).await;
    let retry =
        RetryConfig { schedule: vec![Duration::from_secs(5)], give_up: Duration::from_hours(1) };
    let working = bench.start(TargetConfig { retry, ..config(&stub.url) });
    bench.until(|rows| rows[0].attempts == 1).await;
    bench.ledger.pause_target("siem").await.unwrap();
    clock.advance(Duration::from_hours(80));
    bench.ledger.resume_target("siem").await.unwrap();
    let rows = bench.until(|rows| rows[0].attempts == 2).await;
    assert_eq!(rows[0].status, "pending", "its patience begins anew");
    clock.advance(Duration::from_hours(2));
    bench.until(|rows| rows[0].status == "dead").await;
    working.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_for_fresh_deliveries_retries_and_halves() {
    let stub = Stub::start(|number, got| match number {
        0..3 => status(500),
        _ => status(if got.ids().contains(&"e3".to_owned()) { 422 } else { 200 }),
    })
    .await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 8).await;
    let format = Format::Batch;
    let batch = BatchConfig { max_events: 4, max_wait: Duration::ZERO };
    let rate = Some(Rate { count: 10, per: Duration::from_secs(1) });
    let began = std::time::Instant::now();
    let working = bench.start(TargetConfig { format, rate, batch, ..config(&stub.url) });
    bench.until(|rows| count(rows, "pending") == 0).await;
    working.stop().await.unwrap();
    let requests = u32::try_from(stub.so_far().len()).unwrap();
    assert!(requests >= 8, "{requests}: batches, retries and halves");
    // The last may come a little early: what was late before it is caught up with.
    let least = Duration::from_millis(100) * (requests - 2);
    assert!(began.elapsed() >= least, "{requests} requests in {:?}", began.elapsed());
}
