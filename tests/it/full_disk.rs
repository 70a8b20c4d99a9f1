//! A disk that is full, or nearly so, or read-only: nothing crashes, nothing is lost,
//! little is said, and it goes on by itself.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tailwater::simulator::sink::SinkFault;

use crate::support::disk::SmallDisk;
use crate::support::{CloudServer, Home, Process, SOON, Setup, SinkServer, eventually, until};

/// A home whose ledger is on a disk of its own, and that disk.
fn home_on_disk(setup: &Setup, mib: u32, min_free: &str) -> Option<(Home, SmallDisk)> {
    let mut home = Home::new(setup);
    let disk = SmallDisk::mount(&home.path().join("disk"), mib)?;
    home.set_variable("TAILWATER__STORAGE__PATH", "disk/ledger.db");
    home.set_variable("TAILWATER__STORAGE__MIN_FREE", min_free);
    Some((home, disk))
}

/// Where the history of the only source is complete, and up to when it was read.
async fn coverage(home: &Home) -> (Option<i64>, Option<i64>) {
    let path = home.path().join("disk/ledger.db");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.expect("the ledger opens");
    let sql = "SELECT (SELECT max(watermark_us) FROM source), (SELECT max(until_us) FROM coverage)";
    sqlx::query_as(sql).fetch_one(&mut connection).await.expect("the ledger can be read")
}

/// Lines of the log that ask for attention.
fn complaints(daemon: &Process) -> Vec<String> {
    let is_loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    let of_config = |line: &&str| line.contains("config.toml");
    daemon.stderr().lines().filter(is_loud).filter(|l| !of_config(l)).map(str::to_owned).collect()
}

fn generate(cloud: &CloudServer, count: u64) {
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(count, now.minus(Duration::from_secs(2)), now);
}

async fn arrived(cloud: &CloudServer, sink: &SinkServer) {
    let made = cloud.ids();
    until("all entries are at the sink", SOON, || sink.ids() == made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_out_without_loss_or_noise() {
    let cloud = CloudServer::start().await;
    let (well, failing) = (SinkServer::start().await, SinkServer::start().await);
    let often = "retry = { schedule = [\"200ms\"], give_up = \"1h\" }";
    let setup =
        Setup::new(&cloud).target("well", &well.url, "").target("failing", &failing.url, often);
    // The log alone may take 48 MiB.
    let Some((home, disk)) = home_on_disk(&setup, 64, "0B") else { return };

    generate(&cloud, 300);
    let mut daemon = home.run_daemon().await;
    arrived(&cloud, &well).await;
    failing.sink.faults().set(SinkFault::status(503));
    generate(&cloud, 50);
    arrived(&cloud, &well).await;

    disk.fill(0);
    generate(&cloud, 3000);
    until("polling is held up", SOON, || daemon.stderr().contains("no_room")).await;
    until("outcomes wait", SOON, || daemon.stderr().contains("outcomes cannot be stored")).await;
    let (before, reached) = (coverage(&home).await, well.report().events);
    until("it has tried again", SOON, || daemon.stderr().contains("still held up")).await;
    assert!(daemon.is_running());
    assert_eq!(coverage(&home).await, before, "coverage stands still");
    let told = complaints(&daemon);
    // One of the poller, one a target; whatever had room for once may be told again.
    assert!(told.len() <= 6, "a storm: {told:#?}");
    assert!(well.report().events >= reached);

    failing.sink.faults().set(SinkFault::default());
    disk.relieve();
    arrived(&cloud, &well).await;
    arrived(&cloud, &failing).await;
    until("it says so", SOON, || daemon.stderr().contains("polling goes on")).await;
    assert_eq!(well.report().repeats, 0, "what was sent was not sent again");
    eventually("everything is settled", SOON, async || {
        home.list(&["deliveries", "--status", "pending"]).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(home.list(&["history", "--limit", "10000"]).await.len(), 3350);
    home.stop(daemon, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_polling_pauses_and_deliveries_go_on() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let setup = Setup::new(&cloud).target("siem", &sink.url, "");
    let Some((home, disk)) = home_on_disk(&setup, 24, "4MiB") else { return };
    generate(&cloud, 100);
    let daemon = home.run_daemon().await;
    arrived(&cloud, &sink).await;

    disk.fill(2 << 20);
    until("polling is held up", SOON, || daemon.stderr().contains("no_room")).await;
    let (before, pages) = (coverage(&home).await, cloud.cloud.served());
    generate(&cloud, 100);
    let replayed = home.command(&["replay", "--target", "siem", "--event", &first(&cloud)]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    until("the replay arrives", SOON, || sink.report().repeats == 1).await;
    until("it has looked again", SOON, || daemon.stderr().contains("still held up")).await;
    assert_eq!(coverage(&home).await, before, "coverage stands still");
    assert_eq!(cloud.cloud.served(), pages, "nothing is asked for");
    let told = complaints(&daemon);
    assert_eq!(told.len(), 1, "{told:#?}");
    for word in ["storage.min_free (4194304)", "free some space", "goes on by itself"] {
        assert!(told[0].contains(word), "{word}: {}", told[0]);
    }

    disk.relieve();
    arrived(&cloud, &sink).await;
    home.stop(daemon, Duration::from_secs(10)).await;
}

fn first(cloud: &CloudServer) -> String {
    cloud.ids().into_iter().next().expect("there are entries")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_for_a_ledger_is_told() {
    let setup = Setup::of("http://127.0.0.1:1", "secret");
    let Some((home, disk)) = home_on_disk(&setup, 1, "0B") else { return };
    disk.fill(0);
    let done = home.command(&["run"]).await;
    assert_eq!(done.code, Some(75), "{done:?}");
    assert!(done.stderr.contains("full"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_told_and_can_be_read() {
    let cloud = CloudServer::start().await;
    let Some((home, disk)) = home_on_disk(&Setup::new(&cloud), 16, "0B") else { return };
    generate(&cloud, 5);
    assert_eq!(home.command(&["poll"]).await.code, Some(0));
    disk.make_read_only();
    for args in [&["run"][..], &["poll"], &["replay", "--target", "siem", "--dead"]] {
        let done = home.command(args).await;
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
    }
    let done = home.command(&["run"]).await;
    assert!(done.stderr.contains("disk/ledger.db"), "{done:?}");
    assert!(done.stderr.to_lowercase().contains("read-only"), "{done:?}");
    assert_eq!(home.list(&["history"]).await.len(), 5);
    assert_eq!(home.command(&["backup", "copy.db"]).await.code, Some(0));
    let dry = home.command(&["poll", "--dry-run"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
}
