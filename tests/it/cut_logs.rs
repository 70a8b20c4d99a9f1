//! The write-ahead log of a live daemon's ledger, cut at any byte, as a loss of power may
//! leave it: it always opens, it is whole, and it holds what had been stored up to a
//! moment, nothing of what came after.
//!
//! `TAILWATER_CUTS=100000 cargo test --test it cut_ -- --nocapture` for more of it.

use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tailwater::simulator::entry::Made;
use tempfile::TempDir;

use crate::support::wal::{Wal, backfilled};
use crate::support::{
    Audit, CloudServer, Home, Process, SOON, Setup, SinkServer, eventually, number, until,
};

const CUTS: u64 = 1_000;

/// Moments at which a copy is taken; each is cut in many places.
const MOMENTS: u64 = 10;

/// Daemons that start on what a cut has left.
const STARTS: u64 = 5;

/// A ledger as it was at one moment, its process standing still.
struct Copy {
    ledger: Vec<u8>,
    log: Vec<u8>,
    wal: Wal,
    /// Bytes that were on disk for certain: a checkpoint has used them.
    synced: usize,
    made: Vec<Made>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_anywhere_leaves_a_whole_ledger_of_an_earlier_moment() {
    let cuts = number("TAILWATER_CUTS").unwrap_or(CUTS);
    let seed = number("TAILWATER_SEED").unwrap_or_else(rand::random);
    println!("TAILWATER_CUTS={cuts} TAILWATER_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let setup = Setup::new(&cloud).poll("interval = \"1s\"\nstart = \"10m\"");
    let setup = setup.target("siem", &sink.url, "");
    let home = Home::new(&setup);
    let feed = cloud.feed(2, Duration::from_millis(100));
    let daemon = home.run_daemon().await;

    let (mut done, mut within, mut frames) = (0, 0, 0);
    let mut last = None;
    for _ in 0..MOMENTS {
        let came = sink.report().events;
        until("more is delivered", SOON, || sink.report().events >= came + 10).await;
        let copy = take(&home, &daemon, &cloud);
        frames += copy.wal.frames();
        let whole = open(&copy, copy.log.len()).await;
        for _ in 0..cuts / MOMENTS {
            let at = rng.random_range(copy.synced..=copy.wal.end());
            within += u64::from(!copy.wal.is_boundary(at));
            let left = open(&copy, at).await;
            assert!(whole.starts_with(&left), "cut at {at}: not what it was before");
            done += 1;
        }
        last = Some(copy);
    }
    drop(feed);
    println!("{done} cuts of {MOMENTS} logs with {frames} frames; {within} within a frame");
    home.stop(daemon, SOON).await;

    let copy = last.expect("there were moments");
    for _ in 0..STARTS {
        let at = rng.random_range(copy.synced..=copy.wal.end());
        start_from(&copy, at, &setup, &cloud, &sink).await;
    }
}

/// Starts a daemon on what a cut has left: it fetches again what is missing.
async fn start_from(copy: &Copy, at: usize, setup: &Setup, cloud: &CloudServer, sink: &SinkServer) {
    let home = Home::new(setup);
    write(&home.ledger(), &copy.ledger);
    write(&home.ledger().with_extension("db-wal"), &copy.log[..at]);
    let daemon = home.run_daemon().await;
    eventually("everything is there again", SOON, async || {
        (Audit::live(&home).await.ids().await == cloud.ids()).then_some(())
    })
    .await;
    home.until_settled(SOON).await;
    home.stop(daemon, SOON).await;
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 1).await;
    assert_eq!(audit.deliveries("siem", "delivered").await, cloud.ids(), "cut at {at}");
    assert_eq!(sink.ids(), cloud.ids(), "cut at {at}");
}

/// Copies a ledger while its process stands still.
fn take(home: &Home, daemon: &Process, cloud: &CloudServer) -> Copy {
    daemon.freeze();
    let read = |suffix| std::fs::read(home.ledger().with_extension(suffix)).expect("it is there");
    let (ledger, log, shared) = (read("db"), read("db-wal"), read("db-shm"));
    daemon.thaw();
    let wal = Wal::read(&log).expect("it holds something");
    let synced = wal.length(backfilled(&shared));
    Copy { ledger, log, wal, synced, made: cloud.cloud.made() }
}

/// Audits the ledger with its log cut at `length`; its events in their order.
async fn open(copy: &Copy, length: usize) -> Vec<String> {
    let folder = TempDir::with_prefix("tailwater-cut-").expect("a temporary folder");
    let path = folder.path().join("ledger.db");
    write(&path, &copy.ledger);
    write(&path.with_extension("db-wal"), &copy.log[..length]);
    let mut audit = Audit::of(&path).await;
    if !audit.is_made().await {
        return Vec::new();
    }
    audit.check(&copy.made, 1).await;
    let ids: Vec<(String,)> = audit.rows("SELECT id FROM event ORDER BY sequence").await;
    audit.close().await;
    ids.into_iter().map(|(id,)| id).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("it can be written");
}
