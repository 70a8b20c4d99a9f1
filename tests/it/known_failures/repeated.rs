//! Entries that others bring again, or as somebody else.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use tailwater::config::{Config, Environment};
use tailwater::greenlake::AuditLog;
use tailwater::poll::{ScanSettings, Scanner};
use tailwater::simulator::entry::Entry;
use tailwater::storage::Ledger;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    LONG, SMALL_PAGES, STOP, audit, cloud_in_time, complete, generate, generate_ties, logged,
};
use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, until};

const DAY: Duration = Duration::from_hours(24);

/// elastic/integrations#13639: a page token that outlives its scan.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_in_mid_scan_repeat_nothing() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    generate_ties(&cloud, 55, Duration::from_secs(100));
    generate(&cloud, 60, Duration::from_mins(4));
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES).target("siem", &sink.url, ""));
    for rows in [2, 5, 8] {
        let daemon = home.run_daemon().await;
        logged(&home, "1", rows).await;
        home.stop(daemon, STOP).await;
    }
    let daemon = home.run_daemon().await;
    until("all arrive", LONG, || sink.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    assert_eq!(sink.report().repeats, 0);
    audit(&home, &cloud, 1).await;
}

/// elastic/integrations#11363: the memory of ids ends somewhere, and old entries come back
/// as new ones.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_back_a_day_before_or_after_it_is_forgotten() {
    let cloud = cloud_in_time().await;
    let clock = cloud.cloud.clock().clone();
    assert!(cloud.cloud.insert(Entry::new("old", clock.now(), "It happened long ago")));
    let home = Home::new(&Setup::new(&cloud).poll("start = \"1h\"\noverlap = \"15m\""));
    let path = home.path().join("config.toml");
    let config = Config::load(&path, &Environment::default()).expect("valid").config;
    let source = &config.sources[0];
    let ledger = Ledger::open(&home.ledger(), clock.clone()).await.expect("a ledger");
    let log = AuditLog::new(source, clock.clone()).expect("a client").with_budget(None);
    let settings = ScanSettings::new(source, 0, watch::channel(Vec::new()).1);
    let mut scanner = Scanner::new(settings, log, ledger.clone(), clock.clone(), Arc::new(|| {}));

    let mut seen = Vec::new();
    for day in 0..=101 {
        let report = scanner.run_through(&CancellationToken::new()).await.expect("it polls");
        assert_eq!(report.problem, None, "day {day}");
        seen.push(report.new);
        let mut after = 0;
        while let Some(next) = ledger.prune(config.storage.keep, after).await.expect("pruned") {
            after = next;
        }
        let kept = Audit::live(&home).await.ids().await;
        assert_eq!(kept.contains("old"), day <= 100, "day {day}");
        clock.advance(DAY);
    }
    assert_eq!(seen.iter().sum::<u64>(), 1, "it came again: {seen:?}");
    ledger.close().await;
}

/// elastic/integrations#18900: a look-back on every run, and no memory of ids.
#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_larger_than_a_page_repeats_nothing() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    generate(&cloud, 90, Duration::from_mins(4));
    let poll = "interval = \"1s\"\nstart = \"5m\"\npage_limit = 20";
    let home = Home::new(&Setup::new(&cloud).poll(poll).target("siem", &sink.url, ""));
    let daemon = home.run_daemon().await;
    until("all arrive", LONG, || sink.ids() == cloud.ids()).await;
    logged(&home, "outcome = 'complete' AND new = 0", 10).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    assert_eq!(sink.report().repeats, 0);
    audit(&home, &cloud, 1).await;
}

/// castorm/kafka-connect-http#263: polls faster than commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_slower_than_the_interval_loses_and_repeats_nothing() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let poll = "interval = \"1s\"\nstart = \"1m\"";
    let home = Home::new(&Setup::new(&cloud).poll(poll).target("siem", &sink.url, ""));
    let daemon = home.run_daemon().await;
    cloud.make(5);
    until("the first ones arrive", SOON, || sink.ids() == cloud.ids()).await;
    // Somebody else holds the ledger for several intervals.
    let options = SqliteConnectOptions::new().filename(home.ledger()).busy_timeout(SOON);
    let mut other = options.connect().await.expect("the ledger opens");
    for _ in 0..2 {
        let before = cloud.cloud.served().log_requests;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
        cloud.make(5);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let meanwhile = cloud.cloud.served().log_requests - before;
        assert!(meanwhile <= 5, "{meanwhile} requests piled up behind a commit");
        sqlx::query("COMMIT").execute(&mut other).await.expect("the lock goes");
        until("all arrive", LONG, || sink.ids() == cloud.ids()).await;
    }
    other.close().await.expect("nothing is under way");
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    assert_eq!(sink.report().repeats, 0);
    audit(&home, &cloud, 1).await;
}

/// dotCMS/core#37288, elastic/integrations#19639: the state is gone, and nobody says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_ledger_says_where_history_begins_and_sends_nothing_again() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    // None in the second in which the other ledger begins: that one would be its first, too.
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(20, now.minus(Duration::from_secs(50)), now.minus(Duration::from_secs(5)));
    let setup = Setup::new(&cloud).target("siem", &sink.url, "");
    let home = Home::new(&setup.clone().poll("interval = \"1s\"\nstart = \"1m\""));
    let daemon = home.run_daemon().await;
    until("all arrive", SOON, || sink.ids() == cloud.ids()).await;
    home.stop(daemon, STOP).await;

    let other = Home::new(&setup.poll("interval = \"1s\"\nstart = \"now\""));
    let daemon = other.run_daemon().await;
    let said = "history of this source begins";
    until("it says so", SOON, || daemon.stderr().contains(said)).await;
    logged(&other, "outcome = 'first_start'", 1).await;
    cloud.make(3);
    until("what is new arrives", SOON, || sink.ids() == cloud.ids()).await;
    other.stop(daemon, STOP).await;
    assert_eq!(sink.report().repeats, 0);
}

/// damiendallimore/SplunkModularInputsPythonFramework#27: state in the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_never_written_to() {
    let cloud = CloudServer::start().await;
    generate(&cloud, 20, Duration::from_secs(50));
    let home = Home::new(&Setup::new(&cloud));
    let path = home.path().join("config.toml");
    let look = || {
        let at = std::fs::metadata(&path).and_then(|data| data.modified()).expect("a file");
        (std::fs::read(&path).expect("a file"), at)
    };
    let before = look();
    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    assert!(before == look());
}

/// faucet-hq/faucet-stream#321: a dry run that leaves traces.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_the_ledger_as_it_is_byte_for_byte() {
    let cloud = CloudServer::start().await;
    generate(&cloud, 20, Duration::from_secs(50));
    let home = Home::new(&Setup::new(&cloud));
    assert_eq!(home.command(&["poll"]).await.code, Some(0));
    let files = || {
        let read = |suffix: &str| std::fs::read(home.path().join(format!("ledger.{suffix}"))).ok();
        ["db", "db-wal"].map(read)
    };
    let before = files();
    cloud.make_visible(7);
    let done = home.command(&["poll", "--dry-run"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(cloud.ids().iter().all(|id| done.stdout.contains(id)), "{done:?}");
    assert!(before == files());

    let bare = Home::new(&Setup::new(&cloud));
    assert_eq!(bare.command(&["poll", "--dry-run"]).await.code, Some(0));
    assert!(!bare.ledger().exists());
}
