//! Targets that are dead, hang or hang up, beside one that is well: it does not notice
//! (I11), their failures are recorded as what they are, and a target that comes back gets
//! all that it missed.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::sinks::Reserved;
use crate::support::{
    Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, eventually, until,
};

/// Attempts under way may take a while to end.
const STOP: Duration = Duration::from_secs(30);

/// Entries that come while the targets fail: far more than a worker holds in memory.
const FED: usize = 1_500;

/// What a daemon may take above one with the healthy target alone: a window of deliveries
/// for each of three targets, on an allocator that keeps what it had.
const EXTRA_MIB: u64 = 64;

/// A listener that takes connections and never answers.
struct Hanging(TcpListener);

impl Hanging {
    fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.0.local_addr().expect("it is bound"))
    }
}

/// A listener that hangs up on whoever connects.
struct Closing {
    url: String,
    _task: JoinSet<()>,
}

impl Closing {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        Self { url, _task: task }
    }
}

/// Feeds a daemon until `sink` has [`FED`] entries; the daemon's memory by then.
async fn feed(daemon: &Process, cloud: &CloudServer, sink: &SinkServer) -> u64 {
    let feed = cloud.feed(20, Duration::from_millis(100));
    until("entries come", SOON, || cloud.cloud.made_count() >= FED).await;
    drop(feed);
    until("the healthy target has all", SOON, || sink.ids() == cloud.ids()).await;
    daemon.resident_mib()
}

/// The hanging target holds each of its attempts for longer than the test may take: what
/// waited for one of them in anything shared would not come in time. How much later
/// things come beside busy neighbours is a matter for `benches/`, which does not
/// measure it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_target_does_not_wait_for_its_dead_neighbours() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let alone = Home::new(&Setup::new(&cloud).target("healthy", &sink.url, ""));
    let daemon = alone.run_daemon().await;
    let memory_alone = feed(&daemon, &cloud, &sink).await;
    alone.stop(daemon, STOP).await;

    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let (refused, hanging, closing) = (Reserved::new(), Hanging::start(), Closing::start().await);
    let home = Home::new(
        &Setup::new(&cloud)
            .target("refused", &refused.url(), "")
            .target("hanging", &hanging.url("http"), "timeout = \"10m\"")
            .target("closing", &closing.url, "")
            .target("healthy", &sink.url, ""),
    );
    let daemon = home.run_daemon().await;
    let memory = feed(&daemon, &cloud, &sink).await;

    assert!(memory <= memory_alone + EXTRA_MIB, "{memory_alone} MiB alone, {memory} MiB");
    let report = sink.report();
    assert_eq!((report.repeats, report.gaps), (0, 0));
    let mut live = Audit::live(&home).await;
    live.check(&cloud.cloud.made(), 4).await;
    let ended = "SELECT count(*) FROM attempt_log WHERE target = 'hanging'";
    assert_eq!(live.value::<i64>(ended).await, 0, "the hanging target let go of something");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_recorded_with_the_reason_of_their_failure() {
    let (cloud, plain) = (CloudServer::start().await, SinkServer::start().await);
    let (refused, hanging, closing) = (Reserved::new(), Hanging::start(), Closing::start().await);
    let expected = [
        ("closing", closing.url.clone(), "reset"),
        ("hanging", hanging.url("http"), "timeout"),
        ("hanging-in-tls", hanging.url("https"), "timeout"),
        ("not-tls", plain.url.replace("http://", "https://"), "tls"),
        ("refused", refused.url(), "refused"),
    ];
    let setup = expected.iter().fold(Setup::new(&cloud), |setup, (name, url, _)| {
        setup.target(name, url, "timeout = \"1s\"")
    });
    let home = Home::new(&setup);
    cloud.make(3);

    let daemon = home.run_daemon().await;
    let recorded = "SELECT DISTINCT target, status, reason FROM attempt_log ORDER BY target";
    let rows: Vec<(String, Option<i64>, String)> =
        eventually("every target was tried", SOON, async || {
            let rows = Audit::live(&home).await.rows(recorded).await;
            (rows.len() >= expected.len()).then_some(rows)
        })
        .await;
    home.stop(daemon, STOP).await;

    let expected = expected.map(|(name, _, reason)| (name.to_owned(), None, reason.to_owned()));
    assert_eq!(rows, expected);
    assert!(plain.ids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_comes_back_gets_all_that_it_missed() {
    let (cloud, healthy) = (CloudServer::start().await, SinkServer::start().await);
    let reserved = Reserved::new();
    let retry = "retry = { schedule = [\"300ms\"] }";
    let setup = Setup::new(&cloud).target("dead", &reserved.url(), retry).target(
        "healthy",
        &healthy.url,
        "",
    );
    let home = Home::new(&setup);
    cloud.make(300);

    let daemon = home.run_daemon().await;
    until("the healthy target has all", SOON, || healthy.ids() == cloud.ids()).await;
    eventually("it is found failing, and the other settled", SOON, async || {
        let state = "SELECT state FROM target_status WHERE target = 'dead'";
        let is_failing = Audit::live(&home).await.value::<String>(state).await == "failing";
        (is_failing && pending(&home).await.len() == 1).then_some(())
    })
    .await;
    let tried = "SELECT count(*) FROM delivery_log WHERE target = 'dead' AND attempts > 0";
    let tried: i64 = Audit::live(&home).await.value(tried).await;
    assert!(tried <= 40, "{tried} deliveries cost a dead target an attempt");
    let before: BTreeMap<String, i64> = pending(&home).await;
    assert_eq!(before, BTreeMap::from([("dead".to_owned(), 300)]));

    let back = reserved.open().await;
    until("it has all", SOON, || back.ids() == cloud.ids()).await;
    cloud.make(50);
    until("it has what is new", SOON, || back.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;

    assert_eq!(back.report().repeats, 0);
    Audit::live(&home).await.check(&cloud.cloud.made(), 2).await;
}

/// Pending deliveries by target, where there are any.
async fn pending(home: &Home) -> BTreeMap<String, i64> {
    let sql = "SELECT target, count(*) FROM delivery_log WHERE status = 'pending' GROUP BY 1";
    Audit::live(home).await.rows(sql).await.into_iter().collect()
}
