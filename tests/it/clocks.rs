//! Time that does not run as it should: a process that was stopped, a machine that was
//! suspended, clocks that are set, the last second of 2038's 32 bits, a leap day, the edges of
//! summer time. Polling goes on by itself, without a burst, and nothing is lost.

use std::time::Duration;

use tailwater::model::clock::Clock;
use tailwater::model::timestamp::Timestamp;
use tailwater::simulator::{Settings, UNLIMITED};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::shifted_clocks::ShiftedClocks;
use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, eventually, until};

const STOP: Duration = Duration::from_secs(20);

const HOUR: i64 = 3_600;

const DAY: i64 = 24 * HOUR;

/// When runs began, by the process's wall clock, microseconds. The very first start and
/// requests after a split do not count.
async fn runs(home: &Home) -> Vec<i64> {
    let sql = "SELECT started_us FROM poll_request WHERE outcome <> 'first_start' ORDER BY id";
    let rows: Vec<(i64,)> = Audit::live(home).await.rows(sql).await;
    rows.into_iter().map(|(at,)| at).collect()
}

async fn run_count(home: &Home) -> usize {
    runs(home).await.len()
}

/// Waits for `more` runs after the first `count`.
async fn after_more(home: &Home, count: usize, more: usize) {
    eventually("it polls", SOON, async || (run_count(home).await >= count + more).then_some(()))
        .await;
}

async fn arrived(what: &str, cloud: &CloudServer, sink: &SinkServer) {
    let all = cloud.ids();
    until(&format!("all entries arrive {what}"), SOON, || sink.ids() == all).await;
}

/// Each poll is one request: there are few entries.
fn set_up(cloud: &CloudServer, sink: &SinkServer, poll: &str) -> Setup {
    Setup::new(cloud).poll(poll).target("siem", &sink.url, "")
}

async fn check_and_stop(home: &Home, daemon: crate::support::Process, cloud: &CloudServer) {
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    let mut audit = Audit::live(home).await;
    audit.check(&cloud.cloud.made(), 1).await;
    assert_eq!(audit.ids().await, cloud.ids());
}

