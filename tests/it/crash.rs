//! kill -9 at random times under load: the ledger always opens and is whole, no entry is
//! missing anywhere, and what comes twice was under way when the process died.
//!
//! `TAILWATER_KILLS=1000 TAILWATER_SEED=7 cargo test --test it kill_9 -- --nocapture` for
//! more of it, or for the same again; `.ci/run kills` runs the thousand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tailwater::simulator::faults::{Fault, FaultKind};
use tailwater::simulator::sink::{SinkFault, SinkSettings};
use tailwater::simulator::traffic::Late;
use tailwater::simulator::{Settings, Traffic, UNLIMITED};
use tokio::time::sleep;

use crate::support::wal::{Wal, is_writing};
use crate::support::{Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, number, until};

/// In the ordinary run.
const KILLS: u64 = 60;

/// Kills of one ledger; then a fresh one, so that checking all of it stays cheap.
const KILLS_PER_LEDGER: u64 = 40;

/// Ledgers at the same time: one a core.
const LANES: u64 = 2;

/// How often a process is stopped, at most, to find it inside a transaction.
const AIM_MAX: u32 = 200;

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
const DRAIN: Duration = Duration::from_mins(5);

struct Target {
    name: &'static str,
    server: SinkServer,
    /// Events in a request.
    events: u64,
    format: &'static str,
    /// Events that had come, and deliveries that were settled, at the last kill.
    before: (u64, u64),
}

/// What many kills came to.
#[derive(Clone, Copy, Debug, Default)]
struct Toll {
    kills: u64,
    /// Kills that found deliveries under way.
    busy: u64,
    /// Kills of a process that had been stopped just before, to look at it.
    looked_at: u64,
    /// Of those, the ones inside a writing transaction; and the ones that were aimed at it.
    inside: u64,
    aimed: u64,
    /// Logs that ended with frames of a transaction that was never finished.
    torn: u64,
    /// Whole transactions in the logs.
    transactions: u64,
    events: u64,
    repeats: u64,
}

impl Toll {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.busy += other.busy;
        self.looked_at += other.looked_at;
        self.inside += other.inside;
        self.aimed += other.aimed;
        self.torn += other.torn;
        self.transactions += other.transactions;
        self.events += other.events;
        self.repeats += other.repeats;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing_and_repeats_only_what_was_under_way() {
    let kills = number("TAILWATER_KILLS").unwrap_or(KILLS);
    let seed = number("TAILWATER_SEED").unwrap_or_else(rand::random);
    println!("TAILWATER_KILLS={kills} TAILWATER_SEED={seed}");
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let lanes = (0..LANES).map(|_| async {
        let mut toll = Toll::default();
        loop {
            let ledger = next.fetch_add(1, Ordering::Relaxed);
            let left = kills.saturating_sub(ledger * KILLS_PER_LEDGER);
            if left == 0 {
                return toll;
            }
            let seed = seed.wrapping_add(ledger);
            toll.add(life_of_a_ledger(seed, left.min(KILLS_PER_LEDGER)).await);
        }
    });
    let mut toll = Toll::default();
    for lane in join_all(lanes).await {
        toll.add(lane);
    }
    println!("{toll:?}, {:.0?}", began.elapsed());
    assert_eq!(toll.kills, kills);
    assert!(4 * toll.busy >= kills, "too few kills hit deliveries under way");
    assert!(2 * toll.inside >= toll.aimed, "too few kills landed inside a transaction");
}

/// Kills the daemons of one ledger, one after the other; the last one may finish.
async fn life_of_a_ledger(seed: u64, kills: u64) -> Toll {
    let mut rng = StdRng::seed_from_u64(seed);
    let traffic = Traffic { late: LATE, ..Traffic::default() };
    let requests_per_minute = UNLIMITED;
    let cloud =
        CloudServer::with(Settings { seed, traffic, requests_per_minute, ..Settings::default() })
            .await;
    let mut targets = targets().await;
    let home = Home::new(&set_up(&cloud, &targets));
    // History begins before the first entry, however long the first start takes.
    assert_eq!(home.command(&["poll"]).await.code, Some(0));
    for kind in [FaultKind::CutBody, FaultKind::ServerError, FaultKind::HangUp] {
        cloud.cloud.faults().add(Fault::new(kind).probability(0.05));
    }

    let feed = cloud.feed(10, Duration::from_millis(100));
    let mut toll = Toll::default();
    for number in 0..kills {
        let arrived = arrivals(&targets);
        let daemon = home.start_daemon();
        // Two thirds of the kills are aimed at deliveries, the others come at any time
        // from the first instruction on.
        let mut pause = rng.random_range(0..300);
        if rng.random_ratio(2, 3) {
            until("deliveries are under way", SOON, || arrivals(&targets) > arrived).await;
            pause = rng.random_range(0..250);
        }
        // Waits for nothing: the moment of death is what is to vary.
        sleep(Duration::from_millis(pause)).await;
        let look = (number % 2 == 0).then_some(number % 4 == 0);
        kill(&home, daemon, look, &mut toll).await;
        toll.busy += u64::from(check_after_kill(&home, &cloud, &mut targets).await);
    }
    drop(feed);
    cloud.cloud.faults().set(Vec::new());
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
    for report in targets.iter().map(|target| target.server.report()) {
        toll.events += report.events;
        toll.repeats += report.repeats;
    }
    toll
}

/// Kills the daemon, and notes in what it was interrupted. Half of them are stopped first:
/// what a process has locked can be seen only while it is alive. Half of those go on until
/// they are stopped inside a transaction: these are short, and rarely hit by chance.
async fn kill(home: &Home, daemon: Process, look: Option<bool>, toll: &mut Toll) {
    if let Some(is_aimed) = look {
        daemon.freeze();
        for _ in 0..AIM_MAX {
            if !is_aimed || is_writing(&home.ledger()) {
                break;
            }
            daemon.thaw();
            // Waits for nothing, either.
            sleep(Duration::from_millis(1)).await;
            daemon.freeze();
        }
        toll.looked_at += 1;
        toll.aimed += u64::from(is_aimed);
        toll.inside += u64::from(is_writing(&home.ledger()));
    }
    daemon.kill();
    toll.kills += 1;
    let bytes = std::fs::read(home.ledger().with_extension("db-wal")).unwrap_or_default();
    if let Some(wal) = Wal::read(&bytes) {
        toll.torn += u64::from(wal.unfinished() > 0);
        toll.transactions += wal.transactions() as u64;
    }
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
        half_made +=
            u64::from(home.ledger().exists() && !Audit::of_copy(&home).await.is_made().await);
        home.stop(home.run_daemon().await, SOON).await;
    }
    println!("{half_made} of {KILLS} ledgers were half made");
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
    let mut audit = Audit::of_copy(home).await;
    if !audit.is_made().await {
        return false;
    }
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
    audit.value::<i64>("SELECT count(*) FROM delivery_log WHERE status = 'pending'").await > 0
}

async fn check_at_the_end(home: &Home, cloud: &CloudServer, targets: &[Target]) {
    let mut audit = Audit::live(home).await;
    audit.check(&cloud.cloud.made(), 3).await;
    assert_eq!(audit.ids().await, cloud.ids(), "history");
    for Target { name, server, .. } in targets {
        assert_eq!(server.ids(), cloud.ids(), "{name}");
        assert_eq!(audit.deliveries(name, "delivered").await, cloud.ids(), "{name}");
        let report = server.report();
        assert_eq!(report.gaps, 0, "{name}: sequences have holes");
        assert_eq!(report.unreadable, 0, "{name}");
    }
}
