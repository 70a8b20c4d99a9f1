//! Every call once: the n-th call of the daemon to the ledger's files, or to the network,
//! fails or is its last, for n = 1, 2, 3, … until a life passes untouched. Afterwards the
//! ledger is whole, and it goes on by itself or stops with a word; the next start finishes.
//!
//! A life: the ledger is made, a throttled request, a token that has died, a stretch with
//! more entries than a page, deliveries, a soft stop. It keeps within the ten requests that
//! the poller sends without waiting. What a poll does besides has its turn, call by call,
//! in `tests/simulation/each_call.rs`.
//!
//! Of the four things that can happen to a call to the disk, an ordinary run does one to
//! each call, by turns. All four to each:
//! `TAILWATER_DEEDS=all cargo test --test it each_ -- --nocapture`

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::io::Errno;
use tailwater::simulator::faults::{Fault, FaultKind, HintForm};

use crate::support::nth_call::{Calls, Deed, Strike};
use crate::support::{
    Audit, CloudServer, Done, Home, Process, SOON, Setup, SinkServer, eventually, until,
};

/// Entries of a life: more than a page.
const ENTRIES: u64 = 12;

/// Lives at the same time: most of a life is waiting.
const LANES: u64 = 6;

/// A life with more calls than this does not end.
const CALLS_MAX: u64 = 5_000;

/// What the lives of one kind came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    lives: u64,
    /// Stopped by themselves, with a word.
    stopped: u64,
    /// Killed.
    killed: u64,
    /// Went on as if nothing had been.
    went_on: u64,
    repeats: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_to_the_ledger_may_fail_or_be_the_last() {
    let all = [Deed::Fails(Errno::IO), Deed::Dies, Deed::Tears, Deed::Fails(Errno::NOSPC)];
    let tally = if std::env::var("TAILWATER_DEEDS").is_ok_and(|which| which == "all") {
        strike_all(Calls::Writes, &all, all.len()).await
    } else {
        // A full disk is looked at again every few seconds: fewer of those.
        let turns = [&all[..3], &all[..3], &all[3..]].concat();
        strike_all(Calls::Writes, &turns, 1).await
    };
    assert!(tally.lives > 100 && tally.killed > 0 && tally.stopped > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reading_of_the_ledger_may_fail() {
    let deeds = [Deed::Fails(Errno::IO)];
    let tally = strike_all(Calls::Reads, &deeds, 1).await;
    assert!(tally.lives > 20 && tally.stopped > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_to_the_network_may_fail_or_be_the_last() {
    let deeds = [Deed::Fails(Errno::CONNRESET), Deed::Dies, Deed::Tears];
    let tally = strike_all(Calls::Net, &deeds, deeds.len()).await;
    assert!(tally.lives > 60 && tally.killed > 0 && tally.went_on > 0, "{tally:?}");
}

/// Lives until none of `each` deeds finds its call any more.
async fn strike_all(calls: Calls, deeds: &[Deed], each: usize) -> Tally {
    let (next, end) = (AtomicU64::new(0), AtomicU64::new(CALLS_MAX));
    let lanes = (0..LANES).map(|_| async {
        let mut tally = Tally::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) + 1;
            if at > end.load(Ordering::Relaxed) {
                return tally;
            }
            assert!(at < CALLS_MAX, "there is no end to the calls");
            for turn in 0..each {
                let place = usize::try_from(at).expect("a small number") + turn;
                if !strike(calls, at, deeds[place % deeds.len()], &mut tally).await {
                    end.fetch_min(at, Ordering::Relaxed);
                }
            }
        }
    });
    let mut sum = Tally::default();
    for tally in join_all(lanes).await {
        sum.lives += tally.lives;
        sum.stopped += tally.stopped;
        sum.killed += tally.killed;
        sum.went_on += tally.went_on;
        sum.repeats += tally.repeats;
    }
    println!("{calls:?}: {} calls, {sum:?}", end.load(Ordering::Relaxed) - 1);
    sum
}

/// One life with one fault; false when it had fewer calls.
async fn strike(calls: Calls, at: u64, deed: Deed, tally: &mut Tally) -> bool {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    make_entries(&cloud);
    let poll = "interval = \"1s\"\nstart = \"10m\"\npage_limit = 10";
    let often = "retry = { schedule = [\"100ms\"] }";
    let home = Home::new(&Setup::new(&cloud).poll(poll).target("siem", &sink.url, often));
    let strike = Strike::new(calls, at, deed, home.path());

    let mut daemon = home.start_with(&["run"], &strike.variables());
    let all = cloud.ids();
    eventually("it delivers, or ends", SOON, async || {
        (!daemon.is_running() || sink.ids() == all).then_some(())
    })
    .await;
    if daemon.is_running() {
        daemon.term();
    }
    let done = daemon.end(SOON).await;
    let Some(call) = strike.struck() else {
        assert_eq!(done.code, Some(0), "untouched: {}", done.stderr);
        return false;
    };
    let what = format!("{deed:?} at {call}");
    judge(&what, deed, &done, tally);
    check(&home, &cloud).await;

    let before = sink.report().repeats;
    home.stop(finish(&home, &cloud, &sink).await, SOON).await;
    let mut audit = Audit::live(&home).await;
    audit.check(&cloud.cloud.made(), 1).await;
    assert_eq!(audit.deliveries("siem", "delivered").await, all, "{what}");
    let repeats = sink.report().repeats;
    // Nothing was sent twice by a process that knew that it had been sent.
    assert!(before == 0 || calls == Calls::Net, "{what}: {before} repeats within one life");
    assert!(repeats == 0 || done.code != Some(0) || calls == Calls::Net, "{what}: {repeats}");
    tally.repeats += repeats;
    tally.lives += 1;
    true
}

/// How the life that was struck may have ended.
fn judge(what: &str, deed: Deed, done: &Done, tally: &mut Tally) {
    match done.code {
        None => {
            assert!(deed.is_deadly(), "{what}: a signal ended it: {}", done.stderr);
            tally.killed += 1;
        }
        Some(0) => tally.went_on += 1,
        Some(1 | 75) => {
            let last = done.stderr.lines().last().unwrap_or_default();
            assert!(last.starts_with("tailwater: "), "{what}: stopped without a word: {last}");
            assert!(!done.stderr.contains("panicked"), "{what}: {}", done.stderr);
            tally.stopped += 1;
        }
        Some(code) => panic!("{what}: exit code {code}: {}", done.stderr),
    }
}

fn make_entries(cloud: &CloudServer) {
    let now = cloud.cloud.clock().now();
    cloud.cloud.generate(ENTRIES, now.minus(Duration::from_secs(50)), now);
    let faults = cloud.cloud.faults();
    faults.add(Fault::new(FaultKind::TooManyRequests).times(1).hint(HintForm::RetryAfter, 0));
    faults.add(Fault::new(FaultKind::ExpireTokens).times(1));
}

/// Audits what the process has left, if it has come as far as making the ledger.
async fn check(home: &Home, cloud: &CloudServer) {
    if !home.ledger().exists() {
        return;
    }
    let mut audit = Audit::of_copy(home).await;
    if audit.is_made().await {
        audit.check(&cloud.cloud.made(), 1).await;
    }
}

/// A start without faults brings everything to its end.
async fn finish(home: &Home, cloud: &CloudServer, sink: &SinkServer) -> Process {
    let daemon = home.run_daemon().await;
    let all = cloud.ids();
    until("the next start delivers all", SOON, || sink.ids() == all).await;
    home.until_settled(SOON).await;
    daemon
}
