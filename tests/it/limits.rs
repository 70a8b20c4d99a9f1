//! Limits that others set: file descriptors, and the life of a token. What lacks is waited
//! for, and it goes on by itself.

use std::process::Command;
use std::time::Duration;

use tailwater::simulator::faults::{Fault, FaultKind, HintForm};
use tailwater::simulator::{Settings, UNLIMITED};

use crate::support::{Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, until};

const STOP: Duration = Duration::from_secs(20);

/// Lets the process open no more files than `count`, or as many as it could before.
fn limit_files(daemon: &Process, count: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &daemon.pid().to_string(), &format!("--nofile={count}:")])
        .status()
        .expect("prlimit, of util-linux");
    assert!(done.success());
}

fn open_files(daemon: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs").count()
}

/// CPU time that the process has used, in 1/100 s (`/proc`, `utime` and `stime`).
fn cpu_ticks(daemon: &Process) -> u64 {
    let path = format!("/proc/{}/stat", daemon.pid());
    let stat = std::fs::read_to_string(path).expect("it runs");
    let after = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<&str> = after.split_whitespace().collect();
    [11, 12].map(|index: usize| fields[index].parse::<u64>().expect("a number")).iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_file_descriptors_are_waited_for_without_a_spin() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let often = "retry = { schedule = [\"200ms\"], give_up = \"1h\" }";
    let setup = Setup::new(&cloud).target("siem", &sink.url, often);
    let home = Home::new(&setup);
    cloud.make(5);
    let mut daemon = home.run_daemon().await;
    until("all is delivered", SOON, || sink.ids() == cloud.ids()).await;

    // Not one more than it has; connections that it drops it does not get back.
    let pages = cloud.cloud.served().pages;
    limit_files(&daemon, "3");
    cloud.cloud.faults().add(Fault::new(FaultKind::HangUp).times(2));
    until("polling is held up", SOON, || daemon.stderr().contains("Too many open files")).await;
    cloud.make(20);
    let (before, began) = (cpu_ticks(&daemon), std::time::Instant::now());
    let told = daemon.stderr().matches("still held up").count();
    until("it has tried again", SOON, || {
        daemon.stderr().matches("still held up").count() >= told + 2
    })
    .await;
    let (used, passed) = (cpu_ticks(&daemon) - before, began.elapsed());
    assert!(daemon.is_running(), "it stays");
    assert!(u128::from(used) <= 2 + passed.as_millis() / 50, "{used} ticks in {passed:?}: a spin");
    println!("{} files open, {used} ticks in {passed:.1?}", open_files(&daemon));

    limit_files(&daemon, "1024");
    until("all arrives", SOON, || sink.ids() == cloud.ids()).await;
    assert!(cloud.cloud.served().pages > pages);
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 1).await;
    assert_eq!(sink.report().repeats, 0);
}

/// Row 35: a token that dies while we wait for the rate limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_three_seconds_outlives_no_wait_of_five() {
    let token_life = Duration::from_secs(3);
    let settings = Settings { token_life, requests_per_minute: UNLIMITED, ..Settings::default() };
    let (cloud, sink) = (CloudServer::with(settings).await, SinkServer::start().await);
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(50, now.minus(Duration::from_mins(5)), now);
    let poll = "interval = \"1s\"\nstart = \"10m\"\npage_limit = 30";
    let home = Home::new(&Setup::new(&cloud).poll(poll).target("siem", &sink.url, ""));
    let throttled = Fault::new(FaultKind::TooManyRequests).hint(HintForm::RetryAfter, 5);
    cloud.cloud.faults().add(throttled.clone().times(1));
    let daemon = home.run_daemon().await;
    until("the first slices are in", SOON, || !sink.ids().is_empty()).await;
    // Once more, between two slices or two polls, wherever it is.
    cloud.cloud.faults().add(throttled.times(1));
    let before = cloud.cloud.served().throttled;
    until("it is throttled again", SOON, || cloud.cloud.served().throttled > before).await;
    cloud.make(3);
    until("all arrives", SOON, || sink.ids() == cloud.ids()).await;

    let served = cloud.cloud.served();
    assert!(served.tokens >= 3, "a token for each stretch between waits: {served:?}");
    assert_eq!(served.unauthorized, 0, "no dead token was used: {served:?}");
    assert!(!daemon.stderr().contains("auth_failed"));
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    Audit::live(&home).await.check(&cloud.cloud.made(), 1).await;
}
