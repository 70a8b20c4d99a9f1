//! The life of the process: schedules, signals, and what systemd is told.

use std::time::Duration;

use tailwater::simulator::sink::SinkFault;

use crate::support::systemd::{heard, home_with_socket};
use crate::support::{
    Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, eventually, until,
};

const STOP: Duration = Duration::from_secs(10);

/// When the first request of each run was sent, microseconds; there is one a run as long
/// as nothing goes wrong.
async fn polls(home: &Home) -> Vec<i64> {
    let mut audit = Audit::live(home).await;
    let rows: Vec<(i64,)> = audit
        .rows("SELECT started_us FROM poll_request WHERE outcome <> 'first_start' ORDER BY id")
        .await;
    rows.into_iter().map(|(at,)| at).collect()
}

async fn after_polls(home: &Home, count: usize) -> Vec<i64> {
    eventually("it polls", SOON, async || Some(polls(home).await).filter(|p| p.len() >= count))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_line_polls_at_its_seconds() {
    let cloud = CloudServer::start().await;
    let sink = SinkServer::start().await;
    let setup = Setup::new(&cloud).poll("cron = \"* * * * * *\"\nstart = \"10m\"");
    let home = Home::new(&setup.target("siem", &sink.url, ""));
    let daemon = home.run_daemon().await;
    let at = after_polls(&home, 5).await;
    // The first one comes at the start; the others just after a whole second.
    for at in &at[1..] {
        assert!(at % 1_000_000 < 900_000, "{at}");
    }
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(3, now, now);
    until("they arrive", SOON, || sink.ids() == cloud.ids()).await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_keeps_its_grid() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud).poll("interval = \"1s\"\nstart = \"now\""));
    let daemon = home.run_daemon().await;
    let at = after_polls(&home, 6).await;
    let span = at[5] - at[0];
    // Five intervals, however long each run took; a drift would add up.
    assert!((4_500_000..5_900_000).contains(&span), "{at:?}");
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_ends_it_cleanly() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    for _ in 0..3 {
        let daemon = home.start_daemon();
        // Listening to signals is the first thing it does; the log is set up before.
        until("its log begins", SOON, || !daemon.stderr().is_empty() || is_listening(&daemon))
            .await;
        until("it listens to signals", SOON, || is_listening(&daemon)).await;
        home.stop(daemon, STOP).await;
    }
    // Nothing is left locked or half made.
    let daemon = home.run_daemon().await;
    home.stop(daemon, STOP).await;
}

/// Whether the process has a handler for SIGTERM (`/proc`, `SigCgt`).
fn is_listening(daemon: &Process) -> bool {
    let path = format!("/proc/{}/status", daemon.pid());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (15 - 1)) != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_how_things_stand() {
    let cloud = CloudServer::start().await;
    let setup = Setup::new(&cloud).target("siem", "http://127.0.0.1:1/", "");
    let (home, socket) = home_with_socket(&setup, Some(Duration::from_millis(600)));
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(2, now, now);
    let daemon = home.start_daemon();
    let mut all = Vec::new();
    until("it pings thrice, with figures", SOON, || {
        all.extend(heard(&socket));
        let pings = all.iter().filter(|message| message.contains("WATCHDOG=1"));
        pings.count() >= 3 && all.iter().any(|m| m.contains("2 deliveries pending"))
    })
    .await;
    home.stop(daemon, STOP).await;
    all.extend(heard(&socket));

    let place = |wanted: &str| all.iter().position(|message| message.contains(wanted));
    let (ready, ping) = (place("READY=1"), place("WATCHDOG=1"));
    assert!(ready.is_some() && ready < ping, "{all:?}");
    assert_eq!(all.iter().filter(|message| message.contains("READY=1")).count(), 1);
    let status = all.iter().find(|message| message.contains("2 deliveries pending"));
    assert!(status.is_some_and(|text| text.contains("STATUS=production: polled")), "{status:?}");
    let stopping = place("STOPPING=1").expect("it says that it stops");
    assert!(all[stopping..].iter().all(|message| !message.contains("WATCHDOG=1")), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_says_what_holds_polling_up() {
    let (home, socket) =
        home_with_socket(&Setup::of("http://127.0.0.1:1", "x"), Some(Duration::from_millis(600)));
    let daemon = home.start_daemon();
    until("it says so", SOON, || {
        heard(&socket)
            .iter()
            .any(|m| m.contains("production: not polled yet, held up: unavailable"))
    })
    .await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_and_one_held_up_use_next_to_no_cpu() {
    let cloud = CloudServer::start().await;
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(600, now.minus(Duration::from_mins(1)), now);
    let well = SinkServer::start().await;
    let (paused, gone) = (SinkServer::start().await, SinkServer::start().await);
    paused.sink.faults().set(SinkFault { retry_after: Some(3600), ..Default::default() });
    gone.sink.faults().set(SinkFault::status(410));
    let hanging = SinkServer::start().await;
    hanging.sink.faults().set(SinkFault::status(503));
    let strict = "order = \"strict\"\ntimeout = \"300s\"\n\
                  retry = { schedule = [\"10ms\"], give_up = \"1h\" }";
    let refusing = "retry = { schedule = [\"1h\"], give_up = \"2h\" }";
    let setup = Setup::new(&cloud)
        .poll("interval = \"30s\"\nstart = \"10m\"")
        .log("info")
        .target("well", &well.url, "")
        .target("paused", &paused.url, "")
        .target("gone", &gone.url, "")
        .target("refusing", "http://127.0.0.1:1/", refusing)
        .target("hanging", &hanging.url, strict);
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    // The head of the strict order is a retry when it begins to hang.
    until("the head has failed", SOON, || hanging.report().requests > 0).await;
    hanging.sink.faults().set(SinkFault::delay(Duration::from_mins(50)));
    until("everything is delivered", SOON, || well.report().events == 600).await;
    eventually("the refusing target is found failing", SOON, async || {
        let mut audit = Audit::live(&home).await;
        let state: String =
            audit.value("SELECT state FROM target_status WHERE target = 'refusing'").await;
        (state == "failing").then_some(())
    })
    .await;
    // 100 ticks are a second: 2 % of a core for five workers of an unoptimised build. A
    // loop that wakes up each millisecond takes more by itself. What it still does for the
    // last deliveries may fall into the first stretches.
    eventually("it is idle for five seconds", SOON, async || {
        let before = cpu_ticks(&daemon);
        tokio::time::sleep(Duration::from_secs(5)).await;
        (cpu_ticks(&daemon) - before <= 10).then_some(())
    })
    .await;
    daemon.kill();
}

/// CPU time that the process has used, in 1/100 s (`/proc`, `utime` and `stime`).
fn cpu_ticks(daemon: &Process) -> u64 {
    let path = format!("/proc/{}/stat", daemon.pid());
    let stat = std::fs::read_to_string(path).expect("it runs");
    let after = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<&str> = after.split_whitespace().collect();
    [11, 12].map(|index: usize| fields[index].parse::<u64>().expect("a number")).iter().sum()
}
