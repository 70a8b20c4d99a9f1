use std::time::Duration;

use super::fixture::{Bench, Stub, config, later, status};
use crate::config::{RetryConfig, TargetConfig};
use crate::model::clock::Clock;
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

#[tokio::test]
async fn a_backlog_of_failing_retries_does_not_starve_fresh_deliveries() {
    let is_old = |id: &str| id[1..].parse::<usize>().unwrap() < 600;
    let stub =
        Stub::start(move |_, got| status(if is_old(&got.ids()[0]) { 500 } else { 200 })).await;
    let bench = Bench::new(Clock::system()).await;
    bench.ingest(0, 600).await;
    let retry =
        RetryConfig { schedule: vec![Duration::from_millis(1)], give_up: Duration::from_hours(1) };
    let working = bench.start(TargetConfig { retry, ..config(&stub.url) });
    bench.until(|rows| rows.iter().all(|row| row.attempts > 0)).await;
    bench.ingest(600, 800).await;
    working.nudge.notify_one();
    let fresh = |rows: &[crate::storage::DeliveryRow]| {
        rows.iter().filter(|row| row.status == "delivered").count()
    };
    bench.until(|rows| fresh(rows) == 200).await;
    working.stop().await.unwrap();
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
