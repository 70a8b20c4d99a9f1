//! Replays beside a running daemon: by filter, and what a target has missed.

use std::time::Duration;

use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, until};

const STOP: Duration = Duration::from_secs(10);

/// More than one step.
const MADE: usize = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_added_later_gets_what_it_missed_once() {
    let (cloud, first, second) =
        (CloudServer::start().await, SinkServer::start().await, SinkServer::start().await);
    let setup = Setup::new(&cloud).target("first", &first.url, "");
    let home = Home::new(&setup);
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(MADE as u64, now.minus(Duration::from_mins(5)), now);
    let daemon = home.run_daemon().await;
    until("the first has all", SOON, || first.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    home.set_up(&setup.target("second", &second.url, ""));
    let daemon = home.run_daemon().await;
    let missed = ["replay", "--target", "second", "--missed", "--since", "1h"];
    let dry = home.command(&[&missed[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let expected = format!("{MADE} deliveries would be pending for second; nothing was changed");
    assert!(dry.stdout.contains(&expected), "{dry:?}");
    assert_eq!(dry.stdout.lines().count(), 7, "headings, five events, the count: {dry:?}");
    assert_eq!(Audit::live(&home).await.value::<i64>("SELECT count(*) FROM operation").await, 0);

    let done = home.command(&missed).await;
    let expected = format!("{MADE} deliveries are pending again for second\n");
    assert_eq!((done.stdout, done.stderr), (expected, String::new()));
    until("the second has all", SOON, || second.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    let again = home.command(&missed).await;
    assert_eq!(again.stdout, "0 deliveries are pending again for second\n");
    home.stop(daemon, STOP).await;

    assert_eq!((first.report().repeats, second.report().repeats), (0, 0));
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 2).await;
    let recorded = "SELECT target, selection, deliveries FROM operation_log ORDER BY id";
    let rows: Vec<(String, String, i64)> = audit.rows(recorded).await;
    let counts: Vec<i64> = rows.iter().map(|(_, _, count)| *count).collect();
    assert_eq!(counts, [i64::try_from(MADE).expect("small"), 0]);
    assert!(rows.iter().all(|(to, what, _)| to == "second" && what.starts_with("missed, since ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_of_time_is_delivered_again_at_the_rate_that_was_asked_for() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let home = Home::new(&Setup::new(&cloud).target("siem", &sink.url, ""));
    cloud.make(20);
    let daemon = home.run_daemon().await;
    until("it has all", SOON, || sink.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;

    let began = std::time::Instant::now();
    let args = ["replay", "--target", "siem", "--since", "1h", "--rate", "20/s"];
    let done = home.command(&args).await;
    assert_eq!(done.stdout, "20 deliveries are pending again for siem\n", "{done:?}");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    until("it has all again", SOON, || sink.report().repeats == 20).await;
    let nothing = home.command(&["replay", "--target", "siem", "--category", "nope"]).await;
    assert_eq!(nothing.stdout, "0 deliveries are pending again for siem\n", "{nothing:?}");
    home.until_settled(SOON).await;

    let id = cloud.ids().into_iter().next().expect("some were made");
    let attempts = home.list(&["deliveries", "--event", &id, "--attempts"]).await;
    let numbers: Vec<_> = attempts.iter().map(|row| row["number"].as_i64()).collect();
    assert_eq!(numbers, [Some(1), Some(2)]);
    assert!(attempts.iter().all(|row| row["target"] == "siem" && row["reason"].is_null()));
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_replay_goes_no_faster_than_its_target_allows() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let home = Home::new(&Setup::new(&cloud).target("siem", &sink.url, "rate = \"20/s\""));
    cloud.make(40);
    let daemon = home.run_daemon().await;
    until("it has all", SOON, || sink.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;

    let began = std::time::Instant::now();
    let args = ["replay", "--target", "siem", "--since", "1h", "--rate", "1000/s"];
    let done = home.command(&args).await;
    assert_eq!(done.stdout, "40 deliveries are pending again for siem\n", "{done:?}");
    until("it has all again", SOON, || sink.report().repeats == 40).await;
    // Forty requests at 20/s take two seconds, less what the limit lets go at once.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    home.stop(daemon, STOP).await;
}