/// Stopped for ten intervals: one run makes up for it, and then the grid goes on.
async fn stopped_for_ten_intervals(poll: &str) {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let home = Home::new(&set_up(&cloud, &sink, poll));
    let daemon = home.run_daemon().await;
    after_more(&home, 0, 2).await;
    daemon.freeze();
    cloud.make(5);
    // What it is about: ten intervals pass.
    sleep(Duration::from_secs(10)).await;
    cloud.make(5);
    let (before, thawed) = (cloud.cloud.served().log_requests, Clock::system().uptime());
    daemon.thaw();
    arrived("after the stop", &cloud, &sink).await;
    let count = run_count(&home).await;
    after_more(&home, count, 4).await;
    let (requests, passed) = (
        cloud.cloud.served().log_requests - before,
        Clock::system().uptime().saturating_sub(thawed),
    );
    // One a second, one that makes up for the stop, one for good measure; ten at once are
    // what must not be.
    assert!(requests <= passed.as_secs() + 3, "{requests} requests in {passed:?}");
    check_and_stop(&home, daemon, &cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_stopped_for_ten_intervals_goes_on_without_a_burst() {
    tokio::join!(
        stopped_for_ten_intervals("interval = \"1s\"\nstart = \"10m\""),
        stopped_for_ten_intervals("cron = \"* * * * * *\"\nstart = \"10m\""),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_is_set_changes_nothing() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let mut home = Home::new(&set_up(&cloud, &sink, "interval = \"1s\"\nstart = \"10m\""));
    let mut clocks = ShiftedClocks::new(&mut home);
    let daemon = home.run_daemon().await;
    let began = Clock::system().uptime();
    let mut watermark = 0;
    for by in [HOUR, -HOUR, -HOUR, HOUR, DAY, -DAY, -DAY, DAY] {
        clocks.set_wall_clock(by);
        cloud.make(3);
        arrived(&format!("after a step of {by} s"), &cloud, &sink).await;
        let count = run_count(&home).await;
        after_more(&home, count, 2).await;
        let sql = "SELECT max(watermark_us) FROM source";
        let now: i64 = Audit::live(&home).await.value(sql).await;
        assert!(now >= watermark, "the watermark moved back (I8)");
        watermark = now;
    }
    let (served, passed) = (cloud.cloud.served(), Clock::system().uptime().saturating_sub(began));
    assert!(served.log_requests <= passed.as_secs() + 5, "{served:?} in {passed:?}");
    assert_eq!((served.tokens, served.unauthorized), (1, 0), "the token lives by another clock");
    check_and_stop(&home, daemon, &cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_machine_polls_once_and_with_a_new_token() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let mut home = Home::new(&set_up(&cloud, &sink, "interval = \"1m\"\nstart = \"10m\""));
    let mut clocks = ShiftedClocks::new(&mut home);
    let daemon = home.run_daemon().await;
    after_more(&home, 0, 1).await;
    for tokens in 2..=4 {
        let before = cloud.cloud.served().log_requests;
        cloud.make(3);
        // Sixty intervals, and four lives of a token.
        clocks.suspend(HOUR);
        arrived("after the machine slept", &cloud, &sink).await;
        let served = cloud.cloud.served();
        assert_eq!((served.tokens, served.unauthorized), (tokens, 0));
        assert!(served.log_requests <= before + 2, "one poll makes up for sixty: {served:?}");
    }
    check_and_stop(&home, daemon, &cloud).await;
}

/// A cloud and a daemon that live at another time, which runs as fast as ours.
async fn live_through(moment: &str, zone: Option<&str>, poll: &str) {
    let edge = Timestamp::parse_rfc3339(moment).expect("a moment");
    let begin = edge.minus(Duration::from_secs(6));
    let clock = Clock::manual(begin);
    let _time = run(clock.clone());
    let settings = Settings { clock, requests_per_minute: UNLIMITED, ..Settings::default() };
    let (cloud, sink) = (CloudServer::with(settings).await, SinkServer::start().await);
    let mut home = Home::new(&set_up(&cloud, &sink, poll));
    if let Some(zone) = zone {
        home.set_variable("TZ", zone);
    }
    let mut clocks = ShiftedClocks::new(&mut home);
    clocks.set_wall_clock_to(cloud.cloud.clock().now(), Clock::system().now());
    let daemon = home.run_daemon().await;
    let feed = cloud.feed(1, Duration::from_millis(500));
    let at = eventually("it polls beyond the edge", SOON, async || {
        let at = runs(&home).await;
        (at.iter().filter(|at| **at > edge.micros()).count() >= 5).then_some(at)
    })
    .await;
    drop(feed);
    arrived(&format!("around {moment}"), &cloud, &sink).await;
    // One a second, however late some of them were: what was missed is not made up for.
    let passed = usize::try_from((at[at.len() - 1] - at[0]) / 1_000_000).expect("it runs on");
    assert!(at.len() <= passed + 4, "{moment} {zone:?}: a burst: {at:?}");
    let told: Vec<(String,)> =
        Audit::live(&home).await.rows("SELECT time FROM history ORDER BY sequence").await;
    let year = &moment[..4];
    assert!(told.iter().all(|(time,)| time.starts_with(year)), "{moment}: {told:?}");
    check_and_stop(&home, daemon, &cloud).await;
}

/// Moves a clock by hand as fast as time passes.
fn run(clock: Clock) -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut last = Clock::system().uptime();
        loop {
            sleep(Duration::from_millis(10)).await;
            let now = Clock::system().uptime();
            clock.advance(now.saturating_sub(last));
            last = now;
        }
    });
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_32_bits_and_leap_days_are_days_like_any_other() {
    let poll = "interval = \"1s\"\nstart = \"10m\"";
    tokio::join!(
        live_through("2038-01-19T03:14:08Z", None, poll),
        live_through("2028-02-29T00:00:00Z", None, poll),
        live_through("2028-03-01T00:00:00Z", None, poll),
    );
}

/// Central European time by its rule, so that no table of time zones is needed.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_line_rings_on_across_both_edges_of_summer_time() {
    let poll = "cron = \"* * * * * *\"\nstart = \"10m\"";
    tokio::join!(
        live_through("2027-03-28T01:00:00Z", Some(ZONE), poll),
        live_through("2027-03-28T01:00:00Z", None, poll),
        live_through("2027-10-31T01:00:00Z", Some(ZONE), poll),
        live_through("2027-10-31T01:00:00Z", None, poll),
    );
}
