//! kill -9 at random times under load: the ledger always opens and is whole, no entry is
//! missing anywhere, and what comes twice was under way when the process died.
//!
//! `TAILWATER_KILLS=1000 TAILWATER_SEED=7 cargo test --test it crash` for more of it, or
//! for the same again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tailwater::simulator::sink::{SinkFault, SinkSettings};
use tailwater::simulator::traffic::Late;
use tailwater::simulator::{Settings, Traffic, UNLIMITED};
use tokio::time::sleep;

use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, until};

/// In the ordinary run.
const KILLS: u64 = 30;

/// Requests at once to each target.
const CONCURRENCY: u64 = 4;

/// Events in a request to the target that takes batches.
const BATCH: u64 = 25;

/// Some entries are this late; polls read again for longer.
const LATE: Late = Late { fraction: 0.1, delay: Duration::from_secs(2) };

/// What one kill may repeat to a target: a worker's window of deliveries that were sent
/// and not settled. The requests that fill it, and those still in the air, come on top.
const WINDOW: u64 = 1024;

/// For the last run, which delivers what the killed ones have left.
const DRAIN: Duration = Duration::from_mins(2);

struct Target {
    name: &'static str,
    server: SinkServer,
    /// Events in a request.
    events: u64,
    format: &'static str,
    /// Events that had come, and deliveries that were settled, at the last kill.
    before: (u64, u64),
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing_and_repeats_only_what_was_under_way() {
    let kills = number("TAILWATER_KILLS").unwrap_or(KILLS);
    let seed = number("TAILWATER_SEED").unwrap_or_else(rand::random);
    println!("TAILWATER_KILLS={kills} TAILWATER_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let traffic = Traffic { late: LATE, ..Traffic::default() };
    let requests_per_minute = UNLIMITED;
    let cloud =
        CloudServer::with(Settings { seed, traffic, requests_per_minute, ..Settings::default() })
            .await;
    let mut targets = targets().await;
    let home = Home::new(&set_up(&cloud, &targets));

    let feed = cloud.feed(60, Duration::from_millis(150));
    let mut busy = 0;
    for _ in 0..kills {
        let arrived = arrivals(&targets);
        let daemon = home.start_daemon();
        // Two thirds of the kills are aimed at deliveries, the others come at any time
        // from the first instruction on.
        if rng.random_ratio(2, 3) {
            until("deliveries are under way", SOON, || arrivals(&targets) > arrived).await;
        }
        // Waits for nothing: the moment of death is what is to vary.
        sleep(Duration::from_millis(rng.random_range(0..300))).await;
        daemon.kill();
        busy += u64::from(check_after_kill(&home, &cloud, &mut targets).await);
    }
    drop(feed);
    for target in &targets {
        target.server.sink.faults().clear();
    }
    let daemon = home.run_daemon().await;
    for target in &targets {
        let has_all = || target.server.ids().len() == cloud.cloud.made_count();
        until(&format!("{} has every entry", target.name), DRAIN, has_all).await;
    }
    home.until_settled(SOON).await;
    home.stop(daemon, SOON).await;

    check_at_the_end(&home, &cloud, &targets).await;
    assert!(3 * busy >= kills, "{busy} of {kills} kills hit deliveries under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_the_ledger_is_made_leaves_one_that_the_next_start_takes() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    cloud.make(5);
    let seed = number("TAILWATER_SEED").unwrap_or_else(rand::random);
    println!("TAILWATER_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let setup = Setup::new(&cloud).target("siem", &sink.url, "");

    let mut half_made = 0;
    for _ in 0..KILLS {
        let home = Home::new(&setup);
        let daemon = home.start_daemon();
        sleep(Duration::from_micros(rng.random_range(0..60_000))).await;
        daemon.kill();
        half_made += u64::from(home.ledger().exists() && !is_made(&home).await);
        home.stop(home.run_daemon().await, SOON).await;
    }
    println!("{half_made} of {KILLS} ledgers were half made");
}

/// Whether the ledger has its tables and its first row.
async fn is_made(home: &Home) -> bool {
    let mut audit = Audit::of_copy(home).await;
    let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'history'";
    audit.value::<i64>(made).await > 0
        && audit.value::<i64>("SELECT count(*) FROM ledger").await > 0
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn targets() -> [Target; 3] {
    let flapping = SinkFault::status(503).every(3);
    let flapping = SinkSettings { fault: flapping, ..SinkSettings::default() };
    let target =
        |name, server, events, format| Target { name, server, events, format, before: (0, 0) };
    [
        target("structured", SinkServer::start().await, 1, "structured"),
        target("batch", SinkServer::start().await, BATCH, "batch"),
        target("flapping", SinkServer::with(flapping).await, 1, "binary"),
    ]
}

fn set_up(cloud: &CloudServer, targets: &[Target]) -> Setup {
    let poll = "interval = \"1s\"\noverlap = \"5s\"\nstart = \"1m\"";
    let setup = Setup::new(cloud).poll(poll);
    targets.iter().fold(setup, |setup, Target { name, server, events, format, .. }| {
        let lines = format!(
            "format = \"{format}\"\nconcurrency = {CONCURRENCY}\n\
             batch = {{ max_events = {events}, max_wait = \"50ms\" }}\n\
             retry = {{ schedule = [\"100ms\"] }}"
        );
        setup.target(name, &server.url, &lines)
    })
}

fn arrivals(targets: &[Target]) -> u64 {
    targets.iter().map(|target| target.server.report().events).sum()
}

/// Checks what a killed daemon has left behind; whether deliveries were under way.
async fn check_after_kill(home: &Home, cloud: &CloudServer, targets: &mut [Target]) -> bool {
    if !home.ledger().exists() {
        return false;
    }
    if !is_made(home).await {
        return false;
    }
    let mut audit = Audit::of_copy(home).await;
    audit.check(&cloud.cloud.made(), 3).await;
    for target in targets {
        let delivered = audit.deliveries(target.name, "delivered").await;
        let arrived = target.server.ids();
        assert!(delivered.is_subset(&arrived), "{}: delivered but never arrived", target.name);
        let now = (target.server.report().events, delivered.len() as u64);
        let (came, settled) = (now.0 - target.before.0, now.1 - target.before.1);
        let most = settled + WINDOW + 2 * CONCURRENCY * target.events;
        assert!(came <= most, "{}: {came} came, {settled} are settled", target.name);
        target.before = now;
    }
    audit.value::<i64>("SELECT count(*) FROM delivery WHERE status = 'pending'").await > 0
}

async fn check_at_the_end(home: &Home, cloud: &CloudServer, targets: &[Target]) {
    let mut audit = Audit::live(home).await;
    audit.check(&cloud.cloud.made(), 3).await;
    assert_eq!(audit.ids().await, cloud.ids(), "history");
    for Target { name, server, .. } in targets {
        assert_eq!(server.ids(), cloud.ids(), "{name}");
        assert_eq!(audit.deliveries(name, "delivered").await, cloud.ids(), "{name}");
        let report = server.report();
        println!("{name}: {} events, {} repeats", report.events, report.repeats);
        assert_eq!(report.gaps, 0, "{name}: sequences have holes");
        assert_eq!(report.unreadable, 0, "{name}");
    }
}
